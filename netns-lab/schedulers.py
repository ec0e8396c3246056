"""Each scheduler has 10,000 connections: who gets how many.

Four servers weigh 40, 30, 20 and 10. Clients of 250 addresses open connections through a service of each scheduler and
keep sixty of them open at a time, so that those that look at load have some to look at (schedulers/connect.py).
"""

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from subprocess import PIPE

from swlb.config import Service
from swlb.config.schedule_models import DEFAULT_HASH_KEY
from swlb.errors import SwlbError
from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import one_request
from swlb.lab.requests import CLIENT, Surprise, expect, sessions_total, vip_of
from swlb.lab.voice import Voice

DRAWING = """
     10.0.1.0/24, and clients                         10.0.2.0/24    weight
     of 10.0.4.0/24 behind .10
                                                      ┌───────────────────────┐
                                                  ┌───┤ web1   10.0.2.11   40 │
                                                  │   └───────────────────────┘
  ┌──────────────────┐    ┌─────────────────────┐ │   ┌───────────────────────┐
  │ client 10.0.1.10 ├────┤ .1      swlb     .1 ├─┼───┤ web2   10.0.2.12   30 │
  └──────────────────┘    │                     │ │   └───────────────────────┘
   gateway 10.0.1.1       │ VIP 10.0.1.100      │ │   ┌───────────────────────┐
                          │     a port for each │ ├───┤ web3   10.0.2.13   20 │
                          │     scheduler       │ │   └───────────────────────┘
                          └─────────────────────┘ │   ┌───────────────────────┐
                                                  └───┤ web4   10.0.2.14   10 │
                                                      └───────────────────────┘
                                                       gateway 10.0.2.1

   10.0.1.100:7001 rr       10.0.1.100:7005 sed      10.0.1.100:7009 hash-5
   10.0.1.100:7002 wrr      10.0.1.100:7006 nq       10.0.1.100:7010 maglev
   10.0.1.100:7003 lc       10.0.1.100:7007 p2c      10.0.1.100:7011 fo
   10.0.1.100:7004 wlc      10.0.1.100:7008 hash     10.0.1.100:7012 overflow
   10.0.1.100:80   web, for the walk of one request
"""

CONFIGURATION = """
mode: routed
ports:
  client: {tap: eth0, netns: client}
  web1: {tap: eth0, netns: web1}
  web2: {tap: eth0, netns: web2}
  web3: {tap: eth0, netns: web3}
  web4: {tap: eth0, netns: web4}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24]}
  inside: {ports: [web1, web2, web3, web4], addresses: [10.0.2.1/24]}
routes:
  - {to: 10.0.4.0/24, via: 10.0.1.10}
services:
  web:
    vip: 10.0.1.100
    port: 80
    servers:
      web1: {address: 10.0.2.11, port: 8080}
  rr:
    vip: 10.0.1.100
    port: 7001
    scheduler: rr
    servers: &servers
      web1: {address: 10.0.2.11, port: 7000, weight: 40}
      web2: {address: 10.0.2.12, port: 7000, weight: 30}
      web3: {address: 10.0.2.13, port: 7000, weight: 20}
      web4: {address: 10.0.2.14, port: 7000, weight: 10}
  wrr: {vip: 10.0.1.100, port: 7002, scheduler: wrr, servers: *servers}
  lc: {vip: 10.0.1.100, port: 7003, scheduler: lc, servers: *servers}
  wlc: {vip: 10.0.1.100, port: 7004, scheduler: wlc, servers: *servers}
  sed: {vip: 10.0.1.100, port: 7005, scheduler: sed, servers: *servers}
  nq: {vip: 10.0.1.100, port: 7006, scheduler: nq, servers: *servers}
  p2c: {vip: 10.0.1.100, port: 7007, scheduler: p2c, servers: *servers}
  hash: {vip: 10.0.1.100, port: 7008, scheduler: hash, servers: *servers}
  hash-5: {vip: 10.0.1.100, port: 7009, scheduler: hash, hash_key: five_tuple, servers: *servers}
  maglev: {vip: 10.0.1.100, port: 7010, scheduler: maglev, servers: *servers}
  fo: {vip: 10.0.1.100, port: 7011, scheduler: fo, servers: *servers}
  overflow: {vip: 10.0.1.100, port: 7012, scheduler: overflow, servers: *servers}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 63",
    gets="VIP:80 → client, TTL 63",
    passes="yes",
    needs="swlb as their gateway, 10.0.2.1",
)
BECAUSE = "As in the lab routed: the scheduler says who is asked, not how."

PROGRAMS = Path(__file__).with_suffix("")
NAMES = ("web1", "web2", "web3", "web4")
CONNECTIONS = 10_000
OPEN = 60
CLIENTS = "10.0.4.0/24"
ADDRESSES = 250
FIGURES_S = 5.0
# How far a share may be from what is expected, in percent of all connections. Where chance draws: of so many keys,
# five times the standard deviation of a share of one half.
EXACT, LOAD, DRAWN, FEW_KEYS = 0.0, 2.0, 2.5, 16.0


@dataclass(frozen=True)
class Expected:
    """The share of each server in percent, how far off is well, and why it is so, in a few words."""

    shares: tuple[Fraction, ...]
    margin: float
    why: str


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server listens."""
    lab.host(CLIENT, "10.0.1.10/24", gateway="10.0.1.1")
    for number, name in enumerate(NAMES, 11):
        host = lab.host(name, f"10.0.2.{number}/24", gateway="10.0.2.1")
        host.serve("server that says its name", sys.executable, "-I", PROGRAMS / "server.py", name, "7000")
        host.http(8080)
    lab.switch(CONFIGURATION)
    lab.hosts[CLIENT].ip(f"route add local {CLIENTS} dev lo")
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """The shares of every scheduler, and the walk of one request."""
    services = [service for service in lab.config.services.values() if service.name != "web"]
    say.heading(f"{CONNECTIONS} connections through each scheduler, from {ADDRESSES} addresses, {OPEN} open at a time")
    found = {}
    for service in services:
        with say.waiting(f"{service.name}, at {vip_of(service)}"):
            found[service.name] = connections(lab, service)
    say.heading("The shares they got, in percent, and those that are expected")
    rows = [row for service in services for row in rows_of(service, found[service.name])]
    say.table(("service", "", *NAMES, "why"), rows, right=NAMES)
    for service in services:
        judge(service, found[service.name])
    return one_request(lab, say, EXPECTED, BECAUSE)


def connections(lab: Lab, service: Service) -> list[int]:
    """How many of CONNECTIONS each server has had, as the clients say; swlb has counted the same."""
    host = lab.hosts[CLIENT]
    words = (str(service.vips[0]), str(service.port_first), str(CONNECTIONS), str(OPEN), CLIENTS, str(ADDRESSES))
    child = host.popen(sys.executable, "-I", PROGRAMS / "connect.py", *words, stdout=PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as output:
        text = output.read()
    host.end(child)
    counts = dict(line.split() for line in text.splitlines())
    if "!" in counts or sum(map(int, counts.values())) != CONNECTIONS:
        raise SwlbError(f"service {service.name}: not every connection was served: {text.strip()}")
    got = [int(counts.get(name, 0)) for name in NAMES]
    lab.wait(lambda: sum(sessions_total(lab, service).values()) >= CONNECTIONS, "swlb has counted them", FIGURES_S)
    expect(f"sessions_total of service {service.name}", list(sessions_total(lab, service).values()), got)
    return got


def expected(service: Service) -> Expected:
    """What the scheduler's definition says of so many connections."""
    weights = [server.weight for server in service.servers.values()]
    equal = (Fraction(25),) * len(NAMES)
    by_weight = tuple(Fraction(100 * weight, sum(weights)) for weight in weights)
    match service.scheduler:
        case "rr":
            return Expected(equal, EXACT, "turns")
        case "lc":
            return Expected(equal, LOAD, "the same load for each")
        case "wrr":
            return Expected(by_weight, EXACT, "turns by weight")
        case "fo":
            return Expected((Fraction(100), *(Fraction(0),) * 3), EXACT, "all to the heaviest")
        case "overflow":
            full = min(weights[0] + 1, OPEN)
            first = Fraction(100 * full, OPEN)
            return Expected((first, 100 - first, Fraction(0), Fraction(0)), LOAD, f"{full} of {OPEN} fit the first")
        case "hash" | "maglev":
            few = service.hash_key == DEFAULT_HASH_KEY["hash"]
            keys = f"{ADDRESSES} keys" if few else "a key each"
            return Expected(by_weight, FEW_KEYS if few else DRAWN, f"by weight, {keys}")
        case _:
            return Expected(by_weight, LOAD, "load by weight")


def rows_of(service: Service, got: list[int]) -> list[list[str]]:
    """What it got, and below it what is expected."""
    want = expected(service)
    return [
        [service.name, "got", *(f"{100 * n / CONNECTIONS:.2f}" for n in got), ""],
        ["", "expected", *(f"{float(share):.2f}" for share in want.shares), want.why],
    ]


def judge(service: Service, got: list[int]) -> None:
    """The shares are as expected, within the margin. Raises Surprise where they are not."""
    want = expected(service)
    for name, n, share in zip(NAMES, got, want.shares, strict=True):
        if abs(float(Fraction(100 * n, CONNECTIONS) - share)) > want.margin:
            raise Surprise(
                f"the share of {name} of service {service.name}",
                seen=f"{n / CONNECTIONS:.2%}",
                expected=f"{float(share):.2f}%, give or take {want.margin:g}",
            )

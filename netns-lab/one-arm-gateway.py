"""swlb beside a switch, and the servers' gateway.

swlb hangs at the servers' network by one port, and clients come from elsewhere, by a router. The servers send what is
for other networks to swlb, their gateway, so every answer comes back through it, and they see the client's own
address. A neighbour of theirs that called the VIP would be answered past swlb: see the lab one-arm-broken.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import prove_in_short
from swlb.lab.voice import Voice

DRAWING = """
       10.0.5.0/24, fd00:5::/64                 10.0.4.0/24, fd00:4::/64

                                                        ┌──────────────────┐
                        ┌────────┐                  ┌───┤ web1   10.0.4.11 │
  ┌──────────────────┐  │        │  ┌─────────┐     │   └──────────────────┘
  │ client 10.0.5.10 ├──┤ router ├──┤   lan   ├─────┤   ┌──────────────────┐
  └──────────────────┘  │        │  └────┬────┘     └───┤ web2   10.0.4.12 │
    gateway .254        └────────┘       │              └──────────────────┘
                      both ends .254     │                gateway 10.0.4.1
                             ┌───────────┴───────────┐
                             │ .1      swlb          │
                             │ VIP 10.0.4.100:80     │
                             │     [fd00:4::100]:80  │
                             └───────────────────────┘
"""

CONFIGURATION = """
mode: routed
topology: one-arm
ports:
  arm: {tap: swlb, netns: lan}
segments:
  lan: {ports: [arm], addresses: [10.0.4.1/24, "fd00:4::1/64"]}
routes:
  - {to: 10.0.5.0/24, via: 10.0.4.254}
  - {to: "fd00:5::/64", via: "fd00:4::254"}
services:
  web:
    vip: 10.0.4.100
    port: 80
    source_nat: never
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.4.11, port: 8080}
      web2: {address: 10.0.4.12, port: 8080}
  web6:
    vip: "fd00:4::100"
    port: 80
    source_nat: never
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:4::11", port: 8080}
      web2: {address: "fd00:4::12", port: 8080}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 63",
    gets="VIP:80 → client, TTL 63",
    passes="yes",
    needs="swlb as their gateway, 10.0.4.1",
)
BECAUSE = "The client is elsewhere for the servers, so they answer by their gateway."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.bridge("lan")
    lab.bridge("wan")
    lab.router("router", wan="10.0.5.254/24 fd00:5::254/64", lan="10.0.4.254/24 fd00:4::254/64")
    lab.host("client", "10.0.5.10/24", "fd00:5::10/64", gateway=("10.0.5.254", "fd00:5::254"), at="wan")
    for number in (11, 12):
        gateways = ("10.0.4.1", "fd00:4::1")
        name = f"web{number - 10}"
        web = lab.host(name, f"10.0.4.{number}/24", f"fd00:4::{number}/64", gateway=gateways, at="lan")
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """Equal shares and the walk of one request."""
    return prove_in_short(lab, say, EXPECTED, BECAUSE)

"""Servers behind a router answer clients directly, as the VIP.

The servers are on another network, where a request for the VIP would not find them. swlb packs it unchanged into a
packet of its own to the server (IP in IP), which takes it out (`swlb decap`, or a tunnel device of the kernel) and
answers the client itself, by its own gateway: no reply passes swlb.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.prescription import fulfil, show_prescription
from swlb.lab.proof import prove_in_short
from swlb.lab.voice import Voice

DRAWING = """
      10.0.4.0/24, fd00:4::/64                 10.0.6.0/24, fd00:6::/64

                                                        ┌──────────────────┐
                                     ┌────────┐     ┌───┤ web1   10.0.6.11 │
  ┌──────────────────┐   ┌───────┐   │        │     │   └──────────────────┘
  │ client 10.0.4.10 ├───┤  lan  ├───┤ router ├─────┤   ┌──────────────────┐
  └──────────────────┘   └───┬───┘   │        │     └───┤ web2   10.0.6.12 │
    gateway .254             │       └────────┘         └──────────────────┘
                             │     both ends .254         gateway .254
                 ┌───────────┴───────────┐             VIP on both loopbacks
                 │ .1      swlb          │
                 │ VIP 10.0.4.100:80     │
                 │     [fd00:4::100]:80  │
                 └───────────────────────┘
"""

CONFIGURATION = """
mode: dsr
topology: one-arm
ports:
  arm: {tap: swlb, netns: lan}
segments:
  lan: {ports: [arm], addresses: [10.0.4.1/24, "fd00:4::1/64"]}
routes:
  - {to: 10.0.6.0/24, via: 10.0.4.254}
services:
  web:
    vip: [10.0.4.100, "fd00:4::100"]       # a tunnel over IPv4 takes both
    port: 80
    forward: ipip
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.6.11}
      web2: {address: 10.0.6.12}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → VIP:80, TTL 64, in IPIP swlb → server",
    gets="VIP:80 → client, TTL 63",
    passes="no",
    needs="the VIP on their loopback, and a tunnel device or `swlb decap` to unpack",
)
BECAUSE = "The router sees the outer header only; what is inside stays as the client sent it."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.bridge("lan")
    lab.bridge("far")
    lab.router("router", lan="10.0.4.254/24 fd00:4::254/64", far="10.0.6.254/24 fd00:6::254/64")
    lab.host("client", "10.0.4.10/24", "fd00:4::10/64", gateway=("10.0.4.254", "fd00:4::254"), at="lan")
    for number in (11, 12):
        gateways = ("10.0.6.254", "fd00:6::254")
        name = f"web{number - 10}"
        web = lab.host(name, f"10.0.6.{number}/24", f"fd00:6::{number}/64", gateway=gateways, at="far")
        web.http(80)
    lab.switch(CONFIGURATION)
    fulfil(lab)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """What the servers needed; equal shares and the walk of one request."""
    show_prescription(lab, say, "web1")
    return prove_in_short(lab, say, EXPECTED, BECAUSE)

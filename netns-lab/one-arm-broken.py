"""swlb beside a switch, and the servers answer past it.

Client and servers are on one network, and swlb hangs at it by one port. It sends requests on with the client's own
address in them, so a server answers the client directly, from an address that the client never asked: the client
resets what it does not know, and waits in vain for the VIP. That the servers have swlb as their gateway is no help, as
the client is their neighbour. With `source_nat: auto` swlb puts its own address there, and all answers come back to it.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import in_vain, prove_in_short
from swlb.lab.voice import Voice

DRAWING = """
             one network behind a switch: 10.0.4.0/24, fd00:4::/64

                                                        ┌──────────────────┐
                                                    ┌───┤ web1   10.0.4.11 │
  ┌──────────────────┐     ┌──────────────────┐     │   └──────────────────┘
  │ client 10.0.4.10 ├─────┤       lan        ├─────┤   ┌──────────────────┐
  └──────────────────┘     └────────┬─────────┘     └───┤ web2   10.0.4.12 │
                                    │                   └──────────────────┘
                        ┌───────────┴───────────┐         gateway 10.0.4.1
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
CURED = CONFIGURATION.replace("source_nat: never", "source_nat: auto")

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 64",
    gets="server:8080 → client, TTL 64, which it resets",
    passes="no",
    needs="swlb as their gateway, 10.0.4.1",
)
EXPECTED_CURED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="swlb → server:8080, TTL 64",
    gets="VIP:80 → client, TTL 64",
    passes="yes",
    needs="no setting",
)
BECAUSE_BROKEN = "The answer comes from an address that the client never asked, so the client resets it."
BECAUSE_CURED = "swlb asks in its own name, so the server has nobody else to answer."


def build(lab: Lab) -> None:
    """All of the drawing is there, every server is up, and no client will be served."""
    lab.bridge("lan")
    lab.host("client", "10.0.4.10/24", "fd00:4::10/64", at="lan")
    for number in (11, 12):
        gateways = ("10.0.4.1", "fd00:4::1")
        name = f"web{number - 10}"
        web = lab.host(name, f"10.0.4.{number}/24", f"fd00:4::{number}/64", gateway=gateways, at="lan")
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """A request in vain; then the same with the source rewritten."""
    short = in_vain(lab, say, EXPECTED, BECAUSE_BROKEN)
    say.heading("The way out that needs no word to anybody: source_nat: auto")
    with say.waiting("swlb is started again with it"):
        lab.switch(CURED)
        lab.wait(lab.all_serve, "every server is up")
    prove_in_short(lab, say, EXPECTED_CURED, BECAUSE_CURED)
    return short

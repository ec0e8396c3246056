"""Servers answer clients directly, as the VIP.

swlb hangs beside the switch and sends requests on with nothing changed but the MACs. Every server has the VIP on its
loopback device, where nobody asks for it, and answers the client itself: no reply passes swlb. `swlb doctor` prints
what the servers need for it; the lab has done just that.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.prescription import fulfil, show_prescription
from swlb.lab.proof import prove_in_short
from swlb.lab.voice import Voice

DRAWING = """
             one network behind a switch: 10.0.4.0/24, fd00:4::/64

                                                        ┌──────────────────┐
                                                    ┌───┤ web1   10.0.4.11 │
  ┌──────────────────┐     ┌──────────────────┐     │   └──────────────────┘
  │ client 10.0.4.10 ├─────┤       lan        ├─────┤   ┌──────────────────┐
  └──────────────────┘     └────────┬─────────┘     └───┤ web2   10.0.4.12 │
                                    │                   └──────────────────┘
                        ┌───────────┴───────────┐      VIP on both loopbacks
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
services:
  web:
    vip: 10.0.4.100
    port: 80
    forward: dsr
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.4.11}
      web2: {address: 10.0.4.12}
  web6:
    vip: "fd00:4::100"
    port: 80
    forward: dsr
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:4::11"}
      web2: {address: "fd00:4::12"}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → VIP:80, TTL 64",
    gets="VIP:80 → client, TTL 64",
    passes="no",
    needs="the VIP on their loopback, and silence about it in ARP",
)
BECAUSE = "Only the MACs are other ones, and no reply passes swlb."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.bridge("lan")
    lab.host("client", "10.0.4.10/24", "fd00:4::10/64", at="lan")
    for number in (11, 12):
        web = lab.host(f"web{number - 10}", f"10.0.4.{number}/24", f"fd00:4::{number}/64", at="lan")
        web.http(80)
    lab.switch(CONFIGURATION)
    fulfil(lab)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """What the servers needed; equal shares and the walk of one request."""
    show_prescription(lab, say, "web1")
    return prove_in_short(lab, say, EXPECTED, BECAUSE)

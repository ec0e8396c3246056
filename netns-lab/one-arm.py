"""swlb beside a switch, and asks in its own name.

Client and servers are on one network, and swlb hangs at it by one port. It puts an address of its own, here from a
pool, in the place of the client's, so that every answer comes back to it. No host needs any setting; the price is
that the servers do not see who asks (`swlb show sessions` does).
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
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
                        ┌───────────┴───────────┐
                        │ .1      swlb          │
                        │ VIP 10.0.4.100:80     │    asks as 10.0.4.9
                        │     [fd00:4::100]:80  │         or fd00:4::9
                        └───────────────────────┘
"""

CONFIGURATION = """
mode: transparent
topology: one-arm
ports:
  arm: {tap: swlb, netns: lan}
segments:
  lan: {ports: [arm], addresses: [10.0.4.1/24, "fd00:4::1/64"]}
services:
  web:
    vip: 10.0.4.100
    port: 80
    source_nat: always
    source_pool: [10.0.4.9]
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.4.11, port: 8080}
      web2: {address: 10.0.4.12, port: 8080}
  web6:
    vip: "fd00:4::100"
    port: 80
    source_nat: always
    source_pool: ["fd00:4::9"]
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:4::11", port: 8080}
      web2: {address: "fd00:4::12", port: 8080}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="swlb → server:8080, TTL 64",
    gets="VIP:80 → client, TTL 64",
    passes="yes",
    needs="no setting",
)
BECAUSE = "swlb asks in its own name, so the server has nobody else to answer."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.bridge("lan")
    lab.host("client", "10.0.4.10/24", "fd00:4::10/64", at="lan")
    for number in (11, 12):
        web = lab.host(f"web{number - 10}", f"10.0.4.{number}/24", f"fd00:4::{number}/64", at="lan")
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """Equal shares and the walk of one request."""
    return prove_in_short(lab, say, EXPECTED, BECAUSE)

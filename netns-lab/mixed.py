"""swlb between interfaces that are there already, and a TAP.

The ports of client and web1 are interfaces of swlb's own namespace (here the ends of cables; on a machine of yours
the network cards), which it takes over while it runs. web2 hangs at a TAP, as a container would.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import prove_in_short
from swlb.lab.voice import Voice

DRAWING = """
     10.0.1.0/24                                               10.0.2.0/24
     fd00:1::/64                                               fd00:2::/64
                 cable                             cable
                 packet port                 packet port ┌──────────────────┐
  ┌──────────────────┐   │ ┌───────────────────────┐ │ ┌─┤ web1   10.0.2.11 │
  │ client 10.0.1.10 ├─────┤ .1      swlb       .1 ├───┤ └──────────────────┘
  └──────────────────┘     │                       │   │ ┌──────────────────┐
   gateway 10.0.1.1        │ VIP 10.0.1.100:80     │ │ └─┤ web2   10.0.2.12 │
                           │     [fd00:1::100]:80  │ TAP └──────────────────┘
                           └───────────────────────┘      gateway 10.0.2.1
"""

CONFIGURATION = """
mode: routed
ports:
  client: {packet: client}                 # interfaces of swlb's own namespace
  web1: {packet: web1}
  web2: {tap: eth0, netns: web2}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1, web2], addresses: [10.0.2.1/24, "fd00:2::1/64"]}
services:
  web:
    vip: 10.0.1.100
    port: 80
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.2.11, port: 8080}
      web2: {address: 10.0.2.12, port: 8080}
  web6:
    vip: "fd00:1::100"
    port: 80
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:2::11", port: 8080}
      web2: {address: "fd00:2::12", port: 8080}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 63",
    gets="VIP:80 → client, TTL 63",
    passes="yes",
    needs="swlb as their gateway, 10.0.2.1",
)
BECAUSE = "As in the lab routed: what a port is makes no difference."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.host("client", "10.0.1.10/24", "fd00:1::10/64", gateway=("10.0.1.1", "fd00:1::1"), at="swlb")
    gateways = ("10.0.2.1", "fd00:2::1")
    web1 = lab.host("web1", "10.0.2.11/24", "fd00:2::11/64", gateway=gateways, at="swlb")
    web2 = lab.host("web2", "10.0.2.12/24", "fd00:2::12/64", gateway=gateways)
    for web in (web1, web2):
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """What swlb says of its ports; equal shares and the walk of one request."""
    say.heading("The ports, as `swlb show ports` tells of them")
    columns = ("port", "kind", "device", "io")
    rows = [[str(row[column]) for column in columns] for row in lab.show("ports") if row["port"] in lab.config.ports]
    say.table(columns, rows)
    return prove_in_short(lab, say, EXPECTED, BECAUSE)

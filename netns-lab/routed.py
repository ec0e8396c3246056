"""swlb is the gateway of a network of servers.

The client asks for the VIP. swlb sends the request on to one of the servers, whose gateway it is, so that the
reply comes back through it and gets the VIP as its source again. The servers see the client's own address.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import prove
from swlb.lab.voice import Voice

DRAWING = """
     10.0.1.0/24                                               10.0.2.0/24
     fd00:1::/64                                               fd00:2::/64

                                                           ┌──────────────────┐
                                                       ┌───┤ web1   10.0.2.11 │
  ┌──────────────────┐     ┌───────────────────────┐   │   └──────────────────┘
  │ client 10.0.1.10 ├─────┤ .1      swlb       .1 ├───┤   ┌──────────────────┐
  └──────────────────┘     │                       │   ├───┤ web2   10.0.2.12 │
   gateway 10.0.1.1        │ VIP 10.0.1.100:80     │   │   └──────────────────┘
                           │     [fd00:1::100]:80  │   │   ┌──────────────────┐
                           └───────────────────────┘   └───┤ web3   10.0.2.13 │
                                                           └──────────────────┘
                                                            gateway 10.0.2.1
"""

CONFIGURATION = """
mode: routed
ports:
  client: {tap: eth0, netns: client}
  web1: {tap: eth0, netns: web1}
  web2: {tap: eth0, netns: web2}
  web3: {tap: eth0, netns: web3}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1, web2, web3], addresses: [10.0.2.1/24, "fd00:2::1/64"]}
services:
  web:
    vip: 10.0.1.100
    port: 80
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.2.11, port: 8080}
      web2: {address: 10.0.2.12, port: 8080}
      web3: {address: 10.0.2.13, port: 8080}
  web6:
    vip: "fd00:1::100"
    port: 80
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:2::11", port: 8080}
      web2: {address: "fd00:2::12", port: 8080}
      web3: {address: "fd00:2::13", port: 8080}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 63",
    gets="VIP:80 → client, TTL 63",
    passes="yes",
    needs="swlb as their gateway, 10.0.2.1",
)

BECAUSE = "It is a router: new MACs, and one less to live."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.host("client", "10.0.1.10/24", "fd00:1::10/64", gateway=("10.0.1.1", "fd00:1::1"))
    for number in (11, 12, 13):
        gateways = ("10.0.2.1", "fd00:2::1")
        web = lab.host(f"web{number - 10}", f"10.0.2.{number}/24", f"fd00:2::{number}/64", gateway=gateways)
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """Equal shares, the walk of one request, fail-over, IPv6."""
    return prove(lab, say, EXPECTED, BECAUSE)

"""swlb is a switch that nobody knows of.

The VIP is an address of the network that the servers are in, and no host has any setting for it: no gateway, no
route. The servers answer the client directly, and swlb recognises the reply as it passes and gives it the VIP as its
source again. Everything else is switched untouched.
"""

from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import prove
from swlb.lab.requests import expect
from swlb.lab.voice import Voice

DRAWING = """
               one network: 10.0.3.0/24, fd00:3::/64; no gateway anywhere

                                                           ┌──────────────────┐
                                                       ┌───┤ web1   10.0.3.11 │
  ┌──────────────────┐     ┌───────────────────────┐   │   └──────────────────┘
  │ client 10.0.3.10 ├─────┤      swlb (.1)        ├───┤   ┌──────────────────┐
  └──────────────────┘     │                       │   ├───┤ web2   10.0.3.12 │
                           │ VIP 10.0.3.100:80     │   │   └──────────────────┘
                           │     [fd00:3::100]:80  │   │   ┌──────────────────┐
                           └───────────────────────┘   └───┤ web3   10.0.3.13 │
                                                           └──────────────────┘
"""

CONFIGURATION = """
mode: transparent
ports:
  client: {tap: eth0, netns: client}
  web1: {tap: eth0, netns: web1}
  web2: {tap: eth0, netns: web2}
  web3: {tap: eth0, netns: web3}
segments:
  # The segment's own addresses are for checks and for finding the servers' MACs; no host needs them.
  lan: {ports: [client, web1, web2, web3], addresses: [10.0.3.1/24, "fd00:3::1/64"]}
services:
  web:
    vip: 10.0.3.100
    port: 80
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.3.11, port: 8080}
      web2: {address: 10.0.3.12, port: 8080}
      web3: {address: 10.0.3.13, port: 8080}
  web6:
    vip: "fd00:3::100"
    port: 80
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:3::11", port: 8080}
      web2: {address: "fd00:3::12", port: 8080}
      web3: {address: "fd00:3::13", port: 8080}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 64",
    gets="VIP:80 → client, TTL 64",
    passes="yes",
    needs="no setting",
)

BECAUSE = "It is a bridge: the TTL stays."


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.host("client", "10.0.3.10/24", "fd00:3::10/64")
    for number in (11, 12, 13):
        web = lab.host(f"web{number - 10}", f"10.0.3.{number}/24", f"fd00:3::{number}/64")
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """No setting anywhere; then equal shares, the walk of one request, fail-over, IPv6."""
    say.heading("All that the hosts know of the network: no gateway, no word of swlb")
    for name in ("client", "web1", "web2", "web3"):
        routes = [line.strip() for line in lab.hosts[name].run("ip", "route").stdout.splitlines()]
        for route in routes:
            say(f"{name:<7} {route}")
        expect(f"routes of {name} that lead elsewhere", [route for route in routes if " via " in route], [])
    return prove(lab, say, EXPECTED, BECAUSE)

"""Networks that many scenarios share, and both IP versions as one value, so that a case is written once."""

from dataclasses import dataclass

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Packet

from .network import Network, Segment, Server, Service


@dataclass(frozen=True)
class Family:
    """The addresses of one IP version in the networks below."""

    version: int
    outside: str        # swlb's own
    inside: str
    client: str
    server: str
    vip: str
    default: str        # a network of everything
    far: str            # an address that only a route leads to
    gateway: str        # behind it

    def __str__(self) -> str:
        return f"ipv{self.version}"

    def ip(self, src: str, dst: str, hops: int = 64, **fields: object) -> Packet:
        """A header of this version."""
        if self.version == 4:
            return IP(src=src, dst=dst, ttl=hops, **fields)
        return IPv6(src=src, dst=dst, hlim=hops, **fields)

    def udp(self, src: str, dst: str, hops: int = 64, payload: bytes = b"payload") -> Packet:
        """A datagram to a port that is no service's."""
        return self.ip(src, dst, hops) / UDP(sport=4000, dport=5000) / payload

    def echo(self, src: str, dst: str, **fields: object) -> Packet:
        """An echo request."""
        request = ICMP(id=7, seq=9) if self.version == 4 else ICMPv6EchoRequest(id=7, seq=9)
        return self.ip(src, dst, **fields) / request / b"hello"


V4 = Family(4, "10.0.1.1", "10.0.2.1", "10.0.1.10", "10.0.2.11", "10.0.1.100", "0.0.0.0/0", "192.0.2.7", "10.0.2.254")
V6 = Family(6, "fd00:1::1", "fd00:2::1", "fd00:1::10", "fd00:2::11", "fd00:1::100", "::/0", "2001:db8::7",
            "fd00:2::254")
FAMILIES = (V4, V6)

OUTSIDE = ("10.0.1.1/24", "fd00:1::1/64")
INSIDE = ("10.0.2.1/24", "fd00:2::1/64")


def switch(*ports: str, **fields: object) -> Network:
    """One segment without addresses: a plain switch."""
    return Network({"lan": Segment(ports, **fields)})


def service(*, ready: int = 1) -> Service:
    """TCP port 80 of both VIPs, one server of each family, on its port 8080."""
    return Service((V4.vip, V6.vip), (Server(V4.server, 8080, ready=ready), Server(V6.server, 8080, ready=ready)))


def router(*, outside: tuple[str, ...] = ("client",), inside: tuple[str, ...] = ("web1",), host: bool = False,
           mtu: dict[str, int] | None = None, ready: int = 1, **options: object) -> Network:
    """Two segments with addresses of both families, and one service."""
    return Network({"outside": Segment(outside, OUTSIDE, host=host, mtu=mtu or {}),
                    "inside": Segment(inside, INSIDE, host=host, mtu=mtu or {})},
                   services=[service(ready=ready)], **options)

"""A client, a VIP and servers at the far end of tunnels, in all combinations of families; and what leaves for them.

    scene = tunnelled("gue", 6, 4)                    # IPv6 within IPv4
    scene.client.send(scene.request("S"))
    assert scene.arrived() == [bytes(scene.request("S"))]

Outer headers are built anew by scapy and compared as a whole. What cannot be known beforehand, the GUE source port and
the IPv6 flow label, is read from the packet; Peeled has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from scapy.packet import Packet, Raw

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, ip
from .frames import IP, TCP, UDP, Ether, IPv6
from .layout import Segment, Server, Service
from .network import Network, Station

GUE_PORT = 6080
OWN = {4: "10.0.2.1", 6: "fd00:2::1"}
WAYS = [(forward, inner, outer) for forward in ("ipip", "gue") for inner in (4, 6) for outer in (4, 6)]
ALL_WAYS = pytest.mark.parametrize(("forward", "inner", "outer"), WAYS, ids=lambda value: str(value))


def overhead(forward: str, outer: int) -> int:
    return (20 if outer == 4 else 40) + (12 if forward == "gue" else 0)


@dataclass(frozen=True)
class Peeled:
    """A tunnel's packet, taken apart after it was found to be right."""

    inner: bytes
    flow: int | None           # GUE source port
    label: int | None          # IPv6 flow label
    traffic_class: int         # of the outer header


def peel(packet: Packet, *, src: str, dst: str, gue_port: int | None = None) -> Peeled:
    """The packet without its outer headers, every field of which is as scapy would have built it."""
    raw = bytes(packet)
    outer = 4 if isinstance(packet, IP) else 6
    at = (20 if outer == 4 else 40) + (12 if gue_port else 0)
    inner = raw[at:]
    version = inner[0] >> 4
    traffic_class = raw[1] if outer == 4 else (raw[0] << 4 | raw[1] >> 4) & 0xFF
    label = None if outer == 4 else int.from_bytes(raw[1:4], "big") & 0xFFFFF
    flow = int.from_bytes(raw[at - 12:at - 10], "big") if gue_port else None
    within = {4: 4, 6: 41}[version]
    head = (IP(src=src, dst=dst, ttl=64, tos=traffic_class, id=0, flags="DF") if outer == 4
            else IPv6(src=src, dst=dst, hlim=64, tc=traffic_class, fl=label))
    if gue_port:
        checksum = {"chksum": 0} if outer == 4 else {}
        wanted = head / UDP(sport=flow, dport=gue_port, **checksum) / Raw(bytes((0, within, 0, 0)) + inner)
    else:
        head.overload_fields = {}
        setattr(head, "proto" if outer == 4 else "nh", within)
        wanted = head / Raw(inner)
    assert raw == bytes(wanted), f"\n{raw.hex()}\n{bytes(wanted).hex()}"
    return Peeled(inner, flow, label, traffic_class)


@dataclass
class Scene:
    """The network, and the service that is its first."""

    net: Network
    forward: str
    inner: int
    outer: int
    protocol: str
    client: Station
    servers: list[Station]
    vip: str
    gue_port: int

    def request(self, tcp_flags: str = "S", *, sport: int = 40000, dport: int = 80, payload: bytes = b"",
                hops: int = 64, **fields: Any) -> Packet:
        """A packet of the client's to the VIP; fields are of its IP header."""
        head = ip(self.client.addresses[0], self.vip, hops, **fields)
        l4 = TCP(sport=sport, dport=dport, flags=tcp_flags) if self.protocol == "tcp" else UDP(sport=sport, dport=dport)
        return head / l4 / Raw(payload) if payload else head / l4

    def sized(self, size: int, **fields: Any) -> Packet:
        """One that has so many bytes in all."""
        return self.request("A", payload=bytes(size - len(self.request("A"))), **fields)

    def open(self, **fields: Any) -> "Scene":
        """A session is known, and its first packet has left."""
        self.client.send(self.request("S", **fields))
        self.net.discard()
        return self

    def peeled(self, server: int = 0) -> list[Peeled]:
        """What has left through the tunnel to that server, from the segment's MAC to the server's."""
        station = self.servers[server]
        frames = self.net.take(station.port)
        assert {(f.src, f.dst) for f in frames} <= {(self.net.mac(station.segment), station.mac)}
        return [peel(frame.payload, src=OWN[self.outer], dst=station.addresses[0],
                     gue_port=self.gue_port if self.forward == "gue" else None) for frame in frames]

    def arrived(self, server: int = 0) -> list[bytes]:
        """The packets within."""
        return [peeled.inner for peeled in self.peeled(server)]

    def state(self, sport: int = 40000) -> str:
        row, = [row for row in self.net.worker.sessions(now_ns=self.net.now_ns) if row[2] == sport]
        return row[6]


def tunnelled(forward: str = "ipip", inner: int = 4, outer: int = 4, *, protocol: str = "tcp", n_servers: int = 1,
              greet: bool = True, mtu: dict[str, int] | None = None, routes: Sequence[tuple[str, str]] = (),
              addresses: Sequence[str] = (), gue_port: int = GUE_PORT, limits: dict[str, int] | None = None,
              **service: Any) -> Scene:
    """Client outside, servers inside; service takes mss, orphans and what else a Service has."""
    addresses = addresses or [SERVER[outer].format(11 + i) for i in range(n_servers)]
    names = tuple(f"server{i}" for i in range(len(addresses)))
    net = Network({"outside": Segment(("client",), OUTSIDE, mtu=mtu or {}),
                   "inside": Segment(names, INSIDE, mtu=mtu or {})}, routes=routes,
                  services=[Service((VIP[inner],), tuple(map(Server, addresses)), 80, protocol, forward=forward,
                                    gue_port=gue_port, **service)], **(limits or {}))
    scene = Scene(net, forward, inner, outer, protocol, net.station("client", CLIENT[inner]),
                  [net.station(name, address) for name, address in zip(names, addresses, strict=True)], VIP[inner],
                  gue_port)
    if greet:
        for station in (scene.client, *scene.servers):
            station.greet()
        net.drops()
    return scene


__all__ = ["ALL_WAYS", "OWN", "WAYS", "Ether", "Peeled", "Scene", "overhead", "peel", "tunnelled"]

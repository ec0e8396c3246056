"""A client, a VIP and its servers, routed or transparent, over IPv4 or IPv6, and words for what goes between them.

    scene = routed(6, protocol="udp")
    assert scene.call(sport=1024) == 0                # the client's datagram reached server 0, soundly translated
    scene.answer(0, dport=1024)                       # ... whose answer reached the client as the VIP's
    assert scene.state(1024) == "TWO_WAY"

Packets are built by scapy; what is expected is built anew by scapy, never taken from what came out.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scapy.packet import Packet

from .frames import IP, NO_OFFLOAD, TCP, UDP, IPv6
from .layout import UP, Segment, Server, Service
from .network import Network, Station, address_text

CLIENT = {4: "10.0.1.10", 6: "fd00:1::10"}
VIP = {4: "10.0.1.100", 6: "fd00:1::100"}
SERVER = {4: "10.0.2.{}", 6: "fd00:2::{}"}
OUTSIDE = ("10.0.1.1/24", "fd00:1::1/64")
INSIDE = ("10.0.2.1/24", "fd00:2::1/64")
# Transparent: all in one network.
NEAR_CLIENT = {4: "10.0.0.10", 6: "fd00::10"}
NEAR_VIP = {4: "10.0.0.100", 6: "fd00::100"}
NEAR_SERVER = {4: "10.0.0.{}", 6: "fd00::{}"}
NEAR = ("10.0.0.1/24", "fd00::1/64")
SESSION_FIELDS = ("protocol", "client", "client_port", "vip_port", "server", "server_port", "state", "age_ms",
                  "idle_ms", "left_ms", "packets_in", "packets_out", "bytes_in", "bytes_out",
                  "source", "source_port")


def ip(src: str, dst: str, hops: int = 64, **fields: Any) -> Packet:
    """An IP header of the family of src."""
    if ipaddress.ip_address(src).version == 6:
        return IPv6(src=src, dst=dst, hlim=hops, **fields)
    return IP(src=src, dst=dst, ttl=hops, **fields)


class Shared:
    """Several services whose servers stand behind one port, and a client of both families that calls them."""

    def __init__(self, *services: Service, **limits: int) -> None:
        self.net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("servers",), INSIDE)},
                           services=services, **limits)
        self.client = self.net.station("client", *CLIENT.values())
        self.servers = self.net.station("servers", *(SERVER[f].format(n) for f in (4, 6) for n in (11, 12, 13)))
        self.client.greet()
        self.servers.greet()
        self.net.drops()

    def call(self, vip: str, l4: Packet) -> tuple[str, int] | None:
        """Which address and port of a server the client's packet reaches."""
        self.client.send(ip(CLIENT[6 if ":" in vip else 4], vip) / l4)
        frames = self.net.take("servers")
        return (frames[0].payload.dst, frames[0].payload.payload.dport) if frames else None

    def answer(self, server: str, l4: Packet) -> tuple[str, int]:
        """From which address and port the client sees the server's packet."""
        self.servers.send(ip(server, CLIENT[6 if ":" in server else 4]) / l4)
        packet = self.client.take_one()
        return packet.src, packet.payload.sport


@dataclass
class Scene:
    """A network with one client station and one station a server; the service described is its first."""

    net: Network
    family: int
    protocol: str
    client: Station
    servers: list[Station]
    vip: str
    port: int
    server_port: int
    hops_lost: int                                   # by each crossing

    def greet(self) -> None:
        """swlb knows where everybody is."""
        for station in (self.client, *self.servers):
            station.greet()

    def l4(self, sport: int, dport: int, flags: str = "S", payload: bytes = b"", **fields: Any) -> Packet:
        """TCP or UDP with its payload, as the service has it."""
        head = TCP(sport=sport, dport=dport, flags=flags, **fields) if self.protocol == "tcp" else (
            UDP(sport=sport, dport=dport, **fields))
        return head / payload if payload else head

    def request(self, flags: str = "S", *, sport: int = 40000, dport: int | None = None, hops: int = 64,
                src: str | None = None, **fields: Any) -> Packet:
        """A packet of the client's to the VIP."""
        return ip(src or self.client.addresses[0], self.vip, hops) / self.l4(sport, dport or self.port, flags, **fields)

    def delivered(self, server: int, flags: str = "S", *, sport: int = 40000, dport: int | None = None, hops: int = 64,
                  src: str | None = None, **fields: Any) -> Packet:
        """That packet as the server has to receive it."""
        return (ip(src or self.client.addresses[0], self.servers[server].addresses[0], hops - self.hops_lost)
                / self.l4(sport, self.server_port or dport or self.port, flags, **fields))

    def reply(self, server: int, flags: str = "SA", *, dport: int = 40000, sport: int | None = None, hops: int = 64,
              dst: str | None = None, **fields: Any) -> Packet:
        """A packet of the server's to the client; sport is the port of the VIP that was called."""
        return (ip(self.servers[server].addresses[0], dst or self.client.addresses[0], hops)
                / self.l4(self.server_port or sport or self.port, dport, flags, **fields))

    def restored(self, flags: str = "SA", *, dport: int = 40000, sport: int | None = None, hops: int = 64,
                 dst: str | None = None, **fields: Any) -> Packet:
        """That packet as the client has to receive it."""
        return (ip(self.vip, dst or self.client.addresses[0], hops - self.hops_lost)
                / self.l4(sport or self.port, dport, flags, **fields))

    def reset(self, *, sport: int | None = None, dport: int = 40000, **fields: Any) -> Packet:
        """A reset that swlb itself sends the client in the VIP's name: no options, no window; IPv4 id 0 with DF."""
        own = {"id": 0, "flags": "DF"} if self.family == 4 else {}
        return (ip(self.vip, self.client.addresses[0], **own)
                / TCP(sport=sport or self.port, dport=dport, window=0, **fields))

    def call(self, flags: str = "S", *, offload: bytes = NO_OFFLOAD, **fields: Any) -> int | None:
        """The client has sent a packet to the VIP; which server received it, as it had to be. None: no server did."""
        self.client.send(self.request(flags, **fields), offload=offload)
        return self.receiver(flags, **fields)

    def receiver(self, flags: str = "S", **fields: Any) -> int | None:
        """The one server that has received just this packet; None when nothing left towards any server."""
        found = None
        for number, server in enumerate(self.servers):
            if len(frames := self.net.worker.take(self.net.ports[server.port])):
                wanted = server_frame(self, number, flags, **fields)
                assert [bytes(frame) for _, frame in frames] == [wanted], f"server {number}: {frames}, not {wanted!r}"
                assert found is None
                found = number
        return found

    def answer(self, server: int, flags: str = "SA", **fields: Any) -> None:
        """The server's packet has reached the client as the VIP's, as it had to."""
        self.send_reply(server, flags, **fields)
        self.client.expect(self.restored(flags, **fields))

    def send_reply(self, server: int, flags: str = "SA", *, offload: bytes = NO_OFFLOAD, **fields: Any) -> None:
        """The server has sent a packet to the client, through its gateway or, in one segment, right to its MAC."""
        to = None if self.hops_lost else self.client.mac
        self.servers[server].send(self.reply(server, flags, **fields), to=to, offload=offload)

    def open(self, *, sport: int = 40000, **fields: Any) -> int:
        """A TCP connection is established; with which server."""
        server = self.call("S", sport=sport, **fields)
        assert server is not None
        self.answer(server, "SA", dport=sport)
        assert self.call("A", sport=sport, **fields) == server
        return server

    def sessions(self) -> list[dict[str, Any]]:
        """Every session that is alive, by the names of its figures; the server by its number."""
        rows = [dict(zip(SESSION_FIELDS, row, strict=True)) for row in self.net.worker.sessions(now_ns=self.net.now_ns)]
        return [{**row, "client": address_text(row["client"])} for row in rows]

    def session(self, sport: int = 40000) -> dict[str, Any]:
        """The one session of that port of the client's."""
        found = [row for row in self.sessions() if row["client_port"] == sport]
        assert len(found) == 1, found
        return found[0]

    def state(self, sport: int = 40000) -> str:
        return self.session(sport)["state"]

    def counters(self, server: int = 0) -> dict[str, int]:
        return self.net.worker.server(self.net.servers[server])


def server_frame(scene: Scene, server: int, flags: str, **fields: Any) -> bytes:
    """The frame in which the packet has to reach the server."""
    station = scene.servers[server]
    packet = scene.delivered(server, flags, **fields)
    mac = bytes.fromhex((station.mac + scene.net.mac(station.segment)).replace(":", ""))
    return mac + (b"\x08\x00" if scene.family == 4 else b"\x86\xdd") + bytes(packet)


def scene_of(family: int, *, near: bool, protocol: str = "tcp", n_servers: int = 3, port: int | tuple[int, int] = 80,
             server_port: int = 8080, weights: tuple[int, ...] = (), ready: tuple[int, ...] = (),
             backups: tuple[int, ...] = (),
             session_limits: tuple[tuple[int, int], ...] = (),
             limits: dict[str, int] | None = None, greet: bool = True,
             routes: Sequence[tuple[str, str]] = (), start_s: float = 1000.0, merges: bool = False,
             host: bool = False, private: bool = False, **service: Any) -> Scene:
    """The scene; service takes refuse, orphans, on_down and timeouts. With `host` segments have kernel twins.

    With `private` nothing but the service leads to the servers' segment, where that is another than the client's.
    """
    pattern, vip = (NEAR_SERVER, NEAR_VIP) if near else (SERVER, VIP)
    addresses = [pattern[family].format(11 + i) for i in range(n_servers)]
    servers = tuple(Server(address, server_port, weights[i] if weights else 1, ready[i] if ready else UP, i in backups)
                    for i, address in enumerate(addresses))
    if session_limits:
        servers = tuple(replace(server, limit=limit, lower=lower)
                        for server, (limit, lower) in zip(servers, session_limits, strict=True))
    names = tuple(f"server{i}" for i in range(n_servers))
    segments = ({"near": Segment(("client", *names, "router"), NEAR, host)} if near
                else {"outside": Segment(("client",), OUTSIDE, host),
                      "inside": Segment(names, INSIDE, host, private=private)})
    net = Network(segments, services=[Service((vip[family],), servers, port, protocol, **service)], routes=routes,
                  start_s=start_s, merges=merges, **(limits or {}))
    scene = Scene(net, family, protocol, net.station("client", (NEAR_CLIENT if near else CLIENT)[family]),
                  [net.station(name, address) for name, address in zip(names, addresses, strict=True)], vip[family],
                  port[0] if isinstance(port, tuple) else port, server_port, 0 if near else 1)
    if greet:
        scene.greet()
        net.drops()
    return scene


def routed(family: int = 4, **given: Any) -> Scene:
    """The client and the servers in two networks, swlb the gateway of both."""
    return scene_of(family, near=False, **given)


def transparent(family: int = 4, **given: Any) -> Scene:
    """Everybody in one network, swlb the bridge between them."""
    return scene_of(family, near=True, **given)

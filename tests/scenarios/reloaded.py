"""A configuration built into workers on memory ports, another taken over while it forwards, and frames judged by scapy.

    site = Site(config(web=["web1", "web2"]))
    client, web1 = site.host("client", "10.0.1.10"), site.host("web1", "10.0.2.11")
    site.take_over(config(web=["web2"]))
    client.send(client.packet("10.0.1.100", sport=4000, flags="S"))
    web1.take() ...                                  # packets as scapy dissects them, the frame judged

Time is moved by hand from the moment of building on. With several workers frames are given to the first of them.
"""

import time
from collections.abc import Mapping
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from swlb._testing_sessions import audit
from swlb._worker import drop_reasons
from swlb.build import build, take_over
from swlb.build_ports import Opened, port_names
from swlb.config import Config, parse
from swlb.succession import up_at_start

from .network import address16

SECOND = 10**9
NO_OFFLOAD = bytes(10)

SERVERS = {f"web{n}": f"10.0.2.{10 + n}" for n in range(1, 10)}


def service(servers: Mapping[str, str] | list[str], *, vip: str = "10.0.1.100", port: int = 80, **more: Any) -> str:
    """A service of the configuration: servers by name with addresses, or names from SERVERS; each at port 8080."""
    addresses = servers if isinstance(servers, dict) else {name: SERVERS[name] for name in servers}
    listed = ", ".join(f"{name}: {{address: {address}, port: 8080}}" for name, address in addresses.items())
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{vip: {vip}, port: {port}{keys}, servers: {{{listed}}}}}"


def config(*, ports: str = "", segments: str = "", outside: str = "addresses: [10.0.1.1/24]", head: str = "",
           inside: str = "addresses: [10.0.2.1/24]", routes: str = "", **services: str) -> str:
    """Segments "outside" with port client and "inside" with port servers, what more is given, and these services."""
    listed = "".join(f"  {name}: {text}\n" for name, text in services.items())
    return (f"mode: routed\nlimits: {{sessions: 1000}}\n{head}"
            f"ports: {{client: {{tap: tc}}, servers: {{tap: ts}}{ports}}}\nsegments:\n"
            f"  outside: {{ports: [client], {outside}}}\n  inside: {{ports: [servers], {inside}}}\n{segments}"
            f"{routes}services:\n{listed}")


class Site:
    """Workers with a configuration, and whoever is behind their ports."""

    def __init__(self, text: str, *, quiet: bool = True) -> None:
        self.config = parse(text, file="test.yaml")
        self.built = build(self.config, devices(self.config), up_at_start=up_at_start(self.config))
        self.now_ns = time.monotonic_ns()
        self._drops = self._all_drops()
        if quiet:
            self.wait(3.0)
            self.discard()

    def take_over(self, text: str) -> None:
        """The workers have that configuration, and their tables are sound."""
        self.config = parse(text, file="test.yaml")
        image = build(self.config, devices(self.config), up_at_start=up_at_start(self.config), previous=self.built)
        self.built = take_over(self.built, image)
        del image
        self.audit()

    def audit(self) -> None:
        for worker in self.built.workers:
            assert audit(worker) is None

    def host(self, port: str, address: str, *, segment: str | None = None) -> "Host":
        """A host behind the port, which swlb knows."""
        home = segment or next(s.name for s in self.config.segments.values() if port in s.ports)
        host = Host(self, port, home, address)
        host.greet()
        return host

    def turn(self) -> None:
        """All that is to be done now is done."""
        while sum(worker.turn(self.now_ns) for worker in self.built.workers):
            pass

    def wait(self, seconds: float, *, step: float = 0.1) -> None:
        """So much time has passed, with turns every step."""
        end_ns = self.now_ns + int(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(self.now_ns + int(step * SECOND), end_ns)
            for worker in self.built.workers:
                worker.turn(self.now_ns)
        self.turn()

    def put(self, port: str, frame: Packet | bytes) -> None:
        """The frame has come in by the port and been judged."""
        assert self.built.workers[0].put(self.built.ports[port], bytes(frame), NO_OFFLOAD)
        self.turn()

    def taken(self, port: str) -> list[bytes]:
        """What left by the port since this was last asked."""
        taken = [entry for worker in self.built.workers for entry in worker.take(self.built.ports[port])]
        assert all(offload == NO_OFFLOAD for offload, _ in taken)
        return [frame for _, frame in taken]

    def discard(self) -> None:
        """What left by any port, and what was dropped, is forgotten."""
        for port in self.built.ports:
            self.taken(port)
        self.drops()

    def _all_drops(self) -> dict[str, int]:
        return {name: n for (name, _), n in zip(drop_reasons(), self.built.workers.drops(), strict=True)}

    def drops(self) -> dict[str, int]:
        """How many frames were dropped since this was last asked, by reason."""
        before, self._drops = self._drops, self._all_drops()
        return {name: n - before[name] for name, n in self._drops.items() if n != before[name]}

    def server(self, name: str, service: str = "web") -> dict[str, int]:
        """The figures of a server that is there."""
        return self.built.workers.server(self.built.servers[service, name])

    def sessions(self) -> dict[int, tuple[int, str]]:
        """The server's index and the state of each session, by the client's port."""
        rows = self.built.workers.sessions(now_ns=self.now_ns)
        return {row[2]: (row[4], row[6]) for row in rows}


class Host:
    """Somebody behind a port, with a MAC and an address."""

    def __init__(self, site: Site, port: str, segment: str, address: str) -> None:
        self.site, self.port, self.segment, self.address = site, port, segment, address
        self.mac = f"02:bb:{address16(address)[-4:].hex(':')}"

    @property
    def gateway(self) -> str:
        """swlb's MAC on the segment."""
        return self.site.built.macs[self.segment].hex(":")

    def greet(self) -> None:
        """swlb was asked for its address, and so knows the host's."""
        own = next(str(own.ip) for own in self.site.config.segments[self.segment].addresses if own.version == 4)
        self.site.put(self.port, Ether(src=self.mac, dst="ff:ff:ff:ff:ff:ff")
                      / ARP(op=1, hwsrc=self.mac, psrc=self.address, pdst=own))
        self.site.discard()

    def packet(self, to: str, *, protocol: str = "tcp", sport: int, dport: int = 80, flags: str = "S",
               payload: bytes = b"", **fields: Any) -> Packet:
        ports = {"sport": sport, "dport": dport}
        l4 = TCP(**ports, flags=flags, **fields) if protocol == "tcp" else UDP(**ports)
        return IP(src=self.address, dst=to) / l4 / payload

    def send(self, packet: Packet) -> None:
        """The packet has gone to swlb."""
        self.site.put(self.port, Ether(src=self.mac, dst=self.gateway) / packet)

    def received(self, packet: Packet) -> bytes:
        """The frame in which the packet has to come from swlb."""
        return bytes(Ether(src=self.gateway, dst=self.mac) / packet)


class Farm:
    """A client, and servers behind one port: connections made and followed, every frame compared byte for byte."""

    def __init__(self, text: str, servers: Mapping[str, str] = SERVERS, *, client: str = "10.0.1.10") -> None:
        self.site = Site(text)
        self.client = self.site.host("client", client)
        self.servers = {name: self.site.host("servers", address) for name, address in servers.items()}
        self.site.discard()

    def ask(self, sport: int, flags: str = "S", *, vip: str = "10.0.1.100", dport: int = 80, protocol: str = "tcp",
            payload: bytes = b"") -> str | None:
        """The client sends this to the VIP; which server gets it, as it has to be. None: nobody does."""
        fields = {"protocol": protocol, "flags": flags, "payload": payload}
        self.client.send(self.client.packet(vip, sport=sport, dport=dport, **fields))
        frames = self.site.taken("servers")
        if not frames:
            return None
        assert len(frames) == 1
        found = next(name for name, host in self.servers.items() if host.address == Ether(frames[0])[IP].dst)
        wanted = self.client.packet(self.servers[found].address, sport=sport, dport=8080, **fields)
        wanted.ttl -= 1
        assert frames[0] == self.servers[found].received(wanted)
        assert self.site.taken("client") == []
        return found

    def answer(self, server: str, sport: int, flags: str = "SA", *, vip: str = "10.0.1.100", dport: int = 80,
               protocol: str = "tcp", payload: bytes = b"") -> None:
        """The server's packet reaches the client as the VIP's, as it has to be."""
        host = self.servers[server]
        fields = {"protocol": protocol, "flags": flags, "payload": payload}
        host.send(host.packet(self.client.address, sport=8080, dport=sport, **fields))
        wanted = host.packet(self.client.address, sport=dport, dport=sport, **fields)
        wanted.src, wanted.ttl = vip, 63
        assert self.site.taken("client") == [self.client.received(wanted)]

    def open(self, sport: int, **where: Any) -> str:
        """A connection is established; with which server."""
        server = self.ask(sport, "S", **where)
        assert server is not None
        self.answer(server, sport, "SA", **where)
        assert self.ask(sport, "A", **where) == server
        return server

    def talk(self, server: str, sport: int, **where: Any) -> None:
        """The connection goes on, both ways, with that server."""
        assert self.ask(sport, "PA", payload=b"question", **where) == server
        self.answer(server, sport, "PA", payload=b"answer", **where)


def devices(config: Config) -> dict[str, Opened]:
    """Every port is one of memory."""
    return {name: Opened((), 1500) for name in port_names(config)}

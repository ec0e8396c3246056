"""A worker on memory ports, a clock moved by hand, and words to say what goes in and what must come out.

    net = Network({"outside": Segment(("client",), ("10.0.1.1/24",)), "inside": Segment(("web1",), ("10.0.2.1/24",))},
                  services=[Service(("10.0.1.100",), (Server("10.0.2.11", 8080),))])
    client = net.station("client", "10.0.1.10")
    client.greet()                                   # swlb knows its MAC now, and its port
    client.send(IP(src="10.0.1.10", dst="10.0.1.100") / TCP(sport=1024, dport=80, flags="S"))
    assert net.take("web1") ...                      # frames as scapy dissects them; or
    net.expect("web1", Ether(...) / ...)             # exactly these, byte for byte; nothing: net.expect("web1")
    net.wait(1.5)                                    # time passes in steps of 100 ms, a turn each
    assert net.drops() == {"no_service": 1}          # since the last call

Import with `from .network import Network`. Frames are judged by scapy only. Announcements that a new worker makes
are waited for and thrown away unless `quiet=False`. With `merges=True` every port takes UDP super-frames.
"""

import ipaddress
from collections.abc import Mapping, Sequence

from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils6 import in6_getnsma, in6_getnsmac

from swlb._worker import Persists, Pins, Worker, drop_reasons

from .frames import NO_OFFLOAD, differences
from .layout import TIMEOUT_OF_STATE, TIMEOUTS, UP, Segment, Server, Service
from .trunked import Trunked

SECOND = 10**9
START_S = 1000.0
STEP_S = 0.1
QUIET_S = 3.0           # three announcements, one a second
PROTOCOLS = {"tcp": 6, "udp": 17}
ANSWERS = ("reset", "drop", "unreachable")
ON_TRUNKS = False       # every port is a VLAN of a trunk: test_on_trunks.py
ON_DOWN = ("default", "keep", "reschedule", "reset", "drop")


def address16(text: str) -> bytes:
    """The 16 bytes as which the worker takes an address."""
    ip = ipaddress.ip_address(text)
    return ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed


def address_text(raw: bytes) -> str:
    """The address within the worker's 16 bytes."""
    ip = ipaddress.IPv6Address(raw)
    return str(ip.ipv4_mapped or ip)


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def prefix128(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> int:
    return network.prefixlen + (96 if network.version == 4 else 0)


class Network:
    """One worker with the ports, segments, routes and services of a scenario."""

    def __init__(self, segments: Mapping[str, Segment], *, routes: Sequence[tuple[str, str]] = (),
                 services: Sequence[Service] = (), quiet: bool = True, start_s: float = START_S,
                 merges: bool = False, sealed: bool = True, **limits: int) -> None:
        self.now_ns = int(start_s * SECOND)
        self.ports: dict[str, int] = {}
        self.segments = {name: index for index, name in enumerate(segments)}
        self.servers: list[int] = []      # worker indices, services in order, each service's in the order given
        self.doubles: list[int] = []      # the same of services that can be probed
        self.pins = Pins()
        self.persists = Persists(limits.get("sessions", 1000))
        self._layout = dict(segments)
        self._segment_of: dict[str, str] = {}
        self._merges = merges
        self._stations = 0
        self.worker = Worker(n_segments=len(segments), n_addresses=sum(len(s.addresses) for s in segments.values()),
                             n_routes=len(routes), n_services=2 * len(services),
                             n_servers=2 * sum(len(s.servers) for s in services), **limits)
        self.worker = Trunked(self.worker) if ON_TRUNKS else self.worker
        self.worker.use_pins(self.pins)
        self.worker.use_persists(self.persists)
        self.worker.set_flow_timeouts(timeouts_ns=[int(TIMEOUTS[name] * SECOND) for name in TIMEOUT_OF_STATE],
                                      echo_ns=60 * SECOND)
        for name, segment in segments.items():
            self._add_segment(name, segment)
        for name, segment in segments.items():
            self._add_vlans(name, segment)
        for to, via in routes:
            network = ipaddress.ip_network(to)
            self.worker.add_route(address16(str(network.network_address)), prefix128(network), address16(via),
                                  self._segment_around(via))
        for name, segment in segments.items():
            self._guard(name, segment)
        for service in services:
            self._add_service(service)
        for index, service in enumerate(services):
            if service.probe_idle is not None:
                first = self.worker.add_double(index, idle_ns=int(service.probe_idle * SECOND))
                self.doubles += range(first, first + len(service.servers))
        if sealed:
            self.seal(quiet=quiet)

    def seal(self, *, quiet: bool = True) -> None:
        """The worker is complete; its announcements are over unless quiet is False."""
        self.worker.seal(now_ns=self.now_ns)
        self._drops = self._all_drops()
        if quiet:
            self.wait(QUIET_S)
            self.discard()

    # ---- building ----

    def _add_segment(self, name: str, segment: Segment) -> None:
        index = self.worker.add_segment(mac=mac_bytes(self.mac(name)), ageing_ns=int(segment.ageing * SECOND),
                                        fdb_limit=segment.fdb_limit, vip_guard=segment.vip_guard)
        names = [*segment.ports, f"{name}-host"] if segment.host else list(segment.ports)
        tells = any("." in port for port in segment.ports)
        for port in (port for port in names if "." not in port):
            host = port not in segment.ports
            self.ports[port] = self.worker.add_port(index, mtu=segment.mtu.get(port, 1500), host=host,
                                                    kind="tun" if segment.tun and not host else "tap",
                                                    offloads=port not in segment.plain, merges=self._merges,
                                                    **({"tells": True} if tells and not host else {}))
            self._segment_of[port] = name
        for text in segment.addresses:
            interface = ipaddress.ip_interface(text)
            self.worker.add_address(index, address16(str(interface.ip)), prefix128(interface.network))

    def _add_vlans(self, name: str, segment: Segment) -> None:
        """The ports that are VLANs of others ("trunk.20"), of which some are in no segment themselves."""
        for port in (port for port in segment.ports if "." in port):
            trunk, _, vid = port.partition(".")
            if trunk not in self.ports:
                self.ports[trunk] = self.worker.add_port(None, offloads=trunk not in segment.plain, merges=self._merges)
            self.ports[port] = self.worker.add_port(self.segments[name], trunk=self.ports[trunk], vid=int(vid))
            self._segment_of[port] = name

    def _segment_around(self, address: str) -> int | None:
        """The segment whose network holds the address."""
        for name, segment in self._layout.items():
            if any(ipaddress.ip_address(address) in ipaddress.ip_interface(text).network
                   for text in segment.addresses):
                return self.segments[name]
        return None

    def _add_service(self, service: Service) -> None:
        first, last = service.port if isinstance(service.port, tuple) else (service.port, service.port)
        timeouts = {**TIMEOUTS, **service.timeouts}
        index = self.worker.add_service(
            vips=[(address16(vip), self._segment_around(vip)) for vip in service.vips],
            protocol=PROTOCOLS[service.protocol], l4_first=first, l4_last=last, refuse=ANSWERS.index(service.refuse),
            orphans=ANSWERS.index(service.orphans), on_down=ON_DOWN.index(service.on_down),
            timeouts_ns=[int(timeouts[name] * SECOND) for name in TIMEOUT_OF_STATE], source_nat=service.source_nat,
            forward=service.forward, mss=service.mss, gue_port=service.gue_port,
            scheduler=service.scheduler, hash_key=service.hash_key,
            requests=service.requests, responses=service.responses,
            persistence_ns=None if service.persistence is None else int(service.persistence * SECOND),
            persistence_masks=(96 + service.persistence_masks[0], service.persistence_masks[1]))
        pool = self._add_pool(service) if service.source_pool else None
        self.servers += [self.worker.add_server(index, ip=address16(server.address), l4_port=server.l4_port,
                                                weight=server.weight, ready=server.ready, pool=pool,
                                                backup=server.backup, limit=server.limit, lower=server.lower)
                         for server in service.servers]

    def _guard(self, name: str, segment: Segment) -> None:
        if segment.exit_ports[1]:
            own = [(address16(str(ipaddress.ip_interface(text).ip)), None) for text in segment.addresses]
            pool = self.worker.add_pool(own, first=segment.exit_ports[0], last=segment.exit_ports[1])
            self.worker.set_exit_pool(self.segments[name], pool)
        pool = None
        if segment.pool:
            addresses = [(address16(text), self._segment_around(text)) for text in segment.pool]
            pool = self.worker.add_pool(addresses, first=1024, last=65535)
        self.worker.guard_segment(self.segments[name], private=segment.private, masquerade=segment.masquerade,
                                  pool=pool)

    def _add_pool(self, service: Service) -> int:
        own = {str(ipaddress.ip_interface(text).ip) for segment in self._layout.values() for text in segment.addresses}
        addresses = [(address16(text), None if text in own else self._segment_around(text))
                     for text in service.source_pool]
        return self.worker.add_pool(addresses, first=service.source_ports[0], last=service.source_ports[1],
                                    spare=service.source_spare)

    def mac(self, segment: str) -> str:
        """The segment's own MAC."""
        return f"02:00:00:00:00:{self.segments[segment] + 1:02x}"

    def station(self, port: str, *addresses: str, mac: str | None = None) -> "Station":
        """A host behind the port; each gets a MAC of its own unless one is given."""
        self._stations += 1
        return Station(self, port, mac or f"02:aa:00:00:00:{self._stations:02x}", addresses)

    # ---- frames and time ----

    def send(self, port: str, *frames: Packet | bytes, offload: bytes = NO_OFFLOAD) -> None:
        """The frames have come in by the port, in one burst as far as they fit, and been judged; no time has passed."""
        for frame in frames:
            assert self.worker.put(self.ports[port], bytes(frame), offload)
        while self.worker.turn(self.now_ns):
            pass

    def wait(self, seconds: float, *, step: float = STEP_S) -> None:
        """So much time has passed, with a turn every step."""
        end_ns = self.now_ns + int(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(self.now_ns + int(step * SECOND), end_ns)
            self.worker.turn(self.now_ns)
        while self.worker.turn(self.now_ns):
            pass

    def take(self, port: str) -> list[Packet]:
        """What left by the port since it was last looked at."""
        return [Ether(frame) for _, frame in self.worker.take(self.ports[port])]

    def take_with_offload(self, port: str) -> list[tuple[bytes, Packet]]:
        """The same, each frame behind its 10-byte offload header."""
        return [(offload, Ether(frame)) for offload, frame in self.worker.take(self.ports[port])]

    def take_raw(self, port: str) -> list[tuple[bytes, bytes]]:
        """The same, undissected."""
        return self.worker.take(self.ports[port])

    def take_one(self, port: str) -> Packet:
        """The one frame that left by the port."""
        frames = self.take(port)
        assert len(frames) == 1, f"{port}: expected one frame{differences([bytes(f) for f in frames], [])}"
        return frames[0]

    def expect(self, port: str, *frames: Packet | bytes) -> None:
        """Exactly these frames left by the port, in this order, without an offload asked for."""
        taken = self.worker.take(self.ports[port])
        wanted = [bytes(frame) for frame in frames]
        got = [frame for _, frame in taken]
        assert got == wanted, f"port {port}{differences(got, wanted)}"
        assert all(offload == NO_OFFLOAD for offload, _ in taken), f"port {port}: an offload header is not clear"

    def expect_silence(self) -> None:
        """Nothing left by any port."""
        for port in self.ports:
            self.expect(port)

    def discard(self) -> None:
        """What left so far is forgotten, and so are drops and events."""
        for index in self.ports.values():
            self.worker.take(index)
        self.drops()
        self.events()

    # ---- looking and changing ----

    def _all_drops(self) -> dict[str, int]:
        return {name: count for (name, _), count in zip(drop_reasons(), self.worker.drops(), strict=True)}

    def drops(self) -> dict[str, int]:
        """How many frames were dropped since the last call, by reason; reasons without any are left out."""
        before, self._drops = self._drops, self._all_drops()
        return {name: count - before[name] for name, count in self._drops.items() if count != before[name]}

    def events(self) -> list[dict]:
        """What the worker reported since the last call; names of ports and segments, text for addresses."""
        names = {index: name for name, index in self.ports.items()}
        segments = {index: name for name, index in self.segments.items()}
        return [{"kind": event["kind"], "segment": segments.get(event["segment"]), "port": names.get(event["port"]),
                 "mac": event["mac"].hex(":"), "ip": address_text(event["ip"])} for event in self.worker.events()]

    def fdb(self, segment: str) -> dict[tuple[str, int], str]:
        """The port of every (MAC, VLAN) known on the segment."""
        names = {index: name for name, index in self.ports.items()}
        rows = self.worker.fdb(self.segments[segment], now_ns=self.now_ns)
        return {(mac.hex(":"), vlan): names[port] for mac, vlan, port, _ in rows}

    def neighbours(self) -> dict[str, tuple[str, str]]:
        """(MAC, state) of every neighbour, by address."""
        return {address_text(ip): (mac.hex(":"), state)
                for _, ip, mac, state, _ in self.worker.neighbours(now_ns=self.now_ns)}

    def pin(self, l4_port: int, server: int | None, *, protocol: str = "tcp") -> None:
        """What the kernel twins begin from the port is for that server of the services that can be probed."""
        self.pins.set(PROTOCOLS[protocol], l4_port, None if server is None else self.doubles[server])

    def set_port(self, port: str, *, up: bool = True, mtu: int = 1500) -> None:
        self.worker.set_port(self.ports[port], up=up, mtu=mtu)

    def set_server(self, index: int, *, ready: int = UP, weight: int = 1, **changes: int) -> None:
        """Server number `index` of the scenario, counted through all services, is that ready and that heavy."""
        self.worker.set_server(self.servers[index], ready=ready, weight=weight, now_ns=self.now_ns, **changes)


class Station:
    """A host as the wire sees it: a MAC, addresses, a port it is behind."""

    def __init__(self, net: Network, port: str, mac: str, addresses: tuple[str, ...]) -> None:
        self.net = net
        self.port = port
        self.mac = mac
        self.addresses = addresses
        self.segment = net._segment_of[port]

    def frame(self, packet: Packet | bytes, *, to: str | None = None) -> Packet:
        """The packet in a frame of the station's, to that MAC or to the segment's own."""
        return Ether(src=self.mac, dst=to or self.net.mac(self.segment)) / packet

    def send(self, *packets: Packet, to: str | None = None, offload: bytes = NO_OFFLOAD) -> None:
        """The packets have gone out in frames of the station's."""
        self.net.send(self.port, *(self.frame(packet, to=to) for packet in packets), offload=offload)

    def expect(self, *packets: Packet) -> None:
        """Exactly these packets reached the station's port, each from the segment's MAC to the station's."""
        mac = self.net.mac(self.segment)
        self.net.expect(self.port, *(Ether(src=mac, dst=self.mac) / packet for packet in packets))

    def take_one(self) -> Packet:
        """The one packet that reached the station, from the segment's MAC to the station's."""
        frame = self.net.take_one(self.port)
        assert (frame.src, frame.dst) == (self.net.mac(self.segment), self.mac), frame.summary()
        return frame.payload

    def greet(self) -> None:
        """swlb was asked for its addresses and so knows the station's; what left meanwhile is forgotten."""
        for address in self.addresses:
            self.net.send(self.port, self.question(address))
        for index in self.net.ports.values():
            self.net.worker.take(index)

    def question(self, address: str, target: str | None = None) -> Packet:
        """ARP request or neighbour solicitation from that address of the station's, for swlb's own unless told."""
        version = ipaddress.ip_address(address).version
        target = target or self.own_address(version)
        if version == 4:
            return (Ether(src=self.mac, dst="ff:ff:ff:ff:ff:ff")
                    / ARP(op=1, hwsrc=self.mac, psrc=address, hwdst="00:00:00:00:00:00", pdst=target))
        group = in6_getnsma(ipaddress.ip_address(target).packed)
        return (Ether(src=self.mac, dst=in6_getnsmac(group)) / IPv6(src=address, dst=str(ipaddress.IPv6Address(group)),
                                                                    hlim=255)
                / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=self.mac))

    def own_address(self, version: int) -> str:
        """swlb's first address of that IP version on the station's segment."""
        interfaces = [ipaddress.ip_interface(text) for text in self.net._layout[self.segment].addresses]
        return str(next(interface.ip for interface in interfaces if interface.version == version))


__all__ = ["IP", "UP", "Network", "Segment", "Server", "Service", "Station"]

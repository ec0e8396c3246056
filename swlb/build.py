"""A configuration made into a worker: who has which index, and whom a packet may go to.

Nothing here touches the operating system; the devices are opened before (app.py) and handed in.
"""

import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from swlb._worker import Worker
from swlb.addresses import Address, packed, prefix_of_128
from swlb.config import Config, Segment, Server, Service, Timeouts
from swlb.servers import READY_UP

NS = 1_000_000_000
PROTOCOLS = {"tcp": 6, "udp": 17}

# ext/tables/service.pxd
ANSWERS = {"reset": 0, "drop": 1}
ON_DOWN = {None: 0, "keep": 1, "reschedule": 2, "reset": 3, "drop": 4}


@dataclass(frozen=True)
class Opened:
    """A device that is open: what the worker needs to know of it."""

    fd: int | None  # None: a port of memory
    mtu: int
    merges: bool = False  # it takes UDP super-frames


@dataclass
class Built:
    """A sealed worker, and the indices of what the configuration names. A kernel twin's port is "SEGMENT/host"."""

    worker: Worker
    segments: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, int] = field(default_factory=dict)
    servers: dict[tuple[str, str], int] = field(default_factory=dict)


def host_port_name(segment: str) -> str:
    """What the port of the segment's kernel twin is called."""
    return f"{segment}/host"


def segment_mac(segment: Segment) -> bytes:
    """A locally administered MAC, the same at every start on the same machine, so that neighbours need not relearn."""
    seed = " ".join([socket.gethostname(), segment.name, *map(str, segment.addresses)])
    return b"\x02" + hashlib.sha256(seed.encode()).digest()[:5]


def segment_towards(config: Config, address: Address) -> Segment | None:
    """The segment by which packets to the address leave: the longest prefix decides. None: no way."""
    connected = [(i.network, segment) for segment in config.segments.values() for i in segment.addresses]
    routed = [
        (route.to, segment)
        for route in config.routes
        for network, segment in connected
        if route.via.version == network.version and route.via in network
    ]
    fitting = [
        (network.prefixlen, segment)
        for network, segment in connected + routed
        if network.version == address.version and address in network
    ]
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]


def segment_of_vip(config: Config, vip: Address) -> Segment | None:
    """The segment whose network holds the VIP; None when it is reached by routes only."""
    for segment in config.segments.values():
        if any(i.version == vip.version and vip in i.network for i in segment.addresses):
            return segment
    return None


def build(config: Config, devices: Mapping[str, Opened], *, up_at_start: Mapping[tuple[str, str], bool]) -> Built:
    """A sealed worker over the opened devices (by port name); servers are up as up_at_start says."""
    built = Built(
        Worker(
            sessions=config.limits.sessions,
            fragments=config.limits.fragments,
            neighbours=config.limits.neighbours,
            icmp_errors=config.limits.icmp_errors,
            neighbour_ns=int(config.timeouts.neighbour * NS),
            fragment_ns=int(config.timeouts.fragment * NS),
            n_segments=len(config.segments),
            n_addresses=sum(len(segment.addresses) for segment in config.segments.values()),
            n_routes=len(config.routes),
            n_services=len(config.services),
            n_servers=sum(len(service.servers) for service in config.services.values()),
        )
    )
    for segment in config.segments.values():
        _add_segment(built, segment, devices)
    for route in config.routes:
        towards = segment_towards(config, route.via)
        assert towards is not None, "the configuration's check has let a route through that leads nowhere"
        built.worker.add_route(
            packed(route.to.network_address), prefix_of_128(route.to), packed(route.via), built.segments[towards.name]
        )
    for service in config.services.values():
        _add_service(built, config, service, up_at_start)
    built.worker.seal()
    return built


def _add_segment(built: Built, segment: Segment, devices: Mapping[str, Opened]) -> None:
    index = built.worker.add_segment(
        mac=segment_mac(segment), ageing_ns=int(segment.ageing * NS), fdb_limit=segment.fdb_limit
    )
    built.segments[segment.name] = index
    for name in segment.ports:
        built.ports[name] = built.worker.add_port(index, fd=devices[name].fd, mtu=devices[name].mtu, merges=devices[name].merges)
    if segment.addresses:
        twin = host_port_name(segment.name)
        built.ports[twin] = built.worker.add_port(index, fd=devices[twin].fd, mtu=devices[twin].mtu, merges=devices[twin].merges, host=True)
    for interface in segment.addresses:
        built.worker.add_address(index, packed(interface.ip), prefix_of_128(interface.network))


def _add_service(
    built: Built, config: Config, service: Service, up_at_start: Mapping[tuple[str, str], bool]
) -> None:
    homes = [(vip, segment_of_vip(config, vip)) for vip in service.vips]
    index = built.worker.add_service(
        vips=[(packed(vip), None if home is None else built.segments[home.name]) for vip, home in homes],
        protocol=PROTOCOLS[service.protocol],
        l4_first=service.port_first,
        l4_last=service.port_last,
        refuse=ANSWERS[service.refuse],
        orphans=ANSWERS[service.orphans],
        on_down=ON_DOWN[service.on_down],
        timeouts_ns=state_timeouts(service.timeouts),
    )
    built.services[service.name] = index
    for server in sorted(service.servers.values(), key=lambda server: server.address.version):
        key = (service.name, server.name)
        built.servers[key] = _add_server(built, index, server, up=up_at_start[key])


def _add_server(built: Built, service: int, server: Server, *, up: bool) -> int:
    return built.worker.add_server(
        service,
        ip=packed(server.address),
        l4_port=server.port or 0,
        weight=server.weight,
        ready=READY_UP if up else 0,
    )


def state_timeouts(timeouts: Timeouts) -> list[int]:
    """Nanoseconds a session may be idle, in the order of the states in ext/tables/state.pxd."""
    syn, established, fin = timeouts.tcp_syn, timeouts.tcp_established, timeouts.tcp_fin
    by_state = [syn, syn, syn, established, fin, fin, fin, fin, timeouts.tcp_closed, timeouts.udp, timeouts.udp_stream]
    return [int(seconds * NS) for seconds in by_state]

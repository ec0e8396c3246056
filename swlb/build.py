"""A configuration made into workers: who has which index, and whom a packet may go to.

Nothing here touches the operating system; the devices are opened before (app.py) and handed in. A reload builds workers
again, which never run: those that do take them over (`take_over`).
"""

import hashlib
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from swlb._worker import Persists, Worker, link
from swlb._worker import Pins as PinTable
from swlb.addresses import packed, prefix_of_128
from swlb.build_ports import Opened, add_ports, port_names
from swlb.build_service import NS, add_server, add_service, wanted_at_start
from swlb.build_sources import add_pool, guard_segments
from swlb.config import Config, Segment, Server, Service
from swlb.config.check_models import PROBE_GRACE_S, PROBE_PORTS
from swlb.config.values import PortRange
from swlb.config.ways import segment_towards
from swlb.indices import Indices
from swlb.probes.pins import Pins
from swlb.sources import Pools, pools_of
from swlb.workers import Workers

KERNEL_PORTS = PortRange(32768, 60999)  # Documentation/networking/ip-sysctl.rst: ip_local_port_range

NO_MACS: Mapping[str, bytes] = MappingProxyType({})


@dataclass
class Built:
    """Sealed workers, and the indices of what the configuration names. A kernel twin's port is "SEGMENT/host".

    An index means the same in every worker. `key` is the secret by which the owner of a session is found. `doubles` of
    servers stand for them in probes through VIPs, which leave by the ports of `pins`. `persists` has who comes back to
    which server.
    """

    workers: Workers
    key: int
    pins: Pins
    persists: Persists
    pin_table: PinTable
    indices: Indices
    macs: dict[str, bytes] = field(default_factory=dict)  # of segments: those they had at first
    segments: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, int] = field(default_factory=dict)
    servers: dict[tuple[str, str], int] = field(default_factory=dict)
    doubles: dict[tuple[str, str], int] = field(default_factory=dict)


def segment_mac(segment: Segment) -> bytes:
    """A locally administered MAC, the same at every start on the same machine, so that neighbours need not relearn."""
    seed = " ".join([socket.gethostname(), segment.name, *map(str, segment.addresses)])
    return b"\x02" + hashlib.sha256(seed.encode()).digest()[:5]


def build(
    config: Config,
    devices: Mapping[str, Opened],
    *,
    up_at_start: Mapping[tuple[str, str], bool],
    macs: Mapping[str, bytes] = NO_MACS,
    kernel_ports: PortRange = KERNEL_PORTS,
    ring: bool = True,
    previous: Built | None = None,
) -> Built:
    """Sealed workers over the opened devices (by port name); servers are up as up_at_start says.

    `macs` are those of segments that have one already; another's is its segment_mac.
    `kernel_ports` are those that the kernel of swlb's namespace gives to connections of its own.
    With `previous` it is an image for its workers to take over: what stays has the index, and a segment the MAC, that
    it had there, and a server that stays is as they were told last. ValueError when there is no room for what comes.
    """
    pools = pools_of(config)
    built = _begin(config, kernel_ports, macs, previous)
    workers = [_new_worker(config, built, len(pools.all()), ring, previous) for _ in range(config.workers)]
    built.workers = Workers(workers)
    wanted = _wanted(config, up_at_start, built, previous)
    for number, worker in enumerate(workers):
        _add_network(worker, number, config, devices, built)
        _add_services(worker, config, pools, wanted, kernel_ports, built)
        _add_doubles(worker, config, built)
        worker.use_pins(built.pin_table)
        worker.use_persists(built.persists)
    if len(workers) > 1:
        link(workers, key=built.key)
    for number, worker in enumerate(workers):
        worker.seal(like=[*workers[:number], *(previous.workers if previous else ())])
    return built


def take_over(previous: Built, image: Built) -> Built:
    """The workers of `previous` have what the image has, each from between two of its turns on, and go on.

    What stays is untouched; `image` must have been built with this `previous`, and is used up. Ports that are not in
    it are not read any more afterwards. ValueError, before anything has changed, when the workers cannot take it over.
    """
    previous.workers.adopt(image.workers)
    return replace(image, workers=previous.workers)


def _begin(
    config: Config, kernel_ports: PortRange, macs: Mapping[str, bytes], previous: Built | None
) -> Built:
    """Who has which index; as yet without workers."""
    names = port_names(config)
    if previous is None:
        table = PinTable()
        pins = Pins(table, probe_ports(kernel_ports))
        indices = Indices().next(config, names, has_sessions=lambda _: False)
        built = Built(Workers(()), secrets.randbits(64), pins, Persists(config.limits.sessions), table, indices)
    else:
        indices = previous.indices.next(config, names, has_sessions=previous.workers.has_sessions)
        kept = (previous.key, previous.pins, previous.persists, previous.pin_table)
        built = Built(Workers(()), *kept, indices)
    known = {**(previous.macs if previous else {}), **macs}
    built.macs |= {name: known.get(name) or segment_mac(segment) for name, segment in config.segments.items()}
    built.segments |= indices.segments.present
    built.ports |= indices.ports.present
    for service in config.services.values():
        built.services[service.name] = indices.service(service)
        built.servers |= indices.servers_of(service)
        if service.checks_through_vip:
            built.doubles |= indices.servers_of(service, double=True)
    return built


def _wanted(
    config: Config, up_at_start: Mapping[tuple[str, str], bool], built: Built, previous: Built | None
) -> dict[tuple[str, str], dict[str, int]]:
    """What is wanted of each server: what it is now, if it stays."""
    staying = set(previous.indices.servers.present.values()) if previous else set()
    wanted = {}
    for (service, name), index in built.servers.items():
        if previous and index in staying:
            wanted[service, name] = previous.workers.wanted(index)
        else:
            server = config.services[service].servers[name]
            wanted[service, name] = wanted_at_start(server, up=up_at_start[service, name])
    return wanted


def _new_worker(config: Config, built: Built, n_pools: int, ring: bool, previous: Built | None) -> Worker:
    """A worker with room for everything, as any session may come to it. Rates and the quota of
    half-open sessions are shared out."""
    indices = built.indices
    # An image has no session, and the workers have what they need.
    limits = config.limits
    if previous is not None:
        limits = replace(limits, sessions=1, sessions_per_source=None, fragments=1, neighbours=1)
    return Worker(
        ring=ring,
        sessions=limits.sessions,
        half_open=max(1, limits.half_open_quota // config.workers),
        per_source=limits.sessions_per_source or 0,
        fragments=limits.fragments,
        neighbours=limits.neighbours,
        icmp_errors=max(1, config.limits.icmp_errors // config.workers),
        neighbour_ns=int(config.timeouts.neighbour * NS),
        fragment_ns=int(config.timeouts.fragment * NS),
        n_segments=indices.segments.size,
        n_addresses=sum(len(segment.addresses) for segment in config.segments.values()),
        n_routes=len(config.routes),
        n_services=indices.services.size,
        n_servers=indices.servers.size,
        n_pools=n_pools,
    )


# Every worker gets everything in the same order, and so under the same indices.


def _add_network(worker: Worker, number: int, config: Config, devices: Mapping[str, Opened], built: Built) -> None:
    """The worker of that number has the segments with their ports, and the routes."""
    for segment in config.segments.values():
        _add_segment(worker, segment, built)
    add_ports(worker, number, config, devices, segments=built.segments, ports=built.ports)
    _add_routes(worker, config, built)


def _add_services(
    worker: Worker,
    config: Config,
    pools: Pools,
    wanted: Mapping[tuple[str, str], Mapping[str, int]],
    kernel_ports: PortRange,
    built: Built,
) -> None:
    """The worker has the services with their servers, and who stands for clients and for hosts."""
    pool_index = {
        pool: add_pool(worker, config, pool, kernel_ports, built.segments) for pool in pools.all()
    }
    guard_segments(worker, config, pools, pool_index, built.segments)
    for service in config.services.values():
        index = built.services[service.name]
        add_service(worker, config, service, built.segments, index)
        for server in _in_order(service):
            key = (service.name, server.name)
            pool = pool_index[pools.servers[key]] if key in pools.servers else None
            add_server(worker, index, server, pool, wanted[key], built.servers[key])


def _in_order(service: Service) -> list[Server]:
    """The servers as a worker takes them: IPv4 ones first."""
    return sorted(service.servers.values(), key=lambda server: server.address.version)


def _add_doubles(worker: Worker, config: Config, built: Built) -> None:
    """Every server that is probed through its VIP has a double, for the sessions of probes."""
    for service in config.services.values():
        if service.checks_through_vip:
            response = max(check.response for check in service.checks_through_vip)
            idle_ns = int((response + PROBE_GRACE_S) * NS)
            keys = [(service.name, server.name) for server in service.servers.values()]
            worker.add_double(
                built.services[service.name],
                idle_ns=idle_ns,
                index=built.indices.service(service, double=True),
                servers={built.servers[key]: built.doubles[key] for key in keys},
            )


def probe_ports(kernel_ports: PortRange) -> range:
    """The ports by which probes through VIPs leave: the last of the kernel's, which stand for no client.

    The kernel gives none of them away while its own side of a closed connection lives (60 s), so it is to have others.
    """
    return range(max(kernel_ports.first, kernel_ports.last + 1 - PROBE_PORTS), kernel_ports.last + 1)


def _add_segment(worker: Worker, segment: Segment, built: Built) -> None:
    index = built.segments[segment.name]
    worker.add_segment(
        index=index,
        mac=built.macs[segment.name],
        ageing_ns=int(segment.ageing * NS),
        fdb_limit=segment.fdb_limit,
        vip_guard=segment.vip_guard,
    )
    for interface in segment.addresses:
        worker.add_address(index, packed(interface.ip), prefix_of_128(interface.network))


def _add_routes(worker: Worker, config: Config, built: Built) -> None:
    for route in config.routes:
        towards = segment_towards(config, route.via)
        assert towards is not None, "the configuration's check has let a route through that leads nowhere"
        index = built.segments[towards.name]
        worker.add_route(packed(route.to.network_address), prefix_of_128(route.to), packed(route.via), index)

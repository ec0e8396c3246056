"""A configuration made into workers: who has which index, and whom a packet may go to.

Nothing here touches the operating system; the devices are opened before (app.py) and handed in.
"""

import hashlib
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from swlb._worker import Pins as PinTable
from swlb._worker import Worker, link
from swlb.addresses import packed, prefix_of_128
from swlb.build_service import NS, add_server, add_service, state_timeouts
from swlb.config import Config, Segment, Server, Service
from swlb.config.check_models import PROBE_GRACE_S, PROBE_PORTS
from swlb.config.service_models import SOURCE_PORTS
from swlb.config.values import PortRange
from swlb.config.ways import segment_of_vip, segment_towards
from swlb.probes.pins import Pins
from swlb.sources import Pool, Pools, pools_of
from swlb.workers import Workers

LEAST_PORTS = 8192  # with fewer to stand for clients, these would wait for each other
KERNEL_PORTS = PortRange(32768, 60999)  # Documentation/networking/ip-sysctl.rst: ip_local_port_range

NO_MACS: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True)
class Opened:
    """A device that is open: what workers need to know of it."""

    fds: tuple[int, ...]  # a queue for each worker; none: a port of memory
    mtu: int
    kind: str = "tap"  # or packet, or tun
    up: bool = True
    merges: bool = False  # it takes UDP super-frames

    def fd(self, worker: int) -> int | None:
        """What that worker reads and writes; None: memory of its own."""
        return self.fds[worker] if self.fds else None


@dataclass
class Built:
    """Sealed workers, and the indices of what the configuration names. A kernel twin's port is "SEGMENT/host".

    An index means the same in every worker. `key` is the secret by which the owner of a session is found. `doubles` of
    servers stand for them in probes through VIPs, which leave by the ports of `pins`.
    """

    workers: Workers
    key: int
    pins: Pins
    segments: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, int] = field(default_factory=dict)
    servers: dict[tuple[str, str], int] = field(default_factory=dict)
    doubles: dict[tuple[str, str], int] = field(default_factory=dict)


def host_port_name(segment: str) -> str:
    """What the port of the segment's kernel twin is called."""
    return f"{segment}/host"


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
) -> Built:
    """Sealed workers over the opened devices (by port name); servers are up as up_at_start says.

    `macs` are those of segments that have one already; another's is its segment_mac.
    `kernel_ports` are those that the kernel of swlb's namespace gives to connections of its own.
    """
    pools = pools_of(config)
    workers = [_new_worker(config, len(pools.all()), ring=ring) for _ in range(config.workers)]
    table = PinTable()
    built = Built(Workers(workers), key=secrets.randbits(64), pins=Pins(table, probe_ports(kernel_ports)))
    for number, worker in enumerate(workers):
        _add_network(worker, number, config, devices, macs, built)
        _add_services(worker, config, pools, up_at_start, kernel_ports, built)
        _add_doubles(worker, config, built)
        worker.use_pins(table)
    if len(workers) > 1:
        link(workers, key=built.key)
    for worker in workers:
        worker.seal()
    return built


def _new_worker(config: Config, n_pools: int, *, ring: bool) -> Worker:
    """A worker with room for everything, as any session may come to it. What is a rate is shared out."""
    return Worker(
        ring=ring,
        sessions=config.limits.sessions,
        fragments=config.limits.fragments,
        neighbours=config.limits.neighbours,
        icmp_errors=max(1, config.limits.icmp_errors // config.workers),
        neighbour_ns=int(config.timeouts.neighbour * NS),
        fragment_ns=int(config.timeouts.fragment * NS),
        n_segments=len(config.segments),
        n_addresses=sum(len(segment.addresses) for segment in config.segments.values()),
        n_routes=len(config.routes),
        n_services=len(config.services) + sum(bool(service.checks_through_vip) for service in config.services.values()),
        n_servers=sum(
            len(service.servers) * (1 + bool(service.checks_through_vip)) for service in config.services.values()
        ),
        n_pools=n_pools,
    )


# Every worker gets everything in the same order, and so under the same indices.


def _add_network(
    worker: Worker,
    number: int,
    config: Config,
    devices: Mapping[str, Opened],
    macs: Mapping[str, bytes],
    built: Built,
) -> None:
    """The worker of that number has the segments with their ports, and the routes."""
    for segment in config.segments.values():
        built.segments[segment.name] = _add_segment(worker, segment, macs.get(segment.name) or segment_mac(segment))
        _add_ports(worker, number, segment, devices, built)
    _add_routes(worker, config, built)


def _add_services(
    worker: Worker,
    config: Config,
    pools: Pools,
    up_at_start: Mapping[tuple[str, str], bool],
    kernel_ports: PortRange,
    built: Built,
) -> None:
    """The worker has the services with their servers, and who stands for clients and for hosts."""
    pool_index = {pool: _add_pool(worker, config, pool, kernel_ports, built) for pool in pools.all()}
    _guard_segments(worker, config, pools, pool_index, built)
    for service in config.services.values():
        built.services[service.name] = add_service(worker, config, service, built.segments)
        for server in _in_order(service):
            key = (service.name, server.name)
            pool = pool_index[pools.servers[key]] if key in pools.servers else None
            built.servers[key] = add_server(worker, built.services[service.name], server, pool, up=up_at_start[key])


def _in_order(service: Service) -> list[Server]:
    """The servers as a worker takes them: IPv4 ones first."""
    return sorted(service.servers.values(), key=lambda server: server.address.version)


def _add_doubles(worker: Worker, config: Config, built: Built) -> None:
    """Every server that is probed through its VIP has a double, for the sessions of probes."""
    for service in config.services.values():
        if service.checks_through_vip:
            response = max(check.response for check in service.checks_through_vip)
            idle_ns = int((response + PROBE_GRACE_S) * NS)
            first = worker.add_double(built.services[service.name], idle_ns=idle_ns)
            for number, server in enumerate(_in_order(service)):
                built.doubles[service.name, server.name] = first + number


def probe_ports(kernel_ports: PortRange) -> range:
    """The ports by which probes through VIPs leave: the last of the kernel's, which stand for no client.

    The kernel gives none of them away while its own side of a closed connection lives (60 s), so it is to have others.
    """
    return range(max(kernel_ports.first, kernel_ports.last + 1 - PROBE_PORTS), kernel_ports.last + 1)


def _add_segment(worker: Worker, segment: Segment, mac: bytes) -> int:
    index: int = worker.add_segment(
        mac=mac,
        ageing_ns=int(segment.ageing * NS),
        fdb_limit=segment.fdb_limit,
        vip_guard=segment.vip_guard,
    )
    for interface in segment.addresses:
        worker.add_address(index, packed(interface.ip), prefix_of_128(interface.network))
    return index


def _add_ports(worker: Worker, number: int, segment: Segment, devices: Mapping[str, Opened], built: Built) -> None:
    """The segment's ports, by their queues of that worker's number; last its kernel twin, if it has one."""
    twins = [host_port_name(segment.name)] if segment.addresses else []
    for name in [*segment.ports, *twins]:
        device = devices[name]
        built.ports[name] = worker.add_port(
            built.segments[segment.name],
            fd=device.fd(number),
            kind=device.kind,
            mtu=device.mtu,
            host=name in twins,
            up=device.up,
            merges=device.merges,
        )


def _add_routes(worker: Worker, config: Config, built: Built) -> None:
    for route in config.routes:
        towards = segment_towards(config, route.via)
        assert towards is not None, "the configuration's check has let a route through that leads nowhere"
        index = built.segments[towards.name]
        worker.add_route(packed(route.to.network_address), prefix_of_128(route.to), packed(route.via), index)


def _add_pool(worker: Worker, config: Config, pool: Pool, kernel_ports: PortRange, built: Built) -> int:
    """swlb answers for the pool's addresses on the segments they are on; for the segments' own the kernel twins do.

    Of these the kernel keeps the ports that it gives to connections of swlb's own, unless others are configured.
    """
    own = {interface.ip for segment in config.segments.values() for interface in segment.addresses}
    homes = [(ip, None if ip in own else segment_of_vip(config, ip)) for ip in pool.addresses]
    addresses = [(packed(ip), None if home is None else built.segments[home.name]) for ip, home in homes]
    spare = kernel_share(kernel_ports) if pool.l4_ports == SOURCE_PORTS else None
    index: int = worker.add_pool(addresses, first=pool.l4_ports.first, last=pool.l4_ports.last, spare=spare)
    return index


def kernel_share(kernel_ports: PortRange) -> tuple[int, int] | None:
    """What the kernel keeps of SOURCE_PORTS; None where it would leave too few, its range being widened."""
    first, last = max(kernel_ports.first, SOURCE_PORTS.first), min(kernel_ports.last, SOURCE_PORTS.last)
    left = SOURCE_PORTS.last - SOURCE_PORTS.first - (last - first)
    return (first, last) if first <= last and left >= LEAST_PORTS else None


def _guard_segments(worker: Worker, config: Config, pools: Pools, pool_index: Mapping[Pool, int], built: Built) -> None:
    """What is routed over the segments' borders is let through or not, and in whose name, as they say."""
    for segment in config.segments.values():
        hosts = pools.hosts.get(segment.name)
        worker.guard_segment(
            built.segments[segment.name],
            private=segment.access == "private",
            masquerade=segment.masquerade != "off",
            pool=None if hosts is None else pool_index[hosts],
        )
    for name, pool in pools.exits.items():
        worker.set_exit_pool(built.segments[name], pool_index[pool])
    worker.set_flow_timeouts(timeouts_ns=state_timeouts(config.timeouts), echo_ns=int(config.timeouts.icmp * NS))

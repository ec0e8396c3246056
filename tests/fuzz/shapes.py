"""The shapes of a switch that frames are thrown at, each with tables small enough to overflow.

Editions of a shape differ in schedulers, limits, and in which servers are there; a worker may go from one to another.
"""

import ipaddress
from dataclasses import dataclass
from typing import Any

SECOND = 10**9
# So that the tables' 32-bit millisecond clock wraps a minute after the start.
START_NS = (2**32 - 60_000) * 10**6
TIMEOUTS_NS = [seconds * SECOND for seconds in (60, 60, 60, 7440, 120, 120, 30, 120, 10, 60, 120, 300)]
SEGMENT_MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
VIP = ("10.0.2.100", "fd00:2::100")
SOURCE = ("10.0.2.200", "fd00:2::200")    # stands for clients, by these few ports
SOURCE_PORTS = (2000, 2015)
TCP, UDP = 6, 17
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "hash", "maglev", "p2c", "fo", "overflow", "table")
HASH_KEYS = ("source", "source_port", "destination_port", "five_tuple", "none")


@dataclass(frozen=True)
class Shape:
    """A sealed Worker with ports of memory, and what may be changed about it between two batches."""

    name: str
    worker: Any
    ports: tuple[int, ...]
    servers: tuple[int, ...]


def address(text: str) -> bytes:
    """The 16 bytes by which doors name an address."""
    ip = ipaddress.ip_address(text)
    return ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def new_worker(*, n_segments: int, neighbours: int = 32) -> Any:
    # Imported here, so that the driver can say first where the extensions lie.
    from swlb._worker import Persists, Worker

    worker = Worker(sessions=2000, half_open=64, per_source=40, fragments=64, neighbours=neighbours,
                    n_segments=n_segments, n_addresses=6, n_routes=2, n_services=16, n_servers=48)
    worker.use_persists(Persists(32))
    return worker


def add_network(worker: Any, segment: int, *addresses: str) -> None:
    for text in addresses:
        interface = ipaddress.ip_interface(text)
        extra = 96 if interface.version == 4 else 0
        worker.add_address(segment, address(str(interface.ip)), interface.network.prefixlen + extra)


def persistence(n: int) -> dict[str, Any]:
    """Of every other service: clients by their networks, or by their whole addresses."""
    masks = (128, 128) if n % 4 else (120, 64)
    return {} if n % 2 else {"persistence_ns": 90 * SECOND, "persistence_masks": masks}


def schedule(n: int, edition: int) -> dict[str, Any]:
    """Of the nth service: each edition another scheduler."""
    scheduler = SCHEDULERS[(n + 5 * edition) % len(SCHEDULERS)]
    keys = HASH_KEYS if scheduler == "table" else HASH_KEYS[:4]
    return {"scheduler": scheduler, "hash_key": keys[(n + edition) % len(keys)]}


def add_servers(worker: Any, service: int, edition: int, l4_port: int, pool: int | None = None) -> list[int]:
    """Four servers, of which one is a backup and one has a limit; of every other edition one is missing."""
    added = []
    for n, ip in enumerate(("10.0.2.11", "10.0.2.12", "fd00:2::11", "fd00:2::12")):
        index = 4 * service + n
        if (n + service + edition) % 8 != 7:
            limit = 3 + edition % 2 if (n + service) % 3 == 0 else 0
            added.append(worker.add_server(service, index=index, ip=address(ip), l4_port=l4_port, weight=1, ready=1,
                                           pool=pool, backup=(n + service) % 5 == 1, limit=limit, lower=limit))
    return added


def add_services(worker: Any, segment: int, edition: int, *, source_nat: str = "never",
                 pool: int | None = None) -> tuple[int, ...]:
    """Services on both VIPs, one for each policy about servers that went down; the indices of their servers."""
    servers: list[int] = []
    vips = [(address(vip), segment) for vip in VIP]
    plans = [(TCP, 80, 80, 8080), (TCP, 8000, 8099, 0), (UDP, 53, 53, 53), (UDP, 5000, 6000, 0), (TCP, 443, 443, 0)]
    for on_down, (protocol, first, last, l4_port) in enumerate(plans):
        service = worker.add_service(vips=vips, protocol=protocol, l4_first=first, l4_last=last, refuse=on_down & 1,
                                     orphans=on_down & 1, on_down=on_down, timeouts_ns=TIMEOUTS_NS,
                                     source_nat=source_nat, **persistence(on_down), **schedule(on_down, edition),
                                     **datagrams(protocol, edition))
        servers += add_servers(worker, service, edition, l4_port, pool)
    return tuple(servers)


def add_direct_services(worker: Any, segment: int, edition: int) -> tuple[int, ...]:
    """The same ports of the VIPs, none of them translated: each way to forward, with and without a bound for MSS."""
    servers: list[int] = []
    vips = [(address(vip), segment) for vip in VIP]
    plans = [(TCP, 80, 80, "gue", "auto"), (TCP, 8000, 8099, "dsr", 1000), (UDP, 53, 53, "dsr", "off"),
             (UDP, 5000, 6000, "ipip", "off"), (TCP, 443, 443, "ipip", "auto"), (TCP, 9999, 9999, "gue", "off")]
    for n, (protocol, first, last, forward, mss) in enumerate(plans):
        service = worker.add_service(vips=vips, protocol=protocol, l4_first=first, l4_last=last, refuse=n & 1,
                                     orphans=n & 1, on_down=n % 5, timeouts_ns=TIMEOUTS_NS, forward=forward, mss=mss,
                                     **persistence(n), **schedule(n, edition), **datagrams(protocol, edition))
        servers += add_servers(worker, service, edition, 0)
    return tuple(servers)


def datagrams(protocol: int, edition: int) -> dict[str, int]:
    """UDP is scheduled anew by numbers, which change with every edition."""
    return {"requests": (0, 1, 3)[edition % 3], "responses": (1, 0, 2)[edition % 3]} if protocol == UDP else {}


def add_pins(worker: Any, n_services: int, servers: tuple[int, ...]) -> None:
    """Probes from the port that the corpus has are for an IPv6 server (TCP) and for an IPv4 one (UDP)."""
    from swlb._worker import Pins

    pins = Pins()
    for service in range(n_services):
        own = {server: 4 * n_services + server for server in servers if server // 4 == service}
        worker.add_double(service, idle_ns=3 * SECOND, index=n_services + service, servers=own)
    pins.set(TCP, 4000, 4 * n_services + 3)
    pins.set(UDP, 4000, 4 * n_services + 9)
    worker.use_pins(pins)


def transparent(edition: int = 0) -> Shape:
    """One segment, VIPs within it, two stations' ports and the kernel's."""
    worker = new_worker(n_segments=1)
    segment = worker.add_segment(mac=mac(SEGMENT_MACS[1]), fdb_limit=128)
    ports = (worker.add_port(segment, merges=True), worker.add_port(segment, mtu=9000, merges=True),
             worker.add_port(segment, host=True, merges=True))
    add_network(worker, segment, "10.0.2.1/24", "fd00:2::1/64")
    servers = add_services(worker, segment, edition)
    worker.seal(now_ns=START_NS)
    return Shape("transparent", worker, ports, servers)


def routed(edition: int = 0) -> Shape:
    """Two segments with addresses, VIPs on the inner one, a route to a network farther away."""
    worker = new_worker(n_segments=2, neighbours=512)
    outside = worker.add_segment(mac=mac(SEGMENT_MACS[0]), fdb_limit=64)
    inside = worker.add_segment(mac=mac(SEGMENT_MACS[1]), fdb_limit=64)
    ports = (worker.add_port(outside, merges=True), worker.add_port(outside, host=True, merges=True),
             worker.add_port(inside, merges=True), worker.add_port(inside, mtu=1280, offloads=False),
             worker.add_port(inside, host=True, merges=True))
    add_network(worker, outside, "10.0.1.1/24", "fd00:1::1/64")
    add_network(worker, inside, "10.0.2.1/24", "fd00:2::1/64")
    worker.add_route(address("0.0.0.0"), 96, address("10.0.1.254"), outside)
    worker.add_route(address("fd00:9::"), 32, address("fd00:1::254"), outside)
    servers = add_services(worker, inside, edition)
    add_pins(worker, 5, servers)
    worker.seal(now_ns=START_NS)
    return Shape("routed", worker, ports, servers)


def one_arm(edition: int = 0) -> Shape:
    """One segment, all stations behind one port, clients stood for by swlb's own address and by another."""
    worker = new_worker(n_segments=1)
    segment = worker.add_segment(mac=mac(SEGMENT_MACS[1]), fdb_limit=128)
    ports = (worker.add_port(segment, merges=True), worker.add_port(segment, host=True, merges=True))
    add_network(worker, segment, "10.0.2.1/24", "fd00:2::1/64")
    addresses = [(address(ip), None) for ip in ("10.0.2.1", "fd00:2::1")]
    addresses += [(address(ip), segment) for ip in SOURCE]
    pool = worker.add_pool(addresses, first=SOURCE_PORTS[0], last=SOURCE_PORTS[1])
    servers = add_services(worker, segment, edition, source_nat="auto", pool=pool)
    add_pins(worker, 5, servers)
    worker.seal(now_ns=START_NS)
    return Shape("one_arm", worker, ports, servers)


def guarded(edition: int = 0) -> Shape:
    """Two segments, of which the inner one is open and masquerades, and a third that is private."""
    worker = new_worker(n_segments=3, neighbours=512)
    outside, inside, private = (worker.add_segment(mac=mac(f"02:00:00:00:00:0{n}"), fdb_limit=64) for n in (1, 2, 3))
    ports = (worker.add_port(outside, merges=True), worker.add_port(outside, host=True, merges=True),
             worker.add_port(inside, merges=True), worker.add_port(inside, host=True), worker.add_port(private))
    add_network(worker, outside, "10.0.1.1/24", "fd00:1::1/64")
    add_network(worker, inside, "10.0.2.1/24", "fd00:2::1/64")
    add_network(worker, private, "192.0.2.1/24", "fd00:9::1/64")
    worker.guard_segment(inside, masquerade=True)
    worker.guard_segment(private, private=True)
    own = [(address(ip), None) for ip in ("10.0.1.1", "fd00:1::1")]
    worker.set_exit_pool(outside, worker.add_pool(own, first=SOURCE_PORTS[0], last=SOURCE_PORTS[1]))
    worker.set_flow_timeouts(timeouts_ns=TIMEOUTS_NS, echo_ns=60 * SECOND)
    servers = add_services(worker, inside, edition)
    worker.seal(now_ns=START_NS)
    return Shape("guarded", worker, ports, servers)


def direct(edition: int = 0) -> Shape:
    """Two segments, their VIPs guarded, servers reached by MAC and through tunnels; a link that takes jumbo frames."""
    worker = new_worker(n_segments=2, neighbours=512)
    outside = worker.add_segment(mac=mac(SEGMENT_MACS[0]), fdb_limit=64)
    inside = worker.add_segment(mac=mac(SEGMENT_MACS[1]), fdb_limit=64, vip_guard=True)
    ports = (worker.add_port(outside, merges=True), worker.add_port(inside, merges=True),
             worker.add_port(inside, mtu=9000), worker.add_port(inside, host=True, merges=True))
    add_network(worker, outside, "10.0.1.1/24", "fd00:1::1/64")
    add_network(worker, inside, "10.0.2.1/24", "fd00:2::1/64")
    worker.add_route(address("0.0.0.0"), 96, address("10.0.1.254"), outside)
    worker.add_route(address("fd00:9::"), 32, address("fd00:1::254"), outside)
    servers = add_direct_services(worker, inside, edition)
    add_pins(worker, 6, servers)
    worker.seal(now_ns=START_NS)
    return Shape("direct", worker, ports, servers)


def switch(edition: int = 0) -> Shape:
    """A plain switch without addresses, of four ports, one of which takes no offloads."""
    worker = new_worker(n_segments=1)
    segment = worker.add_segment(mac=mac(SEGMENT_MACS[0]), fdb_limit=32, ageing_ns=5 * SECOND)
    ports = (*(worker.add_port(segment, merges=True) for _ in range(3)), worker.add_port(segment, offloads=False))
    worker.seal(now_ns=START_NS)
    return Shape("switch", worker, ports, ())


def pointed(edition: int = 0) -> Shape:
    """A segment with Ethernet, one of whose ports takes no offloads, and one without, of the VIPs and servers."""
    worker = new_worker(n_segments=2)
    outside = worker.add_segment(mac=mac(SEGMENT_MACS[0]), fdb_limit=64)
    inside = worker.add_segment(mac=mac(SEGMENT_MACS[1]), fdb_limit=64)
    ports = (worker.add_port(outside, offloads=False), worker.add_port(outside, merges=True),
             worker.add_port(outside, host=True, merges=True), worker.add_port(inside, kind="tun", merges=True),
             worker.add_port(inside, host=True, merges=True))
    add_network(worker, outside, "10.0.1.1/24", "fd00:1::1/64")
    add_network(worker, inside, "10.0.2.1/24", "fd00:2::1/64")
    servers = add_services(worker, inside, edition)
    worker.seal(now_ns=START_NS)
    return Shape("pointed", worker, ports, servers)


def trunked(edition: int = 0) -> Shape:
    """A trunk: two VLANs of it are two segments with addresses, a third and what is untagged plain switches."""
    worker = new_worker(n_segments=4)
    outside, inside, third, native = (worker.add_segment(mac=mac(f"02:00:00:00:00:0{n}"), fdb_limit=64)
                                      for n in (1, 2, 3, 4))
    trunk = worker.add_port(native)
    for vid, segment in ((1, outside), (2, inside), (3, third)):
        worker.add_port(segment, trunk=trunk, vid=vid)
    # What a trunk is, its VLANs are.
    ports = (trunk, worker.add_port(outside, host=True), worker.add_port(inside, tells=True, merges=True),
             worker.add_port(inside, host=True), worker.add_port(third, tells=True), worker.add_port(native))
    add_network(worker, outside, "10.0.1.1/24", "fd00:1::1/64")
    add_network(worker, inside, "10.0.2.1/24", "fd00:2::1/64")
    servers = add_services(worker, inside, edition)
    worker.seal(now_ns=START_NS)
    return Shape("trunked", worker, ports, servers)


SHAPES = (transparent, routed, one_arm, guarded, direct, switch, pointed, trunked)

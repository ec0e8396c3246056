"""Who stands for clients and for hosts, as a worker takes it. `segments` are their indices."""

from collections.abc import Mapping

from swlb._worker import Worker
from swlb.addresses import packed
from swlb.build_service import NS, state_timeouts
from swlb.config import Config
from swlb.config.service_models import SOURCE_PORTS
from swlb.config.values import PortRange
from swlb.config.ways import segment_of_vip
from swlb.sources import Pool, Pools

LEAST_PORTS = 8192  # with fewer to stand for clients, these would wait for each other


def add_pool(
    worker: Worker, config: Config, pool: Pool, kernel_ports: PortRange, segments: Mapping[str, int]
) -> int:
    """swlb answers for the pool's addresses on the segments they are on; for the segments' own the kernel twins do.

    Of these the kernel keeps the ports that it gives to connections of swlb's own, unless others are configured.
    """
    own = {interface.ip for segment in config.segments.values() for interface in segment.addresses}
    homes = [(ip, None if ip in own else segment_of_vip(config, ip)) for ip in pool.addresses]
    addresses = [(packed(ip), None if home is None else segments[home.name]) for ip, home in homes]
    spare = kernel_share(kernel_ports) if pool.l4_ports == SOURCE_PORTS else None
    index: int = worker.add_pool(addresses, first=pool.l4_ports.first, last=pool.l4_ports.last, spare=spare)
    return index


def kernel_share(kernel_ports: PortRange) -> tuple[int, int] | None:
    """What the kernel keeps of SOURCE_PORTS; None where it would leave too few, its range being widened."""
    first, last = max(kernel_ports.first, SOURCE_PORTS.first), min(kernel_ports.last, SOURCE_PORTS.last)
    left = SOURCE_PORTS.last - SOURCE_PORTS.first - (last - first)
    return (first, last) if first <= last and left >= LEAST_PORTS else None


def guard_segments(
    worker: Worker, config: Config, pools: Pools, pool_index: Mapping[Pool, int], segments: Mapping[str, int]
) -> None:
    """What is routed over the segments' borders is let through or not, and in whose name, as they say."""
    for segment in config.segments.values():
        hosts = pools.hosts.get(segment.name)
        worker.guard_segment(
            segments[segment.name],
            private=segment.access == "private",
            masquerade=segment.masquerade != "off",
            pool=None if hosts is None else pool_index[hosts],
        )
    for name, pool in pools.exits.items():
        worker.set_exit_pool(segments[name], pool_index[pool])
    worker.set_flow_timeouts(timeouts_ns=state_timeouts(config.timeouts), echo_ns=int(config.timeouts.icmp * NS))

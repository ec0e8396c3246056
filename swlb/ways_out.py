"""How probes leave this host: by which device and from which address."""

from swlb.build_ports import host_port_name
from swlb.config import Config
from swlb.paths import Towards
from swlb.ports import Ports
from swlb.probes import Way


def ways_out(config: Config, ports: Ports) -> dict[Towards, Way]:
    """By which device and from which address probes leave, by segment and IP version."""
    ways: dict[Towards, Way] = {}
    for segment in config.segments.values():
        if segment.addresses:
            device = ports.opened[host_port_name(segment.name)].device.device
            ways |= {(segment.name, version): Way(device) for version in (4, 6)}
            # The first address of a family wins, as in a worker.
            ways |= {(segment.name, own.version): Way(device, own.ip) for own in reversed(segment.addresses)}
    return ways

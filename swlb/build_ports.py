"""The ports of workers: those of the configuration, a VLAN of one as a port of its own, and kernel twins."""

from collections.abc import Mapping
from dataclasses import dataclass

from swlb._worker import Worker
from swlb.config import Config, Segment


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


def host_port_name(segment: str) -> str:
    """What the port of the segment's kernel twin is called."""
    return f"{segment}/host"


def port_names(config: Config) -> list[str]:
    """Every port, by segment; of each last its kernel twin, if it has one. Then those that only their VLANs are in."""
    named = [name for segment in config.segments.values() for name in ports_of(segment)]
    return [*named, *(name for name in config.ports if name not in named)]


def ports_of(segment: Segment) -> list[str]:
    """The segment's ports, and last its kernel twin, if it has one."""
    return [*segment.ports, *([host_port_name(segment.name)] if segment.addresses else [])]


def add_ports(
    worker: Worker,
    number: int,
    config: Config,
    devices: Mapping[str, Opened],
    *,
    segments: Mapping[str, int],
    ports: Mapping[str, int],
) -> None:
    """The worker of that number has every port, by its queue of the device; `segments` and `ports` are the indices."""
    homes = {name: segment for segment in config.segments.values() for name in ports_of(segment)}
    for name in port_names(config):
        home = homes.get(name)
        is_host = home is not None and name not in home.ports
        member = None if is_host or home is None else config.member(name)
        is_vlan = member is not None and member.vid > 0
        device = devices[member.port if member else name]
        worker.add_port(
            segments[home.name] if home else None,
            index=ports[name],
            fd=None if is_vlan else device.fd(number),
            kind=device.kind,
            mtu=device.mtu,
            host=is_host,
            up=device.up,
            merges=device.merges and not is_vlan,
            trunk=ports[member.port] if member and is_vlan else None,
            vid=member.vid if member else 0,
            # Its stations are in one VLAN, and so is what they send.
            tells=home is not None and not is_host and config.has_vlans(home),
        )

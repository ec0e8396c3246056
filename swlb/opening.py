"""The device of a port, and the kernel twin of a segment, opened as the configuration says."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from swlb.build_ports import Opened
from swlb.config import Config
from swlb.config import Port as PortConfig
from swlb.config.ways import segment_towards
from swlb.devices import Device, DeviceState, Tap, host_device_name, open_packet, open_tap, watch
from swlb.paths import vips_probed
from swlb.twins import Twin, open_twin

NONE_KEPT: Mapping[str, str] = MappingProxyType({})
HOST = "host"  # the kind of a kernel twin


@dataclass
class Port:
    """An open device and what was last seen of it; of a kernel twin also what it has. A trunk has several segments."""

    device: Device
    kind: str  # tap, packet, tun, or host for the kernel twin of a segment
    segments: tuple[str, ...]
    state: DeviceState
    twin: Twin | None = None
    listens: bool = False  # frames come in by it
    steered: bool = False  # and the kernel puts each into the queue of its worker


def opened_as(port: Port, mtu: int) -> Opened:
    """What a worker that believes in that MTU is to know of the device."""
    return Opened(
        port.device.fds,
        mtu or port.device.mtu,
        kind="tap" if port.kind == HOST else port.kind,
        up=port.state.up,
        merges="USO4" in port.device.offloads,
    )


def open_port(port: PortConfig, segments: tuple[str, ...], *, queues: int, like: Device | None = None) -> Port:
    """The port's device is there, and up; one of our own has the MAC of the one that it is `like`.

    Raises PortError, and leaves everything as it was.
    """
    device: Device
    if port.kind == "packet":
        device = open_packet(port.name, port.device, netns=port.netns, mtu=port.mtu, queues=queues)
    else:
        ethernet = port.kind != "tun"
        mac = like.mac if ethernet and isinstance(like, Tap) else None
        device = open_tap(
            port.name, port.device, netns=port.netns, mtu=port.mtu, mac=mac, queues=queues, ethernet=ethernet
        )
    return Port(device, port.kind, segments, watch(device), listens=port.kind != "packet")


def open_twin_port(segment: str, device: str, twin: Twin, *, mac: bytes, queues: int) -> Port:
    """The segment's kernel twin is there, and up. Raises PortError, and leaves nothing."""
    tap = open_twin(segment, device, twin, mac=mac, queues=queues)
    return Port(tap, HOST, (segment,), watch(tap), twin, listens=True)


def twins_of(config: Config) -> dict[str, Twin]:
    """What the kernel twin of each segment with addresses is to have."""
    vips = vips_probed(config)
    ways = [(segment_towards(config, route.via), (route.to, route.via)) for route in config.routes]
    return {
        segment.name: Twin(
            addresses=segment.addresses,
            routes=tuple(route for towards, route in ways if towards is segment),
            mtu=min(port.mtu for port in config.ports_of(segment)),
            vips=vips[segment.name],
            arp=not any(port.tun for port in config.ports_of(segment)),
        )
        for segment in config.segments.values()
        if segment.addresses
    }


def twin_devices(config: Config, kept: Mapping[str, str] = NONE_KEPT) -> dict[str, str]:
    """What the kernel twin of each segment with addresses is called in swlb's own namespace.

    Those that are there already keep their names, which `kept` tells by segment.
    """
    taken = {port.device for port in config.ports.values() if port.netns is None} | set(kept.values())
    names: dict[str, str] = {}
    for segment in config.segments.values():
        if segment.addresses:
            names[segment.name] = kept.get(segment.name) or host_device_name(segment.name, taken | set(names.values()))
    return names

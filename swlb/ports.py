"""The ports' devices while swlb runs: opened at start, watched, closed at the end."""

import errno
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from swlb.build import Built, Opened, host_port_name, segment_mac
from swlb.config import Config, Segment
from swlb.config import Port as PortConfig
from swlb.config.ways import segment_towards
from swlb.devices import (
    Device,
    DeviceState,
    Packet,
    host_device_name,
    open_host,
    open_packet,
    open_tap,
    watch,
)
from swlb.errors import PortError
from swlb.events import Events
from swlb.packets import listen
from swlb.paths import vips_probed_by
from swlb.steering import Steering, SteeringError, roles_of

log = logging.getLogger("swlb")

# Looking at a device takes a descriptor or two. That this host has none left is no news of the device.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


@dataclass
class Port:
    """An open device and what was last seen of it."""

    device: Device
    kind: str  # tap, packet, tun, or host for the kernel twin of a segment
    segment: str
    state: DeviceState


class Ports:
    """All devices, by port name; a kernel twin's is "SEGMENT/host"."""

    def __init__(self, opened: dict[str, Port]) -> None:
        self.opened = opened
        self._sees = True

    def devices(self) -> dict[str, Opened]:
        """What the workers read and write."""
        return {
            name: Opened(
                port.device.fds,
                port.state.mtu,
                kind="tap" if port.kind == "host" else port.kind,
                up=port.state.up,
                merges="USO4" in port.device.offloads,
            )
            for name, port in self.opened.items()
        }

    def listen(self, config: Config, key: int) -> None:
        """Frames come in, and the kernel puts those of a session into one worker's queue, if it lets us say so."""
        steered: set[str] = set()
        try:
            if config.workers > 1:
                with closing(Steering(roles_of(config), key=key, n=config.workers)) as steering:
                    for name, port in self.opened.items():
                        self._steer(port, steering)
                        steered.add(name)
        except SteeringError as error:
            log.warning("frames are not steered to their workers (%s): workers hand them over, which costs time", error)
        for name, port in self.opened.items():
            if isinstance(port.device, Packet) and name not in steered:
                listen(port.device, None)

    def _steer(self, port: Port, steering: Steering) -> None:
        if isinstance(port.device, Packet):
            listen(port.device, steering.program_fd(ethernet=False))
        else:
            steering.attach(port.device.fd, ethernet=port.kind != "tun")

    def look(self, built: Built, events: Events) -> None:
        """The workers know the present state and MTU of every device; changes are told.

        While the host is short of descriptors or memory they stay as they were seen last; the log says so once.
        """
        try:
            self._look(built, events)
        except PortError as failure:
            if failure.errno not in SHORTAGES:
                raise
            if self._sees:
                log.warning("%s; until it passes, devices count as they were seen last", failure)
            self._sees = False
        else:
            if not self._sees:
                log.warning("devices are watched again")
            self._sees = True

    def _look(self, built: Built, events: Events) -> None:
        for name, port in self.opened.items():
            before, port.state = port.state, watch(port.device)
            if port.state == before:
                continue
            built.workers.set_port(built.ports[name], up=port.state.up, mtu=port.state.mtu or before.mtu)
            _tell(events, name, before, port.state)
            came_up = port.state.up and not before.up
            if came_up or (port.state.present and port.state.netns_id != before.netns_id):
                # Whoever is behind it now has not heard whose the VIPs are.
                built.workers.announce(built.segments[port.segment])


@contextmanager
def opened(config: Config) -> Iterator[Ports]:
    """Within the block every device of the configuration is there; afterwards none is, whatever happens."""
    ports: dict[str, Port] = {}
    try:
        for segment in config.segments.values():
            for name in segment.ports:
                port = config.ports[name]
                ports[name] = _port(_open(port, queues=config.workers), port.kind, segment.name)
        for name, twin in twin_devices(config).items():
            ports[host_port_name(name)] = _port(_open_twin(config, config.segments[name], twin), "host", name)
        yield Ports(ports)
    finally:
        for opened_port in ports.values():
            opened_port.device.close()


def _port(device: Device, kind: str, segment: str) -> Port:
    return Port(device, kind, segment, watch(device))


def _open(port: PortConfig, *, queues: int) -> Device:
    if port.kind == "packet":
        return open_packet(port.name, port.device, netns=port.netns, mtu=port.mtu, queues=queues)
    ethernet = port.kind != "tun"
    return open_tap(port.name, port.device, netns=port.netns, mtu=port.mtu, queues=queues, ethernet=ethernet)


def twin_devices(config: Config) -> dict[str, str]:
    """What the kernel twin of each segment with addresses is called in swlb's own namespace."""
    taken = {port.device for port in config.ports.values() if port.netns is None}
    names: dict[str, str] = {}
    for segment in config.segments.values():
        if segment.addresses:
            names[segment.name] = host_device_name(segment.name, taken | set(names.values()))
    return names


def _open_twin(config: Config, segment: Segment, device: str) -> Device:
    return open_host(
        segment.name,
        device,
        mac=segment_mac(segment),
        addresses=segment.addresses,
        routes=[(route.to, route.via) for route in config.routes if segment_towards(config, route.via) is segment],
        vips=vips_probed_by(config, segment),
        mtu=min(config.ports[name].mtu for name in segment.ports),
        queues=config.workers,
        arp=not any(config.ports[name].tun for name in segment.ports),
    )


def _tell(events: Events, name: str, before: DeviceState, now: DeviceState) -> None:
    if before.present and not now.present:
        events.add("port_down", f"port {name}: its device {before.device} is gone", port=name)
    elif before.up != now.up:
        what = "up" if now.up else "down"
        events.add("port_up" if now.up else "port_down", f"port {name}: its device {now.device} is {what}", port=name)

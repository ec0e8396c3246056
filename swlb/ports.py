"""The ports' devices while swlb runs: opened at start, watched, exchanged when the configuration is, closed at the end.

A reload takes three steps, of which the second is not taken here:

    with ports.prepare(config) as prepared:     # in a thread: opening a device takes some 20 ms
        image = build(config, prepared.devices(), macs=prepared.macs, ...)
        built = take_over(...)                  # the workers read and write the new devices
        prepared.commit(built, events)
        prepared.close()                        # in a thread; or at the end of the block

Without `commit` everything is as it was before. What grows does so in `prepare`, and what shrinks in `commit`: a
worker never finds less than it was told of.
"""

import errno
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from swlb.build import NO_MACS, Built, segment_mac
from swlb.build_ports import Opened
from swlb.config import Config, Segment
from swlb.devices import DeviceState, Packet, watch
from swlb.errors import PortError, SwlbError
from swlb.events import Events
from swlb.opening import HOST, Port, opened_as
from swlb.packets import listen, steer
from swlb.prepared import Prepared, told
from swlb.steering import Steering, SteeringError, roles_after

log = logging.getLogger("swlb")

# Looking at a device takes a descriptor or two. That this host has none left is no news of the device.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Ports:
    """All devices, by port name; a kernel twin's is "SEGMENT/host". `macs` are those of the segments."""

    def __init__(self, opened: dict[str, Port], macs: Mapping[str, bytes] = NO_MACS) -> None:
        self.opened = opened
        self.macs = macs
        self._roles: dict[bytes, int] = {}  # that frames are steered by, and the key
        self._key: int | None = None
        self._sees = True
        self._preparing = threading.Lock()
        self._prepared: Prepared | None = None
        self._ended = False

    def devices(self) -> dict[str, Opened]:
        """What the workers read and write."""
        return {name: opened_as(port, port.state.mtu) for name, port in self.opened.items()}

    def mac(self, segment: Segment) -> bytes:
        """The MAC of swlb on the segment: while it runs, that with which the segment came."""
        return self.macs.get(segment.name) or segment_mac(segment)

    def twins(self) -> set[str]:
        """What the kernel twins are called now."""
        return {port.state.device for port in self.opened.values() if port.kind == HOST}

    def prepare(self, config: Config) -> Prepared:
        """The devices of the configuration are there, new ones too; those in use have lost nothing.

        May be called in a thread of its own, while swlb goes on with what it has.
        Raises PortError or SwlbError, and leaves everything as it was.
        """
        with self._preparing:
            if self._ended:
                raise SwlbError("swlb is ending")
            self._prepared = Prepared(config, self.opened, self.macs, take=self._take)
            return self._prepared

    def close(self) -> None:
        """No device is open, nor any that another thread was about to prepare."""
        with self._preparing:
            self._ended = True
            if self._prepared is not None:
                self._prepared.close()
            for port in self.opened.values():
                port.device.close()

    def _take(self, prepared: Prepared, built: Built, events: Events) -> None:
        for name, port in prepared.opened.items():
            if name in self.opened:
                _tell(events, name, self.opened[name].state, port.state)
        self.opened, self.macs = prepared.opened, prepared.macs
        with told():
            self.listen(prepared.config, built.key)
        for segment in prepared.reached:
            built.workers.announce(built.segments[segment])
        with told():
            self.look(built, events)

    def listen(self, config: Config, key: int) -> None:
        """Frames come in, and the kernel puts those of a session into one worker's queue, if it lets us say so.

        At a second call new ports listen, and all are steered to by the roles that addresses have now.
        """
        roles = roles_after(self._roles, config)
        is_new = (roles, key) != (self._roles, self._key) or not all(port.steered for port in self.opened.values())
        try:
            if config.workers > 1 and is_new:
                with closing(Steering(roles, key=key, n=config.workers)) as steering:
                    self._steer(steering)
                self._roles, self._key = roles, key
        except SteeringError as error:
            log.warning("frames are not steered to their workers (%s): workers hand them over, which costs time", error)
        for port in self.opened.values():
            if isinstance(port.device, Packet) and not port.listens:
                listen(port.device, None)
                port.listens = True

    def _steer(self, steering: Steering) -> None:
        """Every port there is asks the program, even where one cannot be made to."""
        failures: list[SteeringError | PortError] = []
        for port in self.opened.values():
            try:
                if port.state.present:
                    _attach(port, steering)
            except (SteeringError, PortError) as error:
                failures.append(error)
        if failures:
            raise failures[0]

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
                for segment in port.segments:
                    built.workers.announce(built.segments[segment])


@contextmanager
def opened(config: Config) -> Iterator[Ports]:
    """Within the block every device of the configuration is there; afterwards none is, whatever happens."""
    ports = Ports({})
    prepared = ports.prepare(config)
    ports.opened, ports.macs = prepared.opened, prepared.macs
    try:
        yield ports
    finally:
        ports.close()


def _attach(port: Port, steering: Steering) -> None:
    if not isinstance(port.device, Packet):
        steering.attach(port.device.fd, ethernet=port.kind != "tun")
    elif port.steered:
        steer(port.device, steering.program_fd(ethernet=False))
    elif not port.listens:
        listen(port.device, steering.program_fd(ethernet=False))
    else:
        return
    port.listens = port.steered = True


def _tell(events: Events, name: str, before: DeviceState, now: DeviceState) -> None:
    if before.present and not now.present:
        events.add("port_down", f"port {name}: its device {before.device} is gone", port=name)
    elif before.up != now.up:
        what = "up" if now.up else "down"
        events.add("port_up" if now.up else "port_down", f"port {name}: its device {now.device} is {what}", port=name)

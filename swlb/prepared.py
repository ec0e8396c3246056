"""The devices of the next configuration, opened beside those in use, and what becomes of these when it is in force.

Read first: ports.py. A device stays that is of the same kind and has the same name in the same namespace, whatever
its port is called; a kernel twin stays while its segment has that name and an address. What is lost is opened anew,
with the MAC that it had.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from swlb.build import Built, segment_mac
from swlb.build_ports import Opened, host_port_name
from swlb.config import Config
from swlb.config import Port as PortConfig
from swlb.devices import Tap, set_mtu, watch
from swlb.errors import PortError, SwlbError
from swlb.events import Events
from swlb.opening import HOST, Port, open_port, open_twin_port, opened_as, twin_devices, twins_of
from swlb.twins import Twin, extend, reduce

log = logging.getLogger("swlb")


class Prepared:
    """What `Ports.prepare` returns; to be closed, with or without a `commit` before. A `with` block closes at its end.

    `macs` are those of the segments: the MAC of one that stays is what it was, though its addresses have changed.
    `opened` are the devices by port name, in the order of the configuration. What stays is the very Port in use, and
    remains as it is until `commit`. `reached` are the segments to which a port comes: of the stations there some do
    not know swlb.
    """

    def __init__(
        self,
        config: Config,
        in_use: Mapping[str, Port],
        macs: Mapping[str, bytes],
        *,
        take: Callable[["Prepared", Built, Events], None],
    ) -> None:
        """`take` is called at `commit`, once what stays is as the configuration says."""
        self.config = config
        self.macs = {name: macs.get(name) or segment_mac(segment) for name, segment in config.segments.items()}
        self.opened: dict[str, Port] = {}
        self.segments: dict[str, tuple[str, ...]] = {}  # of every port
        self._mtus: dict[str, int] = {}  # of ports in use that are to have another
        self._in_use = in_use
        self._by_device = {(port.kind, port.device.netns, port.device.device): port for port in in_use.values()}
        self._twins = twins_of(config)
        self._take = take
        with ExitStack() as self._undo:
            self._open_ports()
            self._open_twins()
            self._undo = self._undo.pop_all()
        self.reached = self._reached()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def devices(self) -> dict[str, Opened]:
        """What the workers are to read and write."""
        return {name: opened_as(port, self._mtus.get(name, port.state.mtu)) for name, port in self.opened.items()}

    def commit(self, built: Built, events: Events) -> None:
        """The next configuration is in force: what stays is as it says, new ports listen, `close` closes what has left.

        To be called in the event loop's thread as soon as the workers have taken over, `built` being what they are
        now, and before anything else looks at the ports. Never raises PortError: there is no way back any more, so
        what fails is told in the log, and the rest is done.
        """
        self._undo.pop_all()
        staying = {id(port) for port in self.opened.values()}
        leaving = [port for port in self._in_use.values() if id(port) not in staying]
        for name, port in self.opened.items():
            with told():
                self._settle(name, port)
        self._take(self, built, events)
        for port in leaving:
            self._undo.callback(port.device.close)

    def close(self) -> None:
        """After `commit` what has left is closed; without it, everything is as it was before `prepare`.

        A device takes some 20 ms, so this may be called in a thread of its own. A second call does nothing.
        """
        self._undo.close()

    def _reached(self) -> list[str]:
        was_on = {id(port): port.segments for port in self._in_use.values()}
        came = (segment for name, port in self.opened.items() if port.kind != HOST
                for segment in self.segments[name] if segment not in was_on.get(id(port), ()))  # fmt: skip
        return list(dict.fromkeys(came))

    # ---- opening ----

    def _open_ports(self) -> None:
        for segment in self.config.segments.values():
            for port in self.config.ports_of(segment):
                self.segments[port.name] = (*self.segments.get(port.name, ()), segment.name)
        for name, segments in self.segments.items():
            self.opened[name] = self._port(self.config.ports[name], segments)

    def _port(self, port: PortConfig, segments: tuple[str, ...]) -> Port:
        present = self._by_device.get((port.kind, port.netns, port.device))
        if present is None:
            self._refuse_device_in_use(port)
        elif not _is_lost(present):
            if port.mtu != present.device.mtu:
                self._mtus[port.name] = port.mtu
            if port.mtu > present.device.mtu:
                self._undo.callback(_regain, present, present.device.mtu)
                set_mtu(present.device, port.mtu)
            return present
        like = present.device if present else None
        return self._opened(lambda: open_port(port, segments, queues=self.config.workers, like=like), lost=present)

    def _open_twins(self) -> None:
        present = {port.segments[0]: port for port in self._in_use.values() if port.kind == HOST}
        names = twin_devices(self.config, {segment: port.device.device for segment, port in present.items()})
        for segment, device in names.items():
            name = host_port_name(segment)
            self.segments[name] = (segment,)
            self.opened[name] = self._twin_port(segment, device, present.get(segment))

    def _twin_port(self, segment: str, device: str, present: Port | None) -> Port:
        twin, mac = self._twins[segment], self.macs[segment]
        if present is None or _is_lost(present):
            workers = self.config.workers
            return self._opened(lambda: open_twin_port(segment, device, twin, mac=mac, queues=workers), lost=present)
        if present.twin is not None and present.twin != twin:
            if present.twin.mtu != twin.mtu:
                self._mtus[host_port_name(segment)] = twin.mtu
            self._undo.callback(_withdraw, present, twin)
            extend(_tap(present), present.twin, twin)
        return present

    def _opened(self, opened: Callable[[], Port], *, lost: Port | None) -> Port:
        """The new device; where none is to be had in place of one that is lost, that one."""
        try:
            port = opened()
        except PortError as error:
            if lost is None:
                raise
            log.warning("%s; the port stays without a device", error)
            return lost
        self._undo.callback(port.device.close)
        return port

    def _refuse_device_in_use(self, port: PortConfig) -> None:
        """Raises where a port of another kind has the device, and gives it up too late."""
        for name, other in self._in_use.items():
            is_same = (other.device.netns, other.device.device) == (port.netns, port.device)
            if is_same and other.kind != HOST and not _is_lost(other):
                raise SwlbError(
                    f"port {port.name}: {port.device} is in use by port {name} until this configuration is in force:"
                    " choose another name for the device, or reload twice, first without the port"
                )

    # ---- what stays ----

    def _settle(self, name: str, port: Port) -> None:
        """The port is as the configuration says, and its device has no more than that."""
        port.segments = self.segments[name]
        port.device.port_name = port.segments[0] if port.kind == HOST else name
        if _is_lost(port):
            return
        if port.twin is not None and port.twin != self._twins[port.segments[0]]:
            before, port.twin = port.twin, self._twins[port.segments[0]]
            reduce(_tap(port), before, port.twin)
        elif self._mtus.get(name, port.device.mtu) != port.device.mtu:
            set_mtu(port.device, self._mtus[name])


def _is_lost(port: Port) -> bool:
    return not watch(port.device).present


def _tap(port: Port) -> Tap:
    assert isinstance(port.device, Tap), "a kernel twin is a TAP"
    return port.device


def _regain(port: Port, mtu: int) -> None:
    """The device has the MTU it had."""
    with told():
        set_mtu(port.device, mtu)


def _withdraw(port: Port, twin: Twin) -> None:
    """The kernel twin has what it had, which it still says, and nothing of what it was to have."""
    assert port.twin is not None
    with told():
        reduce(_tap(port), twin, port.twin)


@contextmanager
def told() -> Iterator[None]:
    """Within the block a failure of a device ends the block, and is a line in the log."""
    try:
        yield
    except PortError as error:
        log.warning("%s", error)

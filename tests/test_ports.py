"""Devices are watched: what the worker and the operator hear of them, and what a short host changes about that."""

import errno
import logging
from collections.abc import Mapping

import pytest
from control import CONFIG, Control, control

from swlb import ports
from swlb.config import parse
from swlb.devices import DeviceState, Tap
from swlb.errors import PortError
from swlb.ports import Port, Ports
from swlb.steering import SteeringError

UP = DeviceState(True, True, 1500, "swc0", (1, 1))
DOWN = DeviceState(True, False, 1500, "swc0", (1, 1))

TWO_WORKERS = CONFIG.replace("mode: routed\n", "mode: routed\nworkers: 2\n")


class Devices:
    """What `watch` finds: a state, or the errno of the call that failed."""

    def __init__(self) -> None:
        self.now: DeviceState | int = UP

    def watch(self, tap: Tap) -> DeviceState:
        if isinstance(self.now, int):
            error = OSError(self.now, "a reason")
            raise PortError(port=tap.port_name, device=tap.device, call="watch", error=error, advice="an advice")
        return self.now


@pytest.fixture
def devices(monkeypatch) -> Devices:
    devices = Devices()
    monkeypatch.setattr(ports, "watch", devices.watch)
    return devices


@pytest.fixture
def run(devices) -> Control:
    run = control()
    run.ports = Ports({"client": Port(Tap(-1, "client", "swc0", (), None, 1500, bytes(6)), "tap", "outside", UP)})
    return run


def look(run: Control) -> bool:
    """Whether the worker takes the port to be up after another look."""
    run.ports.look(run.built, run.events)
    return run.built.workers.port(run.built.ports["client"])["up"]


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_device_keeps_its_last_state_while_descriptors_are_short(run, devices, shortage):
    devices.now = shortage
    assert look(run)
    devices.now = DOWN
    assert not look(run)
    assert run.kinds() == ["port_down"]


def test_a_shortage_and_its_end_are_told_once(run, devices, caplog):
    caplog.set_level(logging.INFO)
    for devices.now in (UP, errno.EMFILE, errno.EMFILE, errno.ENFILE, UP, UP):
        look(run)
    assert [record.getMessage() for record in caplog.records] == [
        "port client (swc0): watch: a reason; an advice; until it passes, devices count as they were seen last",
        "devices are watched again",
    ]


def test_another_failure_is_none_to_live_with(run, devices):
    devices.now = errno.EPERM
    with pytest.raises(PortError):
        look(run)


# ---- steering ----


class Programs:
    """In place of Steering: which programs were loaded, and at which descriptors each is. Some refuse."""

    def __init__(self, *refusing: int) -> None:
        self.at: list[set[int]] = []
        self.refusing = refusing

    def load(self, roles: Mapping[bytes, int], *, key: int, n: int) -> "Programs":
        self.at.append(set())
        return self

    def attach(self, fd: int, *, ethernet: bool) -> None:
        if fd in self.refusing:
            raise SteeringError(errno.EBADFD, "TUNSETSTEERINGEBPF: a reason")
        self.at[-1].add(fd)

    def close(self) -> None:
        pass


def steered(monkeypatch, programs: Programs, *fds: int) -> Ports:
    monkeypatch.setattr(ports, "Steering", programs.load)
    taps = {str(fd): Tap((fd,), str(fd), f"sw{fd}", (), None, 1500, bytes(6)) for fd in fds}
    return Ports({name: Port(tap, "tap", "outside", UP, listens=True) for name, tap in taps.items()})


def test_what_does_not_change_is_not_steered_anew(monkeypatch):
    programs = Programs()
    all_ports = steered(monkeypatch, programs, 3, 4)
    for text in (TWO_WORKERS, TWO_WORKERS, TWO_WORKERS.replace("10.0.2.12", "10.0.2.13"), TWO_WORKERS):
        all_ports.listen(parse(text, file="test.yaml"), key=1)
    # The address that left keeps its role, so nothing changes when it comes back.
    assert programs.at == [{3, 4}, {3, 4}]


def test_a_port_that_comes_is_steered_to(monkeypatch):
    programs = Programs()
    all_ports = steered(monkeypatch, programs, 3)
    all_ports.listen(parse(TWO_WORKERS, file="test.yaml"), key=1)
    all_ports.opened |= steered(monkeypatch, programs, 5).opened
    all_ports.listen(parse(TWO_WORKERS, file="test.yaml"), key=1)
    assert programs.at == [{3}, {3, 5}]


def test_a_port_that_cannot_be_steered_to_is_told_and_the_others_are(monkeypatch, caplog):
    programs = Programs(4)
    steered(monkeypatch, programs, 3, 4, 5).listen(parse(TWO_WORKERS, file="test.yaml"), key=1)
    assert programs.at == [{3, 5}]
    assert "TUNSETSTEERINGEBPF: a reason" in caplog.text

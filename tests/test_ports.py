"""Devices are watched: what the worker and the operator hear of them, and what a short host changes about that."""

import errno
import logging

import pytest
from control import Control, control

from swlb import ports
from swlb.devices import DeviceState, Tap
from swlb.errors import PortError
from swlb.ports import Port, Ports

UP = DeviceState(True, True, 1500, "swc0", (1, 1))
DOWN = DeviceState(True, False, 1500, "swc0", (1, 1))


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

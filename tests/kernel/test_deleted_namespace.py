"""When the namespace that a TAP was moved to is deleted, the device goes with it and the file says so.

A device that the driver can create anew is not moved home, it is destroyed. From then on every call on the file
is EBADFD and poll reports POLLERR (alone: nothing to read, no room to write). The loop has to take the file out
of what it polls, or it spins. A poll that is asleep at that moment is woken only if it asks for POLLIN, although
POLLERR needs no asking: a port that is polled for nothing is not heard when it dies.

The deletion is done by a kernel thread, some time after `ip netns delete` is back.
"""

import errno
import os
import select
import subprocess
import threading

import pytest

pytestmark = pytest.mark.root


def delete(netns: str) -> None:
    subprocess.run(["ip", "netns", "delete", netns], check=True)


def polled(fd: int, events: int, timeout_ms: int) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(fd, events)
    return poll.poll(timeout_ms)


@pytest.fixture
def orphan(tap):
    """The TAP, after the kernel has taken its namespace down."""
    delete(tap.netns)
    assert polled(tap.fd, select.POLLIN, 5000), "five seconds after the deletion the device still exists"
    return tap


def test_read_is_ebadfd(orphan):
    with pytest.raises(OSError) as failure:
        os.read(orphan.fd, 70_000)
    assert failure.value.errno == errno.EBADFD


def test_write_is_ebadfd(orphan):
    with pytest.raises(OSError) as failure:
        orphan.write(bytes(70))
    assert failure.value.errno == errno.EBADFD


def test_poll_says_pollerr_and_nothing_else(orphan):
    assert polled(orphan.fd, select.POLLIN | select.POLLOUT, 0) == [(orphan.fd, select.POLLERR)]


@pytest.mark.parametrize(("events", "wakes"), [(select.POLLIN, True), (0, False)])
def test_a_sleeping_poll_is_woken_only_if_it_asks_for_pollin(tap, events, wakes):
    woken = threading.Event()

    def sleep_in_poll() -> None:
        polled(tap.fd, events, 1500)
        woken.set()

    sleeper = threading.Thread(target=sleep_in_poll)
    sleeper.start()
    try:
        # Long enough for the thread to fall asleep: it has nothing else to do.
        assert not woken.wait(0.2)
        delete(tap.netns)
        assert woken.wait(0.7) == wakes
    finally:
        sleeper.join()

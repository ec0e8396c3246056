"""The doors of a Worker that runs, and of one that no longer does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from swlb._testing_sessions import Sessions
from swlb._worker import Worker
from tests.ext.values import STATES, balancer, ip

PATIENCE_S = 5.0


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def sealed() -> Worker:
    return balancer(vips=(("10.0.0.100",),), servers=(("10.0.1.1",),))


def assert_answers(worker: Worker) -> None:
    """A call comes back."""
    asked = threading.Thread(target=worker.set_server, args=(0,), kwargs={"ready": 0, "weight": 1}, daemon=True)
    asked.start()
    asked.join(PATIENCE_S)
    assert not asked.is_alive()


def test_a_worker_answers_before_during_and_after_its_run() -> None:
    worker = sealed()
    assert_answers(worker)
    with running(worker):
        assert_answers(worker)
    assert_answers(worker)


def test_a_worker_that_was_stopped_before_its_run_does_not_run_and_answers() -> None:
    worker = sealed()
    worker.stop()
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert_answers(worker)


def test_a_worker_may_be_stopped_twice() -> None:
    worker = sealed()
    with running(worker):
        worker.stop()
    worker.stop()
    assert_answers(worker)


def test_a_stopped_worker_may_be_turned_by_hand() -> None:
    worker = sealed()
    with running(worker):
        pass
    assert worker.turn(10**12) == 0


@pytest.mark.parametrize("n", [0, 1, 511, 512, 513, 3000])
@pytest.mark.parametrize("family", [4, 6])
def test_slices_hold_every_session_once_and_never_many(family: int, n: int) -> None:
    worker = balancer(sessions=4000, vips=(("10.0.0.100", "fd00::100"),), servers=(("10.0.1.1", "fd00:1::1"),))
    table = Sessions(worker, family)
    client = ip("192.0.2.1" if family == 4 else "2001:db8::1")
    for i in range(n):
        table.insert(client, 1 + i, 6, 80, 0 if family == 4 else 1, 0, STATES["ESTABLISHED"])
    slices = list(worker.session_slices(now_ns=10**6))
    assert sorted(row[2] for rows in slices for row in rows) == list(range(1, n + 1))
    assert max(map(len, slices), default=0) <= 192
    assert worker.sessions(now_ns=10**6) == [row for rows in slices for row in rows]

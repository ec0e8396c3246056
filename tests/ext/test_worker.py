"""The doors of a Worker that runs, and of one that no longer does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from swlb._worker import Worker
from tests.ext.values import balancer

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

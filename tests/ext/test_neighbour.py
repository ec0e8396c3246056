"""The neighbour table and its waiting frames against a dict of lists, under random steps."""

import random
import time

import pytest

from swlb._testing_tables import Neighbours
from tests.ext.values import WRAP, ip, mac

STEPS = 20_000
LOOKED_AT = 32           # entries of which the one to be given up is chosen
INCOMPLETE, REACHABLE = 1, 2
A_NEIGHBOUR, IN_ALL = 64, 1024
MAC = mac("02:bb:00:00:00:01")


class Model:
    """key -> [alive at, frames that wait, known]; and frames that are ready, in order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: dict[tuple[int, bytes], list] = {}
        self.ready: list[int] = []
        self.overflows = 0

    def create(self, key: tuple[int, bytes], now: int) -> bool:
        if len(self.rows) == self.limit:
            idle = [k for k, (_, queue, _) in self.rows.items() if not queue]
            if not idle:
                return False
            victim = min(idle, key=lambda k: (self.rows[k][2], self.rows[k][0]))
            if self.rows[victim][2] and len(idle) < len(self.rows):
                return False
            del self.rows[victim]
        self.rows[key] = [now, [], False]
        return True

    def release(self, key: tuple[int, bytes]) -> None:
        self.ready += self.rows[key][1]
        self.rows[key][1] = []

    def wait(self, key: tuple[int, bytes], number: int) -> bool:
        queue = self.rows[key][1]
        if len(queue) == A_NEIGHBOUR:
            self.drop_first(queue)
        queues = [queue for _, queue, _ in self.rows.values() if queue]
        if sum(map(len, queues)) + len(self.ready) == IN_ALL:
            if not queues:
                return False
            self.drop_first(min(queues, key=lambda queue: queue[0]))
        queue.append(number)
        return True

    def drop_first(self, queue: list[int]) -> None:
        del queue[0]
        self.overflows += 1


@pytest.mark.parametrize("limit", [1, 8, LOOKED_AT])
def test_the_neighbour_table_does_what_a_dict_would(limit: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    table = Neighbours(limit, 60_000, (choose.getrandbits(64), choose.getrandbits(64)))
    model, states = Model(limit), {}
    now, number = WRAP - STEPS, 0
    for step in range(STEPS):
        # Each step has a time of its own, so that it is clear who was silent longest.
        now += choose.choice((1, 2))
        key = (choose.randrange(2), ip(f"10.0.0.{choose.randrange(limit + 3)}"))
        known, where, kind = key in model.rows, f"seed {seed}, step {step}", choose.random()
        if kind < 0.2 and not known:
            assert table.create(*key, now % WRAP) == model.create(key, now), where
            states[key] = INCOMPLETE
        elif kind < 0.7 and known and states[key] == INCOMPLETE:
            number += 1
            assert table.wait(*key, number) == model.wait(key, number), where
        elif kind < 0.72:
            assert table.alive(*key, MAC, now % WRAP) == known, where
            if known:
                model.release(key)
                model.rows[key][0], model.rows[key][2], states[key] = now, True, REACHABLE
        elif kind < 0.74:
            assert table.remove(*key) == known, where
            if known:
                model.release(key)
                del model.rows[key]
        elif kind < 0.8:
            for _ in range(choose.choice((1, 1, 100))):
                assert table.next() == (model.ready.pop(0) if model.ready else None), where
        found = table.find(*key)
        assert (found is None) == (key not in model.rows), where
        assert found is None or found[1:] == (states[key], len(model.rows[key][1])), where
        assert (len(table), table.overflows) == (len(model.rows), model.overflows), where
        if step % 100 == 0:
            assert table.audit() is None, where


def test_frames_leave_in_the_order_in_which_they_began_to_wait() -> None:
    table = Neighbours(4)
    table.create(0, ip("10.0.0.1"), 0)
    for number in range(1, 4):
        table.wait(0, ip("10.0.0.1"), number)
    table.alive(0, ip("10.0.0.1"), MAC, 0)
    assert [table.next() for _ in range(4)] == [1, 2, 3, None]


def test_the_oldest_frame_goes_when_too_many_wait_for_one_neighbour() -> None:
    table = Neighbours(4)
    table.create(0, ip("10.0.0.1"), 0)
    for number in range(1, 67):
        table.wait(0, ip("10.0.0.1"), number)
    table.alive(0, ip("10.0.0.1"), MAC, 0)
    assert table.overflows == 2
    assert table.next() == 3


def test_the_same_address_on_two_segments_is_two_neighbours() -> None:
    table = Neighbours(4)
    table.create(0, ip("10.0.0.1"), 0)
    table.alive(0, ip("10.0.0.1"), MAC, 0)
    assert table.find(1, ip("10.0.0.1")) is None


def test_a_neighbour_for_which_frames_wait_is_not_given_up() -> None:
    table = Neighbours(2)
    for host in ("10.0.0.1", "10.0.0.2"):
        table.create(0, ip(host), 0)
        table.wait(0, ip(host), 1)
    assert not table.create(0, ip("10.0.0.3"), 5)
    assert len(table) == 2


def test_one_that_never_answered_is_given_up_before_one_that_did() -> None:
    table = Neighbours(3)
    for i, host in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.3")):
        table.create(0, ip(host), i)
    table.alive(0, ip("10.0.0.1"), MAC, 0)
    assert table.create(0, ip("10.0.0.4"), 5)
    assert table.find(0, ip("10.0.0.1")) is not None
    assert table.find(0, ip("10.0.0.2")) is None


def test_one_that_answers_is_not_given_up_while_others_are_asked_for() -> None:
    table = Neighbours(2)
    table.create(0, ip("10.0.0.1"), 0)
    table.alive(0, ip("10.0.0.1"), MAC, 0)
    table.create(0, ip("10.0.0.2"), 0)
    table.wait(0, ip("10.0.0.2"), 1)
    assert not table.create(0, ip("10.0.0.3"), 5)
    table.alive(0, ip("10.0.0.2"), MAC, 6)
    assert table.create(0, ip("10.0.0.3"), 7)
    assert table.find(0, ip("10.0.0.1")) is None


def seconds_for_new_ones_when_full(limit: int) -> float:
    """How long 2,000 addresses take that come to a full table."""
    table = Neighbours(limit)
    hosts = [ip(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}") for i in range(limit + 2000)]
    for host in hosts[:limit]:
        table.create(0, host, 0)
    start = time.perf_counter()
    for host in hosts[limit:]:
        table.create(0, host, 0)
    return time.perf_counter() - start


def test_a_new_one_costs_no_more_in_a_large_full_table_than_in_a_small_one() -> None:
    small, large = seconds_for_new_ones_when_full(1000), seconds_for_new_ones_when_full(100_000)
    assert large < 20 * small


def test_all_of_a_large_table_are_looked_at_in_turn() -> None:
    table = Neighbours(100)
    for i in range(100):
        table.create(0, ip(f"10.0.0.{i}"), 0)
    for i in range(100):
        assert table.create(0, ip(f"10.0.1.{i}"), 1 + i)
    assert [i for i in range(100) if table.find(0, ip(f"10.0.0.{i}")) is not None] == []

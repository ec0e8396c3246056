"""What each scheduler is known for, in its exact order; that all of it holds at random is test_schedule_twin.py's."""

from collections import Counter
from math import sqrt

import pytest

from swlb._testing_schedule import Schedule
from swlb._testing_sessions import Sessions
from tests.ext.scheduled import CLIENT, PORT, UP, Pair, service_of
from tests.ext.values import STATES, ip


def named(scheduler: str, weights: tuple[int, ...], n: int) -> str:
    """The servers chosen one after the other, a for the first; none of the sessions is begun."""
    schedule = Schedule(service_of(scheduler, weights), 0, 4)
    return letters(schedule, n)


def letters(schedule: Schedule, n: int) -> str:
    return "".join("abcdefgh"[schedule.choose()] for _ in range(n))


def with_sessions(scheduler: str, weights: tuple[int, ...], active: tuple[int, ...],
                  inactive: tuple[int, ...] = ()) -> Pair:
    """Servers that have so many sessions already."""
    pair = Pair(scheduler, weights)
    for server, (a, i) in enumerate(zip(active, inactive or (0,) * len(active), strict=True)):
        for k in range(a + i):
            port = pair.begin(server)
            if k < a:
                pair.goes_to(port, "ESTABLISHED")
    return pair


def test_weighted_round_robin_has_no_bursts() -> None:
    assert named("wrr", (5, 1, 1), 14) == "aabacaa" * 2


def test_weighted_round_robin_of_equal_weights_is_round_robin() -> None:
    assert named("wrr", (7, 7, 7), 7) == "abcabca"


def test_weighted_round_robin_gives_each_its_weight_in_a_round_and_nearly_so_at_any_time() -> None:
    weights = (7, 1, 5, 3)
    chosen = named("wrr", weights, 16 * 4)
    assert Counter(chosen[:16]) == {"a": 7, "b": 1, "c": 5, "d": 3}
    assert chosen == chosen[:16] * 4
    for n in range(1, 65):
        for letter, weight in zip("abcd", weights, strict=True):
            assert abs(chosen[:n].count(letter) - n * weight / 16) < 1


def test_a_weight_changed_in_the_middle_of_a_round_neither_starves_nor_favours_anybody() -> None:
    worker = service_of("wrr", (100, 100, 100))
    schedule = Schedule(worker, 0, 4)
    letters(schedule, 4)
    for n in range(3):
        worker.set_server(n, ready=UP, weight=n + 1, now_ns=0)
    assert Counter(letters(schedule, 60)) == pytest.approx({"a": 10, "b": 20, "c": 30}, abs=1)


def test_a_server_that_returns_begins_without_credit() -> None:
    worker = service_of("wrr", (1, 1, 1))
    schedule = Schedule(worker, 0, 4)
    assert letters(schedule, 1) == "a"                     # b and c are owed one
    worker.set_server(1, ready=0, weight=1, now_ns=0)
    assert letters(schedule, 4) == "caca"
    worker.set_server(1, ready=UP, weight=1, now_ns=0)
    assert Counter(letters(schedule, 6)) == {"a": 2, "b": 2, "c": 2}


def test_round_robin_passes_a_server_over_until_its_shares_add_up() -> None:
    worker = service_of("rr", (1, 9, 1))
    schedule = Schedule(worker, 0, 4)
    worker.set_server(1, ready=UP, weight=9, share=64, now_ns=0)
    assert letters(schedule, 18) == "acacacabc" * 2
    worker.set_server(1, ready=UP, weight=9, now_ns=0)
    assert letters(schedule, 6) == "abcabc"


@pytest.mark.parametrize(("scheduler", "weights", "active", "inactive", "wanted"), [
    ("lc", (1, 1, 1), (3, 2, 2), (0, 0, 0), 1),
    ("lc", (1, 9, 1), (1, 2, 1), (0, 0, 0), 0),            # weights do not matter
    ("lc", (1, 1, 1), (1, 1, 1), (2, 1, 1), 1),            # inactive ones count little, but they count
    ("lc", (1, 1), (0, 1), (255, 0), 0),
    ("lc", (1, 1), (0, 1), (257, 0), 1),
    ("wlc", (1, 2, 3), (2, 4, 6), (0, 0, 0), 0),
    ("wlc", (1, 2, 3), (2, 4, 5), (0, 0, 0), 2),
    ("wlc", (1, 2, 3), (2, 3, 5), (0, 0, 0), 1),
    ("wlc", (1, 3), (1, 3), (1, 2), 1),
    ("sed", (1, 2, 3), (0, 0, 0), (9, 9, 9), 2),           # only established ones count
    ("sed", (1, 2, 3), (0, 0, 2), (0, 0, 0), 1),
    ("sed", (1, 2, 3), (0, 1, 2), (0, 0, 0), 0),
    ("nq", (1, 2, 3), (0, 0, 0), (9, 9, 9), 0),            # the first that is idle, however light
    ("nq", (1, 2, 3), (1, 0, 0), (0, 0, 0), 1),
    ("nq", (1, 2, 3), (1, 1, 1), (0, 0, 0), 2),
    ("fo", (1, 3, 3), (0, 9, 0), (0, 0, 0), 1),
    ("overflow", (1, 3, 2), (0, 3, 0), (0, 0, 0), 1),
    ("overflow", (1, 3, 2), (0, 4, 0), (0, 0, 0), 2),
    ("overflow", (1, 3, 2), (0, 4, 3), (0, 0, 0), 0),
])
def test_the_least_load_by_its_own_measure_of_equals_the_earlier(
        scheduler: str, weights: tuple[int, ...], active: tuple[int, ...], inactive: tuple[int, ...],
        wanted: int) -> None:
    pair = with_sessions(scheduler, weights, active, inactive)
    assert pair.choose() == (wanted, wanted)


def test_overflow_has_nobody_when_all_are_past_their_weight() -> None:
    pair = with_sessions("overflow", (1, 2), (2, 3))
    assert pair.choose() == (None, None)
    pair.end(pair.alive[0])
    assert pair.choose() == (0, 0)


def test_overflow_leaves_a_server_that_starts_slowly_the_room_of_its_share() -> None:
    pair = with_sessions("overflow", (1, 10), (0, 3))
    pair.set_server(1, share=51)                           # two of ten
    assert pair.choose() == (0, 0)
    pair.set_server(1, share=52)                           # a bit more is three
    assert pair.choose() == (1, 1)


@pytest.mark.parametrize("scheduler", ["sed", "nq", "overflow"])
def test_of_datagrams_every_session_counts_as_active(scheduler: str) -> None:
    worker = service_of(scheduler, (2, 2), protocol="udp")
    sessions, schedule, chosen = Sessions(worker, 4), Schedule(worker, 0, 4), []
    for port in range(1, 7):
        chosen.append(schedule.choose())
        assert sessions.insert(CLIENT, port, 17, PORT, chosen[-1], 0, STATES["TWO_WAY"])
    assert sorted(chosen) == [0, 0, 0, 1, 1, 1]


def test_a_server_at_the_end_of_a_tunnel_has_one_load_for_clients_of_both_families() -> None:
    worker = service_of("lc", (1, 1), forward="ipip")
    four, six = Schedule(worker, 0, 4), Schedule(worker, 0, 6)
    assert (four.choose(), six.choose()) == (0, 0)
    assert Sessions(worker, 6).insert(ip("2001:db8::1"), 1, 6, PORT, 0, 0, STATES["ESTABLISHED"])
    assert (four.choose(), six.choose()) == (1, 1)


@pytest.mark.parametrize("limit", [1, 255, 256])
@pytest.mark.parametrize("scheduler", ["rr", "lc"])
def test_a_server_is_full_with_just_as_many_sessions_as_it_may_have(scheduler: str, limit: int) -> None:
    pair = Pair(scheduler, (1, 1))
    pair.set_server(0, limit=limit, lower=limit)
    ports = [pair.begin(0) for _ in range(limit - 1)]
    assert pair.schedule.takers() == [0, 1]
    ports.append(pair.begin(0))
    assert pair.schedule.takers() == [1]
    pair.end(ports[0])
    assert pair.schedule.takers() == [0, 1]


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[n] - wanted) ** 2 / wanted for n, wanted in expected.items())


def far_out(degrees: int) -> float:
    """A value that chance exceeds once in ten thousand million times (Wilson and Hilferty 1931: 6.4 deviations)."""
    return degrees * (1 - 2 / (9 * degrees) + 6.4 * sqrt(2 / (9 * degrees))) ** 3


@pytest.mark.parametrize("weights", [(1, 1), (5, 1, 1), (1,) * 100, tuple(range(1, 21)), (65535, 100, 30000)])
def test_two_choices_of_idle_servers_follow_the_weights(weights: tuple[int, ...]) -> None:
    schedule, n, total = Schedule(service_of("p2c", weights), 0, 4), 200_000, sum(weights)
    # Of idle servers the first drawn wins.
    counts = Counter(schedule.choose() for _ in range(n))
    expected = {server: n * weight / total for server, weight in enumerate(weights)}
    assert chi_square(counts, expected) < far_out(len(weights) - 1), counts


def test_two_choices_take_the_less_loaded_of_two_independent_draws() -> None:
    pair, n = with_sessions("p2c", (1, 1, 1, 1), (0, 1, 2, 3)), 200_000
    # The k-th least loaded of four wins when both draws are at least it, and not both beyond it.
    expected = {k: n * ((4 - k) ** 2 - (3 - k) ** 2) / 16 for k in range(4)}
    counts = Counter(pair.schedule.choose() for _ in range(n))
    assert chi_square(counts, expected) < far_out(3), counts


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "wlc", "sed", "nq", "p2c", "fo", "overflow"])
def test_a_thousand_servers_are_as_many(scheduler: str) -> None:
    pair = Pair(scheduler, tuple(1 + n * 7919 % 100 for n in range(1000)), sessions=5000)
    pair.schedule.seed(0)
    for k in range(600):
        if k % 30 == 0:
            pair.set_server(k * 31 % 1000, weight=k % 7, share=1 + k % 256)
        port = pair.begin(pair.take_named())
        if k % 3:
            pair.goes_to(port, "ESTABLISHED")
    pair.audit()


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "wlc", "sed", "nq", "p2c", "fo", "overflow"])
def test_one_server_is_always_named(scheduler: str) -> None:
    assert named(scheduler, (3,), 4) == "aaaa"

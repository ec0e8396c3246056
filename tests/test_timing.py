"""swlb/timing.py: what it says in advance is what happens, to the millisecond: swlb/health.py is run to see.

The judge tries moments at which a server fails, or is well again, with chance at its worst and at its best and between.
"""

import math
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swlb.config import Check
from swlb.health import Health, Transition
from swlb.timing import EITHER, KINDS, Bounds, bounds, rule
from tests.oracle.health import Rules

JUST_AFTER = 1e-6
MARGIN = 1e-5
NO_TIE = 0.0037  # where two rules strike at one moment, floats decide which is told
Draw = Callable[[], float]
# Chance from its beginning: shortest waits, longest ones, and such as come.
CHANCES: tuple[Callable[[], Draw], ...] = (
    lambda: lambda: 0.0,
    lambda: lambda: 1.0,
    lambda: random.Random(7).random,
)


class Verdict(NamedTuple):
    ok: bool
    status: str = ""


def told(
    rules: Rules, took: float, chance: Callable[[], Draw], *, fails: float = math.inf, heals: float = math.inf
) -> Iterator[tuple[float, Transition | None]]:
    """When each probe begins (None) and the state changes, for ever.

    The server is well from 0 on but between those two moments; a failed probe takes so long, a good one nothing.
    """
    server, now = Health(rules, now=0.0, draw=chance()), 0.0
    ends, ok = None, True
    while True:
        moments = (server.next_probe_at, server.strikes_at, ends)
        now = max(now, min(moment for moment in moments if moment is not None))
        changes = [server.tick(now)]
        if ends is not None and now >= ends:
            changes.append(server.report(Verdict(ok), now))
            ends = None
        elif ends is None and now >= server.next_probe_at:
            server.begin(now)
            ok = not fails <= now < heals
            ends = now if ok else now + took
            yield now, None
        yield from ((now, change) for change in changes if change is not None)


def chosen(events: Iterator[tuple[float, Transition | None]], *firsts: float) -> Iterator[float]:
    """Moments right after each of `firsts`, and at, right after and between the few probes that begin from then on."""
    starts = (at for at, change in events if change is None)
    for first in firsts:
        yield first + JUST_AFTER
        for at in islice((at for at in starts if at > first), 3):
            yield from (at, at + JUST_AFTER, at + 0.0123)


def detected(rules: Rules, kind: str) -> list[tuple[float, Transition]]:
    """After how long a server was down, and why, for many moments at which it may fail."""
    found, took = [], rules.response if kind != "refused" else 0.0
    for chance in CHANCES:
        for fails in chosen(told(rules, took, chance), 0.0, rules.hold_down):
            events = told(rules, took, chance, fails=fails)
            found.append(next((at - fails, change) for at, change in events if change and change.new == "down"))
    return found


def recovered(rules: Rules, kind: str) -> list[float]:
    """After how long a server was up again, for many moments at which it may be well again."""
    found, took = [], rules.response if kind != "refused" else 0.0
    fails = rules.hold_down + rules.interval * 2.5
    for chance in CHANCES:
        down = next(at for at, change in told(rules, took, chance, fails=fails) if change and change.new == "down")
        for heals in chosen(told(rules, took, chance, fails=fails), down, down + rules.hold_down):
            events = told(rules, took, chance, fails=fails, heals=heals)
            found.append(next(at - heals for at, change in events if change and change.old == "down"))
    return found


def tenths(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda n: n / 10)


RULES = st.builds(
    Rules,
    interval=tenths(1, 50),
    response=tenths(1, 40),
    retries=st.integers(1, 5),
    timeout=st.none() | tenths(0, 150).map(lambda timeout: timeout + NO_TIE),
    dead_interval=tenths(1, 100),
    rise=st.integers(1, 4),
    initial=st.just("checking"),
    fast_interval=st.none() | tenths(1, 20),
    jitter=st.sampled_from([0.0, 0.1, 0.5]),
    hold_down=st.just(0.0) | tenths(1, 400),
)


@settings(max_examples=100, deadline=None, print_blob=True)
@given(rules=RULES, kind=st.sampled_from(KINDS))
def test_a_server_is_down_within_the_bounds_and_both_are_reached(rules, kind):
    said, took = bounds(rules, kind), [seconds for seconds, _ in detected(rules, kind)]
    assert said.detect_best - MARGIN <= min(took) <= said.detect_best + MARGIN
    assert said.detect_worst - MARGIN <= max(took) <= said.detect_worst + MARGIN


@settings(max_examples=100, deadline=None, print_blob=True)
@given(rules=RULES, kind=st.sampled_from(KINDS))
def test_a_server_is_up_again_within_the_bounds_and_both_are_reached(rules, kind):
    said, took = bounds(rules, kind), recovered(rules, kind)
    assert said.recover_best - MARGIN <= min(took) <= said.recover_best + MARGIN
    assert said.recover_worst - MARGIN <= max(took) <= said.recover_worst + MARGIN


@settings(max_examples=100, deadline=None, print_blob=True)
@given(rules=RULES, kind=st.sampled_from(KINDS))
def test_the_rule_that_is_said_to_strike_is_the_one_that_does(rules, kind):
    causes = {change.cause for _, change in detected(rules, kind)}
    assert causes <= ({"retries", "timeout"} if rule(rules, kind) == EITHER else {rule(rules, kind)})


@pytest.mark.parametrize(
    ("check", "kind", "said"),
    [
        (Check(), "refused", Bounds(4, 6, 10, 20)),
        (Check(), "silent", Bounds(5, 7, 10, 21)),
        (Check(), "slow", Bounds(5, 7, 10, 21)),
        (Check(timeout=60), "silent", Bounds(5, 7, 10, 21)),
        (Check(interval=10), "silent", Bounds(5, 15, 10, 21)),
        (Check(interval=1, response=3, retries=2, timeout=60), "silent", Bounds(6, 7, 10, 23)),
        (Check(interval=2, response=3, retries=2, timeout=60), "silent", Bounds(7, 9, 10, 23)),
        (Check(interval=1, timeout=0), "silent", Bounds(1, 2, 10, 21)),
        (Check(fast_interval=0.5), "refused", Bounds(1, 3, 0.5, 10.5)),
        (Check(jitter=0.5, timeout=60), "refused", Bounds(2, 9, 5, 30)),
        (Check(hold_down=60), "refused", Bounds(4, 60, 10, 60)),
        (Check(hold_down=1), "refused", Bounds(4, 6, 10, 20)),
    ],
)
def test_bounds_as_one_would_work_them_out_by_hand(check, kind, said):
    assert bounds(check, kind) == pytest.approx(said)


@pytest.mark.parametrize(
    ("check", "kind", "strikes"),
    [
        (Check(), "refused", "retries"),
        (Check(), "silent", "timeout"),
        (Check(retries=1, timeout=0), "silent", "retries"),
        (Check(interval=2, timeout=4, jitter=0.1), "refused", "retries or timeout"),
    ],
)
def test_the_rule_that_strikes_first_is_told(check, kind, strikes):
    assert rule(check, kind) == strikes

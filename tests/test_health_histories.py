"""swlb/health.py on random histories, judged by tests/oracle/health.py and by HAProxy's counter.

Time moves in steps of a quarter of a second, so that sums are exact and moments often coincide.
"""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from swlb.health import Health
from tests.oracle import health as oracle
from tests.oracle.health import Rules

STEP = 0.25


class Verdict(NamedTuple):
    ok: bool | None
    status: str


VERDICTS = {True: Verdict(True, "L4OK"), False: Verdict(False, "L4TOUT"), None: Verdict(None, "L4CON")}


class Planned(NamedTuple):
    """What the next probe will do: how it ends, how long it takes, how late it starts."""

    ok: bool | None
    took: float
    late: float


def steps(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda n: n * STEP)


RULES = st.builds(
    Rules,
    interval=steps(1, 12),
    response=st.just(16 * STEP),
    retries=st.integers(1, 4),
    timeout=st.none() | steps(1, 30),
    dead_interval=steps(1, 12),
    rise=st.integers(1, 4),
    initial=st.sampled_from(["up", "down", "checking"]),
    fast_interval=st.none() | steps(1, 8),
    jitter=st.just(0.0),
    hold_down=st.just(0.0) | steps(1, 60),
)
ENDS = st.sampled_from([True, False, True, False, None])
# Later than LATE_S by nothing: what becomes of that is in test_late.py.
PLANS = st.lists(st.builds(Planned, ENDS, steps(1, 16), steps(0, 1)), min_size=1, max_size=25)


@settings(max_examples=500, deadline=None, print_blob=True)
@given(rules=RULES, plan=PLANS)
def test_any_history_leads_where_the_rules_say(rules, plan):
    server, done, left = Health(rules, now=0.0), [], list(plan)
    flying, began, now = None, 0.0, 0.0
    while left or flying:
        server.tick(now)
        if flying and now == began + flying.took:
            server.report(VERDICTS[flying.ok], now)
            done.append(oracle.Probe(began, now, flying.ok))
            flying = None
        if done and not flying:
            assert server.next_probe_at == oracle.next_start(rules, done, now)
        if left and not flying and now >= server.next_probe_at + left[0].late:
            flying, began = left.pop(0), now
            server.begin(now)
        state = oracle.changes(rules, done, now)[-1]
        assert (server.operational, server.since) == (state.state, state.moment)
        now += STEP


@settings(max_examples=300, deadline=None, print_blob=True)
@given(oks=st.lists(st.booleans(), max_size=60), rise=st.integers(1, 5), fall=st.integers(1, 5))
def test_without_a_timeout_the_states_are_those_of_haproxys_counter(oks, rise, fall):
    """HAProxy's one integer from 0 to rise+fall-1 (check.c), fully up at the start: another's words for our rule."""
    server = Health(Rules(initial="up", retries=fall, rise=rise), now=0.0)
    counter = rise + fall - 1
    for second, ok in enumerate(oks):
        server.begin(float(second))
        server.report(VERDICTS[ok], float(second))
        counter = max(0, min(rise + fall - 1, counter + (1 if ok else -1)))
        if ok and counter >= rise:
            counter = rise + fall - 1
        if not ok and counter < rise:
            counter = 0
        assert (server.operational == "up") == (counter >= rise)

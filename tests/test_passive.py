"""swlb/passive.py: one sentence of its table a test, and random histories judged by tests/oracle/passive.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swlb.passive import Evidence, Passive, Seen
from tests.oracle import passive as oracle
from tests.oracle.passive import Look, Rules, Turn

STEP = 0.25  # sums are exact, and moments often coincide
LATE_AFTER = 6.0
ONE, ANSWER = Seen(silent=1), Seen(answered=1)


def passive(**rules: object) -> Passive:
    return Passive(Rules(**rules), late_after=LATE_AFTER, now=0.0)


def held_and_back(server: Passive, now: float) -> float:
    """The server has been held, and is on trial from the moment that is returned."""
    server.hold(now)
    until = server.held_until
    assert until is not None
    assert server.tick(until)
    return until


def test_so_many_failures_within_the_time_are_evidence():
    server = passive(failures=3, within=10.0)
    assert [server.look(ONE, at) for at in (0.0, 5.0)] == [None, None]
    assert server.look(ONE, 9.0) == Evidence(silent=3, refused=0, within=10.0)


def test_failures_are_forgotten_when_their_time_is_over():
    server = passive(failures=3, within=10.0)
    assert [server.look(ONE, at) for at in (0.0, 5.0, 10.0, 20.0)] == [None] * 4


def test_an_answer_forgives_the_failures_before_and_beside_it():
    server = passive(failures=3)
    server.look(Seen(silent=2), 0.0)
    assert server.look(Seen(answered=1, silent=9, refused=9), 1.0) is None
    assert server.look(Seen(silent=2), 2.0) is None


def test_refused_and_unanswered_clients_count_together():
    assert passive(failures=3).look(Seen(silent=1, refused=2), 0.0) == Evidence(silent=1, refused=2, within=10.0)


@pytest.mark.parametrize(("evidence", "reason"), [
    (Evidence(silent=3), "L4TOUT"), (Evidence(refused=3), "L4CON"), (Evidence(silent=1, refused=2), "L4CON"),
    (Evidence(silent=2, refused=2), "L4TOUT"), (Evidence(lost=True), "L2TOUT"),
])
def test_the_reason_is_what_most_clients_met(evidence, reason):
    assert evidence.reason == reason


def test_evidence_is_not_given_twice_for_the_same_failures():
    server = passive(failures=2)
    assert [bool(server.look(ONE, float(at))) for at in range(4)] == [False, True, False, True]


def test_late_failures_count_only_when_nobody_was_answered_since_they_began():
    server = passive(failures=1)
    assert server.look(Seen(late=5), LATE_AFTER - STEP) is None
    assert server.look(Seen(late=5), LATE_AFTER) is not None
    server.look(ANSWER, 10.0)
    assert server.look(Seen(late=5), 10.0 + LATE_AFTER - STEP) is None


def test_late_failures_of_before_the_hold_do_not_count_after_it():
    server = passive(failures=1, back_off=5.0)
    back = held_and_back(server, 100.0)
    assert server.look(Seen(late=5), back + LATE_AFTER - STEP) is None


def test_a_held_server_is_held_for_its_back_off():
    server = passive(back_off=5.0)
    server.hold(100.0)
    assert server.held_until == 105.0
    assert [server.tick(now) for now in (104.75, 105.0, 105.25)] == [False, True, False]
    assert server.held_until is None


def test_nothing_is_evidence_against_a_server_that_is_held():
    server = passive(failures=1)
    server.hold(0.0)
    assert server.look(Seen(silent=9), 1.0) is None


def test_on_trial_one_failure_is_enough():
    server = passive(failures=3)
    back = held_and_back(server, 0.0)
    assert server.look(ONE, back + 1.0) == Evidence(silent=1, within=0.0)


def test_the_back_off_doubles_up_to_its_maximum_while_trials_fail():
    server, now, lengths = passive(back_off=5.0, back_off_max=30.0), 0.0, []
    for _ in range(5):
        before, now = now, held_and_back(server, now)
        lengths.append(now - before)
    assert lengths == [5.0, 10.0, 20.0, 30.0, 30.0]


def test_a_trial_that_is_answered_halves_the_back_off_and_ends():
    server = passive(failures=2, back_off=5.0, back_off_max=40.0)
    now = 0.0
    for _ in range(3):
        now = held_and_back(server, now)
    server.look(ANSWER, now + 1.0)
    assert (server.back_off, server.look(ONE, now + 2.0)) == (10.0, None)


def test_a_back_off_goes_on_shrinking_while_answers_come_but_not_below_the_first():
    server = passive(back_off=5.0, back_off_max=40.0)
    now, lengths = 0.0, []
    for _ in range(4):
        now = held_and_back(server, now)
    for second in range(61):
        server.look(ANSWER, now + second)
        lengths.append(server.back_off)
    # 20 at once; 10 after 20 s more, 5 after another 10, and no less.
    assert [lengths.count(length) for length in (20.0, 10.0, 5.0)] == [20, 10, 31]


def test_a_server_that_is_released_early_is_on_trial():
    server = passive(failures=3)
    server.hold(0.0)
    server.release(1.0)
    assert (server.held_until, bool(server.look(ONE, 2.0))) == (None, True)


def test_an_answer_clears_a_suspect():
    server = passive()
    server.suspect = True
    server.look(ONE, 0.0)
    assert server.suspect
    server.look(ANSWER, 1.0)
    assert not server.suspect


def steps(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda n: n * STEP)


RULES = st.builds(Rules, failures=st.integers(1, 4), within=steps(1, 40), back_off=steps(1, 20),
                  back_off_max=steps(20, 200))
FEW = st.just(0) | st.integers(0, 3)
SEEN = st.builds(Seen, answered=st.just(0) | st.just(0) | st.integers(0, 2), silent=FEW, refused=FEW, late=FEW)
PLANS = st.lists(st.tuples(steps(1, 12), SEEN), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(rules=RULES, plan=PLANS, holds=st.booleans())
def test_any_history_leads_where_the_rules_say(rules, plan, holds):
    server, looks, turns, now = Passive(rules, late_after=LATE_AFTER, now=0.0), [], [], 0.0
    back_off, eased = rules.back_off, 0.0
    for gap, seen in plan:
        now += gap
        is_held = bool(turns) and turns[-1].what == "held"
        trial_before = oracle.is_on_trial(looks, turns)
        looks.append(Look(now, *seen))
        evidence = server.look(seen, now)
        if seen.answered and (trial_before or (not is_held and now - eased >= back_off)):
            back_off, eased = max(back_off / 2, rules.back_off), now
        silent, refused = oracle.failures_at(rules, looks, turns, LATE_AFTER)
        enough = silent + refused >= (1 if trial_before else rules.failures)
        if seen.answered or is_held or not enough:
            assert evidence is None
        else:
            assert (evidence.silent, evidence.refused) == (silent, refused)
            turns.append(Turn(now, "held" if holds else "cleared"))
            if holds:
                server.hold(now)
                back_off = min(2 * back_off, rules.back_off_max) if trial_before else back_off
        over = is_held and now >= turns[-1].moment + back_off
        assert server.tick(now) == over
        if over:
            turns.append(Turn(now, "returned"))
            eased = now
        assert server.back_off == back_off

"""swlb/health.py: what hurries and what steadies a check. fast_interval, jitter, hold_down, probes that say nothing."""

import pytest

from swlb.health import Health, Transition
from tests.oracle.health import Rules
from tests.test_health import OK, REFUSED, SILENT, Verdict, health, probe

NOTHING = Verdict(None, "L4CON")


# fast_interval


def test_a_failing_server_that_is_up_is_asked_in_fast_intervals():
    server = health(initial="up", interval=2.0, fast_interval=0.5)
    probe(server, REFUSED, began=2.0)
    assert server.next_probe_at == 2.5


def test_a_success_ends_the_hurry():
    server = health(initial="up", interval=2.0, fast_interval=0.5)
    probe(server, REFUSED, began=2.0)
    probe(server, OK, began=2.5)
    assert server.next_probe_at == 4.5


def test_a_server_that_answers_while_down_is_asked_in_fast_intervals_from_start_to_start():
    server = health(initial="down", rise=3, dead_interval=10.0, fast_interval=0.5)
    probe(server, OK, began=10.0, took=0.25)
    assert server.next_probe_at == 10.5


def test_dead_interval_holds_again_after_a_failure_while_down():
    server = health(initial="down", rise=3, dead_interval=10.0, fast_interval=0.5)
    probe(server, OK, began=10.0)
    probe(server, SILENT, began=10.5, took=1.0)
    assert server.next_probe_at == 21.5


@pytest.mark.parametrize("outcome", [OK, REFUSED])
def test_a_server_that_has_just_changed_is_in_no_hurry(outcome):
    server = health(initial="checking", interval=2.0, dead_interval=10.0, fast_interval=0.5)
    probe(server, outcome, began=0.0)
    assert server.next_probe_at == (2.0 if outcome.ok else 10.0)


def test_a_start_that_falls_into_a_probe_is_skipped_in_fast_intervals_too():
    server = health(initial="up", interval=2.0, response=1.0, fast_interval=0.4)
    probe(server, SILENT, began=2.0, took=1.0)
    assert server.next_probe_at == pytest.approx(3.2)


# jitter


def varied(draw: float, *, outcome: Verdict = OK, **rules: object) -> Health:
    """After one probe from 0 to 1, chance having drawn that number."""
    server = Health(Rules(jitter=0.2, **rules), now=0.0, draw=lambda: draw)
    probe(server, outcome, began=0.0, took=1.0)
    return server


@pytest.mark.parametrize(("draw", "start"), [(0.0, 8.0), (0.25, 9.0), (0.5, 10.0), (1.0, 12.0)])
def test_jitter_makes_a_wait_shorter_or_longer_by_up_to_its_share(draw, start):
    assert varied(draw, initial="up", interval=10.0).next_probe_at == pytest.approx(start)


@pytest.mark.parametrize(("draw", "start"), [(0.0, 9.0), (0.5, 11.0), (1.0, 13.0)])
def test_jitter_varies_the_gap_while_down(draw, start):
    assert varied(draw, initial="down", dead_interval=10.0).next_probe_at == pytest.approx(start)


@pytest.mark.parametrize(("draw", "start"), [(0.0, 1.6), (1.0, 2.4)])
def test_jitter_varies_the_fast_interval(draw, start):
    server = varied(draw, outcome=SILENT, initial="up", interval=10.0, fast_interval=2.0)
    assert server.next_probe_at == pytest.approx(start)


def test_jitter_never_makes_probes_overlap():
    """A start that has come before the probe's end is one that is due at its end."""
    server = Health(Rules(jitter=0.5, initial="up", interval=1.0, response=1.0), now=0.0, draw=lambda: 0.0)
    server.begin(0.0)
    assert server.next_probe_at is None
    server.report(OK, 0.9)
    assert server.next_probe_at == 0.5
    server.begin(0.9)
    assert server.next_probe_at is None


def test_without_jitter_chance_changes_nothing():
    starts = set()
    for draw in (0.0, 1.0):
        server = Health(Rules(initial="up", interval=10.0), now=0.0, draw=lambda draw=draw: draw)
        probe(server, OK, began=0.0)
        starts.add(server.next_probe_at)
    assert starts == {10.0}


# hold_down


def up_since(moment: float, **rules: object) -> Health:
    """Up since that moment, after having been checked."""
    server = health(now=moment, initial="checking", **rules)
    probe(server, OK, began=moment)
    return server


def test_the_first_decision_is_never_held():
    server = health(initial="checking", hold_down=30.0)
    assert probe(server, REFUSED, began=0.0) == Transition("checking", "down", "L4CON", "first probe")


@pytest.mark.parametrize("initial", ["up", "down"])
def test_the_first_change_of_an_initial_state_is_not_held_either(initial):
    server = health(initial=initial, hold_down=30.0, retries=1, rise=1)
    assert probe(server, REFUSED if initial == "up" else OK, began=1.0) is not None


def test_a_change_that_falls_due_too_soon_is_held_and_carried_out_at_its_moment():
    server = up_since(0.0, hold_down=30.0, retries=2)
    for began in (2.0, 4.0):
        assert probe(server, REFUSED, began=began) is None
    assert (server.operational, server.strikes_at, server.tick(29.999)) == ("up", 30.0, None)
    assert server.tick(30.0) == Transition("up", "down", "L4CON", "retries", held_s=26.0)


def test_a_held_change_is_forgotten_when_a_probe_speaks_against_it():
    server = up_since(0.0, hold_down=30.0, retries=2)
    for i, outcome in enumerate([REFUSED, REFUSED, OK]):
        probe(server, outcome, began=2.0 + 2 * i)
    assert (server.strikes_at, server.tick(30.0), server.operational) == (None, None, "up")


def test_probes_go_on_while_a_change_is_held():
    server = up_since(0.0, hold_down=30.0, retries=1, interval=2.0)
    probe(server, REFUSED, began=2.0)
    assert server.next_probe_at == 4.0
    probe(server, SILENT, began=4.0)
    assert server.tick(30.0) == Transition("up", "down", "L4TOUT", "retries", held_s=28.0)


def test_a_timeout_is_held_too():
    server = up_since(0.0, hold_down=30.0, retries=9, timeout=5.0)
    probe(server, SILENT, began=2.0, took=1.0)
    assert server.tick(7.0) is None
    assert server.tick(30.0) == Transition("up", "down", "L4TOUT", "timeout", held_s=23.0)


def test_what_fell_due_first_is_the_cause_of_a_held_change():
    server = up_since(0.0, hold_down=30.0, retries=2, timeout=5.0, interval=8.0)
    for began in (8.0, 16.0):
        probe(server, REFUSED, began=began)
        server.tick(began + 7.0)
    assert server.tick(30.0).cause == "timeout"


def test_coming_back_is_held_too():
    server = health(initial="up", hold_down=30.0, retries=1, rise=1, interval=2.0, dead_interval=3.0)
    probe(server, REFUSED, began=100.0)
    probe(server, OK, began=103.0)
    assert (server.operational, server.strikes_at) == ("down", 130.0)
    assert server.tick(130.0) == Transition("down", "up", "L4OK", "rise", held_s=27.0)


def test_a_change_after_hold_down_is_not_held():
    server = up_since(0.0, hold_down=30.0, retries=1)
    assert probe(server, REFUSED, began=30.0) == Transition("up", "down", "L4CON", "retries")


def test_a_held_change_is_carried_out_while_a_probe_is_in_flight():
    server = up_since(0.0, hold_down=30.0, retries=1, rise=1)
    probe(server, REFUSED, began=2.0)
    server.begin(29.5)
    assert server.tick(30.0) is not None
    server.report(OK, 30.5)
    assert (server.operational, server.strikes_at) == ("down", 60.0)


def test_flapping_changes_the_state_no_more_often_than_hold_down_allows():
    """A server that is well for a minute, and then for a minute is not, for an hour."""
    server = up_since(0.0, hold_down=600.0, retries=3, interval=2.0, dead_interval=2.0)
    changes, now = [], 0.0
    while now < 3600:
        now = min(moment for moment in (server.next_probe_at, server.strikes_at) if moment is not None)
        change = server.tick(now)
        if server.next_probe_at <= now:
            change = probe(server, OK if int(now / 60) % 2 == 0 else REFUSED, began=now) or change
        changes += [now] if change else []
    assert changes
    assert all(later - earlier >= 600 for earlier, later in zip([0.0, *changes], changes, strict=False))


# Probes that say nothing


@pytest.mark.parametrize("initial", ["up", "down", "checking"])
def test_a_probe_that_says_nothing_changes_nothing(initial):
    server = health(initial=initial, retries=1, rise=1)
    assert probe(server, NOTHING, began=0.0) is None
    assert (server.operational, server.streak, server.timeout_at) == (initial, 0, None)


@pytest.mark.parametrize(("initial", "start"), [("up", 2.0), ("checking", 2.0), ("down", 11.0)])
def test_the_next_probe_after_one_that_says_nothing_is_as_usual(initial, start):
    server = health(initial=initial, interval=2.0, dead_interval=10.0)
    probe(server, NOTHING, began=0.0, took=1.0)
    assert server.next_probe_at == start


def test_a_probe_that_says_nothing_ends_no_streak():
    server = health(initial="up", retries=2)
    for i, outcome in enumerate([REFUSED, NOTHING]):
        assert probe(server, outcome, began=2.0 * i) is None
    assert probe(server, REFUSED, began=4.0) == Transition("up", "down", "L4CON", "retries")


def test_a_probe_that_says_nothing_does_not_stop_the_timeout():
    server = health(initial="up", retries=9, timeout=5.0)
    probe(server, REFUSED, began=0.0)
    probe(server, NOTHING, began=2.0)
    assert server.tick(5.0) == Transition("up", "down", "L4CON", "timeout")

"""swlb/health.py: one sentence of the contract a test. Random histories are in test_health_histories.py."""

from typing import NamedTuple

import pytest

from swlb.health import Health, Transition
from tests.oracle.health import Rules


class Verdict(NamedTuple):
    ok: bool
    status: str


OK = Verdict(True, "L4OK")
REFUSED = Verdict(False, "L4CON")
SILENT = Verdict(False, "L4TOUT")


def health(*, now: float = 0.0, **rules: object) -> Health:
    return Health(Rules(**rules), now=now)


def probe(server: Health, outcome: Verdict, *, began: float, took: float = 0.0) -> Transition | None:
    server.begin(began)
    return server.report(outcome, began + took)


def test_checking_is_neither_up_nor_down_before_the_first_probe_is_decided():
    server = health(initial="checking")
    server.begin(0.0)
    assert (server.operational, server.reason) == ("checking", "INI")


@pytest.mark.parametrize(("outcome", "new"), [(OK, "up"), (REFUSED, "down")])
def test_one_result_decides_from_checking(outcome, new):
    server = health(initial="checking", retries=3, rise=2)
    assert probe(server, outcome, began=0.0) == Transition("checking", new, outcome.status, "first probe")


@pytest.mark.parametrize("initial", ["up", "down", "checking"])
def test_a_server_starts_in_its_initial_state(initial):
    assert health(initial=initial).operational == initial


def test_initial_given_at_the_start_goes_before_the_configured_one():
    assert Health(Rules(initial="up"), now=0.0, initial="checking").operational == "checking"


def test_the_first_probe_is_due_at_once():
    assert health(now=7.0).next_probe_at == 7.0


def test_the_first_probe_can_be_put_off():
    assert Health(Rules(), now=7.0, first_probe_at=7.5).next_probe_at == 7.5


def test_retries_failures_in_a_row_mean_down():
    server = health(initial="up", retries=3)
    changes = [probe(server, outcome, began=2.0 * i) for i, outcome in enumerate([SILENT, SILENT, REFUSED])]
    assert changes == [None, None, Transition("up", "down", "L4CON", "retries")]


def test_one_failure_means_down_with_one_retry():
    assert probe(health(initial="up", retries=1), REFUSED, began=0.0) is not None


def test_one_success_forgives_all_failures_while_up():
    server = health(initial="up", retries=3)
    for i, outcome in enumerate([REFUSED, REFUSED, OK, REFUSED, REFUSED]):
        assert probe(server, outcome, began=2.0 * i) is None
    assert (server.operational, server.streak) == ("up", 2)


def test_rise_successes_in_a_row_mean_up():
    server = health(initial="down", rise=2)
    changes = [probe(server, OK, began=10.0 * i) for i in range(2)]
    assert changes == [None, Transition("down", "up", "L4OK", "rise")]


def test_one_failure_forgets_all_successes_while_down():
    server = health(initial="down", rise=3)
    for i, outcome in enumerate([OK, OK, REFUSED, OK, OK]):
        assert probe(server, outcome, began=10.0 * i) is None
    assert (server.operational, server.streak) == ("down", 2)


def test_an_error_of_our_own_counts_as_a_failure_and_is_named():
    change = probe(health(initial="up", retries=1), Verdict(False, "SOCKERR"), began=0.0)
    assert change == Transition("up", "down", "SOCKERR", "retries")


def test_the_state_holds_since_it_changed_and_not_since_the_last_probe():
    server = health(initial="checking")
    probe(server, OK, began=1.0, took=0.5)
    probe(server, OK, began=3.0, took=0.5)
    assert server.since == 1.5


# When the next probe starts


@pytest.mark.parametrize("outcome", [OK, REFUSED])
def test_interval_runs_from_start_to_start_while_up_failing_or_not(outcome):
    server = health(initial="up", interval=2.0)
    probe(server, outcome, began=1.0, took=0.75)
    assert server.next_probe_at == 3.0


@pytest.mark.parametrize(("took", "next_start"), [(2.0, 3.0), (2.5, 5.0), (4.0, 5.0), (4.5, 7.0)])
def test_a_start_that_falls_into_a_probe_is_skipped_not_queued(took, next_start):
    server = health(initial="up", interval=2.0, response=10.0)
    probe(server, OK, began=1.0, took=took)
    assert server.next_probe_at == next_start


def test_our_own_lateness_at_the_end_of_a_probe_skips_no_start():
    server = health(initial="up", interval=2.0, response=2.0)
    probe(server, SILENT, began=1.0, took=2.003)
    assert server.next_probe_at == 3.0


@pytest.mark.parametrize("outcome", [OK, REFUSED])
def test_dead_interval_runs_from_end_to_start_while_down_rising_or_not(outcome):
    server = health(initial="down", interval=2.0, dead_interval=10.0)
    probe(server, outcome, began=1.0, took=0.75)
    assert server.next_probe_at == 11.75


def test_interval_holds_again_once_up():
    server = health(initial="down", rise=1, interval=2.0, dead_interval=10.0)
    probe(server, OK, began=1.0, took=0.75)
    assert server.next_probe_at == 3.0


def test_no_probe_is_due_while_one_is_in_flight():
    server = health()
    server.begin(0.0)
    assert server.next_probe_at is None


def test_a_second_probe_beside_the_first_is_a_mistake():
    server = health()
    server.begin(0.0)
    with pytest.raises(AssertionError, match="two probes"):
        server.begin(1.0)


# Timeout


def failing(*, timeout: float | None, **rules: object) -> Health:
    """Up since 0, and a probe has failed that began at 2 and ended at 3."""
    server = health(initial="up", interval=2.0, retries=9, timeout=timeout, **rules)
    probe(server, OK, began=0.0)
    probe(server, SILENT, began=2.0, took=1.0)
    return server


def test_timeout_runs_since_the_first_failed_probe_began():
    assert failing(timeout=5.0).timeout_at == 7.0


def test_later_failures_do_not_put_off_the_timeout():
    server = failing(timeout=5.0)
    probe(server, SILENT, began=4.0, took=1.0)
    assert server.timeout_at == 7.0


def test_timeout_strikes_at_its_moment():
    server = failing(timeout=5.0)
    assert server.tick(6.999) is None
    assert server.tick(7.0) == Transition("up", "down", "L4TOUT", "timeout")


def test_timeout_strikes_while_a_probe_is_in_flight():
    server = failing(timeout=5.0)
    server.begin(6.5)
    assert server.tick(7.0) is not None
    assert server.next_probe_at is None


def test_a_success_before_its_moment_averts_the_timeout():
    server = failing(timeout=5.0)
    probe(server, OK, began=6.0, took=0.999)
    assert (server.timeout_at, server.tick(7.0)) == (None, None)


def test_a_success_at_its_moment_comes_too_late_for_the_timeout():
    server = failing(timeout=5.0, rise=2)
    server.begin(6.0)
    server.tick(7.0)
    server.report(OK, 7.0)
    assert (server.operational, server.streak) == ("down", 1)


def test_a_report_that_overtakes_the_timeout_is_a_mistake():
    server = failing(timeout=5.0)
    server.begin(6.0)
    with pytest.raises(AssertionError, match="tick"):
        server.report(OK, 7.0)


def test_retries_mean_down_before_the_timeout_if_they_come_first():
    server = health(initial="up", retries=2, timeout=60.0)
    probe(server, REFUSED, began=0.0)
    assert probe(server, REFUSED, began=2.0) == Transition("up", "down", "L4CON", "retries")


def test_a_first_failure_longer_than_the_timeout_means_down_when_it_ends():
    server = health(initial="up", retries=9, response=8.0, timeout=5.0)
    assert probe(server, SILENT, began=1.0, took=8.0) == Transition("up", "down", "L4TOUT", "timeout")


def test_without_a_timeout_only_retries_mean_down():
    server = failing(timeout=None)
    assert (server.timeout_at, server.tick(1e9)) == (None, None)


def test_timeout_does_not_run_while_down():
    server = health(initial="down", timeout=5.0)
    probe(server, REFUSED, began=0.0)
    assert server.timeout_at is None


def test_dead_interval_runs_from_the_last_end_when_the_timeout_strikes_between_probes():
    server = failing(timeout=4.5, dead_interval=10.0)
    server.tick(6.5)
    assert server.next_probe_at == 13.0


def test_a_probe_is_due_at_once_when_the_timeout_strikes_after_the_dead_interval():
    server = failing(timeout=4.5, dead_interval=1.0)
    server.tick(6.5)
    assert server.next_probe_at == 6.5


def test_dead_interval_runs_from_the_end_of_the_probe_the_timeout_struck_in():
    server = failing(timeout=5.0, dead_interval=10.0)
    server.begin(6.5)
    server.tick(7.0)
    server.report(SILENT, 7.5)
    assert server.next_probe_at == 17.5

"""swlb/checks.py on a clock moved by hand, with probes that do as they are told."""

import asyncio
import logging
from itertools import pairwise

import pytest

from swlb.checks import first_delay
from swlb.probes import Target, Way
from tests.checks_bench import NEVER, REFUSED, SILENT, UP, WEB1, WEB2, Answer, check, on_bench


def test_probes_start_an_interval_apart_while_up():
    async def scenario(bench):
        target = bench.start(interval=2.0)
        bench.answers[target] = [Answer(True, 0.5)]
        await bench.clock.advance_to(7.0)
        assert bench.starts[target] == [0.0, 2.0, 4.0, 6.0]

    on_bench(scenario)


def test_probes_start_a_dead_interval_after_the_last_ended_while_down():
    async def scenario(bench):
        target = bench.start(dead_interval=10.0)
        bench.answers[target] = [SILENT]
        await bench.clock.advance_to(30.0)
        assert bench.starts[target] == [0.0, 11.0, 22.0]

    on_bench(scenario)


def test_a_server_goes_down_by_retries_and_comes_up_by_rise():
    async def scenario(bench):
        target = bench.start(interval=2.0, retries=3, dead_interval=10.0, rise=2)
        bench.answers[target] = [UP, REFUSED, REFUSED, REFUSED, UP]
        await bench.clock.advance_to(40.0)
        assert bench.heard == [(0.0, WEB1, "up"), (6.0, WEB1, "down"), (26.0, WEB1, "up")]

    on_bench(scenario)


def test_timeout_strikes_between_two_probes():
    async def scenario(bench):
        bench.answers[bench.start(initial="up", interval=10.0, timeout=5.0)] = [REFUSED]
        await bench.clock.advance_to(5.0)
        assert bench.heard == [(5.0, WEB1, "down")]

    on_bench(scenario)


def test_timeout_strikes_while_a_probe_is_in_flight():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, retries=9, timeout=5.0)
        bench.answers[target] = [REFUSED, REFUSED, Answer(True, 3.0)]
        await bench.clock.advance_to(5.0)
        assert bench.heard == [(5.0, WEB1, "down")]
        assert bench.checks.status(WEB1).next_probe_at is None

    on_bench(scenario)


def test_a_probe_struck_by_the_timeout_still_counts_for_rise():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, retries=9, timeout=5.0, rise=1)
        bench.answers[target] = [REFUSED, REFUSED, Answer(True, 3.0)]
        await bench.clock.advance_to(7.0)
        assert bench.heard == [(5.0, WEB1, "down"), (7.0, WEB1, "up")]

    on_bench(scenario)


def test_a_success_before_the_moment_of_the_timeout_averts_it():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, retries=9, timeout=5.0)
        bench.answers[target] = [REFUSED, REFUSED, Answer(True, 0.9), UP]
        await bench.clock.advance_to(20.0)
        assert bench.heard == []

    on_bench(scenario)


def test_a_success_at_the_moment_of_the_timeout_comes_too_late():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, retries=9, timeout=5.0, rise=1)
        bench.answers[target] = [REFUSED, REFUSED, Answer(True, 1.0)]
        await bench.clock.advance_to(5.0)
        assert bench.heard == [(5.0, WEB1, "down"), (5.0, WEB1, "up")]

    on_bench(scenario)


def test_nothing_waits_for_the_timeout_of_a_server_that_was_stopped():
    async def scenario(bench):
        bench.answers[bench.start(initial="up", timeout=5.0)] = [REFUSED, SILENT]
        await bench.clock.advance_to(2.5)
        bench.checks.stop(WEB1)  # on_bench sees that no task is left

    on_bench(scenario)


def test_a_server_that_hangs_delays_no_other():
    async def scenario(bench):
        bench.answers[bench.start(WEB1)] = [Answer(False, NEVER)]
        other = bench.start(WEB2)
        await bench.clock.advance_to(4.0)
        assert bench.starts[other] == [0.0, 2.0, 4.0]

    on_bench(scenario)


def test_a_probe_without_an_end_is_never_joined_by_a_second_one():
    async def scenario(bench):
        target = bench.start()
        bench.answers[target] = [Answer(False, NEVER)]
        await bench.clock.advance_to(100.0)
        assert bench.starts[target] == [0.0]

    on_bench(scenario)


def test_stop_cancels_the_probe_in_flight_and_starts_no_other():
    async def scenario(bench):
        target = bench.start()
        bench.answers[target] = [SILENT]
        await bench.clock.advance_to(0.5)
        bench.checks.stop(WEB1)
        await bench.clock.advance_to(100.0)
        assert (bench.starts[target], bench.cancelled, bench.heard) == ([0.0], 1, [])

    on_bench(scenario)


def test_a_stopped_server_has_no_status():
    async def scenario(bench):
        bench.start()
        bench.checks.stop(WEB1)
        with pytest.raises(KeyError):
            bench.checks.status(WEB1)

    on_bench(scenario)


def test_stopping_what_was_not_started_changes_nothing():
    on_bench(lambda bench: asyncio.sleep(0, bench.checks.stop(WEB1)))


def test_stop_all_waits_until_every_probe_has_ended():
    async def scenario(bench):
        for key in (WEB1, WEB2):
            bench.answers[bench.start(key)] = [SILENT]
        await bench.clock.advance_to(0.5)
        await bench.checks.stop_all()
        assert bench.cancelled == 2

    on_bench(scenario)


def test_a_server_started_again_starts_afresh():
    async def scenario(bench):
        bench.answers[bench.start(initial="up", retries=2, interval=2.0)] = [REFUSED]
        await bench.clock.advance_to(1.0)
        bench.start(initial="up", retries=2, interval=2.0)
        await bench.clock.advance_to(1.0)
        assert bench.checks.status(WEB1).streak == 1
        assert bench.heard == []

    on_bench(scenario)


def test_the_state_a_server_starts_in_can_be_given():
    async def scenario(bench):
        bench.checks.start(WEB1, check(initial="down"), Target("any", 80), Way(), initial="up")
        assert bench.checks.status(WEB1).operational == "up"

    on_bench(scenario)


def test_a_probe_is_given_the_way_and_the_time_it_has():
    async def scenario(bench):
        asked, way = check(response=0.7), Way("swh0", "source")
        bench.checks.start(WEB1, asked, Target("any", 80), way)
        await bench.clock.advance_to(0.0)
        assert bench.asked_with == [(asked, way)]

    on_bench(scenario)


# Status


def test_status_before_the_first_probe_is_ini():
    async def scenario(bench):
        bench.start()
        status = bench.checks.status(WEB1)
        assert (status.operational, status.reason, status.check_status) == ("checking", "INI", "INI")
        assert (status.check_duration_ms, status.next_probe_at) == (None, 0.0)

    on_bench(scenario)


def test_status_tells_the_last_probe_and_the_reason_of_the_state():
    async def scenario(bench):
        bench.answers[bench.start(interval=2.0)] = [UP, SILENT]
        await bench.clock.advance_to(3.5)
        status = bench.checks.status(WEB1)
        assert (status.operational, status.reason, status.since, status.streak) == ("up", "L4OK", 0.0, 1)
        assert (status.check_status, status.check_duration_ms, status.detail) == ("L4CON", 1000.0, "took 1.0 s")
        assert status.next_probe_at == 4.0

    on_bench(scenario)


@pytest.mark.parametrize("listener", ["hear_probe", "hear_transition"])
def test_a_listener_reads_a_status_that_tells_the_same(listener):
    async def scenario(bench):
        read = []
        setattr(bench, listener, lambda key, _: read.append(bench.checks.status(key)))
        bench.start()
        await bench.clock.advance_to(0.0)
        assert [(status.operational, status.check_status) for status in read] == [("up", "L4OK")]

    on_bench(scenario)


def test_every_probe_is_told():
    async def scenario(bench):
        told = []
        bench.hear_probe = lambda key, outcome: told.append((bench.clock.now(), key, outcome.ok))
        bench.answers[bench.start(interval=2.0)] = [UP, REFUSED]
        await bench.clock.advance_to(4.0)
        assert told == [(0.0, WEB1, True), (2.0, WEB1, False), (4.0, WEB1, False)]

    on_bench(scenario)


def test_a_server_stopped_by_the_listener_of_its_probe_tells_no_transition():
    async def scenario(bench):
        bench.hear_probe = lambda key, _: bench.checks.stop(key)
        target = bench.start()
        await bench.clock.advance_to(10.0)
        assert (bench.heard, bench.starts[target]) == ([], [0.0])

    on_bench(scenario)


# Mistakes of others


def test_a_listener_that_fails_does_not_end_the_check(caplog):
    async def scenario(bench):
        bench.hear_probe = lambda key, outcome: 1 / 0
        target = bench.start(interval=2.0)
        with caplog.at_level(logging.ERROR):
            await bench.clock.advance_to(2.0)
        assert bench.starts[target] == [0.0, 2.0]
        assert "check web/web1: a listener failed" in caplog.text

    on_bench(scenario)


def test_a_probe_that_fails_in_itself_is_a_sockerr(caplog):
    async def scenario(bench):
        bench.answers[bench.start()] = [None]
        await bench.clock.advance_to(0.0)
        status = bench.checks.status(WEB1)
        assert (status.operational, status.reason) == ("down", "SOCKERR")

    on_bench(scenario)


# The spread of first probes


@pytest.mark.parametrize(
    ("interval", "initial", "last"),
    [(0.5, "up", 0.375), (30.0, "up", 0.75), (30.0, "checking", 0.15), (0.1, "checking", 0.075)],
)
def test_first_probes_spread_over_the_interval_or_less(interval, initial, last):
    delays = [first_delay(interval, position=(k, 4), initial=initial) for k in range(4)]
    assert delays == pytest.approx([0.0, last / 3, last * 2 / 3, last])


@pytest.mark.parametrize("initial", ["up", "checking"])
def test_first_probes_of_very_many_servers_keep_a_distance_that_one_event_loop_can_serve(initial):
    delays = [first_delay(2.0, position=(k, 500), initial=initial) for k in range(500)]
    gaps = [later - earlier for earlier, later in pairwise(delays)]
    assert (min(gaps), delays[-1]) == (pytest.approx(0.002), pytest.approx(0.998))


def test_a_server_started_as_one_of_several_waits_for_its_turn():
    async def scenario(bench):
        target = Target("any", 80)
        bench.checks.start(WEB1, check(initial="up", interval=30.0), target, Way(), position=(1, 4))
        await bench.clock.advance_to(5.0)
        assert bench.starts[target] == [0.25]

    on_bench(scenario)


def test_a_probe_can_be_brought_forward_and_the_next_is_an_interval_later():
    async def scenario(bench):
        target = bench.start(initial="up", interval=30.0)
        await bench.clock.advance_to(10.0)
        bench.checks.probe_by(WEB1, 12.0)
        await bench.clock.advance_to(45.0)
        assert bench.starts[target] == [0.0, 12.0, 42.0]

    on_bench(scenario)


def test_a_probe_that_is_due_sooner_is_not_put_off():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0)
        await bench.clock.advance_to(1.0)
        bench.checks.probe_by(WEB1, 3.0)
        await bench.clock.advance_to(4.0)
        assert bench.starts[target] == [0.0, 2.0, 4.0]

    on_bench(scenario)


def test_a_probe_in_flight_is_the_one_that_was_wanted():
    async def scenario(bench):
        target = bench.start(initial="up", interval=30.0)
        bench.answers[target] = [SILENT]
        await bench.clock.advance_to(0.5)
        bench.checks.probe_by(WEB1, 0.5)
        await bench.clock.advance_to(29.0)
        assert bench.starts[target] == [0.0]

    on_bench(scenario)


def test_wanting_a_probe_again_and_again_makes_it_one():
    async def scenario(bench):
        target = bench.start(initial="up", interval=30.0)
        await bench.clock.advance_to(10.0)
        for moment in (20.0, 15.0, 12.0, 12.0, 18.0):
            bench.checks.probe_by(WEB1, moment)
        await bench.clock.advance_to(41.0)
        assert bench.starts[target] == [0.0, 12.0]

    on_bench(scenario)


def test_a_probe_may_be_wanted_before_the_first_and_of_nobody():
    async def scenario(bench):
        target = bench.start(position=(1, 2), interval=30.0)
        bench.checks.probe_by(WEB1, 0.0)
        bench.checks.probe_by(WEB2, 0.0)
        await bench.clock.advance_to(1.0)
        assert bench.starts[target] == [0.0]

    on_bench(scenario)


def test_a_listener_may_want_the_next_probe_soon():
    async def scenario(bench):
        target = bench.start(initial="up", interval=30.0, retries=3)
        bench.answers[target] = [REFUSED]
        bench.hear_probe = lambda key, outcome: bench.checks.probe_by(key, bench.clock.now() + 1.0)
        await bench.clock.advance_to(2.5)
        assert bench.starts[target] == [0.0, 1.0, 2.0]
        assert bench.heard == [(2.0, WEB1, "down")]

    on_bench(scenario)


def test_a_server_that_is_stopped_as_its_probe_is_wanted_is_not_probed():
    async def scenario(bench):
        target = bench.start(initial="up", interval=30.0)
        await bench.clock.advance_to(10.0)
        bench.checks.probe_by(WEB1, 10.0)
        bench.checks.stop(WEB1)
        await bench.clock.advance_to(20.0)
        assert bench.starts[target] == [0.0]

    on_bench(scenario)

"""Checks that several servers share, and the probes that are remembered; on the bench of test_checks.py."""

from dataclasses import replace

import pytest

from swlb.check_status import KEPT
from swlb.probes import Target, Way
from tests.checks_bench import REFUSED, UP, WEB1, WEB2, check, on_bench

# History


def test_the_last_probes_are_remembered_and_no_more():
    async def scenario(bench):
        bench.answers[bench.start(interval=1.0)] = [UP, REFUSED, UP]
        await bench.clock.advance_to(2.0)
        told = [(past.at, past.outcome.ok, past.outcome.duration_ms) for past in bench.checks.status(WEB1).history]
        assert told == [(0.0, True, 0.0), (1.0, False, 0.0), (2.0, True, 0.0)]
        await bench.clock.advance_to(100.0)
        assert [past.at for past in bench.checks.status(WEB1).history] == list(range(101 - KEPT, 101))

    on_bench(scenario)


def test_a_detail_without_end_is_remembered_in_part():
    async def scenario(bench):
        bench.detail = "x" * 100_000
        bench.start()
        await bench.clock.advance_to(0.0)
        assert len(bench.checks.status(WEB1).detail) < 400

    on_bench(scenario)


def test_status_tells_when_the_timeout_strikes():
    async def scenario(bench):
        bench.answers[bench.start(initial="up", interval=2.0, retries=9, timeout=5.0)] = [UP, REFUSED]
        await bench.clock.advance_to(1.0)
        assert bench.checks.status(WEB1).timeout_at is None
        await bench.clock.advance_to(3.0)
        assert bench.checks.status(WEB1).timeout_at == 7.0

    on_bench(scenario)


# Shared checks

API1 = ("api", "web1", 0)


def share(bench, *keys):
    """The servers are checked by one check that has a name; its target."""
    asked = replace(check(interval=2.0, retries=2, dead_interval=2.0), name="web-ok")
    for key in keys:
        bench.checks.start(key, asked, Target("any", 80), Way())
    return Target("any", 80)


def test_servers_that_share_check_and_target_are_probed_once_and_both_hear():
    async def scenario(bench):
        target = share(bench, WEB1, API1)
        bench.answers[target] = [UP, REFUSED]
        await bench.clock.advance_to(5.0)
        assert bench.starts[target] == [0.0, 2.0, 4.0]
        assert bench.heard == [(0.0, WEB1, "up"), (0.0, API1, "up"), (4.0, WEB1, "down"), (4.0, API1, "down")]
        assert bench.checks.status(WEB1) == bench.checks.status(API1)

    on_bench(scenario)


def test_a_server_that_comes_later_is_in_the_state_of_the_shared_check_at_once():
    async def scenario(bench):
        target = share(bench, WEB1)
        await bench.clock.advance_to(3.0)
        share(bench, API1)
        assert bench.checks.status(API1).operational == "up"
        await bench.clock.advance_to(4.0)
        assert bench.starts[target] == [0.0, 2.0, 4.0]

    on_bench(scenario)


def test_a_shared_check_goes_on_until_its_last_server_is_stopped():
    async def scenario(bench):
        target = share(bench, WEB1, API1)
        await bench.clock.advance_to(1.0)
        bench.checks.stop(WEB1)
        assert (WEB1 in bench.checks, API1 in bench.checks) == (False, True)
        await bench.clock.advance_to(3.0)
        bench.checks.stop(API1)
        await bench.clock.advance_to(9.0)
        assert (bench.starts[target], bench.heard) == ([0.0, 2.0], [(0.0, WEB1, "up"), (0.0, API1, "up")])
        share(bench, API1)
        assert bench.checks.status(API1).operational == "checking"

    on_bench(scenario)


def test_a_listener_that_stops_one_server_leaves_the_other_its_news():
    async def scenario(bench):
        bench.hear_probe = lambda key, _: bench.checks.stop(WEB1)
        share(bench, WEB1, API1)
        await bench.clock.advance_to(0.0)
        assert bench.heard == [(0.0, API1, "up")]

    on_bench(scenario)


@pytest.mark.parametrize("other", ["target", "way", "check", "unnamed"])
def test_what_differs_in_anything_is_not_shared(other):
    async def scenario(bench):
        named = replace(check(), name="" if other == "unnamed" else "web-ok")
        bench.checks.start(WEB1, named, Target("any", 80), Way())
        bench.checks.start(
            API1,
            replace(named, name="web-too") if other == "check" else named,
            Target("any", 81 if other == "target" else 80),
            Way("swh1" if other == "way" else None),
        )
        await bench.clock.advance_to(1.0)
        assert len(bench.asked_with) == 2

    on_bench(scenario)


@pytest.mark.parametrize(("kind", "probes"), [("tcp", 1), ("exec", 2)])
def test_only_of_programs_the_names_count(kind, probes):
    """Two services have one server: it is asked once, but a program is told whom it is asked for."""

    async def scenario(bench):
        shared = replace(check(type=kind), name="web-ok")
        for key in (WEB1, API1):
            service, server, _ = key
            bench.checks.start(key, shared, Target("any", 80, service, server), Way())
        await bench.clock.advance_to(1.0)
        assert len(bench.asked_with) == probes
        assert [key for _, key, _ in bench.heard] == [WEB1, API1]

    on_bench(scenario)


# Checks that go on under other keys


def test_a_check_that_goes_on_under_another_key_does_not_notice():
    async def scenario(bench):
        target = bench.start(interval=2.0, retries=2)
        bench.answers[target] = [UP, UP, REFUSED]
        await bench.clock.advance_to(3.0)
        with bench.checks.going_on({WEB1: ("web", "web1", 1)}):
            pass
        await bench.clock.advance_to(6.0)
        assert bench.starts[target] == [0.0, 2.0, 4.0, 6.0]
        assert WEB1 not in bench.checks
        assert bench.heard == [(0.0, WEB1, "up"), (6.0, ("web", "web1", 1), "down")]
        history = bench.checks.status(("web", "web1", 1)).history
        assert [past.outcome.ok for past in history] == [True, True, False, False]

    on_bench(scenario)


def test_two_checks_change_their_keys_and_nothing_else():
    async def scenario(bench):
        second = ("web", "web1", 1)
        targets = [bench.start(key, interval=2.0) for key in (WEB1, second)]
        bench.answers[targets[1]] = [REFUSED]
        await bench.clock.advance_to(1.0)
        with bench.checks.going_on({WEB1: second, second: WEB1}):
            pass
        assert [bench.checks.status(key).operational for key in (WEB1, second)] == ["down", "up"]
        await bench.clock.advance_to(2.0)
        assert [len(bench.starts[target]) for target in targets] == [2, 1]

    on_bench(scenario)


def test_a_check_that_does_not_go_on_has_stopped():
    async def scenario(bench):
        bench.start(WEB2)
        target = bench.start(interval=2.0)
        await bench.clock.advance_to(1.0)
        with bench.checks.going_on({WEB2: WEB2}):
            pass
        await bench.clock.advance_to(9.0)
        assert (bench.starts[target], WEB1 in bench.checks, WEB2 in bench.checks) == ([0.0], False, True)

    on_bench(scenario)


def test_what_starts_meanwhile_shares_what_is_about_to_stop():
    async def scenario(bench):
        target = share(bench, WEB1)
        bench.answers[target] = [REFUSED]
        await bench.clock.advance_to(1.0)
        with bench.checks.going_on({}):
            share(bench, API1)
        assert bench.checks.status(API1).operational == "down"
        await bench.clock.advance_to(3.0)
        assert (WEB1 in bench.checks, bench.starts[target]) == (False, [0.0, 2.0])

    on_bench(scenario)

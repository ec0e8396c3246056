"""A server that takes sessions again after a rest gets its share little by little, and nobody else does."""

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction
from math import ceil

import pytest
from control import CONFIG, Control, control

from swlb.figures import servers
from swlb.health import Transition
from swlb.slow_start import SHARE_FULL, portion, share_at, step_of
from swlb.tables import print_table

SLOW = CONFIG.replace("port: 80\n", "port: 80\n    slow_start: 64s\n")
Scenario = Callable[[Control], Awaitable[None]]


def change(balanced: Control, name: str, new: str, status: str = "L4CON") -> None:
    """Its check says so."""
    old = balanced.server(name).operational
    balanced.balancer._on_transition(("web", name, 0), Transition(old, new, status, "a rule"))


def bounce(balanced: Control, name: str = "web1") -> None:
    """Its check has failed, and is well again at the same moment."""
    change(balanced, name, "down")
    change(balanced, name, "up", "L4OK")


def share(balanced: Control, name: str = "web1") -> int:
    return balanced.server(name).share


def play(scenario: Scenario, text: str = SLOW) -> None:
    async def run() -> None:
        balanced = control(text)
        await scenario(balanced)
        await balanced.balancer.stop()

    asyncio.run(run())


def listened_to(balanced: Control) -> list[dict[str, int]]:
    """What the workers are told of web1 from now on; they are told."""
    said: list[dict[str, int]] = []
    workers, set_server = balanced.built.workers, balanced.built.workers.set_server

    def heard(index: int, **words: int) -> None:
        set_server(index, **words)
        if index == balanced.server("web1").index:
            said.append(words)

    workers.set_server = heard  # type: ignore[method-assign]
    return said


@pytest.mark.parametrize("over", [0.001, 0.7, 30.0, 3600.0])
def test_the_share_is_a_straight_line_rounded_up_that_never_begins_at_nothing(over: float) -> None:
    for step in range(1001):
        elapsed = over * step / 1000
        exact = Fraction(elapsed) / Fraction(over) * 256
        assert max(1, exact - Fraction(1, 10**9)) <= share_at(elapsed, over) < max(1, exact) + 1
    assert (share_at(0.0, over), share_at(over, over), share_at(2 * over, over)) == (1, SHARE_FULL, SHARE_FULL)


def test_the_share_grows_in_64_steps_but_not_faster_than_every_50_ms() -> None:
    assert (step_of(64.0), step_of(1.0), step_of(0.0)) == (1.0, 0.05, 0.05)


def test_a_portion_is_rounded_up_and_only_of_nothing_is_it_nothing() -> None:
    for whole in (0, 1, 3, 256, 65535, 2**31 - 1):
        for part in (1, 2, 100, 255, 256):
            assert portion(whole, part) == ceil(Fraction(whole * part, 256))


def test_a_server_that_comes_up_again_starts_with_the_least_share_and_ends_with_all_of_it() -> None:
    async def scenario(balanced: Control) -> None:
        said = listened_to(balanced)
        bounce(balanced)
        assert (said[-1]["ready"], said[-1]["weight"], said[-1]["share"]) == (1, 4, 1)
        for second in (1, 2, 32, 63):
            await balanced.clock.advance_to(100.0 + second)
            assert said[-1]["share"] == share(balanced) == 4 * second
        await balanced.clock.advance_to(164.0)
        assert (said[-1]["share"], balanced.server("web1").slow_since) == (SHARE_FULL, None)
        before = len(said)
        await balanced.clock.advance_to(300.0)
        assert len(said) == before

    play(scenario)


def test_the_effective_weight_grows_with_it_and_is_at_least_1() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        weights = []
        for second in (0, 16, 17, 33, 49, 64):
            await balanced.clock.advance_to(100.0 + second)
            weights.append(balanced.server("web1").effective_weight)
        assert weights == [1, 1, 2, 3, 4, 4]

    play(scenario)


def test_no_server_starts_slowly_when_swlb_does() -> None:
    async def scenario(balanced: Control) -> None:
        change(balanced, "web1", "up", "L4OK")
        assert share(balanced) == SHARE_FULL

    for initial in ("checking", "down"):
        play(scenario, SLOW.replace("initial: up", f"initial: {initial}"))


def test_a_first_verdict_that_was_down_is_a_rest() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        assert share(balanced) == 1

    play(scenario, SLOW.replace("initial: up", "initial: checking"))


def test_a_server_back_from_maintenance_starts_slowly_once_its_check_says_up() -> None:
    async def scenario(balanced: Control) -> None:
        balanced.balancer.order("web/web1", "maint")
        balanced.balancer.order("web/web1", "ready")
        assert (balanced.server("web1").operational, share(balanced)) == ("checking", SHARE_FULL)
        change(balanced, "web1", "up", "L4OK")
        assert share(balanced) == 1

    play(scenario)


def test_a_server_without_a_check_starts_slowly_after_maintenance_at_once() -> None:
    async def scenario(balanced: Control) -> None:
        balanced.balancer.order("web/web1", "maint")
        balanced.balancer.order("web/web1", "ready")
        assert share(balanced) == 1
        assert balanced.events.rows()[-1]["text"] == (
            "server web/web1 is ready (was maint); its share of new sessions grows for 1m4s (slow_start)")  # fmt: skip

    play(scenario, SLOW.replace("    check: {type: tcp, initial: up}\n", ""))


@pytest.mark.parametrize(("out", "back"), [("drain", "ready"), ("weight=0", "weight=4")])
def test_a_server_that_was_drained_has_not_rested(out: str, back: str) -> None:
    async def scenario(balanced: Control) -> None:
        balanced.balancer.order("web/web1", out)
        balanced.balancer.order("web/web1", back)
        assert share(balanced) == SHARE_FULL

    play(scenario)


def test_one_that_was_down_while_it_was_drained_has() -> None:
    async def scenario(balanced: Control) -> None:
        balanced.balancer.order("web/web1", "drain")
        bounce(balanced)
        assert share(balanced) == SHARE_FULL
        await balanced.clock.advance_to(200.0)
        balanced.balancer.order("web/web1", "ready")
        assert share(balanced) == 1

    play(scenario)


def test_a_server_that_goes_down_meanwhile_begins_anew() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        await balanced.clock.advance_to(132.0)
        change(balanced, "web1", "down")
        assert share(balanced) == SHARE_FULL
        await balanced.clock.advance_to(150.0)
        assert share(balanced) == SHARE_FULL
        change(balanced, "web1", "up", "L4OK")
        await balanced.clock.advance_to(151.0)
        assert share(balanced) == 4

    play(scenario)


@pytest.mark.parametrize("order", ["weight=7", "drain"])
def test_orders_meanwhile_leave_the_share(order: str) -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        await balanced.clock.advance_to(116.0)
        balanced.balancer.order("web/web1", order)
        assert share(balanced) == 64
        await balanced.clock.advance_to(132.0)
        assert share(balanced) == 128

    play(scenario)


def test_servers_start_slowly_beside_each_other() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced, "web1")
        await balanced.clock.advance_to(110.0)
        bounce(balanced, "web2")
        await balanced.clock.advance_to(120.0)
        assert [share(balanced, name) for name in ("web1", "web2", "web1v6")] == [80, 40, SHARE_FULL]

    play(scenario)


def test_without_the_key_nobody_starts_slowly() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        assert (share(balanced), balanced.server("web1").slow_since) == (SHARE_FULL, None)

    play(scenario, CONFIG)


def test_servers_that_serve_as_health_is_ignored_have_their_whole_share_and_keep_it() -> None:
    async def scenario(balanced: Control) -> None:
        for name in ("web1", "web2"):
            change(balanced, name, "down")
        assert balanced.balancer.ignores_health("web")
        assert share(balanced) == SHARE_FULL
        # They served all the time: the one that is well again is not to get less than those that are not.
        change(balanced, "web1", "up", "L4OK")
        assert share(balanced) == SHARE_FULL

    play(scenario, SLOW.replace("port: 80\n", "port: 80\n    fail_open: 60%\n"))


def test_one_that_goes_down_where_health_is_ignored_no_longer_starts_slowly() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        change(balanced, "web2", "down")
        change(balanced, "web1", "down")
        assert balanced.balancer.ignores_health("web")
        assert (share(balanced), balanced.server("web1").slow_since) == (SHARE_FULL, None)

    play(scenario, SLOW.replace("port: 80\n", "port: 80\n    fail_open: 60%\n"))


def test_the_cap_of_sessions_grows_with_the_share() -> None:
    limited = SLOW.replace("weight: 4", "weight: 4, max_connections: {upper: 100, lower: 60}")

    async def scenario(balanced: Control) -> None:
        said = listened_to(balanced)
        bounce(balanced)
        assert (said[-1]["limit"], said[-1]["lower"]) == (1, 1)
        await balanced.clock.advance_to(116.0)
        assert (said[-1]["limit"], said[-1]["lower"]) == (25, 15)
        await balanced.clock.advance_to(164.0)
        assert (said[-1]["limit"], said[-1]["lower"]) == (100, 60)

    play(scenario, limited)


def test_it_is_told_with_the_server_s_event_and_by_why() -> None:
    async def scenario(balanced: Control) -> None:
        bounce(balanced)
        (event,) = [event for event in balanced.events.rows() if event["kind"] == "server_up"]
        assert event["text"].endswith("; its share of new sessions grows for 1m4s (slow_start)")
        await balanced.clock.advance_to(116.0)
        said = balanced.balancer.why("web/web1")["sentence"]
        assert "; it starts slowly: 25% of its weight 4 count, all in 48.0 s" in said
        assert [row["slow_start_s"] for row in servers(balanced)] == [48.0, None, None, None]

    play(scenario)


def test_people_see_how_long_it_takes_where_a_server_starts_slowly(capsys) -> None:
    async def scenario(balanced: Control) -> None:
        print_table("servers", servers(balanced))
        assert "slow_start_s" not in capsys.readouterr().out
        bounce(balanced)
        print_table("servers", servers(balanced))
        head, first, second, *_ = (line.split() for line in capsys.readouterr().out.splitlines())
        assert [line[head.index("slow_start_s")] for line in (first, second)] == ["64.0", "-"]

    play(scenario)

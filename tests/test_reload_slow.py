"""What a change of the configuration means for servers that start slowly."""

import pytest
from control import CONFIG
from reforming import Reforming, reforming
from told import DOWN, UP

from swlb.slow_start import SHARE_FULL

TIMED = "{type: tcp, initial: up, interval: 2s, retries: 1, dead_interval: 2s, rise: 1, timeout: 1h}"
WEB1 = "10.0.2.11"


def slowly(over: str, weight: int = 4) -> str:
    text = CONFIG.replace("{type: tcp, initial: up}", TIMED).replace("weight: 4", f"weight: {weight}")
    return text.replace("port: 80\n", f"port: 80\n    slow_start: {over}\n")


async def fall_and_come_back(at: Reforming) -> float:
    """web1 has been down; the moment at which it came back."""
    at.told.outcomes["tcp", WEB1] = DOWN
    await at.until(105.0)
    assert at.states()["web/web1"] == "down"
    at.told.outcomes["tcp", WEB1] = UP
    await at.until(110.0)
    assert at.states()["web/web1"] == "up"
    return at.control.server("web1").since


def test_a_share_goes_on_growing_over_a_reload() -> None:
    async def scenario(at: Reforming) -> None:
        since = await fall_and_come_back(at)
        at.go_over(slowly("64s").replace("port: 80\n", "port: 80\n    scheduler: wrr\n"))
        await at.until(since + 16.5)
        assert at.control.server("web1").share == SHARE_FULL // 4
        await at.until(since + 64.5)
        assert (at.last_said("share")["web/web1"], at.control.server("web1").slow_since) == (SHARE_FULL, None)

    reforming(slowly("64s"), scenario)


@pytest.mark.parametrize(("over", "share"), [("0s", SHARE_FULL), ("32s", SHARE_FULL // 2), ("128s", SHARE_FULL // 8)])
def test_another_slow_start_holds_at_once(over: str, share: int) -> None:
    async def scenario(at: Reforming) -> None:
        since = await fall_and_come_back(at)
        await at.until(since + 16.0)
        at.go_over(slowly(over))
        state = at.control.server("web1")
        assert (state.share, at.last_said("share")["web/web1"]) == (share, share)
        assert (state.slow_since is None) == (share == SHARE_FULL)

    reforming(slowly("3600s"), scenario)


def test_a_server_that_has_rested_starts_slowly_when_the_file_gives_it_a_weight() -> None:
    async def scenario(at: Reforming) -> None:
        await fall_and_come_back(at)
        assert at.control.server("web1").share == SHARE_FULL
        at.go_over(slowly("64s"))
        assert (at.control.server("web1").share, at.last_said("share")["web/web1"]) == (1, 1)

    reforming(slowly("64s", weight=0), scenario)


def test_a_server_that_left_while_it_started_grows_no_more_and_comes_back_with_its_whole_share() -> None:
    async def scenario(at: Reforming) -> None:
        await fall_and_come_back(at)
        index = at.control.server("web1").index
        at.go_over(slowly("64s").replace("      web1: {address: 10.0.2.11, port: 8080, weight: 4}\n", ""))
        at.said.clear()
        await at.until(115.0)
        assert index not in [told for told, _ in at.said]
        at.go_over(slowly("64s"))
        assert (at.control.server("web1").share, at.control.server("web1").slow_since) == (SHARE_FULL, None)

    reforming(slowly("64s"), scenario)

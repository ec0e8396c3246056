"""`swlb set server ... --wait`: when it returns, with which exit code, and what is said meanwhile."""

import io
import math

import pytest

from swlb import cli
from swlb.errors import SwlbError, WrongWords
from swlb.waiting import POLL_S, read_patience, wait_until_idle


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Waiting:
    """A server that has so many sessions at each look, the last number for ever; time passes only in sleep."""

    def __init__(self, *counts: int, admin: str = "drain", weight: int = 1) -> None:
        self.counts = list(counts)
        self.orders = {"admin": admin, "weight": weight}
        self.moment = 1000.0

    def look(self) -> dict:
        left = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return {"server": "web/web1", "sessions_open": left, **self.orders}

    def sleep(self, seconds: float) -> None:
        self.moment += seconds

    def wait(self, limit: float = 30.0, out: io.StringIO | None = None) -> str:
        out = io.StringIO() if out is None else out
        return wait_until_idle(self.look, limit, out=out, now=lambda: self.moment, sleep=self.sleep)


def test_it_returns_when_the_last_session_is_gone() -> None:
    waiting = Waiting(3, 2, 2, 0)
    assert waiting.wait() == "server web/web1: no session is left (after 0.6 s)"
    assert waiting.moment == pytest.approx(1000 + 3 * POLL_S)


def test_a_server_without_sessions_is_not_waited_for() -> None:
    waiting = Waiting(0)
    waiting.wait()
    assert waiting.moment == 1000.0


@pytest.mark.parametrize(("count", "words"), [(1, "1 session is open"), (12, "12 sessions are open")])
def test_when_the_time_is_over_it_says_how_many_are_left_and_what_to_do(count: int, words: str) -> None:
    waiting = Waiting(count)
    with pytest.raises(SwlbError) as ended:
        waiting.wait(5.0)
    assert (ended.value.exit_code, waiting.moment) == (1, pytest.approx(1005.0))
    assert str(ended.value) == (
        f"server web/web1: {words} after 5s; the order holds. `swlb show sessions` lists them, `swlb flush sessions"
        " --server web/web1` forgets them")  # fmt: skip


def test_no_time_at_all_is_one_look() -> None:
    with pytest.raises(SwlbError, match="after 0s"):
        Waiting(1).wait(0.0)
    assert "no session" in Waiting(0).wait(0.0)


def test_it_waits_no_longer_than_it_is_to() -> None:
    waiting = Waiting(1)
    with pytest.raises(SwlbError, match="after 500ms"):
        waiting.wait(0.5)
    assert waiting.moment == pytest.approx(1000.5)


def test_without_a_limit_it_waits_as_long_as_it_takes() -> None:
    waiting = Waiting(*[1] * 50_000, 0)
    waiting.wait(math.inf)
    assert waiting.moment > 1000.0 + 9_000


@pytest.mark.parametrize("count", [2, 0])
def test_another_order_that_lets_it_take_sessions_again_ends_the_wait(count: int) -> None:
    with pytest.raises(SwlbError, match=f"{count} sessions are open; it may take new ones again, by another order"):
        Waiting(count, admin="ready").wait()


@pytest.mark.parametrize(("admin", "weight"), [("drain", 1), ("maint", 1), ("ready", 0)])
def test_each_order_that_can_be_waited_for_is_told_from_others(admin: str, weight: int) -> None:
    assert "no session" in Waiting(2, 0, admin=admin, weight=weight).wait()


def test_short_waits_say_nothing() -> None:
    out = io.StringIO()
    Waiting(*[1] * 9, 0).wait(out=out)
    assert out.getvalue() == ""


def test_longer_ones_say_once_what_they_wait_for() -> None:
    out = io.StringIO()
    Waiting(*[7] * 50, 0).wait(out=out)
    assert out.getvalue() == "server web/web1: 7 sessions are open: waiting, at most 30s in all\n"


def test_a_terminal_s_line_follows_and_is_gone_at_the_end() -> None:
    out = Terminal()
    Waiting(*[7] * 16, *[1] * 9, 0).wait(out=out)
    shown = [line for line in out.getvalue().split("\r\x1b[K") if line]
    assert shown == [f"server web/web1: {count}, {spent}s of 30s waited; Ctrl-C ends the wait only"
                     for count, spent in (("7 sessions are open", 2), ("7 sessions are open", 3),
                                          ("1 session is open", 4))]  # fmt: skip
    assert out.getvalue().endswith("\r\x1b[K")


def test_an_interrupt_ends_the_wait_and_not_the_order() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    waiting = Waiting(4)
    waiting.sleep = interrupted  # type: ignore[method-assign]
    with pytest.raises(SwlbError, match="4 sessions are open; the wait is over, the order holds") as ended:
        waiting.wait()
    assert ended.value.exit_code == 1


@pytest.mark.parametrize("order", ["drain", "maint", "weight=0", "weight=0%", "weight=00"])
def test_orders_that_end_new_sessions_can_be_waited_for(order: str) -> None:
    assert (read_patience(order, "1m30s"), read_patience(order, None)) == (90.0, math.inf)


@pytest.mark.parametrize("order", ["ready", "weight=1", "weight=10%", "weight=", "weight", "", "up"])
def test_after_other_orders_there_is_nothing_to_wait_for(order: str) -> None:
    with pytest.raises(WrongWords, match="drain, maint and weight=0"):
        read_patience(order, "1s")


@pytest.mark.parametrize("patience", ["", "30", "soon", "-1s", "1s1s"])
def test_other_words_are_no_duration(patience: str) -> None:
    with pytest.raises(WrongWords, match="expected a duration such as 500ms, 30s, 5m, or none"):
        read_patience("drain", patience)


# ---- the command ----


@pytest.fixture
def asked(monkeypatch) -> list[tuple]:
    """What was asked of a running swlb, whose server has a session at the first look and none at the second."""
    asked: list[tuple] = []
    counts = iter((1, 0))

    def ask(control, method, target, body=None):
        asked.append((method, target, body))
        if method == "POST":
            return {"done": "server web/web1: drain (was ready)"}
        return {"server": "web/web1", "sessions_open": next(counts), "admin": "drain", "weight": 1}

    monkeypatch.setattr("swlb.client.ask", ask)
    return asked


def run(monkeypatch, *words: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["swlb", "set", "server", *words])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.parametrize("wait", [["--wait", "30s"], ["--wait=30s"], ["--wait"]])
def test_the_command_gives_its_order_and_waits(monkeypatch, capsys, asked, wait) -> None:
    assert run(monkeypatch, "web/web1", "drain", *wait) == 0
    assert [method for method, _, _ in asked] == ["POST", "GET", "GET"]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "server web/web1: drain (was ready)"
    assert second.startswith("server web/web1: no session is left (after ")


def test_without_wait_it_does_not(monkeypatch, asked) -> None:
    assert run(monkeypatch, "web/web1", "drain") == 0
    assert [method for method, _, _ in asked] == ["POST"]


@pytest.mark.parametrize("words", [["ready", "--wait"], ["drain", "--wait", "soon"], ["weight=3", "--wait=1s"]])
def test_wrong_words_are_refused_before_anything_is_ordered(monkeypatch, capsys, asked, words) -> None:
    assert run(monkeypatch, "web/web1", *words) == 2
    assert asked == []
    assert "--wait" in capsys.readouterr().err

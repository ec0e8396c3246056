"""Where swlb/checks.py is tested: a clock moved by hand, and probes that do as they are told."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from swlb.checks import CheckKey, Checks
from swlb.config import Check
from swlb.health import Transition
from swlb.probes import Outcome, Target, Way
from tests.manual_clock import ManualClock

WEB1, WEB2 = ("web", "web1", 0), ("web", "web2", 0)
NEVER = float("inf")


def check(*, timeout: float = NEVER, initial: str = "checking", **timers: object) -> Check:
    """A check without a timeout of its own."""
    return Check(timeout=timeout, initial=initial, **timers)


class Answer(NamedTuple):
    """How a fake probe ends, and after how long."""

    ok: bool | None
    takes: float = 0.0


UP, REFUSED, SILENT = Answer(True), Answer(False), Answer(False, 1.0)


class Bench:
    """Checks under test, the answers each target gives (the last one for ever), and all that was heard of them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.answers: dict[Target, list[Answer]] = defaultdict(lambda: [UP])
        self.starts: dict[Target, list[float]] = defaultdict(list)
        self.heard: list[tuple[float, CheckKey, str]] = []
        self.detail = ""
        self.cancelled = 0
        self.asked_with: list[object] = []
        self.draw: Callable[[], float] = lambda: 0.5
        self.checks = Checks(
            self.clock,
            on_transition=lambda key, change: self.hear_transition(key, change),
            on_probe=lambda key, outcome: self.hear_probe(key, outcome),
            probe_of=lambda kind: self.probe,
            draw=lambda: self.draw(),
        )

    def hear_transition(self, key: CheckKey, change: Transition) -> None:
        self.heard.append((self.clock.now(), key, change.new))

    def hear_probe(self, key: CheckKey, outcome: Outcome) -> None:
        pass

    def start(
        self,
        key: CheckKey = WEB1,
        *,
        initial: str = "checking",
        position: tuple[int, int] = (0, 1),
        **rules: object,
    ) -> Target:
        target = Target(f"address of {key}", 80)
        self.checks.start(key, check(initial=initial, **rules), target, Way(), position=position)
        return target

    async def probe(self, check: Check, target: Target, way: Way) -> Outcome:
        self.asked_with.append((check, way))
        self.starts[target].append(self.clock.now())
        answers = self.answers[target]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            await self.clock.sleep_until(self.clock.now() + answer.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        detail = self.detail or f"took {answer.takes} s"
        return Outcome(answer.ok, "L4OK" if answer.ok else "L4CON", detail, answer.takes * 1000)


def on_bench(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    """Run a scenario; no task of the checks outlives it."""

    async def run() -> None:
        bench = Bench()
        await scenario(bench)
        await bench.checks.stop_all()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())

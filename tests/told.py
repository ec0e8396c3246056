"""Probes of a balancer under test that end as they are told to, on its clock."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from control import Control, control
from manual_clock import ManualClock

from swlb.config import Check
from swlb.probes import Outcome, Target, Way

UP = Outcome(True, "L4OK", "connected", 1.0, {"connect": 1.0})
DOWN = Outcome(False, "L4CON", "connection refused", 1.0, {"connect": 1.0})


class Told:
    """What each kind of probe ends in at each address, UP by default; `asked` has its moments by kind and target."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], Outcome] = defaultdict(lambda: UP)
        self.asked: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.clock: ManualClock | None = None

    def probe_of(self, kind: str):
        """The probe of that kind."""

        async def probe(check: Check, target: Target, way: Way) -> Outcome:
            assert self.clock is not None
            self.asked[kind, str(target)].append(self.clock.now())
            return self.outcomes[kind, str(target.address)]

        return probe


def on_clock(scenario: Callable[[Control, Told], Awaitable[None]], text: str, **options) -> None:
    """Run a scenario on a balancer whose checks have begun."""

    async def run() -> None:
        told = Told()
        balanced = control(text, probe_of=told.probe_of, **options)
        told.clock = balanced.clock
        balanced.balancer.start()
        await scenario(balanced, told)
        await balanced.balancer.stop()

    asyncio.run(run())

"""A clock that moves when a test says so."""

import asyncio
import heapq
import itertools

# A turn of the loop per step from a woken task to what it wakes; the longest such chain here is a handful.
TURNS_TO_SETTLE = 20


class ManualClock:
    """A swlb.clock.Clock at `moment`; sleepers wake in the order of their moments, each with the clock at its own."""

    def __init__(self, moment: float = 0.0) -> None:
        self._now = moment
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """The moment the test has moved to."""
        return self._now

    async def sleep_until(self, moment: float) -> None:
        """Return when now() >= moment; other tasks have run at least once, even if the moment has passed."""
        if moment <= self._now:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._order), woken))
        await woken

    async def advance_to(self, moment: float) -> None:
        """All that was to happen until `moment`, that moment included, has happened."""
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= moment:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self._now = max(self._now, moment)

    async def stall_until(self, moment: float) -> None:
        """As if this process had been stopped: whatever was to happen until `moment` happens now, and late."""
        self._now = max(self._now, moment)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(TURNS_TO_SETTLE):
            await asyncio.sleep(0)

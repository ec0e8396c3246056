"""Where time comes from: a Clock is passed in, so that tests bring one they move by hand."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never run backwards, and a way to wait for one of them."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return when now() >= moment; other tasks have run at least once, even if the moment has passed."""
        ...


class SystemClock:
    """The kernel's monotonic clock, which is asyncio's as well."""

    def now(self) -> float:
        """Seconds since boot, as time.monotonic() counts them."""
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        """Return when now() >= moment; other tasks have run at least once, even if the moment has passed."""
        await asyncio.sleep(max(0.0, moment - self.now()))
        # asyncio's timers may fire one clock resolution early.
        while (rest := moment - self.now()) > 0:
            await asyncio.sleep(rest)

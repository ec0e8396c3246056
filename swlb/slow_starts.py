"""Servers that start slowly, each in a task of its own as long as its share grows. Everything in one event loop."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from swlb.clock import Clock
from swlb.health import DOWN, UNPROBED, UP
from swlb.servers import Key, ServerState
from swlb.slow_start import SHARE_FULL, share_at, step_of
from swlb.spoken import MAINT

log = logging.getLogger(__name__)


class SlowStarts:
    """Which servers start slowly. `on_share` hears of each new share of one, after the server has it."""

    def __init__(self, clock: Clock, *, on_share: Callable[[ServerState], None]) -> None:
        self._clock = clock
        self._on_share = on_share
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def follow(self, state: ServerState) -> None:
        """The server has changed: it starts slowly if it takes sessions again after a rest, and else as it did.

        One that served all the time, as its health was ignored (fail_open), has not rested. Its first verdict after
        the start of swlb ends no rest either: nobody knows that it did not serve before.
        """
        if state.operational != UP or not state.serves:
            self.end(state)
        if not state.serves:
            state.has_rested |= state.effective_admin == MAINT or _is_known_to_be_down(state)
        elif state.has_rested and state.effective_weight:
            state.has_rested = False
            if state.operational == UP and state.service.slow_start:
                self._begin(state)

    def reform(self, servers: Iterable[ServerState]) -> None:
        """Their configuration is another one: how slowly they start, and perhaps whether they take sessions."""
        for state in servers:
            if state.slow_since is not None:
                if (task := self._tasks.pop(state.key, None)) is not None:
                    task.cancel()
                self._go_on(state)
            self.follow(state)

    def end(self, state: ServerState) -> None:
        """All of it counts, now or when it next serves."""
        state.share, state.slow_since = SHARE_FULL, None
        if (task := self._tasks.pop(state.key, None)) is not None:
            task.cancel()

    async def stop_all(self) -> None:
        """No share grows any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, state: ServerState) -> None:
        self.end(state)
        state.slow_since = self._clock.now()
        self._go_on(state)

    def _go_on(self, state: ServerState) -> None:
        """The share is what it is by now, and grows to the whole."""
        if self._has_grown(state):
            return
        task = asyncio.get_running_loop().create_task(self._grow(state), name=f"slow start {'/'.join(state.key)}")
        self._tasks[state.key] = task
        task.add_done_callback(lambda ended: self._forget(state.key, ended))

    async def _grow(self, state: ServerState) -> None:
        while state.slow_since is not None:
            await self._clock.sleep_until(self._clock.now() + step_of(state.service.slow_start))
            self._has_grown(state)
            self._on_share(state)

    def _has_grown(self, state: ServerState) -> bool:
        """Whether all of it counts now; else the share that does is right."""
        assert state.slow_since is not None, "it starts slowly"
        state.share = share_at(self._clock.now() - state.slow_since, state.service.slow_start)
        if state.share == SHARE_FULL:
            state.slow_since = None
        return state.share == SHARE_FULL

    def _forget(self, key: Key, ended: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is ended:
            del self._tasks[key]
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.critical("%s ended by mistake", ended.get_name(), exc_info=error)


def _is_known_to_be_down(state: ServerState) -> bool:
    return state.operational == DOWN and state.reason != UNPROBED

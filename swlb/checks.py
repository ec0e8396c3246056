"""The health checks that run: one asyncio task for each server joins its Health with its probes.

A server whose probe hangs delays no other, and its timeout strikes while the probe is in flight. Everything happens
in one event loop; nothing here may be called from another thread.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from swlb.clock import Clock
from swlb.config import Check
from swlb.health import CHECKING, UNPROBED, Health, Transition
from swlb.probes import Outcome, Probe, Target, Way, probe_of

log = logging.getLogger(__name__)

Key = tuple[str, str]  # the names of a service and of a server of it
News = TypeVar("News")

# First probes are spread so that many servers are not asked in one burst, but nobody waits long for the first answer;
# servers that serve nobody until then wait least. The distance they start with stays, so it must be enough for the one
# event loop, which a probe costs 0.3 ms: of 500 probes a second 99 % start within 1.5 ms so, within 11 ms otherwise.
SPREAD_S = 1.0
SPREAD_CHECKING_S = 0.2
SPACING_S = 0.002


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What is known of one server's check. Moments are the Clock's.

    `reason` made the server `operational` at `since`; `check_status`, `check_duration_ms` and `detail` are the last
    probe's: INI, None and "" before the first has ended. `streak` counts the probes in a row that speak against
    `operational`; `next_probe_at` is None while a probe is in flight.
    """

    operational: str
    reason: str
    since: float
    check_status: str
    check_duration_ms: float | None
    detail: str
    next_probe_at: float | None
    streak: int


@dataclass(eq=False, slots=True)
class _Server:
    """One server under check: whom to ask and how, and what is known."""

    key: Key
    check: Check
    target: Target
    way: Way
    probe: Probe
    health: Health
    last: Outcome | None = None


def first_delay(interval: float, *, position: tuple[int, int], initial: str) -> float:
    """Seconds until the first probe of server k of n, given as (k, n) with k from 0: none for the first of them."""
    k, n = position
    spread = max(SPREAD_CHECKING_S if initial == CHECKING else SPREAD_S, n * SPACING_S)
    return min(interval, spread) * k / n


class Checks:
    """Checks of servers by key, from start to stop.

    `on_probe` hears of each probe that ended, `on_transition` of each change of an operational state, after status()
    tells the same. Both are called in the event loop and may call start and stop.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_transition: Callable[[Key, Transition], None],
        on_probe: Callable[[Key, Outcome], None],
        probe_of: Callable[[str], Probe] = probe_of,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._on_transition = on_transition
        self._on_probe = on_probe
        self._probe_of = probe_of
        self._draw = draw
        self._servers: dict[Key, _Server] = {}
        self._tasks: dict[_Server, asyncio.Task[None]] = {}  # those stopped stay until they have ended

    def start(
        self,
        key: Key,
        check: Check,
        target: Target,
        way: Way,
        *,
        initial: str | None = None,
        position: tuple[int, int] = (0, 1),
    ) -> None:
        """The server is checked afresh, in state `initial` (the check's own by default); an older check has stopped.

        `position` is (k, n) when n servers are started together; their first probes are spread.
        """
        self.stop(key)
        now = self._clock.now()
        initial = check.initial if initial is None else initial
        first_at = now + first_delay(check.interval, position=position, initial=initial)
        health = Health(check, now=now, first_probe_at=first_at, initial=initial, draw=self._draw)
        server = _Server(key, check, target, way, self._probe_of(check.type), health)
        self._servers[key] = server
        task = asyncio.get_running_loop().create_task(self._run(server), name=f"check {'/'.join(key)}")
        self._tasks[server] = task
        task.add_done_callback(lambda ended: self._forget(server, ended))

    def stop(self, key: Key) -> None:
        """The server is checked no more, nothing is reported of it, and a probe in flight is cancelled."""
        server = self._servers.pop(key, None)
        if server in self._tasks:
            self._tasks[server].cancel()

    async def stop_all(self) -> None:
        """No server is checked, and every probe's socket is closed."""
        for key in list(self._servers):
            self.stop(key)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def status(self, key: Key) -> CheckStatus:
        """What is known now; KeyError when the server is not checked."""
        server = self._servers[key]
        health, last = server.health, server.last
        return CheckStatus(
            operational=health.operational,
            reason=health.reason,
            since=health.since,
            check_status=UNPROBED if last is None else last.status,
            check_duration_ms=None if last is None else last.duration_ms,
            detail="" if last is None else last.detail,
            next_probe_at=health.next_probe_at,
            streak=health.streak,
        )

    async def _run(self, server: _Server) -> None:
        while True:
            began = await self._rest(server)
            server.health.begin(began)
            outcome = await self._probe(server)
            now = self._clock.now()
            self._tick(server, now)
            transition = server.health.report(outcome, now)
            server.last = outcome
            self._tell(server, self._on_probe, outcome)
            if transition is not None:
                self._tell(server, self._on_transition, transition)

    async def _rest(self, server: _Server) -> float:
        """The moment the next probe is due, once it has come; a change that falls due before may move it."""
        while True:
            moments = (server.health.next_probe_at, server.health.strikes_at)
            await self._clock.sleep_until(min(moment for moment in moments if moment is not None))
            now = self._clock.now()
            self._tick(server, now)
            due = server.health.next_probe_at
            assert due is not None, "a probe is in flight"
            if now >= due:
                return now

    async def _probe(self, server: _Server) -> Outcome:
        """The outcome of one probe; a change that falls due meanwhile happens at its moment."""
        began = self._clock.now()
        alarm = None if server.health.strikes_at is None else asyncio.create_task(self._strike(server))
        try:
            return await server.probe(server.check, server.target, server.way)
        except Exception as error:
            # A mistake in a probe must not end the task: the server would keep its state for ever.
            log.exception("check %s: the probe failed in itself", "/".join(server.key))
            duration_ms = (self._clock.now() - began) * 1000
            return Outcome(False, "SOCKERR", f"the probe failed in itself: {error!r}", duration_ms)
        finally:
            if alarm is not None:
                alarm.cancel()

    async def _strike(self, server: _Server) -> None:
        while (moment := server.health.strikes_at) is not None:
            await self._clock.sleep_until(moment)
            self._tick(server, self._clock.now())

    def _tick(self, server: _Server, now: float) -> None:
        transition = server.health.tick(now)
        if transition is not None:
            self._tell(server, self._on_transition, transition)

    def _tell(self, server: _Server, listener: Callable[[Key, News], None], news: News) -> None:
        if self._servers.get(server.key) is not server:
            return  # stopped, perhaps by the listener that heard the news before this
        try:
            listener(server.key, news)
        except Exception:
            # As in _probe: somebody else's mistake must not leave the server unchecked.
            log.exception("check %s: a listener failed", "/".join(server.key))

    def _forget(self, server: _Server, ended: asyncio.Task[None]) -> None:
        del self._tasks[server]
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.critical("check %s ended by mistake", "/".join(server.key), exc_info=error)

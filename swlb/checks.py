"""The health checks that run: one asyncio task for each check of a server joins its Health with its probes.

A server whose probe hangs delays no other, and its timeout strikes while the probe is in flight. A check that has a
name is shared: servers of several services that are one target are probed once by it, and each hears of it.
Everything happens in one event loop; nothing here may be called from another thread.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from swlb.check_status import KEPT, CheckStatus, Past
from swlb.clock import Clock
from swlb.config import Check
from swlb.health import CHECKING, UNPROBED, Health, Transition
from swlb.probes import Outcome, Probe, Target, Way, probe_of

log = logging.getLogger(__name__)

CheckKey = tuple[str, str, int]  # the names of a service and of a server of it, and the number of the service's check
Subject = tuple[Check, Target, Way]  # what is asked, and whom
News = TypeVar("News")

# First probes are spread so that many servers are not asked in one burst, but nobody waits long for the first answer;
# servers that serve nobody until then wait least. The distance they start with stays, so it must be enough for the one
# event loop, which a probe costs 0.3 ms: of 500 probes a second 99 % start within 1.5 ms so, within 11 ms otherwise.
SPREAD_S = 1.0
SPREAD_CHECKING_S = 0.2
SPACING_S = 0.002
DETAIL_LEN = 300  # of a probe that is remembered


@dataclass(eq=False, slots=True)
class _Server:
    """One server under one check: whom to ask and how, what is known, and who is to hear of it."""

    label: str
    keys: list[CheckKey]
    check: Check
    target: Target
    way: Way
    probe: Probe
    health: Health
    rest: asyncio.Task[None] | None = None  # until the next moment at which something happens
    history: deque[Past] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def subject(self) -> Subject:
        """What makes it the same as another: the check, and whom it asks."""
        return subject_of(self.check, self.target, self.way)

    @property
    def last(self) -> Outcome | None:
        """How its last probe ended."""
        return self.history[-1].outcome if self.history else None

    def keep(self, outcome: Outcome, now: float) -> None:
        """The outcome is the last one, and the oldest that is too much is forgotten."""
        if len(outcome.detail) > DETAIL_LEN:
            outcome = replace(outcome, detail=f"{outcome.detail[:DETAIL_LEN]}...")
        self.history.append(Past(now, outcome))


def first_delay(interval: float, *, position: tuple[int, int], initial: str) -> float:
    """Seconds until the first probe of server k of n, given as (k, n) with k from 0: none for the first of them."""
    k, n = position
    spread = max(SPREAD_CHECKING_S if initial == CHECKING else SPREAD_S, n * SPACING_S)
    return min(interval, spread) * k / n


def subject_of(check: Check, target: Target, way: Way) -> Subject:
    """What two servers must have alike to share a probe. Only a program is told their names, and is asked for each."""
    return (check, target if check.type == "exec" else replace(target, service="", server=""), way)


def _text(key: CheckKey) -> str:
    service, server, number = key
    return f"{service}/{server}" + (f" [{number}]" if number else "")


class Checks:
    """Checks of servers by key, from start to stop.

    `on_probe` hears of each probe that ended, `on_transition` of each change of an operational state, after status()
    tells the same. Both are called in the event loop and may call start and stop.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_transition: Callable[[CheckKey, Transition], None],
        on_probe: Callable[[CheckKey, Outcome], None],
        probe_of: Callable[[str], Probe] = probe_of,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._on_transition = on_transition
        self._on_probe = on_probe
        self._probe_of = probe_of
        self._draw = draw
        self._servers: dict[CheckKey, _Server] = {}
        self._shared: dict[Subject, _Server] = {}
        self._tasks: dict[_Server, asyncio.Task[None]] = {}  # those stopped stay until they have ended

    def start(
        self,
        key: CheckKey,
        check: Check,
        target: Target,
        way: Way,
        *,
        initial: str | None = None,
        position: tuple[int, int] = (0, 1),
    ) -> None:
        """The server is checked afresh, in state `initial` (the check's own by default); an older check has stopped.

        One that has a name and asks the same target already is shared, and in whatever state it is. `position` is
        (k, n) when n servers are started together; their first probes are spread.
        """
        self.stop(key)
        shared = self._shared.get(subject_of(check, target, way)) if check.name else None
        if shared is not None:
            shared.keys.append(key)
            self._servers[key] = shared
            return
        now = self._clock.now()
        initial = check.initial if initial is None else initial
        first_at = now + first_delay(check.interval, position=position, initial=initial)
        health = Health(check, now=now, first_probe_at=first_at, initial=initial, draw=self._draw)
        server = _Server(_text(key), [key], check, target, way, self._probe_of(check.type), health)
        self._servers[key] = server
        if check.name:
            self._shared[server.subject] = server
        task = asyncio.get_running_loop().create_task(self._run(server), name=f"check {server.label}")
        self._tasks[server] = task
        task.add_done_callback(lambda ended: self._forget(server, ended))

    def stop(self, key: CheckKey) -> None:
        """The server is checked no more, and nothing is reported of it; a probe in flight for it alone is cancelled."""
        server = self._servers.pop(key, None)
        if server is not None:
            self._drop(server, key)

    def _drop(self, server: _Server, key: CheckKey) -> None:
        """Nothing is reported of the server under that key; under no other, either, it is checked no more."""
        server.keys.remove(key)
        if server.keys:
            return
        if server.check.name:
            del self._shared[server.subject]
        if server in self._tasks:
            self._tasks[server].cancel()

    def asks(self, key: CheckKey, check: Check, target: Target, way: Way) -> bool:
        """Whether the check of that key runs and is this one: asked afresh, it would ask the same in the same way."""
        server = self._servers.get(key)
        if server is None or server.check != check or server.way != way:
            return False
        return server.target == target or server.subject == subject_of(check, target, way)

    @contextmanager
    def going_on(self, keys: Mapping[CheckKey, CheckKey]) -> Iterator[None]:
        """Only these checks go on, untouched and each under its new key; the others have stopped after the block.

        Not before it, so that what is started in it may share those that have a name.
        """
        before = self._servers
        self._servers = {new: before[old] for old, new in keys.items()}
        for old, new in keys.items():
            server = before[old]
            server.keys[server.keys.index(old)] = new
            server.label = _text(server.keys[0])
        try:
            yield
        finally:
            for key in before.keys() - keys.keys():
                self._drop(before[key], key)

    def probe_by(self, key: CheckKey, moment: float) -> None:
        """The server's next probe begins by that moment, unless one is in flight: never two at once."""
        server = self._servers.get(key)
        if server is not None and server.health.hasten(moment) and server.rest is not None:
            server.rest.cancel()

    def __contains__(self, key: CheckKey) -> bool:
        """Whether the server is checked."""
        return key in self._servers

    async def stop_all(self) -> None:
        """No server is checked, and every probe's socket is closed."""
        for key in list(self._servers):
            self.stop(key)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def status(self, key: CheckKey) -> CheckStatus:
        """What is known now; KeyError when the server is not checked."""
        server = self._servers[key]
        health, last = server.health, server.last
        return CheckStatus(
            check=server.check,
            operational=health.operational,
            reason=health.reason,
            since=health.since,
            check_status=UNPROBED if last is None else last.status,
            check_duration_ms=None if last is None else last.duration_ms,
            detail="" if last is None else last.detail,
            next_probe_at=health.next_probe_at,
            streak=health.streak,
            timeout_at=health.timeout_at,
            strikes_at=health.strikes_at,
            history=tuple(server.history),
        )

    async def _run(self, server: _Server) -> None:
        while True:
            began = await self._rest(server)
            server.health.begin(began)
            outcome = await self._probe(server)
            now = self._clock.now()
            self._tick(server, now)
            transition = server.health.report(outcome, now)
            server.keep(outcome, now)
            self._tell(server, self._on_probe, outcome)
            if transition is not None:
                self._tell(server, self._on_transition, transition)

    async def _rest(self, server: _Server) -> float:
        """The moment the next probe is due, once it has come; a change that falls due before may move it."""
        while True:
            moments = (server.health.next_probe_at, server.health.strikes_at)
            await self._sleep(server, min(moment for moment in moments if moment is not None))
            now = self._clock.now()
            self._tick(server, now)
            due = server.health.next_probe_at
            assert due is not None, "a probe is in flight"
            if now >= due:
                return now

    async def _sleep(self, server: _Server, moment: float) -> None:
        """Return at that moment, or as soon as the next probe is brought forward."""
        server.rest = asyncio.ensure_future(self._clock.sleep_until(moment))
        try:
            await asyncio.wait([server.rest])
        finally:
            server.rest.cancel()

    async def _probe(self, server: _Server) -> Outcome:
        """The outcome of one probe; a change that falls due meanwhile happens at its moment."""
        began = self._clock.now()
        alarm = None if server.health.strikes_at is None else asyncio.create_task(self._strike(server))
        try:
            return await server.probe(server.check, server.target, server.way)
        except Exception as error:
            # A mistake in a probe must not end the task: the server would keep its state for ever.
            log.exception("check %s: the probe failed in itself", server.label)
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

    def _tell(self, server: _Server, listener: Callable[[CheckKey, News], None], news: News) -> None:
        for key in list(server.keys):
            if self._servers.get(key) is not server:
                continue  # stopped, perhaps by the listener that heard the news before this
            try:
                listener(key, news)
            except Exception:
                # As in _probe: somebody else's mistake must not leave the server unchecked.
                log.exception("check %s: a listener failed", server.label)

    def _forget(self, server: _Server, ended: asyncio.Task[None]) -> None:
        del self._tasks[server]
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.critical("check %s ended by mistake", server.label, exc_info=error)

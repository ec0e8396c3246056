"""Own schedulers at work: each is asked for a table in a thread of its own, and the workers choose by its last answer.

A class that raises, hangs or answers nonsense costs an event, and the table it gave before stays.
"""

import asyncio
import math
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from swlb.build import Built
from swlb.clock import Clock
from swlb.config import Config, Service
from swlb.durations import duration_text
from swlb.events import Events
from swlb.own_scheduler import NotUsable, OwnScheduler, ServerView, load, table_of
from swlb.servers import Key, ServerState

LOOK_GAP_S = 0.1  # between two looks at whether a server has changed
ASK_GAP_S = 1.0  # sessions come and go all the time
PATIENCE_S = 5.0  # an answer that is awaited for longer is told

Answer = list[str] | NotUsable
Standing = tuple[object, ...]


class Balanced(Protocol):
    """Whose servers these are: the balancer. Another configuration may be in force at the next look."""

    config: Config
    built: Built
    events: Events
    servers: dict[Key, ServerState]


class OwnTables:
    """Tables for the services whose scheduler is a class that somebody has written. One event loop's thread."""

    def __init__(self, balancer: Balanced, clock: Clock) -> None:
        self._balancer = balancer
        self._clock = clock
        self._askers: dict[str, _Asker] = {}

    async def watch(self) -> None:
        """Asks for ever, and carries out what was answered."""
        try:
            while True:
                self.look()
                await self._clock.sleep_until(self._clock.now() + (LOOK_GAP_S if self._askers else ASK_GAP_S))
        finally:
            for asker in self._askers.values():
                asker.end()

    def look(self) -> None:
        """Whoever has changed, or has not been asked about for ASK_GAP_S, is asked about now."""
        services = {s.name: s for s in self._balancer.config.services.values() if s.has_own_scheduler}
        for name, asker in list(self._askers.items()):
            if name not in services or services[name].scheduler != asker.scheduler:
                asker.end()
                del self._askers[name]
        for name, service in services.items():
            if name not in self._askers:
                self._askers[name] = _Asker(service.scheduler, self._hear_of(name))
            self._ask(service, self._askers[name])

    def _ask(self, service: Service, asker: "_Asker") -> None:
        now = self._clock.now()
        if asker.busy:
            if now - asker.asked_at >= PATIENCE_S:
                self._fail(service.name, asker, f"it has not answered within {duration_text(PATIENCE_S)}")
            return
        states = [self._balancer.servers[service.name, name] for name in service.servers]
        standing = tuple((state.key, state.ready_bits, state.wanted_weight) for state in states)
        if standing != asker.standing or now - asker.asked_at >= ASK_GAP_S:
            asker.ask(tuple(self._view(state) for state in states), standing, now)

    def _view(self, state: ServerState) -> ServerView:
        figures = self._balancer.built.workers.server(state.index)
        return ServerView(
            name=state.config.name,
            address=str(state.config.address),
            port=state.config.port,
            weight=state.wanted_weight,
            backup=state.config.backup,
            takes=bool(state.effective_weight),
            operational=state.operational,
            admin=state.effective_admin,
            sessions_active=figures["sessions_active"],
            sessions_inactive=figures["sessions_inactive"],
            sessions_total=figures["sessions_total"],
        )

    def _hear_of(self, name: str) -> "Callable[[_Asker, Answer], None]":
        """What an asker's thread calls with its answer; it is heard in the event loop's."""
        loop = asyncio.get_running_loop()

        def hear(asker: "_Asker", answer: Answer) -> None:
            try:
                loop.call_soon_threadsafe(self._hear, name, asker, answer)
            except RuntimeError:  # the loop has ended meanwhile
                asker.end()

        return hear

    def _hear(self, name: str, asker: "_Asker", answer: Answer) -> None:
        asker.busy = False
        service = self._balancer.config.services.get(name)
        if service is None or self._askers.get(name) is not asker:
            return
        if isinstance(answer, NotUsable):
            self._fail(name, asker, str(answer))
            return
        asker.told = ""
        self._use(service, [server for server in answer if server in service.servers])

    def _use(self, service: Service, names: Sequence[str]) -> None:
        """The workers choose by the table; clients of a family by what of it serves them."""
        built = self._balancer.built
        for family in {vip.version for vip in service.vips}:
            serve = {
                server.name: built.servers[service.name, server.name]
                for server in service.servers.values()
                if service.is_tunnel or server.address.version == family
            }
            table = [serve[name] for name in names if name in serve]
            built.workers.set_table(built.services[service.name], family, table)

    def _fail(self, name: str, asker: "_Asker", why: str) -> None:
        """It is told, once for each reason until the class answers."""
        if asker.told != why:
            asker.told = why
            text = f"scheduler {asker.scheduler} of service {name}: {why}; servers are chosen as before"
            self._balancer.events.add("scheduler_failed", text, service=name)


class _Asker:
    """One scheduler in a thread of its own, which is not waited for: one question at a time."""

    def __init__(self, scheduler: str, hear: "Callable[[_Asker, Answer], None]") -> None:
        self.scheduler = scheduler
        self.busy = False
        self.asked_at = -math.inf
        self.standing: Standing = ()
        self.told = ""
        self._hear = hear
        self._questions: queue.SimpleQueue[tuple[ServerView, ...] | None] = queue.SimpleQueue()
        # A daemon: the end of swlb does not wait for a class that hangs.
        threading.Thread(target=self._answer, name=scheduler, daemon=True).start()

    def ask(self, servers: tuple[ServerView, ...], standing: Standing, now: float) -> None:
        """The answer will be heard."""
        self.busy, self.asked_at, self.standing = True, now, standing
        self._questions.put(servers)

    def end(self) -> None:
        """Nothing more is asked; the thread ends with its present question."""
        self._questions.put(None)

    def _answer(self) -> None:
        scheduler: OwnScheduler | None = None
        while (servers := self._questions.get()) is not None:
            answer: Answer
            try:
                if scheduler is None:
                    scheduler = load(self.scheduler)
                answer = table_of(scheduler, servers)
            except NotUsable as error:
                answer = error
            self._hear(self, answer)

"""For those who write the servers: a service tells its balancers how it is, and stops without losing a request.

    agent = Agent(port=9999)

    async def talk(reader, writer):
        with agent.session():
            ...                                      # while agent.draining, answer with "Connection: close"

    async def main():
        server = await asyncio.start_server(talk, port=8080)
        async with agent:                            # from here on it says that the service is ready
            await agent.until_drained(timeout=30)    # the drain begins with SIGTERM, and has ended here
        server.close()

This file needs the standard library and nothing else, not even the rest of swlb: it may be copied. swlb asks with
`check: {all: [{type: http}, {type: agent, port: 9999}]}`, HAProxy with `agent-check agent-port 9999`.

Whoever connects to the port is told in one line, whatever it says itself:

| what is so | the line |
|---|---|
| the service has begun | `ready up`; with a weight `ready up weight:3` or `ready up 75%` |
| maint("new disk") | `maint up # new disk`; ready() takes it back |
| down("no database") | `ready down # no database`; up() takes it back |
| SIGTERM, or drain("SIGTERM") | `drain up # SIGTERM, sessions left: 3`; nothing takes it back |
| until_drained() is over | `drain stopped` |

A line names both states every time, because a balancer keeps what a line does not mention: the "drain" of the process
before, for example. Spec: HAProxy's configuration manual, agent-check.
"""

import asyncio
import logging
import math
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

log = logging.getLogger(__name__)

Value = TypeVar("Value")
Weight = int | str

# The first question in a drain is answered "drain". The next proves that the balancer has acted on it: none asks again
# before it is done with the answer it had.
QUESTIONS = 2
# A client whose handshake was under way then may still complete it: that takes a round trip.
SETTLE_S = 0.5
POLL_S = 0.05

# Who connects is answered at once. These bound what is kept of it afterwards.
LINGER_S = 1.0
MOST_BYTES = 8192
MOST_TALKS = 64
MOST_BALANCERS = 64
MOST_LETTERS = 200  # of a reason


class Agent:
    """What a service says of itself on `port` of `host`, which is every address without, while its block runs.

    `weight` is 3 or "75%", or is called and returns that. `sessions` returns how many there are besides those of
    session(). Each of `signals` begins the drain, and one more hurries it; a handler that the loop had for one is
    replaced, so where the service has its own, it passes signals=() and calls drain(). A balancer has `grace` seconds
    to ask twice: more than two of its intervals. Everything happens in the event loop's thread.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str | None = None,
        weight: Weight | Callable[[], Weight] | None = None,
        sessions: Callable[[], int] = lambda: 0,
        signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        grace: float = 5.0,
    ) -> None:
        word = "" if callable(weight) else weight_word(weight)  # wrong here and now, not when somebody asks
        self.host, self.port = host, port  # the kernel's choice of a port where it was 0, once the block has begun
        self._weight = (lambda: weight_word(weight())) if callable(weight) else (lambda: word)
        self._signals = signals
        self._sessions = 0
        self._other_sessions = sessions
        self._admin, self._health = ("ready", ""), ("up", "")
        self._balancers = Balancers(grace)
        self._draining = asyncio.Event()
        self._drain_why, self._drain_began = "", math.inf
        self._hurried = self._over = False
        self._failed: set[str] = set()
        self._talks: dict[_Talk, None] = {}  # the oldest first
        self._server: asyncio.Server | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def up(self) -> None:
        """The service can answer, as it could at the beginning."""
        self._health = ("up", "")

    def down(self, why: str = "") -> None:
        """The service cannot answer; a balancer ends its sessions, or gives them to others."""
        self._health = ("down", why)

    def ready(self) -> None:
        """The service may be used, as at the beginning."""
        self._admin = ("ready", "")

    def maint(self, why: str = "") -> None:
        """The service is not to be used for now."""
        self._admin = ("maint", why)

    def drain(self, why: str = "drain") -> None:
        """The service takes no new sessions any more, and goes on with those it has. A signal does the same."""
        if self.draining:
            return
        self._drain_why = why
        self._drain_began = time.monotonic()
        self._balancers.drain(self._drain_began)
        self._draining.set()
        log.info("draining (%s), sessions: %d", why, self.sessions)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Within the block there is one session more: a connection, as long as it may bring requests."""
        self._sessions += 1
        try:
            yield
        finally:
            self._sessions -= 1

    @property
    def sessions(self) -> int:
        """How many there are; one at least where the function that knows of others fails."""
        return self._sessions + self._called("sessions", self._other_sessions, otherwise=1)

    @property
    def draining(self) -> bool:
        """Whether a connection should not be kept for another request."""
        return self._draining.is_set()

    @property
    def line(self) -> str:
        """What is said to whoever asks."""
        if self._over:
            return "drain stopped"
        (admin, admin_why), (health, health_why) = self._admin, self._health
        if self.draining:
            admin, admin_why = "drain", f"{self._drain_why}, sessions left: {self.sessions}"
        weight = self._called("weight", self._weight, otherwise="")
        why = "; ".join(filter(None, (health_why, admin_why)))
        return " ".join(filter(None, (admin, health, weight, f"# {plain(why)}" if why else "")))

    async def until_drained(self, timeout: float | None = None) -> bool:
        """Waits for the drain to begin, and then until nobody needs the service any more.

        That is True once every balancer has acted on "drain" and no session is left. It is False where that was not
        so within `timeout` seconds of the drain's beginning, or another signal came.
        """
        await self._draining.wait()
        latest = math.inf if timeout is None else self._drain_began + timeout
        while not (drained := self._is_drained()) and not self._hurried and time.monotonic() < latest:
            await asyncio.sleep(POLL_S)
        self._over = True
        seconds = time.monotonic() - self._drain_began
        level, what = (logging.INFO, "drained") if drained else (logging.WARNING, "not drained")
        log.log(level, "%s after %.2f s, sessions left: %d", what, seconds, self.sessions)
        if self._balancers.untold:
            log.warning("may still choose this server, not having asked twice: %s", ", ".join(self._balancers.untold))
        return drained

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Talk(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            for number in self._signals:
                before = signal.getsignal(number)
                loop.add_signal_handler(number, self._on_signal, number)
                self._handlers[number] = before
        except BaseException:  # not in the main thread, for example
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nobody is answered any more, and signals do what they did before."""
        assert self._server is not None
        for number, handler in self._handlers.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, handler or signal.SIG_DFL)
        self._server.close()
        for talk in list(self._talks):
            talk.cut()
        await self._server.wait_closed()

    def _on_signal(self, number: signal.Signals) -> None:
        if self.draining:
            log.warning("%s in a drain: not waiting any longer", number.name)
            self._hurried = True
        self.drain(number.name)

    def _is_drained(self) -> bool:
        return time.monotonic() >= self._balancers.told_at + SETTLE_S and not self.sessions

    def _called(self, what: str, function: Callable[[], Value], *, otherwise: Value) -> Value:
        """What the service's function returned. Where it fails that is logged, once, and balancers are answered."""
        try:
            return function()
        except Exception:
            if what not in self._failed:
                log.exception("the function for %s failed", what)
            self._failed.add(what)
            return otherwise

    def _answer(self, talk: "_Talk", asker: str | None) -> bytes:
        """What one that has just connected is told. Of too many the oldest has its answer, and must go."""
        if asker is not None:
            self._balancers.asked(asker, time.monotonic())
        self._talks[talk] = None
        if len(self._talks) > MOST_TALKS:
            next(iter(self._talks)).cut()
        return f"{self.line}\n".encode()


class Balancers:
    """Who asks, and since when all of them know of the drain. No I/O, no clock.

    Waited for are those who asked within the last `grace` seconds before it began, and for as long.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._asked_at: dict[str, float] = {}  # the longest silent first
        self.untold: dict[str, int] = {}  # the questions that each has yet to ask
        self.told_at = math.inf  # from when on all know, or have had their time

    def drain(self, now: float) -> None:
        """The drain has begun."""
        recent = [asker for asker, at in self._asked_at.items() if now - at <= self._grace]
        self.untold = dict.fromkeys(recent, QUESTIONS)
        self.told_at = now + self._grace if recent else now

    def asked(self, asker: str, now: float) -> None:
        """A balancer is given the answer of the moment. Of too many the longest silent is forgotten."""
        self._asked_at.pop(asker, None)
        self._asked_at[asker] = now
        if len(self._asked_at) > MOST_BALANCERS:
            del self._asked_at[next(iter(self._asked_at))]
        if asker in self.untold:
            self.untold[asker] -= 1
            self.untold = {who: questions for who, questions in self.untold.items() if questions}
            self.told_at = self.told_at if self.untold else min(self.told_at, now)


class _Talk(asyncio.Protocol):
    """One that asks. It has its answer at once, and LINGER_S to read it and go."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._alarm = asyncio.get_running_loop().call_later(LINGER_S, self.cut)
        peer = transport.get_extra_info("peername")
        transport.write(self._agent._answer(self, peer[0] if peer else None))
        # Closed at once, with what it may have sent unread, the kernel would say RST, and the answer might be lost.
        with suppress(OSError):
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self.cut()

    def connection_lost(self, error: Exception | None) -> None:
        self._alarm.cancel()
        self._agent._talks.pop(self, None)

    def cut(self) -> None:
        self._agent._talks.pop(self, None)
        self._transport.abort()


def weight_word(weight: Weight | None) -> str:
    """`weight:3` for 3, `75%` for "75%", nothing for None. Raises ValueError for anything else."""
    if weight is None:
        return ""
    if isinstance(weight, int) and not isinstance(weight, bool) and 0 <= weight <= 65535:
        return f"weight:{weight}"
    if isinstance(weight, str) and re.fullmatch(r"[0-9]{1,4}%", weight):
        return weight
    raise ValueError(f"weight {weight!r}; expected a number from 0 to 65535, or a share of what is configured: '75%'")


def plain(why: str) -> str:
    """A reason as it may stand in a line: letters that can be printed, and not too many."""
    return "".join(letter if letter.isprintable() else " " for letter in why[:MOST_LETTERS])

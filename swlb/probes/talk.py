"""A talk over one TCP connection, read into a bounded buffer: what the kinds that speak text share."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from swlb.config import Check
from swlb.excerpt import excerpt
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, connected, failed, within


class BrokenOffError(Exception):
    """Nothing more can come; the words complete "the server did not ... but "."""


class Talk:
    """One connection to a target.

    `buffer` holds what came and was not taken yet, at most `limit` bytes. `waiting_for` completes "the server did
    not ..." should the talk break off.
    """

    def __init__(self, sock: socket.socket, target: Target, watch: Stopwatch, limit: int) -> None:
        self.target = target
        self.watch = watch
        self.buffer = b""
        self.waiting_for = ""
        self._sock = sock
        self._limit = limit

    async def send(self, payload: bytes) -> None:
        """The payload is on its way."""
        await asyncio.get_running_loop().sock_sendall(self._sock, payload)

    async def more(self) -> None:
        """More is in the buffer; BrokenOffError when nothing can come, or nothing more has room."""
        room = self._limit - len(self.buffer)
        if not room:
            raise BrokenOffError(f"sent {self._limit} bytes of something else")
        if self.buffer:
            # sock_recv does not suspend while data waits: a server that drips fast enough would be all that runs.
            await asyncio.sleep(0)
        received = await asyncio.get_running_loop().sock_recv(self._sock, room)
        if not received:
            raise BrokenOffError("closed the connection")
        self.buffer += received

    async def broken_off(self, error: OSError | BrokenOffError, way: Way) -> Outcome:
        """How a talk ended that ended in an error: L7TOUT after silence, L7RSP when the server ended it."""
        took_ms = self.watch.ms
        missed = f"{self.target} did not {self.waiting_for}"
        sent = f"it sent {excerpt(self.buffer)}"
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            error = BrokenOffError("reset the connection")
        if isinstance(error, BrokenOffError):
            detail = f"{missed} but {error} after {took_ms:.1f} ms; {sent}"
            return Outcome(False, "L7RSP", detail, took_ms, self.watch.phases)
        outcome = await failed(error, self.target, way, silent="L7TOUT", watch=self.watch)
        if outcome.status != "L7TOUT":
            return outcome
        return replace(outcome, detail=f"{missed} within {outcome.duration_ms:.0f} ms; {sent}")


async def talked(
    check: Check, target: Target, way: Way, converse: Callable[[Talk], Coroutine[Any, Any, Outcome]], *, limit: int
) -> Outcome:
    """How the talk ended that `converse` has over a new connection; after `check.response` seconds, at most."""
    watch = Stopwatch()
    try:
        sock = await within(check.response, connected(target, way))
    except OSError as error:
        return await failed(error, target, way, silent="L4TOUT", watch=watch)
    watch.lap("connect")
    with sock:
        talk = Talk(sock, target, watch, limit)
        try:
            return await within(check.response - watch.ms / 1000, converse(talk))
        except (OSError, BrokenOffError) as error:
            return await talk.broken_off(error, way)

"""A TCP server on loopback that says what a test has it say, and what a probe of it leaves behind: nothing."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

from swlb.probes import Outcome, Target
from tests.probing import ask

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Served:
    """A server that runs: where it is, and who has come."""

    def __init__(self) -> None:
        self.target = Target(ip_address("127.0.0.1"), 0)
        self.connections = 0
        self.descriptors: set[str] = set()
        self._before: set[str] = set()

    async def is_asked(self) -> None:
        """Somebody has come, and had time to hear what there is to hear."""
        while not self.connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

    def remember(self) -> None:
        """What is open now may be open later."""
        gc.collect()  # what earlier tests left may be closed at any time
        self._before = _descriptors()

    def is_left_alone(self) -> bool:
        """Whether nothing is open that was not, the server's own apart."""
        return _descriptors() - self._before <= self.descriptors


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the connection, and says nothing as long as it stands."""
    while await reader.read(65536):
        pass


def saying(*pieces: bytes, then: Talk | None = None, pause_s: float = 0.02) -> Talk:
    """Answers a request with the pieces, each by itself, and closes, or goes on as `then` does."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then is not None:
            await then(reader, writer)

    return talk


@asynccontextmanager
async def serving(talk: Talk, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Within the block the server runs."""
    served = Served()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        served.descriptors.add(str(writer.get_extra_info("socket").fileno()))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
            writer.close()
        if not writer.is_closing():
            writer.transport.abort()

    server = await asyncio.start_server(met, host, 0, ssl=tls)
    address, l4_port = server.sockets[0].getsockname()[:2]
    served.target = Target(ip_address(address), l4_port)
    others = asyncio.all_tasks()
    try:
        yield served
    finally:
        server.close()
        own = asyncio.all_tasks() - others
        for task in own:
            task.cancel()
        await asyncio.gather(*own)
        await asyncio.sleep(0)  # sockets are closed in the next turn


async def asked(served: Served, kind: str, **keys: object) -> Outcome:
    """The outcome of one probe of the server; it has left no descriptor open that is not the server's."""
    served.remember()
    outcome = await ask(kind, served.target, **{"response": 5.0, **keys})
    assert served.is_left_alone()
    return outcome


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def outcome_of(talk: Talk, kind: str = "http", *, tls: ssl.SSLContext | None = None, **keys: object) -> Outcome:
    """The outcome of one probe of a server that talks like this."""

    async def run() -> Outcome:
        async with serving(talk, tls=tls) as served:
            return await asked(served, kind, **keys)

    return asyncio.run(run())

"""A TCP connection with a protocol of asyncio's at our end of it, in the clear or within TLS."""

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from swlb.config import Check
from swlb.durations import DAY
from swlb.probes.outcome import Stopwatch, Target
from swlb.probes.reach import Way, connected

# The limit of a handshake is the probe's own, `response`; asyncio's is 60 s, and less than a check may allow.
NO_LIMIT_S = 2 * DAY


class Security(NamedTuple):
    """How TLS is spoken: with which authorities, and the name that is asked for and must be the certificate's."""

    context: ssl.SSLContext
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The same in asyncio's words."""
        return {"ssl": self.context, "server_hostname": self.name, "ssl_handshake_timeout": NO_LIMIT_S}


class Attempt(NamedTuple):
    """One probe under way: what is asked of whom, and the time it has taken. Without `security`, in the clear."""

    check: Check
    target: Target
    way: Way
    watch: Stopwatch
    security: Security | None = None


@asynccontextmanager
async def talking(attempt: Attempt, protocol: asyncio.Protocol) -> AsyncIterator[asyncio.Transport]:
    """Within the block the protocol has a connection to the target; afterwards its socket is closed.

    The phases connect, and tls with `security`, have ended then. OSError says why there is no such connection.
    """
    sock = await connected(attempt.target, attempt.way)
    attempt.watch.lap("connect")
    transport = None
    try:
        options = attempt.security.options if attempt.security else {}
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=sock, **options)
        if attempt.security:
            attempt.watch.lap("tls")
        yield transport
    finally:
        if transport is None:
            sock.close()
        else:
            # close() says goodbye, once; abort() because a server may keep us waiting for its own.
            if not transport.is_closing():
                transport.close()
            transport.abort()
        await asyncio.sleep(0)  # asyncio closes a socket in its next turn


def ending(error: BaseException) -> str:
    """How the other end left a connection that stood: closed, reset, or '' where it did not."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNRESET:
        return "reset"
    return "closed" if isinstance(error, ConnectionError) or number in (errno.EPIPE, errno.ECONNABORTED) else ""

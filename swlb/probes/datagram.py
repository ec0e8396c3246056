"""One datagram and what answers it: what the kinds over UDP share."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, failed, opened

MAX_DATAGRAM = 65535

# From linux/in.h and linux/in6.h; Python's socket module has no names for them.
RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


@contextmanager
def asked(target: Target, way: Way, payload: bytes) -> Iterator[socket.socket]:
    """A UDP socket that has sent the payload to the target, and hears of nobody else; closed after the block."""
    assert target.l4_port is not None, "a probe over UDP needs an l4_port"
    with opened(target.address, socket.SOCK_DGRAM, way=way) as sock:
        # A connected socket is told that the port is unreachable, but of hosts and networks only if it asks for it.
        sock.setsockopt(*RECVERR[sock.family], 1)
        sock.connect((str(target.address), target.l4_port))
        sock.send(payload)
        yield sock


async def answer(sock: socket.socket) -> bytes:
    """The next datagram that comes; OSError where an ICMP error comes instead."""
    return await asyncio.get_running_loop().sock_recv(sock, MAX_DATAGRAM)


async def unanswered(error: OSError, target: Target, way: Way, *, silent: str, watch: Stopwatch) -> Outcome:
    """The Outcome of a probe over UDP that ended in an error; of TimeoutError it is `silent` as in `failed`."""
    if not isinstance(error, ConnectionRefusedError):
        return await failed(error, target, way, silent=silent, watch=watch)
    took_ms = watch.ms
    return Outcome(False, "L4CON", f"{target} says that nothing listens there, after {took_ms:.1f} ms", took_ms)

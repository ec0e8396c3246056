"""An echo request and its reply. Needs CAP_NET_RAW."""

import asyncio
import socket
import struct

from swlb.config import Check
from swlb.probes.echo import Answer, Echo
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, failed, opened, unreachable, within

# From linux/icmp.h and linux/icmpv6.h; Python's socket module has no names for them.
SOL_RAW = 255
ICMP_FILTER = 1
ICMPV6_FILTER = 1


async def icmp(check: Check, target: Target, way: Way) -> Outcome:
    """L3OK when the target's reply to one echo request came within `response` seconds."""
    watch = Stopwatch()
    echo = Echo(target.address)
    try:
        answer = await within(check.response, _exchange(echo, way))
    except OSError as error:
        return await failed(error, target, way, silent="L3TOUT", watch=watch)
    watch.lap("reply")
    took_ms = watch.ms
    if answer.ok:
        return Outcome(True, "L3OK", f"echo reply from {target} after {took_ms:.1f} ms", took_ms, watch.phases)
    return await unreachable(target, way, answer.detail, duration_ms=took_ms)


async def _exchange(echo: Echo, way: Way) -> Answer:
    loop = asyncio.get_running_loop()
    with opened(echo.target, socket.SOCK_RAW, echo.family.protocol, way=way) as sock:
        _admit(sock, echo.family.admitted)
        await loop.sock_sendto(sock, echo.request, (str(echo.target), 0))
        while True:
            received, sender = await loop.sock_recvfrom(sock, 2048)
            answer = echo.judge(received, sender[0].partition("%")[0])
            if answer is not None:
                return answer
            # sock_recvfrom does not suspend while others' messages wait: under a flood nothing else would run.
            await asyncio.sleep(0)


def _admit(sock: socket.socket, types: tuple[int, ...]) -> None:
    """The kernel hands over only messages of these types: a set bit in a filter blocks."""
    if sock.family == socket.AF_INET:
        blocked = 0xFFFFFFFF & ~sum(1 << kind for kind in types)
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", blocked))
        return
    words = [0xFFFFFFFF] * 8
    for kind in types:
        words[kind >> 5] &= ~(1 << (kind & 31))
    sock.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *words))

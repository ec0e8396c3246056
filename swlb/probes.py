"""One probe of one server, carried out. I/O without logic: what an outcome means is decided in swlb/health.py.

A probe ends in an Outcome, never in an OSError, and leaves no open socket, not even when it is cancelled. Its status
is a verdict code as HAProxy's users know them:

| status | meaning |
|---|---|
| L4OK, L3OK | the handshake was completed; the echo came back |
| L4TOUT, L3TOUT | no answer within `response` |
| L4CON | the connection was refused |
| L3UNR | something on the way says that the server cannot be reached, or there is no route |
| L2TOUT | the server, or the gateway towards it, does not answer ARP or neighbour discovery |
| SOCKERR | this host could not even ask: no descriptors, no such device, no permission |

Not here: probes that speak a protocol above TCP.
"""

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeVar

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

if TYPE_CHECKING:
    from swlb.echo import Answer, Echo

Address = IPv4Address | IPv6Address
Result = TypeVar("Result")

# From linux/in.h, linux/icmp.h, linux/icmpv6.h and linux/neighbour.h; Python's socket module has no names for them.
IP_BIND_ADDRESS_NO_PORT = 24
SOL_RAW = 255
ICMP_FILTER = 1
ICMPV6_FILTER = 1
NUD_INCOMPLETE = 0x01
NUD_FAILED = 0x20

REFUSED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
# EACCES is what ICMPv6 "administratively prohibited" and a prohibiting route become; a lack of rights is EPERM.
UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EHOSTDOWN})


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: an address, and an l4_port where the kind of probe needs one."""

    address: Address
    l4_port: int | None = None

    def __str__(self) -> str:
        if self.l4_port is None:
            return str(self.address)
        return f"[{self.address}]:{self.l4_port}" if self.address.version == 6 else f"{self.address}:{self.l4_port}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one probe ended: `detail` is a sentence for people, `duration_ms` what it took, a silent one included."""

    ok: bool
    status: str
    detail: str
    duration_ms: float


async def tcp(target: Target, *, device: str | None = None, source: Address | None = None, response: float) -> Outcome:
    """L4OK when a TCP handshake was completed within `response` seconds; the connection is closed by FIN."""
    began = time.monotonic()
    try:
        await _within(response, _handshake(target, device=device, source=source))
    except OSError as error:
        return await _failure(error, target, device=device, silent="L4TOUT", duration_ms=_ms_since(began))
    took_ms = _ms_since(began)
    return Outcome(True, "L4OK", f"connected to {target} in {took_ms:.1f} ms", took_ms)


async def icmp(target: Target, *, device: str | None = None, source: Address | None = None, response: float) -> Outcome:
    """L3OK when the target's reply to one echo request came within `response` seconds. Needs CAP_NET_RAW."""
    from swlb.echo import Echo  # dpkt takes as long to import as all that is of swlb; most services need none of it

    began = time.monotonic()
    echo = Echo(target.address)
    try:
        answer = await _within(response, _exchange(echo, device=device, source=source))
    except OSError as error:
        return await _failure(error, target, device=device, silent="L3TOUT", duration_ms=_ms_since(began))
    took_ms = _ms_since(began)
    if answer.ok:
        return Outcome(True, "L3OK", f"echo reply from {target} after {took_ms:.1f} ms", took_ms)
    return await _unreachable(target, answer.detail, device=device, duration_ms=took_ms)


def _socket(
    address: Address, kind: int, protocol: int = 0, *, device: str | None, source: Address | None
) -> socket.socket:
    """A non-blocking socket towards `address`, bound to the device and the source where they are given."""
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind, protocol)
    try:
        sock.setblocking(False)
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if source is not None:
            if kind == socket.SOCK_STREAM:
                # Without it bind() takes an l4_port for itself alone, and all probes share one range of them.
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((str(source), 0))
    except OSError:
        sock.close()
        raise
    return sock


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


async def _handshake(target: Target, *, device: str | None, source: Address | None) -> None:
    assert target.l4_port is not None, "a tcp probe needs an l4_port"
    with _socket(target.address, socket.SOCK_STREAM, device=device, source=source) as sock:
        await asyncio.get_running_loop().sock_connect(sock, (str(target.address), target.l4_port))


async def _exchange(echo: "Echo", *, device: str | None, source: Address | None) -> "Answer":
    loop = asyncio.get_running_loop()
    with _socket(echo.target, socket.SOCK_RAW, echo.family.protocol, device=device, source=source) as sock:
        _admit(sock, echo.family.admitted)
        await loop.sock_sendto(sock, echo.request, (str(echo.target), 0))
        while True:
            received, sender = await loop.sock_recvfrom(sock, 2048)
            answer = echo.judge(received, sender[0].partition("%")[0])
            if answer is not None:
                return answer
            # sock_recvfrom does not suspend while others' messages wait: under a flood nothing else would run.
            await asyncio.sleep(0)


async def _within(response: float, steps: Coroutine[Any, Any, Result]) -> Result:
    """What the steps returned, or TimeoutError after `response` seconds; they have ended either way.

    Not asyncio.timeout: after a stall of this process longer than `response` it cancels steps whose answer has long
    arrived, and every server would fail a probe for our own lateness. asyncio.wait lets them see the answer first.
    """
    task = asyncio.ensure_future(steps)
    try:
        done, _ = await asyncio.wait({task}, timeout=response)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _failure(error: OSError, target: Target, *, device: str | None, silent: str, duration_ms: float) -> Outcome:
    """The Outcome of a probe that ended in an error; TimeoutError is one of them."""
    if isinstance(error, TimeoutError):
        hop = await _unresolved_hop(target.address, device)
        if hop is not None:
            return _no_neighbour(hop, target, duration_ms)
        return Outcome(False, silent, f"no answer from {target} within {duration_ms:.0f} ms", duration_ms)
    if error.errno in REFUSED:
        text = f"connection refused by {target} after {duration_ms:.1f} ms"
        return Outcome(False, "L4CON", text, duration_ms)
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in UNREACHABLE:
        text = f"{target} cannot be reached: {reason}"
        return await _unreachable(target, text, device=device, duration_ms=duration_ms)
    return Outcome(False, "SOCKERR", f"{target} could not be probed from this host: {reason}", duration_ms)


async def _unreachable(target: Target, text: str, *, device: str | None, duration_ms: float) -> Outcome:
    hop = await _unresolved_hop(target.address, device)
    return Outcome(False, "L3UNR", text, duration_ms) if hop is None else _no_neighbour(hop, target, duration_ms)


def _no_neighbour(hop: str, target: Target, duration_ms: float) -> Outcome:
    asked = "ARP" if target.address.version == 4 else "neighbour discovery"
    who = hop if hop == str(target.address) else f"{hop}, the gateway towards {target.address},"
    return Outcome(False, "L2TOUT", f"{who} did not answer {asked} within {duration_ms:.0f} ms", duration_ms)


async def _unresolved_hop(address: Address, device: str | None) -> str | None:
    """The neighbour on the way to `address` whose MAC the kernel cannot find out; None when that is not the matter.

    The neighbour table is asked and not the socket's error, because the kernel's own report takes three seconds, and
    loops back through `lo`, where it misses most kinds of socket that are bound to a device.
    """
    query: dict[str, str | int] = {"dst": str(address)}
    try:
        if device is not None:
            query["oif"] = socket.if_nametoindex(device)
        async with AsyncIPRoute() as netlink:
            route = (await netlink.route("get", **query))[0]
            hop = route.get("gateway") or str(address)
            neighbour = (await netlink.neigh("get", dst=hop, ifindex=route.get("oif")))[0]
    except (OSError, NetlinkError, IndexError):
        return None
    return hop if neighbour["state"] & (NUD_INCOMPLETE | NUD_FAILED) else None


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000

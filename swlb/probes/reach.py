"""What all kinds of probes share: sockets that leave by the right device, a time limit, and what errors mean.

A probe ends in an Outcome, never in an OSError, and leaves no open socket, not even when it is cancelled. Every socket
of a probe comes from `opened`.
"""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from swlb.health import LATE_S
from swlb.probes.outcome import Address, Outcome, Stopwatch, Target
from swlb.probes.pins import IP_PROTOCOLS, Pin, PinnedSocket

Result = TypeVar("Result")
Option = tuple[int, int, int | bytes]  # of a socket: level, name, value

# From linux/in.h and linux/neighbour.h; Python's socket module has no names for them.
IP_BIND_ADDRESS_NO_PORT = 24
NUD_INCOMPLETE = 0x01
NUD_BELIEVED = 0x02 | 0x04 | 0x08  # reachable, stale, delay
NUD_PROBE = 0x10
NUD_FAILED = 0x20

REFUSED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
# EACCES is what ICMPv6 "administratively prohibited" and a prohibiting route become; a lack of rights is EPERM.
# Another port will do: the kernel has not forgotten the last connection of this one.
CONNECTS = 8
UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EHOSTDOWN})


@dataclass(frozen=True, slots=True)
class Way:
    """How a probe leaves this host: by which device and from which address; None leaves it to the kernel.

    With a `pin` what it sends to a VIP is for the pin's server. `also` is a second VIP of that server, and the way of
    a probe to it: both must be as they should.
    """

    device: str | None = None
    source: Address | None = None
    pin: Pin | None = None
    also: "tuple[Target, Way] | None" = None


def opened(address: Address, kind: int, protocol: int = 0, *, way: Way) -> socket.socket:
    """A non-blocking socket towards `address`, bound to the device and the source where the way names them.

    Of TCP or UDP it has a pinned port where the way has a pin; to be closed by its own close(), which gives it back.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    has_port = kind in IP_PROTOCOLS
    sock = (socket.socket if way.pin is None or not has_port else PinnedSocket)(family, kind, protocol)
    try:
        sock.setblocking(False)
        if way.device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, way.device.encode())
        if isinstance(sock, PinnedSocket):
            assert way.pin is not None
            assert way.source is not None, "a probe through a VIP leaves from an address of swlb's own"
            way.pin.bind(sock, way.source)
        elif way.source is not None:
            if kind == socket.SOCK_STREAM:
                # Without it bind() takes an l4_port for itself alone, and all probes share one range of them.
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((str(way.source), 0))
    except OSError:
        sock.close()
        raise
    return sock


async def connected(target: Target, way: Way, *, options: Iterable[Option] = ()) -> socket.socket:
    """A TCP connection to the target, with those options from before SYN on; the caller closes it.

    OSError says why there is none.
    """
    assert target.l4_port is not None, "a probe over TCP needs an l4_port"
    for left in reversed(range(CONNECTS)):
        sock = opened(target.address, socket.SOCK_STREAM, way=way)
        try:
            for option in options:
                sock.setsockopt(*option)
            await asyncio.get_running_loop().sock_connect(sock, (str(target.address), target.l4_port))
        except BaseException as error:
            sock.close()
            if way.pin is None or not left or not isinstance(error, OSError) or error.errno != errno.EADDRNOTAVAIL:
                raise
        else:
            return sock
    raise AssertionError("the last try has raised")


async def within(response: float, steps: Coroutine[Any, Any, Result]) -> Result:
    """What the steps returned, or TimeoutError after `response` seconds; they have ended either way.

    Not asyncio.timeout: after a stall of this process longer than `response` it cancels steps whose answer has long
    arrived, and every server would fail a probe for our own lateness. asyncio.wait lets them see the answer first,
    and where more than one step was left to do, or this process's own switch had yet to carry it, they have once more
    as long as the stall, `response` at most.
    """
    task = asyncio.ensure_future(steps)
    try:
        over_at = time.monotonic() + response
        done, _ = await asyncio.wait({task}, timeout=response)
        late = time.monotonic() - over_at
        if not done and late > LATE_S:
            done, _ = await asyncio.wait({task}, timeout=min(late, response))
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def failed(
    error: OSError, target: Target, way: Way, *, silent: str, watch: Stopwatch, awaited: str = "answer"
) -> Outcome:
    """The Outcome of a probe that ended in an error; of TimeoutError it is `silent`, unless nobody is there at all.

    `awaited` is what did not come then.
    """
    took_ms = watch.ms
    if isinstance(error, TimeoutError):
        hop = await _unresolved_hop(target, way)
        if hop is not None:
            return _no_neighbour(hop, target, took_ms)
        detail = f"no {awaited} from {target} within {took_ms:.0f} ms{target.advice}"
        return Outcome(False, silent, detail, took_ms, watch.phases)
    if error.errno in REFUSED:
        return Outcome(False, "L4CON", f"connection refused by {target} after {took_ms:.1f} ms", took_ms)
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in UNREACHABLE:
        return await unreachable(target, way, f"{target} cannot be reached: {reason}", duration_ms=took_ms)
    return Outcome(False, "SOCKERR", f"{target} could not be probed from this host: {reason}", took_ms)


async def unreachable(target: Target, way: Way, text: str, *, duration_ms: float) -> Outcome:
    """The Outcome where something on the way, this host included, says that the target cannot be reached."""
    hop = await _unresolved_hop(target, way)
    if hop is not None:
        return _no_neighbour(hop, target, duration_ms)
    return Outcome(False, "L3UNR", text + target.advice, duration_ms)


def _no_neighbour(hop: str, target: Target, duration_ms: float) -> Outcome:
    asked = "ARP" if ":" not in hop else "neighbour discovery"
    towards = str(target.forced_to or target.address)
    who = hop if hop == towards else f"{hop}, the gateway towards {towards},"
    return Outcome(False, "L2TOUT", f"{who} did not answer {asked} within {duration_ms:.0f} ms", duration_ms)


async def _unresolved_hop(target: Target, way: Way) -> str | None:
    """The neighbour on the way to the target whose MAC the kernel cannot find out; None when that is not the matter.

    On the way through a VIP it is swlb that asks.

    The neighbour table is asked and not the socket's error, because the kernel's own report takes three seconds, and
    loops back through `lo`, where it misses most kinds of socket that are bound to a device. A MAC that the kernel
    knows it would believe for up to a minute; it is made to ask again, so that a host that is gone is soon known to be.
    """
    if way.pin is not None:
        lost = way.pin.lost_hop()
        return None if lost is None else str(lost)
    query: dict[str, str | int] = {"dst": str(target.address)}
    try:
        if way.device is not None:
            query["oif"] = socket.if_nametoindex(way.device)
        async with AsyncIPRoute() as netlink:
            route = (await netlink.route("get", **query))[0]
            hop = route.get("gateway") or str(target.address)
            neighbour = (await netlink.neigh("get", dst=hop, ifindex=route.get("oif")))[0]
            if neighbour["state"] & NUD_BELIEVED:
                await netlink.neigh("change", dst=hop, ifindex=route.get("oif"), state=NUD_PROBE)
    except (OSError, NetlinkError, IndexError):
        return None
    return hop if neighbour["state"] & (NUD_INCOMPLETE | NUD_FAILED) else None

"""A server's end of tunnels: what comes in IPIP and GUE is unpacked, judged, and handed to the kernel by a TUN device.

For servers whose kernel has no tunnel devices. Replies need no tunnel: the kernel sends them, with the VIP as source.
tunnel.py judges, decap_device.py makes the device.
"""

import errno
import json
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from swlb.addresses import Address
from swlb.decap_device import address_news, doing, own_addresses, tun_device
from swlb.errors import SwlbError
from swlb.tables import print_table
from swlb.tunnel import DROPS, IPV4, IPV6, VNET_HDR, Gate, Outer, Span, carried_by_gue, offload_header
from swlb.twins import SYSCTL_DIR

# linux/in.h and asm-generic/socket.h; Python 3.11 does not know them all.
IP_TOS, IP_PKTINFO, IP_RECVTOS = 1, 8, 13
SO_RCVBUFFORCE, SO_MEMINFO = 33, 55
MEMINFO = struct.Struct("=9I")  # the last one counts what was thrown away before it was read

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# What a socket is asked to tell of each packet: the outer destination and traffic class.
TELLING = {
    4: ((socket.IPPROTO_IP, IP_PKTINFO), (socket.IPPROTO_IP, IP_RECVTOS)),
    6: ((socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO), (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS)),
}
# Where the destination is in what it tells: in_pktinfo, in6_pktinfo.
DESTINATIONS = {
    (socket.IPPROTO_IP, IP_PKTINFO): slice(8, 12),
    (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO): slice(0, 16),
}
TOLD_LEN = 128  # room for both

ROOM = VNET_HDR.size  # in front of a packet, for the header that the device wants
MOST_LEN = 1 << 16
QUEUE_LEN = 8 << 20  # bytes that may wait in a socket
BURST = 256  # packets of one socket, before another has its turn

QUEUE_FULL = "came faster than they could be unpacked"

Arrived = tuple[Span, int, Outer]  # what is inside, its protocol, and what was outside
Receive = Callable[[socket.socket, bytearray, memoryview], Arrived | str]


@dataclass(frozen=True)
class Wanted:
    """What `swlb decap` was asked for. Without `gue_port` no GUE."""

    vips: tuple[Address, ...]
    device: str
    gue_port: int | None
    ipip: bool
    as_json: bool


@dataclass
class Tunnel:
    """A socket where packets of one kind arrive, and how many of them went on, by the IP version inside."""

    kind: str
    outer: int
    sock: socket.socket
    receive: Receive
    packets: dict[int, int] = field(default_factory=lambda: {IPV4: 0, IPV6: 0})
    bytes: dict[int, int] = field(default_factory=lambda: {IPV4: 0, IPV6: 0})

    def close(self) -> None:
        """Nothing is received any more."""
        self.sock.close()

    def lost(self) -> int:
        """Packets that the kernel threw away before they were received."""
        return MEMINFO.unpack(self.sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[-1]


class Decap:
    """What passes packets from the tunnels to the TUN device `tun`, and counts all of them."""

    def __init__(self, vips: tuple[Address, ...], tunnels: list[Tunnel], tun: int) -> None:
        self._gate = Gate(vips)
        self._tunnels = tunnels
        self._tun = tun
        self._drops = dict.fromkeys(DROPS, 0)
        self._buffer = bytearray(ROOM + MOST_LEN)
        self._view = memoryview(self._buffer)
        self.look_around()

    def look_around(self) -> None:
        """The addresses of the host are known as they are now."""
        self._gate.learn_own(own_addresses())

    def drain(self, tunnel: Tunnel) -> None:
        """What waits in the tunnel's socket has been dealt with, or a burst of it."""
        receive, sock, buffer, room = tunnel.receive, tunnel.sock, self._buffer, self._view[ROOM:]
        for _ in range(BURST):
            try:
                arrived = receive(sock, buffer, room)
            except BlockingIOError:
                return
            refusal = arrived if isinstance(arrived, str) else self._pass_on(tunnel, *arrived)
            if refusal is not None:
                self._drops[refusal] += 1

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """What has been counted: `tunnels` and `drops`, for programs."""
        tunnels = [
            {"tunnel": tunnel.kind, "outer": tunnel.outer, "inner": inner, "packets": tunnel.packets[protocol],
             "bytes": tunnel.bytes[protocol]}
            for tunnel in self._tunnels
            for protocol, inner in ((IPV4, 4), (IPV6, 6))
            if tunnel.kind == "gue" or protocol == tunnel.sock.proto
        ]  # fmt: skip
        drops = [{"reason": reason, "packets": self._drops[reason], "meaning": DROPS[reason]} for reason in DROPS]
        lost = sum(tunnel.lost() for tunnel in self._tunnels)
        return {"tunnels": tunnels, "drops": [*drops, {"reason": "queue", "packets": lost, "meaning": QUEUE_FULL}]}

    def _pass_on(self, tunnel: Tunnel, span: Span, protocol: int, outer: Outer) -> str | None:
        """The packet has gone to the device and is counted; or why not. What was in front of it is overwritten."""
        verdict = self._gate.judge(self._buffer, span, protocol, outer)
        if isinstance(verdict, str):
            return verdict
        start, end = verdict
        self._buffer[start - ROOM : start] = offload_header(self._buffer, start, end)
        try:
            os.write(self._tun, self._view[start - ROOM : end])
        except OSError as error:
            if error.errno == errno.EBADFD:
                raise SwlbError("the TUN device has been deleted: start again") from error
            return "device"
        tunnel.packets[protocol] += 1
        tunnel.bytes[protocol] += end - start
        return None


def run(wanted: Wanted) -> None:
    """Packets are unpacked until SIGTERM or SIGINT, then nothing is left; SIGUSR1 and the end print what was counted.

    Prints "ready" when it receives. Raises SwlbError when something that it needs cannot be had.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(_signals(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
        # Before the device: when somebody else has the port, nothing has been made yet.
        tunnels = [stack.enter_context(closing(tunnel)) for tunnel in _tunnels(wanted)]
        tun = stack.enter_context(tun_device(wanted.device, wanted.vips))
        news = stack.enter_context(address_news())
        decap = Decap(wanted.vips, tunnels, tun)
        selector = stack.enter_context(selectors.DefaultSelector())
        for tunnel in tunnels:
            selector.register(tunnel.sock, selectors.EVENT_READ, partial(decap.drain, tunnel))
        selector.register(news, selectors.EVENT_READ, partial(_hear_of_addresses, decap, news))
        selector.register(signals, selectors.EVENT_READ)
        print("ready", flush=True)
        numbers = b""
        while not {signal.SIGTERM, signal.SIGINT} & set(numbers):
            numbers = b""
            for key, _ in selector.select():
                if key.fileobj is signals:
                    numbers = signals.recv(64)
                else:
                    key.data()
            if numbers:
                _print(decap.report(), as_json=wanted.as_json)


def _tunnels(wanted: Wanted) -> Iterator[Tunnel]:
    """Those that are wanted; packets wait in them from now on."""
    has_ipv6 = (SYSCTL_DIR / "ipv6").exists()
    for version in (4, 6) if has_ipv6 else (4,):
        for protocol in (IPV4, IPV6) if wanted.ipip else ():
            yield _ipip(version, protocol)
        if wanted.gue_port is not None:
            yield _gue(version, wanted.gue_port)


def _ipip(version: int, protocol: int) -> Tunnel:
    with doing(f"receive protocol {protocol} over IPv{version}"):
        sock = socket.socket(FAMILIES[version], socket.SOCK_RAW, protocol)
    _prepare(sock)
    if version == 4:
        return Tunnel("ipip", version, sock, _receive_ipv4)
    _let_tell(sock, version)
    return Tunnel("ipip", version, sock, _receive_ipv6)


def _gue(version: int, l4_port: int) -> Tunnel:
    taken = {errno.EADDRINUSE: f"somebody else has it ('ss -lunp sport = {l4_port}'): choose another --gue-port"}
    with doing(f"listen on UDP port {l4_port} of IPv{version}", taken):
        sock = socket.socket(FAMILIES[version], socket.SOCK_DGRAM)
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _let_tell(sock, version)
        sock.bind(("", l4_port))
    _prepare(sock)
    return Tunnel("gue", version, sock, _receive_gue)


def _let_tell(sock: socket.socket, version: int) -> None:
    """The socket tells of the outer header with each packet."""
    for level, option in TELLING[version]:
        sock.setsockopt(level, option, 1)


def _prepare(sock: socket.socket) -> None:
    """Many packets may wait in the socket, and nobody for one."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_LEN)
    # Beyond the host's limit, where the right is the host's too and not only a container's.
    with suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_LEN)


def _receive_ipv4(sock: socket.socket, buffer: bytearray, room: memoryview) -> Arrived:
    """A raw socket of IPv4 brings the outer header along."""
    end = ROOM + sock.recv_into(room)
    inner = ROOM + 4 * (buffer[ROOM] & 15)
    return (inner, end), sock.proto, (bytes(buffer[ROOM + 16 : ROOM + 20]), buffer[ROOM + 1])


def _receive_ipv6(sock: socket.socket, _buffer: bytearray, room: memoryview) -> Arrived:
    """A raw socket of IPv6 keeps the outer header, and tells of it."""
    length, told, _, _ = sock.recvmsg_into([room], TOLD_LEN)
    return (ROOM, ROOM + length), sock.proto, _outer(told)


def _receive_gue(sock: socket.socket, buffer: bytearray, room: memoryview) -> Arrived | str:
    """A UDP socket keeps the outer headers, and tells of that of IP."""
    length, told, _, _ = sock.recvmsg_into([room], TOLD_LEN)
    carried = carried_by_gue(buffer, ROOM, ROOM + length)
    return carried if isinstance(carried, str) else ((carried[0], ROOM + length), carried[1], _outer(told))


def _outer(told: list[tuple[int, int, bytes]]) -> Outer:
    destination, traffic_class = b"", 0
    for level, kind, data in told:
        if place := DESTINATIONS.get((level, kind)):
            destination = data[place]
        else:
            traffic_class = int.from_bytes(data, sys.byteorder)  # one byte of IPv4, an int of IPv6
    return destination, traffic_class


def _hear_of_addresses(decap: Decap, news: socket.socket) -> None:
    """Whatever the kernel said, the host is looked at anew; while there is more to hear, the selector calls again."""
    try:
        news.recv(MOST_LEN)
    except OSError as error:
        if error.errno != errno.ENOBUFS:  # some news are lost
            raise
    decap.look_around()


@contextmanager
def _signals(*numbers: int) -> Iterator[socket.socket]:
    """Within the block these signals end nothing, but can be read from the socket, a byte each."""
    ours, pythons = socket.socketpair()
    with ours, pythons:
        pythons.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        signal.set_wakeup_fd(pythons.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def _print(report: dict[str, list[dict[str, Any]]], *, as_json: bool) -> None:
    """The report on standard output: one line of JSON, or tables."""
    if as_json:
        print(json.dumps(report), flush=True)
        return
    print_table("tunnels", report["tunnels"])
    print_table("refused", [row for row in report["drops"] if row["packets"]])

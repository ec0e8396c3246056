"""Probes that go to a VIP and are for one server: the ports of swlb's own by which a worker knows them.

A probe's socket is bound to a port, the port is pinned to the server, and only then anything is sent; the pin goes when
the socket is closed, and what follows is of the session that the worker has by then. A port rests until that session is
forgotten, so that no probe is ever taken for one before it. Read first: ext/tables/pin.pxd.
"""

import errno
import heapq
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from swlb.config.check_models import PROBE_SWEEP_S
from swlb.probes.outcome import Address

TRIES = 64  # other programs may have ports of ours; more than a few in a row they have not

IP_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}


class PinTable(Protocol):
    """What the workers look at: swlb._worker.Pins."""

    def set(self, protocol: int, l4_port: int, index: int | None) -> None:
        """New sessions of swlb's own from that port are for the double of that index; None: for any server."""


class Pins:
    """The ports of TCP and of UDP by which probes leave, and when each may be taken again. One thread's."""

    def __init__(self, table: PinTable, l4_ports: Iterable[int], *, now: Callable[[], float] = time.monotonic) -> None:
        ports = sorted(l4_ports)
        self._table = table
        self._now = now
        # By protocol a heap of (from when on it may be taken, port).
        self._free = {protocol: [(0.0, port) for port in ports] for protocol in IP_PROTOCOLS.values()}

    def take(self, protocol: int) -> int:
        """A port that nobody has, and no session either. OSError when all are in use or rest."""
        free = self._free[protocol]
        if not free or free[0][0] > self._now():
            raise OSError("all ports for probes through VIPs are in use or rest: probe fewer servers, or less often")
        return heapq.heappop(free)[1]

    def set(self, protocol: int, l4_port: int, double: int) -> None:
        """What leaves by the port and begins a session goes to the server of that double."""
        self._table.set(protocol, l4_port, double)

    def give_back(self, protocol: int, l4_port: int, *, rest_s: float) -> None:
        """The port is nobody's, and rests that long."""
        self._table.set(protocol, l4_port, None)
        heapq.heappush(self._free[protocol], (self._now() + rest_s, l4_port))


@dataclass(frozen=True, slots=True)
class Pin:
    """The server whose double it is, for probes that take ports of `pins`; its sessions end after `idle_s` of silence.

    `lost_hop` says which neighbour on the way to the server does not answer swlb; None: there is none such.
    """

    pins: Pins
    double: int
    idle_s: float
    lost_hop: Callable[[], Address | None]

    def bind(self, sock: "PinnedSocket", source: Address) -> None:
        """The socket has a port, and what it begins is for the server."""
        # Explicitly bound, and with this, a port may be used again whose last connection the kernel has not forgotten.
        if sock.type == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        protocol = IP_PROTOCOLS[sock.type]
        for _ in range(TRIES):
            l4_port = self.pins.take(protocol)
            try:
                sock.bind((str(source), l4_port))
            except BaseException as error:
                self.pins.give_back(protocol, l4_port, rest_s=0.0)
                if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
                    raise
            else:
                self.pins.set(protocol, l4_port, self.double)
                sock.unpin = partial(self.pins.give_back, protocol, l4_port, rest_s=self.idle_s + PROBE_SWEEP_S)
                return
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class PinnedSocket(socket.socket):
    """A socket whose port is pinned until it is closed, or handed on: what it is for has begun by then."""

    unpin: Callable[[], None] | None = None

    def close(self) -> None:
        """It is closed, and its port is given back."""
        super().close()
        self._give_back()

    def detach(self) -> int:
        """The descriptor, which is somebody else's now; the port is given back."""
        descriptor = super().detach()
        self._give_back()
        return descriptor

    def _give_back(self) -> None:
        unpin, self.unpin = self.unpin, None
        if unpin is not None:
            unpin()

"""What passes the devices of a lab, as the kernel shows it to packet sockets, in the order of time."""

import socket
import struct
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from swlb.addresses import mac_text
from swlb.lab.decode import Seen, decode
from swlb.lab.host import Kind, Place
from swlb.namespaces import namespace

# linux/if_ether.h, if_arp.h, asm-generic/socket.h
ETH_P_ALL = 3  # frames that leave are shown as well
ARPHRD_ETHER = 1
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@ll")
FRAME_MAX = 65536 + 18
ROOM = 4 << 20  # bytes of frames that wait until they are read
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Sighting:
    """A segment at a place. `passes_swlb`: there it goes into or comes out of a port of swlb."""

    when_ns: int
    where: str
    passes_swlb: bool
    seen: Seen


class Capture:
    """Within the block, all that passes the places is kept. `macs` says whose each MAC of their devices is."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.macs: dict[str, str] = {}
        self._places = list(places)
        self._sockets: list[tuple[Place, socket.socket]] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for place in self._places:
            with namespace(place.netns):
                # Protocol 0 hears nothing until it is bound, so that no other device's frames slip in.
                sock = self._open.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
                sock.bind((place.device, ETH_P_ALL))
            sock.setblocking(False)
            self._sockets.append((place, sock))
            if place.kind in (Kind.OWN, Kind.TAP):
                self.macs[mac_text(sock.getsockname()[4])] = place.host
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def sightings(self) -> list[Sighting]:
        """The TCP segments that have passed since the last call, oldest first."""
        found = [sighting for place, sock in self._sockets for sighting in _drained(place, sock)]
        return sorted(found, key=lambda sighting: sighting.when_ns)


def _drained(place: Place, sock: socket.socket) -> Iterable[Sighting]:
    while True:
        try:
            frame, [(_, _, timespec)], _, address = sock.recvmsg(FRAME_MAX, socket.CMSG_SPACE(TIMESPEC.size))
        except BlockingIOError:
            return
        _, _, kind, hardware, _ = address
        if (seen := decode(frame, has_ethernet=hardware == ARPHRD_ETHER)) is not None:
            seconds, nanoseconds = TIMESPEC.unpack(timespec)
            where = place.where(leaving=kind == socket.PACKET_OUTGOING)
            yield Sighting(seconds * NS_PER_S + nanoseconds, where, place.is_port, seen)

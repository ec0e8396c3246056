"""A Worker whose ports are VLANs of trunks, for those who know nothing of it: they put and take untagged frames.

Tags are put on and taken off here as a station's own VLAN device does it, offload header included.
"""

import struct
from collections.abc import Iterator

from swlb._worker import Worker

TPID = 0x8100
MACS_LEN, TAG_LEN = 12, 4
FIRST_VID = 100
NEEDS_CSUM = 1
OFFLOAD = struct.Struct("<BBHHHH")   # flags, kind, header length, size, checksum start and offset


def moved(offload: bytes, by: int) -> bytes:
    """The offload header of a frame that is so much longer in front."""
    flags, kind, header_len, size, start, offset = OFFLOAD.unpack(offload)
    return OFFLOAD.pack(flags, kind, (header_len + by) % 65536 if header_len else 0, size,
                        (start + by) % 65536 if flags & NEEDS_CSUM else start, offset)


def tagged(frame: bytes, vid: int, *, priority: int = 0, tpid: int = TPID) -> bytes:
    return frame[:MACS_LEN] + struct.pack("!HH", tpid, priority << 12 | vid) + frame[MACS_LEN:]


class Trunked:
    """The Worker; each port that is added, but for kernel twins and TUNs, is the next VLAN of a trunk like it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._trunks: dict[tuple, int] = {}
        self._places: dict[int, tuple[int, int]] = {}    # trunk and VLAN of each port
        self._left: dict[tuple[int, int], list[tuple[bytes, bytes]]] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._worker, name)

    def add_port(self, segment: int, *, host: bool = False, kind: str = "tap", **words: object) -> int:
        if host or kind == "tun":
            return self._worker.add_port(segment, host=host, kind=kind, **words)
        key = tuple(sorted(words.items()))
        if key not in self._trunks:
            self._trunks[key] = self._worker.add_port(None, **words)
        trunk, vid = self._trunks[key], FIRST_VID + len(self._places)
        index = self._worker.add_port(segment, trunk=trunk, vid=vid, mtu=words["mtu"])
        self._places[index] = trunk, vid
        return index

    def put(self, index: int, frame: bytes, offload: bytes = bytes(10)) -> bool:
        if index not in self._places:
            return self._worker.put(index, frame, offload)
        trunk, vid = self._places[index]
        return self._worker.put(trunk, tagged(frame, vid), moved(offload, TAG_LEN))

    def take(self, index: int) -> list[tuple[bytes, bytes]]:
        if index not in self._places:
            return self._worker.take(index)
        place = self._places[index]
        for vid, offload, frame in self._taken(place[0]):
            self._left.setdefault((place[0], vid), []).append((offload, frame))
        return self._left.pop(place, [])

    def _taken(self, trunk: int) -> Iterator[tuple[int, bytes, bytes]]:
        for offload, frame in self._worker.take(trunk):
            tpid, vid = struct.unpack_from("!HH", frame, MACS_LEN)
            assert tpid == TPID, f"an untagged frame left by a trunk: {frame.hex()}"
            yield vid, moved(offload, -TAG_LEN), frame[:MACS_LEN] + frame[MACS_LEN + TAG_LEN:]

    def set_port(self, index: int, *, up: bool, mtu: int) -> None:
        self._worker.set_port(self._places[index][0] if index in self._places else index, up=up, mtu=mtu)

"""Fragments of packets that are followed, said once more and slowly: which go on, when, and which never do.

Bytes instead of bitmaps, lists instead of tables, one rule a line. Nothing is ever full here.
Spec: RFC 791 3.2, RFC 8200 4.5, RFC 5722.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fragment:
    """The n bytes at `at` of the packet with that key."""

    packet: Hashable
    at: int
    n: int
    more: bool

    @property
    def end(self) -> int:
        return self.at + self.n


@dataclass
class Packet:
    """What has come of one."""

    began: int
    came: list[Fragment] = field(default_factory=list)
    waiting: list[Fragment] = field(default_factory=list)
    void: bool = False

    def has_begun(self) -> bool:
        return any(fragment.at == 0 for fragment in self.came)

    def is_whole(self) -> bool:
        ends = [fragment.end for fragment in self.came if not fragment.more]
        return bool(ends) and sum(fragment.n for fragment in self.came) == ends[0] and not self.void

    def contradicts(self, new: Fragment) -> bool:
        """Whether the fragment overlaps one that has come without being the same, or says another end."""
        for old in self.came:
            if new == old:
                continue
            # In whole units of 8 bytes: only the end of a packet lies within one.
            if new.at < (old.end + 7) // 8 * 8 and old.at < (new.end + 7) // 8 * 8:
                return True
            if (not new.more and (not old.more or old.end > new.end)) or (not old.more and new.end > old.end):
                return True
        return False


class Follower:
    """What becomes of fragments whose packets all belong to somebody."""

    def __init__(self, timeout: int) -> None:
        self.timeout = timeout
        self.packets: dict[Hashable, Packet] = {}

    def arrive(self, fragment: Fragment, now: int) -> list[Fragment]:
        """Those that go on by this one's coming, itself first if it is one of them."""
        packet = self.packets.get(fragment.packet)
        if packet is None or packet.is_whole() or now - packet.began >= self.timeout:
            packet = self.packets[fragment.packet] = Packet(now)
        if packet.void or packet.contradicts(fragment):
            packet.void = True
            return []
        if fragment in packet.came:
            return []
        packet.came.append(fragment)
        if not packet.has_begun():
            packet.waiting.append(fragment)
            return []
        gone, packet.waiting = [fragment, *packet.waiting], []
        return gone


def is_possible(fragment: Fragment, *, header: int = 20) -> bool:
    """Whether any packet has such a fragment; header: bytes that count for a packet's length beside its payload."""
    return (fragment.n > 0 and not (fragment.more and fragment.n % 8)
            and header + fragment.end <= 65535)


def put_together(pieces: list[tuple[int, bytes, bool]]) -> bytes | None:
    """The payload as a receiver of (offset, bytes, more) has it, which takes no overlaps; None when it has none."""
    got = bytearray()
    for at, data, more in sorted(set(pieces)):
        if at != len(got):
            return None
        got += data
        if not more:
            return bytes(got) if (at, data, more) == max(pieces) else None
    return None

"""A switch of several segments with VLAN members, slowly and plainly: which frame leaves by which port, and why not.

A port is in a segment as itself (untagged) or as one of its VLANs. Frames are bytes, long enough for their tags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Q, AD = b"\x81\x00", b"\x88\xa8"
MOST = 1518          # bytes of a frame with one tag; a second one adds 4


@dataclass(frozen=True)
class Place:
    """A port, and the VLAN in which it is in a segment; 0: untagged."""

    port: str
    vid: int = 0


def outer_vid(frame: bytes) -> int | None:
    """The VLAN of the outermost 802.1Q tag; None where there is no such tag."""
    return int.from_bytes(frame[14:16]) & 0xFFF if frame[12:14] == Q else None


def n_tags(frame: bytes) -> int:
    """Tags of either kind, of which a switch looks at two."""
    if frame[12:14] not in (Q, AD):
        return 0
    return 2 if frame[16:18] in (Q, AD) else 1


@dataclass
class Switch:
    """`segments`: the places of each. What was learned is by segment, MAC and what is left of tags."""

    segments: Mapping[str, Sequence[Place]]
    stations: dict[tuple[str, bytes, int], Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = {place: name for name, places in self.segments.items() for place in places}
        self.trunks = {place.port for place in self.home if place.vid}
        with_vlans = [name for name, places in self.segments.items() if any(place.vid for place in places)]
        # Who is in a segment with VLANs may send no tag but one that it has there.
        self.asking = self.trunks | {place.port for name in with_vlans for place in self.segments[name]}

    def receive(self, port: str, frame: bytes) -> tuple[dict[str, bytes], set[str]]:
        """What leaves by which port; and where nothing does, the reasons, of which one is counted."""
        place, priority, vid = Place(port), 0, outer_vid(frame)
        if port in self.asking and vid:
            place, priority, frame = Place(port, vid), frame[14] >> 4, frame[:12] + frame[16:]
        if place not in self.home:
            return {}, {"not_member"}
        segment, inner = self.home[place], 0
        if n_tags(frame):
            inner = int.from_bytes(frame[14:16]) & 0xFFF
        self.stations[segment, frame[6:12], inner] = place
        known = self.stations.get((segment, frame[:6], inner))
        if known == place:
            return {}, {"same_port"}
        goals = [known] if known and not frame[0] & 1 else [other for other in self.segments[segment] if other != place]
        sent = {goal.port: self.made(goal, frame, priority) for goal in goals}
        left = {name: made for name, made in sent.items() if isinstance(made, bytes)}
        reasons = {made for made in sent.values() if isinstance(made, str)}
        return left, set() if left else reasons or {"nowhere"}

    def made(self, goal: Place, frame: bytes, priority: int) -> bytes | str:
        """The frame as it leaves there, or why it cannot."""
        vid = outer_vid(frame)
        if goal.vid and vid == 0:
            frame = frame[:14] + ((frame[14] & 0xF0) << 8 | goal.vid).to_bytes(2) + frame[16:]
        elif goal.vid:
            frame = frame[:12] + Q + (priority << 12 | goal.vid).to_bytes(2) + frame[12:]
        elif vid and goal.port in self.trunks:
            return "not_member"
        return "oversize" if len(frame) > MOST + 4 * (n_tags(frame) > 1) else frame

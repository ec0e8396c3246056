"""What may stand in a segment's list of ports: a port, or one VLAN of it, written `port.VID`."""

from collections.abc import Collection
from dataclasses import dataclass

LAST_VID = 4094  # IEEE 802.1Q table 9-2: 0 is no VLAN, and 4095 reserved


@dataclass(frozen=True)
class Member:
    """A port as it is a member of a segment: untagged (vid 0), or with what is tagged for that VLAN."""

    port: str
    vid: int


def read_member(text: str, ports: Collection[str]) -> Member | None:
    """What a name in a segment's list means where these ports are; None: nothing. A port's name may have a dot."""
    if text in ports:
        return Member(text, 0)
    port, _, vid = text.rpartition(".")
    # 020 would be another name of 20.
    if port in ports and vid.isascii() and vid.isdecimal() and not vid.startswith("0") and int(vid) <= LAST_VID:
        return Member(port, int(vid))
    return None


def is_meant_as_vlan(text: str, ports: Collection[str]) -> bool:
    """Whether what stands before the last dot is a port, though the whole is none."""
    return text not in ports and text.rpartition(".")[0] in ports

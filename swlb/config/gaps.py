"""What a configuration may say one day and is refused by name today, never ignored.

Whoever builds one of these deletes its row and adds its key to swlb.config.models.
"""

from collections.abc import Callable
from dataclasses import dataclass

from swlb.config.models import CHECK_PLACES

CHECK = "services.*.check"

Test = Callable[[object, dict], bool]


def _always(value: object, document: dict) -> bool:
    return True


def _any_of(*words: str) -> Test:
    return lambda value, document: isinstance(value, str) and value in words


def _vlan_member(value: object, document: dict) -> bool:
    """PORT.VID, where PORT is a port and the whole is not."""
    ports = document.get("ports")
    if not isinstance(value, str) or not isinstance(ports, dict) or value in ports:
        return False
    port, _, vid = value.rpartition(".")
    return vid.isdecimal() and port in ports


@dataclass(frozen=True)
class Gap:
    """A place in the file (`*` is any name or index), what stands there instead, and which values it is about."""

    place: str
    expected: str
    refuses: Test = _always

    @property
    def places(self) -> list[str]:
        """The place, and where else the same may stand: a check has several places."""
        head, tail = self.place[: len(CHECK)], self.place[len(CHECK) :]
        return [".".join(place) + tail for place in CHECK_PLACES] if head == CHECK else [self.place]


LEFT_OUT = "the key left out"

NOT_BUILT = (
    Gap("segments.*.ports.*", "the name of a port", _vlan_member),
)

"""What a server is when it has several checks. No I/O, no clock.

Each of its checks stands at up, down or checking, or has nothing to say (NO_WORD). Those that have nothing to say have
no vote; for the others:

| need | some down | some checking | some up | the server is |
|---|---|---|---|---|
| all | yes | - | - | down |
| all | no | yes | - | checking |
| all | no | no | yes | up |
| any | - | - | yes | up |
| any | - | yes | no | checking |
| any | yes | no | no | down |

A server whose checks all have nothing to say is checking.
"""

from collections.abc import Sequence
from typing import NamedTuple

from swlb.health import CHECKING, DOWN, UP

NO_WORD = "no word"

# Which state of one check is enough for the server to be in it, by what the service needs; the last needs all.
STRENGTH = {"all": (DOWN, CHECKING, UP), "any": (UP, CHECKING, DOWN)}


class Combined(NamedTuple):
    """The server's operational state, and the number of the check that decides it."""

    operational: str
    decider: int


def combined(need: str, standings: Sequence[str], *, latest: int = 0) -> Combined:
    """What the server is. Of several checks that decide alike the decider is `latest`, else the first of them."""
    for state in STRENGTH[need]:
        deciding = [number for number, standing in enumerate(standings) if standing == state]
        if deciding:
            return Combined(state, latest if latest in deciding else deciding[0])
    return Combined(CHECKING, latest)

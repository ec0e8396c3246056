"""Passive evidence, said once more: what has become of a server, worked out from the whole list of looks, slowly.

Where swlb.passive keeps a window and moves it on, this goes back over everything that was seen since the last turn of
events, and works out the back-off from the list of those turns.
"""

from typing import NamedTuple


class Rules(NamedTuple):
    """A service's `passive`, in seconds, under the names of the configuration."""

    failures: int = 3
    within: float = 10.0
    back_off: float = 5.0
    back_off_max: float = 40.0


class Look(NamedTuple):
    """What was seen at a moment."""

    moment: float
    answered: int
    silent: int
    refused: int
    late: int


class Turn(NamedTuple):
    """Something that changed what is thought of the server: held, returned (from being held) or cleared."""

    moment: float
    what: str


def failures_at(rules: Rules, looks: list[Look], turns: list[Turn], late_after: float) -> tuple[int, int]:
    """(silent, refused) that count at the last look: those since the last turn and answer, and within the time."""
    now = looks[-1].moment
    answers = [look.moment for look in looks if look.answered]
    # What is seen in the look of a turn is of before it.
    counts_from = max([-1.0, *answers, *(turn.moment for turn in turns)])
    silent = refused = 0
    for look in looks:
        quiet_since = max([0.0, *(at for at in answers if at <= look.moment),
                           *(turn.moment for turn in turns if turn.what == "returned" and turn.moment <= look.moment)])
        if look.moment > counts_from and look.moment > now - rules.within and not look.answered:
            silent += look.silent + (look.late if look.moment - quiet_since >= late_after else 0)
            refused += look.refused
    return silent, refused


def is_on_trial(looks: list[Look], turns: list[Turn]) -> bool:
    """Whether the server has returned and nobody was answered since."""
    returned = [turn.moment for turn in turns if turn.what == "returned"]
    held = [turn.moment for turn in turns if turn.what == "held"]
    if not returned or (held and held[-1] > returned[-1]):
        return False
    return not any(look.answered and look.moment > returned[-1] for look in looks)

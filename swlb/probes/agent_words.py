"""The line in which a server speaks for itself. No I/O. Spec: HAProxy management guide, agent checks.

    line   = *( sep word ) [ "#" description ]
    sep    = SP / TAB / ","
    word   = "up" / "down" / "fail" / "stopped"          health
           / "ready" / "drain" / "maint"                 admin
           / number "%" / "weight:" number [ "%" ]       weight
           / "maxconn:" number

Words may be written in capitals. Of several words of one group the last one counts; a word that is none, or a number
above 65535, changes nothing.
"""

import re
from typing import NamedTuple

from swlb.probes.outcome import Report

HEALTH = frozenset({"up", "down", "fail", "stopped"})
ADMIN = frozenset({"ready", "drain", "maint"})
WEIGHT = re.compile(r"(?:weight:)?([0-9]{1,5})%|weight:([0-9]{1,5})")
MAXCONN = re.compile(r"maxconn:([0-9]{1,5})")
NUMBER_MAX = 65535  # the heaviest weight
SEPARATORS = re.compile(r"[ \t,]+")
NO_TEXT = re.compile("[^!-~]+")
DESCRIPTION_LEN = 200


class Heard(NamedTuple):
    """What a line says, how many of its words mean something, and the first that means nothing."""

    report: Report
    understood: int
    unknown: str | None


def read_line(line: bytes) -> Heard:
    """What the line says, its end left out."""
    words, _, description = line.decode("ascii", "replace").partition("#")
    shown = NO_TEXT.sub(" ", description).strip()[:DESCRIPTION_LEN]  # people read it on their terminals
    said: dict[str, str | int | bool] = {"description": shown}
    understood, unknown = 0, None
    for word in filter(None, SEPARATORS.split(words)):
        meant = _meaning(word.lower())
        said |= meant
        understood += bool(meant)
        if not meant and unknown is None:
            unknown = word
    return Heard(Report(**said), understood, unknown)  # type: ignore[arg-type]


def _meaning(word: str) -> dict[str, str | int | bool]:
    """What the word sets of a Report; nothing when it is no word."""
    if word in HEALTH:
        return {"health": word}
    if word in ADMIN:
        return {"admin": word}
    if match := WEIGHT.fullmatch(word):
        number = int(match[1] or match[2])
        return {"weight": number, "weight_is_percent": match[1] is not None} if number <= NUMBER_MAX else {}
    if match := MAXCONN.fullmatch(word):
        return {"max_connections": int(match[1])} if int(match[1]) <= NUMBER_MAX else {}
    return {}

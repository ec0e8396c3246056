"""Durations as operators write them: 500ms, 1.5s, 2h4m."""

import re

SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
DAY = SECONDS["d"]
DURATION = re.compile("".join(f"(?:([0-9]{{1,9}}(?:\\.[0-9]{{1,9}})?){unit})?" for unit in SECONDS))


def parse_duration(value: object) -> float:
    """Seconds from text such as 500ms, 1.5s or 2h4m, the largest unit first. ValueError for everything else.

    A bare number has no unit, so only 0 is taken.
    """
    if type(value) is int and value == 0:
        return 0.0
    match = DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"{value!r} is no duration such as 500ms, 2s, 1m")
    parts = zip(match.groups(), SECONDS.values(), strict=True)
    # Rounded to nanoseconds, so that 1.1s and 1100ms are the same number.
    return round(sum(float(number) * unit for number, unit in parts if number), 9)


def duration_text(seconds: float) -> str:
    """The duration as one would write it: 2h4m, 1.5s, 500ms. To the millisecond from one second on."""
    if seconds < 1:
        return f"{round(seconds * 1000, 6):g}ms" if seconds else "0s"
    text, rest = "", round(seconds, 3)
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, SECONDS[unit])
        text += f"{count:.0f}{unit}" if count else ""
    rest = round(rest, 3)
    return text + (f"{rest:g}s" if rest else "")

"""The values of a run and what is said about them: medians, spread, ratios, and how they are written. No I/O.

A ratio compares two values of the same round, taken within seconds of each other, because the machine as a whole is
faster in one minute than in the next; the median is then taken over the rounds' ratios.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Summary:
    """Several values in three: the middle one, and how far the others lie."""

    median: float
    low: float
    high: float


class Samples:
    """Every value of a run, one a round for each figure and peer; None where a measurement failed."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))

    def add(self, figure: str, peer: str, value: float | None) -> None:
        """The next round's value."""
        self._values[figure][peer].append(value)

    def summary(self, figure: str, peer: str) -> Summary | None:
        """The peer's values of the figure, or None when there is none."""
        return summarise(self._get(figure, peer))

    def ratio(self, figure: str, subject: str, peer: str, *, higher_is_better: bool) -> Summary | None:
        """How many times as good the subject is as the peer, round by round; above 1 is better for every figure."""
        pairs = zip(self._get(figure, subject), self._get(figure, peer), strict=False)
        complete = [(mine, theirs) for mine, theirs in pairs if mine and theirs]
        return summarise([mine / theirs if higher_is_better else theirs / mine for mine, theirs in complete])

    def raw(self) -> dict[str, dict[str, list[float | None]]]:
        """All values by figure and peer, in the order of the rounds."""
        return {figure: dict(peers) for figure, peers in self._values.items()}

    def _get(self, figure: str, peer: str) -> Sequence[float | None]:
        return self._values.get(figure, {}).get(peer, ())


def summarise(values: Sequence[float | None]) -> Summary | None:
    """Median, lowest and highest of the values that exist, or None when none does."""
    known = [value for value in values if value is not None]
    return Summary(median(known), min(known), max(known)) if known else None


def digits(value: float) -> str:
    """Three significant digits at most, and no more than two behind the point."""
    magnitude = abs(value)
    return f"{value:.{2 if magnitude < 9.995 else 1 if magnitude < 99.95 else 0}f}"


def spread(summary: Summary | None) -> str:
    """How far the rounds lie apart; nothing when they do not, or when there was only one."""
    if summary is None or summary.low == summary.high:
        return ""
    return f"{digits(summary.low)}–{digits(summary.high)}"

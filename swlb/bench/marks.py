"""What swlb is meant to reach, as data, and whether a run reached it. No I/O.

A mark beside a peer is a ratio as the tables have it: how many times as good, above 1 is better for every figure, so
"a latency of at most 0.8 of nftables" is 1.25 here. A mark of swlb alone is a value that must not be exceeded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .figure import Figure
from .samples import Samples, Summary, digits

BULK_1 = ("tcp_1_up", "tcp_1_down")
BULK_8 = ("tcp_8_up", "tcp_8_down")
ALL_LOADS = (*BULK_1, *BULK_8, "connections", "requests", "packets_many")
SWLB, TRANSPARENT, SWITCH = "swlb", "swlb-transparent", "swlb-switch"
ONE_ARM, DSR = "swlb-one-arm", "swlb-dsr"


@dataclass(frozen=True)
class Mark:
    """At least this many times as good as the other peer."""

    figure: str
    other: str
    least: float
    subject: str = SWLB


@dataclass(frozen=True)
class Bound:
    """At most that much, of swlb alone."""

    figure: str
    most: float
    subject: str = SWLB


@dataclass(frozen=True)
class Verdict:
    """What became of a mark: the measured ratio, or value for a bound, against what was asked for."""

    mark: Mark | Bound
    figure: Figure
    measured: Summary

    @property
    def wanted(self) -> float:
        """The number of the mark."""
        return self.mark.least if isinstance(self.mark, Mark) else self.mark.most

    @property
    def share(self) -> float:
        """How much of the mark was reached; 1 and above is all of it."""
        if isinstance(self.mark, Mark):
            return self.measured.median / self.mark.least
        return self.mark.most / self.measured.median if self.measured.median else 1.0

    @property
    def reached(self) -> bool:
        """Whether the median is what was asked for."""
        return self.share >= 1

    @property
    def judgement(self) -> str:
        """The verdict in words."""
        if self.reached:
            return "reached"
        if isinstance(self.mark, Mark):
            return f"missed by {digits((1 - self.share) * 100)} %"
        if self.share == 0:
            return "missed"
        return f"missed by {digits((1 / self.share - 1) * 100)} %"


def _each(figures: Sequence[str], **least_of_other: float) -> Iterator[Mark]:
    """A mark for every pair; a peer's name with _ for -."""
    for other, least in least_of_other.items():
        yield from (Mark(figure, other.replace("_", "-"), least) for figure in figures)


MARKS: tuple[Mark | Bound, ...] = (
    *_each(BULK_1, nft=1.0, haproxy=2.0, limit_plain=0.95),
    *_each(BULK_8, haproxy=2.0, nginx=2.0, limit_batched=0.95),
    *_each(("connections",), nft=1.2, haproxy=1.5),
    *_each(("requests",), haproxy=1.5, nft=0.9),
    *_each(("ping_p50",), nft=1 / 0.8),
    *_each(("packets_many",), nft=1.2, ovs=2.0, limit_batched=0.9),
    *_each(("packets_one",), nft=2.0),
    # No mode may cost more than a little: all are one pipeline.
    *(Mark(figure, SWLB, 0.95, subject=mode) for mode in (TRANSPARENT, SWITCH, ONE_ARM, DSR) for figure in ALL_LOADS),
    Mark("tcp_1_up", "ovs", 8.0, subject=SWITCH),
    Bound("session_bytes", 64),
    *(Bound(f"{pace}_growth", 2) for pace in ("lookup", "begin", "frame")),
    Bound("start", 1),
    Bound("syn_flood_broken", 0),
    Bound("syn_flood_failed", 5),
    Bound("syn_flood_memory", 16),
)


def judge(samples: Samples, figures: Sequence[Figure], marks: Sequence[Mark | Bound] = MARKS) -> list[Verdict]:
    """A verdict for every mark whose figure was measured for all that it speaks of."""
    known = {figure.key: figure for figure in figures}
    verdicts = []
    for mark in marks:
        if figure := known.get(mark.figure):
            measured = _measured(samples, figure, mark)
            if measured:
                verdicts.append(Verdict(mark, figure, measured))
    return verdicts


def mark_words(verdict: Verdict, titles: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Figure, who, what was asked for and what was measured, for a person; `titles` are the peers'."""
    mark, unit, measured = verdict.mark, verdict.figure.unit, digits(verdict.measured.median)
    who = titles.get(mark.subject, mark.subject)
    if isinstance(mark, Mark):
        beside = f"{who} vs {titles.get(mark.other, mark.other)}"
        return verdict.figure.title, beside, f"≥ {digits(mark.least)}×", f"{measured}×"
    return verdict.figure.title, who, f"≤ {digits(mark.most)} {unit}", f"{measured} {unit}"


def _measured(samples: Samples, figure: Figure, mark: Mark | Bound) -> Summary | None:
    if isinstance(mark, Mark):
        return samples.ratio(figure.key, mark.subject, mark.other, higher_is_better=figure.higher_is_better)
    return samples.summary(figure.key, mark.subject)

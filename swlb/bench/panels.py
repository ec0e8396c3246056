"""What the picture of a run shows: for each figure how every peer compares with one of them. No drawing here."""

from collections.abc import Sequence
from dataclasses import dataclass

from .figure import Figure
from .samples import Samples, Summary
from .table import Column


@dataclass(frozen=True)
class Bar:
    """How many times as good as the base a peer is, and the value behind it; nothing for what it cannot do."""

    peer: str
    ratio: Summary | None
    value: Summary | None


@dataclass(frozen=True)
class Panel:
    """One figure, a bar for every peer."""

    figure: Figure
    bars: tuple[Bar, ...]


def chosen_base(columns: Sequence[Column], wanted: str) -> Column | None:
    """The peer all are compared with: the wanted one, else the first that is not the first; None without two peers."""
    if len(columns) < 2:
        return None
    return next((column for column in columns if column.peer == wanted), columns[1])


def panels(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column], base: str) -> list[Panel]:
    """A panel for each figure that is compared and that the base has values of."""
    return [Panel(figure, tuple(_bar(samples, figure, column.peer, base) for column in columns))
            for figure in figures if figure.compared and samples.summary(figure.key, base)]


def _bar(samples: Samples, figure: Figure, peer: str, base: str) -> Bar:
    ratio = samples.ratio(figure.key, peer, base, higher_is_better=figure.higher_is_better)
    return Bar(peer, ratio, samples.summary(figure.key, peer))

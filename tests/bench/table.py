"""What a person sees at the end: ratios first, then the values they come from. No measuring here."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .drivers import Figure
from .samples import Samples, Summary

ABSENT = "-"
# Differences below this are noise on a machine that is shared (see README.md), and are not coloured.
NOISE = 0.1


@dataclass(frozen=True)
class Column:
    """A peer as the head of a column."""

    peer: str
    title: str


def report(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column], *, subject: str) -> RenderableType:
    """Both tables, or the values alone when the subject was not part of the run or was alone in it."""
    others = [column for column in columns if column.peer != subject]
    tables: list[RenderableType] = [value_table(samples, figures, columns)]
    if others and len(others) < len(columns):
        tables.insert(0, ratio_table(samples, figures, others, subject=subject))
    return Group(*tables)


def ratio_table(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column], *, subject: str) -> Table:
    """How many times as good the subject is as each peer; above 1 is better, also where less is better."""
    table = _table(f"{subject}: how many times as good",
                   "median of the rounds' ratios, lowest to highest; above 1 is better for every figure", "")
    for column in columns:
        table.add_column(f"vs {column.title}", justify="right")
    for figure in (figure for figure in figures if figure.compared):
        ratios = [samples.ratio(figure.key, subject, column.peer, higher_is_better=figure.higher_is_better)
                  for column in columns]
        table.add_row(figure.title, *(_cell(ratio, "×", style=_judgement(ratio)) for ratio in ratios))
    return table


def value_table(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column]) -> Table:
    """Each peer's values."""
    table = _table("values", "median, lowest to highest", "")
    table.add_column("", style="dim")
    for column in columns:
        table.add_column(column.title, justify="right")
    for figure in figures:
        summaries = [samples.summary(figure.key, column.peer) for column in columns]
        table.add_row(figure.title, figure.unit, *(_cell(summary) for summary in summaries))
    return table


def digits(value: float) -> str:
    """Three significant digits at most, and no more than two behind the point."""
    magnitude = abs(value)
    return f"{value:.{2 if magnitude < 9.995 else 1 if magnitude < 99.95 else 0}f}"


def _table(title: str, caption: str, first: str) -> Table:
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, title_style="bold", title_justify="left",
                  caption_justify="left", pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table


def _cell(summary: Summary | None, unit: str = "", *, style: str = "") -> Text:
    if summary is None:
        return Text(ABSENT, style="dim")
    cell = Text(f"{digits(summary.median)}{unit}", style=style)
    if summary.low != summary.high:
        cell.append(f"  {digits(summary.low)}–{digits(summary.high)}", style="dim not bold")
    return cell


def _judgement(ratio: Summary | None) -> str:
    """Green when even the worst round was better, red when even the best was worse, plain when it is not clear."""
    if ratio and ratio.low > 1 + NOISE:
        return "bold green"
    if ratio and ratio.high < 1 - NOISE:
        return "bold red"
    return ""

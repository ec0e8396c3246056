"""What a person sees at the end: ratios first, the marks, then the values they come from. No measuring here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .figure import Figure
from .marks import Verdict, mark_words
from .samples import Samples, Summary, digits, spread

ABSENT = "-"
# Differences below this are noise on a machine that is shared (see the README), and are not coloured.
NOISE = 0.1


@dataclass(frozen=True)
class Column:
    """A peer as the head of a column."""

    peer: str
    title: str


def report(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column], verdicts: Sequence[Verdict], *,
           subject: str) -> RenderableType:
    """All tables that have something in them; no ratios when the subject was not part of the run or was alone in it."""
    beside = [figure for figure in figures if not figure.own]
    own = [figure for figure in figures if figure.own and samples.summary(figure.key, subject)]
    others = [column for column in columns if column.peer != subject]
    tables: list[RenderableType] = []
    if beside and others and len(others) < len(columns):
        tables.append(ratio_table(samples, beside, others, subject=subject))
    if verdicts:
        tables.append(mark_table(verdicts, {column.peer: column.title for column in columns}))
    if beside and columns:
        tables.append(value_table(samples, beside, columns))
    if rows := [figure for figure in own if not figure.row]:
        tables.append(own_table(samples, rows, subject=subject))
    tables += [grid_table(samples, grid, subject=subject) for grid in grids(own)]
    return Group(*tables)


def ratio_table(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column], *, subject: str) -> Table:
    """How many times as good the subject is as each peer; above 1 is better, also where less is better."""
    table = plain_table(f"{subject}: how many times as good",
                   "median of the rounds' ratios, lowest to highest below it; above 1 is better for every figure")
    for column in columns:
        _add_peer(table, f"vs {column.title}")
    for figure in (figure for figure in figures if figure.compared):
        ratios = [samples.ratio(figure.key, subject, column.peer, higher_is_better=figure.higher_is_better)
                  for column in columns]
        table.add_row(figure.title, *(_cell(ratio, "×", style=_judgement(ratio)) for ratio in ratios))
    return table


def mark_table(verdicts: Sequence[Verdict], titles: Mapping[str, str]) -> Table:
    """What was meant to be reached, and whether it was."""
    reached = sum(verdict.reached for verdict in verdicts)
    table = plain_table("marks", f"{reached} of {len(verdicts)} reached, by the median")
    for title in ("who", "mark", "measured", ""):
        table.add_column(title, justify="right" if title in ("mark", "measured") else "left")
    for verdict in verdicts:
        style = "green" if verdict.reached else "red"
        table.add_row(*mark_words(verdict, titles), Text(verdict.judgement, style=style))
    return table


def value_table(samples: Samples, figures: Sequence[Figure], columns: Sequence[Column]) -> Table:
    """Each peer's values."""
    table = plain_table("values", "median, lowest to highest below it")
    table.add_column("", style="dim")
    for column in columns:
        _add_peer(table, column.title)
    for figure in figures:
        summaries = [samples.summary(figure.key, column.peer) for column in columns]
        table.add_row(figure.title, figure.unit, *(_cell(summary) for summary in summaries))
    return table


def own_table(samples: Samples, figures: Sequence[Figure], *, subject: str) -> Table:
    """What there is to say of the subject without a peer."""
    table = plain_table(f"{subject} itself", "median, lowest to highest")
    table.add_column("", style="dim")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    for figure in figures:
        summary = samples.summary(figure.key, subject)
        table.add_row(figure.title, figure.unit, digits(summary.median) if summary else ABSENT, spread(summary))
    return table


def grids(figures: Sequence[Figure]) -> list[list[Figure]]:
    """Those that are cells, by the table they are in."""
    cells = [figure for figure in figures if figure.row]
    return [[figure for figure in cells if figure.title == title] for title in dict.fromkeys(f.title for f in cells)]


def grid_rows(samples: Samples, grid: Sequence[Figure], *, subject: str) -> list[list[str]]:
    """The head, then each row: its name and the medians."""
    columns = list(dict.fromkeys(figure.column for figure in grid))
    medians = {(figure.row, figure.column): digits(summary.median) for figure in grid
               if (summary := samples.summary(figure.key, subject))}
    rows = [[row, *(medians.get((row, column), ABSENT) for column in columns)]
            for row in dict.fromkeys(figure.row for figure in grid)]
    return [["", *columns], *rows]


def grid_table(samples: Samples, grid: Sequence[Figure], *, subject: str) -> Table:
    """What there is to say of the subject by two things at once."""
    head, *rows = grid_rows(samples, grid, subject=subject)
    table = plain_table(f"{subject} itself: {grid[0].title}", f"{grid[0].unit}, median")
    for column in head[1:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def plain_table(title: str, caption: str) -> Table:
    """An empty table in the look of all of them, with a first column for the names of the rows."""
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, title_style="bold", title_justify="left",
                  caption_justify="left", pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=True)
    return table


def _add_peer(table: Table, title: str) -> None:
    """A column with the title on as many lines as it has words, none of them cut."""
    table.add_column(title, justify="right", min_width=max(map(len, title.split())))


def _cell(summary: Summary | None, unit: str = "", *, style: str = "") -> Text:
    if summary is None:
        return Text(ABSENT, style="dim")
    cell = Text(f"{digits(summary.median)}{unit}", style=style)
    if apart := spread(summary):
        # Below, not beside: a dozen peers have to find room next to each other.
        cell.append(f"\n{apart}", style="dim not bold")
    return cell


def _judgement(ratio: Summary | None) -> str:
    """Green when even the worst round was better, red when even the best was worse, plain when it is not clear."""
    if ratio and ratio.low > 1 + NOISE:
        return "bold green"
    if ratio and ratio.high < 1 - NOISE:
        return "bold red"
    return ""

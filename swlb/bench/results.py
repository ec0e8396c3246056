"""A run as files: every sample as JSON, and the tables as markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .figure import Figure
from .marks import Verdict, mark_words
from .runner import SUBJECT, Results
from .samples import Summary, digits, spread
from .table import ABSENT, Column, grid_rows, grids


@dataclass(frozen=True)
class Report:
    """A finished run and what is needed to judge it."""

    machine: Mapping[str, Any]
    rounds: int
    seconds: int
    figures: Sequence[Figure]
    columns: Sequence[Column]
    results: Results
    verdicts: Sequence[Verdict]


def write_json(path: Path, report: Report) -> None:
    """Every sample with what is needed to judge it."""
    results = report.results
    content = {
        **report.machine, "rounds": report.rounds, "seconds": report.seconds,
        "figures": [asdict(figure) for figure in report.figures],
        "peers": {column.peer: column.title for column in report.columns},
        "samples": results.samples.raw(),
        "marks": [{**asdict(verdict.mark), "measured": asdict(verdict.measured), "reached": verdict.reached}
                  for verdict in report.verdicts],
        "remarks": results.remarks, "failures": results.failures, "skipped": results.skipped,
    }
    write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """The file has that content; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def markdown(report: Report) -> str:
    """The run as a page: when and with what it was made, ratios, marks, values, swlb itself."""
    parts = [_head(report)]
    columns = list(report.columns)
    others = [column for column in columns if column.peer != SUBJECT]
    beside = [figure for figure in report.figures if not figure.own]
    if beside and others and len(others) < len(columns):
        parts.append(f"## {SUBJECT}, how many times as good\n\nMedian of the rounds' ratios; above 1 is better for "
                     f"every figure.\n\n{_ratios(report, beside, others)}")
    if report.verdicts:
        reached = sum(verdict.reached for verdict in report.verdicts)
        parts.append(f"## Marks\n\n{reached} of {len(report.verdicts)} reached, by the median.\n\n{_marks(report)}")
    if beside and columns:
        parts.append(f"## Values\n\nMedian, then lowest–highest.\n\n{_values(report, beside, columns)}")
    own = [figure for figure in report.figures if figure.own]
    if rows := [figure for figure in own if not figure.row]:
        parts.append(f"## {SUBJECT} itself\n\n{_own(report, rows)}")
    for grid in grids(own):
        head, *cells = grid_rows(report.results.samples, grid, subject=SUBJECT)
        parts.append(f"## {SUBJECT} itself: {grid[0].title}\n\nMedian, {grid[0].unit}.\n\n{_table(head, cells)}")
    if wrong := [*report.results.skipped, *report.results.failures]:
        parts.append("## Not measured\n\n" + "\n".join(f"- {sentence}" for sentence in wrong))
    return "\n\n".join(parts) + "\n"


def _head(report: Report) -> str:
    machine = report.machine
    versions = "\n".join(f"- {name}: {version}" for name, version in machine["versions"].items())
    made = (f"{machine['date']}, Linux {machine['kernel']}, {machine['cores']} cores shared by all, "
            f"commit {machine['commit']}; rounds: {report.rounds}, {report.seconds} s a measurement.")
    return f"# A run of the benchmark\n\n{made}\n\n{versions}"


def _ratios(report: Report, figures: Sequence[Figure], columns: Sequence[Column]) -> str:
    rows = [[figure.title, *(_cell(report.results.samples.ratio(figure.key, SUBJECT, column.peer,
                                                                higher_is_better=figure.higher_is_better), "×")
                             for column in columns)]
            for figure in figures if figure.compared]
    return _table(["", *(column.title for column in columns)], rows)


def _values(report: Report, figures: Sequence[Figure], columns: Sequence[Column]) -> str:
    rows = [[f"{figure.title}, {figure.unit}",
             *(_cell(report.results.samples.summary(figure.key, column.peer)) for column in columns)]
            for figure in figures]
    return _table(["", *(column.title for column in columns)], rows)


def _own(report: Report, figures: Sequence[Figure]) -> str:
    return _table(["", "", "unit"], [[figure.title, _cell(report.results.samples.summary(figure.key, SUBJECT)),
                                      figure.unit] for figure in figures])


def _marks(report: Report) -> str:
    titles = {column.peer: column.title for column in report.columns}
    rows = [[*mark_words(verdict, titles), verdict.judgement] for verdict in report.verdicts]
    return _table(["", "who", "mark", "measured", ""], rows)


def _cell(summary: Summary | None, unit: str = "") -> str:
    if summary is None:
        return ABSENT
    return f"{digits(summary.median)}{unit} {spread(summary)}".strip()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, aligned, *rows))

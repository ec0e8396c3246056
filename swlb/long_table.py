"""Lists of any length on standard output, as they come: nothing of them is kept."""

import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from swlb.client import Told, listen
from swlb.tables import COLUMNS, EMPTY, cell_text

Row = dict[str, Any]

# Columns are as wide as the first rows want them, but if more follow, wide enough for what most rows have.
FIRST_ROWS = 256
FIRST_S = 0.5
LEAST = {"client": 21, "vip": 21, "server": 21, "state": 11, "idle_s": 6, "packets_in": 10, "packets_out": 11}
GAP = "  "


def print_told(control: Path, target: str, noun: str, *, as_json: bool) -> None:
    """What the running swlb tells at the target: its JSON, or a table and, on a terminal, how many rows that is."""
    with listen(control, target) as told:
        if as_json:
            print_json(told)
        elif n := print_rows(noun, told.rows()):
            if sys.stdout.isatty():
                click.echo(of_how_many(noun, n, told.total))
        else:
            click.echo(f"no such {noun[:-1]}, of {told.total:,}" if told.total else EMPTY[noun])


def print_json(told: Told) -> None:
    """The text of the list as it is."""
    for piece in told.pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def print_rows(noun: str, batches: Iterator[list[Row]]) -> int:
    """The rows as a table; how many there were."""
    first, is_all = _first(batches)
    if not first:
        return 0
    table = _Table(noun, first, is_all=is_all)
    click.echo(click.style(table.heading(), bold=True))
    n = 0
    for rows in chain([first], batches):
        if rows:
            click.echo("\n".join(map(table.line, rows)))
            n += len(rows)
    return n


def of_how_many(noun: str, n: int, total: int | None) -> str:
    """1,204 of 1,000,000 sessions"""
    # Some may have come since they were counted.
    if total is None or n >= total:
        return f"{n:,} {noun if n != 1 else noun.removesuffix('s')}"
    return f"{n:,} of {total:,} {noun if total != 1 else noun.removesuffix('s')}"


def _first(batches: Iterator[list[Row]]) -> tuple[list[Row], bool]:
    """The rows that come soon, or a table full of them; and whether that is all."""
    rows: list[Row] = []
    due = time.monotonic() + FIRST_S
    for batch in batches:
        rows += batch
        if rows and (len(rows) >= FIRST_ROWS or time.monotonic() >= due):
            return rows, False
    return rows, True


class _Table:
    """Lines of a table whose rows are not known yet: a column becomes wider when a cell needs it, never narrower."""

    def __init__(self, noun: str, first: list[Row], *, is_all: bool) -> None:
        self._columns = COLUMNS[noun]
        self._is_right = [isinstance(first[0][column], int | float) for column in self._columns]
        least = {} if is_all else LEAST
        self._widths = [max(len(column), least.get(column, 0)) for column in self._columns]
        for row in first:
            self.line(row)

    def heading(self) -> str:
        return self._joined(list(self._columns))

    def line(self, row: Row) -> str:
        cells = [cell_text(column, row[column]) for column in self._columns]
        self._widths = list(map(max, self._widths, map(len, cells)))
        return self._joined(cells)

    def _joined(self, cells: list[str]) -> str:
        """The cells at their widths, numbers on the right; no space at the end."""
        placed = zip(cells, self._widths, self._is_right, strict=True)
        return GAP.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in placed).rstrip()

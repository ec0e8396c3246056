"""What a lab prints: for eyes on a terminal, plain lines in a pipe. Both show that something goes on."""

import io
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

INDENT = 2
WIDTH = 80  # of what is wrapped
MARKS_IN_A_PIPE = 3  # numbers that a count shows on its way
A_DOT_S = 1.0  # between two dots that a pipe sees while something is waited for
MANY = 100  # a pipe does not see the way of a shorter count

Cell = str | Text


class Voice:
    """Says what a lab does. Nothing is read as markup, so that addresses may have brackets."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def __call__(self, text: Cell = "", *, style: str = "") -> None:
        """A line, indented; one that is too long for the terminal can still be copied whole."""
        self.console.print(Text(" " * INDENT).append(text, style or None), soft_wrap=True)

    def paragraph(self, text: Cell) -> None:
        """Lines that are not too long, the others indented more than the first."""
        lines = Text.assemble(text).wrap(self.console, WIDTH - 2 * INDENT)
        for number, line in enumerate(lines):
            line.rstrip()
            self(Text(" " * INDENT).append(line) if number else line)

    def values(self, values: Mapping[str, str]) -> None:
        """Names and, beside them, their values, which may be long."""
        width = max(map(len, values))
        for name, value in values.items():
            lines = textwrap.wrap(value, WIDTH - INDENT - width - 3, break_on_hyphens=False)
            self(Text.assemble((name.ljust(width), "dim"), "   ", lines[0]))
            for line in lines[1:]:
                self(" " * (width + 3) + line)

    def title(self, text: str) -> None:
        """What all of it is about."""
        self.console.print(Text(text, "bold"))
        self.console.print()

    def heading(self, text: str) -> None:
        """A new part begins."""
        self.console.print()
        self.console.print(Text(text, "bold"))

    def drawing(self, text: str) -> None:
        """The lines as they are, whatever the width."""
        self.console.print(Text(text.strip("\n"), "cyan"), no_wrap=True, overflow="ignore", crop=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: Sequence[str] = ()) -> None:
        """Rows below their columns; those of `right` end at the same place."""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        self.console.print(Padding(table, (0, 0, 0, INDENT), expand=False))

    @contextmanager
    def counting(self, total: int, what: str) -> Iterator[Callable[[], None]]:
        """Within the block each call of what it yields counts one more of `total`."""
        if self.console.is_terminal:
            columns = (TextColumn(" {task.description}", markup=False), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(what, total=total)
                yield lambda: progress.advance(task)
            return
        if total < MANY:
            yield lambda: None
            return
        done = 0
        step = total // MARKS_IN_A_PIPE

        def count() -> None:
            nonlocal done
            done += 1
            if done % step == 0:
                self._continue(f" {done}")

        self._continue(f"{' ' * INDENT}{what} ...")
        try:
            yield count
        finally:
            self._continue("\n")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Within the block it is shown that something is waited for."""
        if self.console.is_terminal:
            with self.console.status(Text(what)):
                yield
            return
        began = time.monotonic()
        self._continue(f"{' ' * INDENT}{what} ...")
        over = threading.Event()
        dots = threading.Thread(target=self._dots, args=(over,), daemon=True)
        dots.start()
        try:
            yield
        finally:
            over.set()
            dots.join()
            self._continue(f" {time.monotonic() - began:.1f} s\n")

    def _dots(self, over: threading.Event) -> None:
        while not over.wait(A_DOT_S):
            self._continue(".")

    def _continue(self, text: str) -> None:
        """In a pipe, more of the line that is being written; it is there at once."""
        self.console.file.write(text)
        self.console.file.flush()


def silent_voice() -> Voice:
    """One that nobody hears."""
    return Voice(Console(quiet=True, file=io.StringIO()))

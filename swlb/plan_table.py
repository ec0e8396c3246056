"""A plan for people: one line a step, with a sign for what happens, and what it means for sessions."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swlb.tables import print_lines

SIGNS = {"add": "[green]+[/]", "remove": "[red]-[/]", "change": "[yellow]~[/]", "replace": "[yellow]±[/]", "move": ">"}


def print_plan(rows: list[dict[str, Any]], sentence: str, *, file: Path) -> None:
    """The steps of a reload of the file, the sentence, and what to do next."""
    console = Console(highlight=False, soft_wrap=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in ("sign", "kind", "name"):
        table.add_column(name, no_wrap=True)
    table.add_column("text", min_width=24)
    for row in rows:
        told = "; ".join(filter(None, [", ".join(row["details"]), row["effect"]]))
        table.add_row(SIGNS[row["action"]], row["kind"], escape(row["name"]), escape(told))
    if rows:
        print_lines(console, table)
    console.print(sentence, markup=False, soft_wrap=True)
    if rows:
        console.print(f"Nothing has changed yet: swlb reload {file}", markup=False, soft_wrap=True)

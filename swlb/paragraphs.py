"""Text for people, in lines and columns of a bounded width."""

import textwrap
from collections.abc import Iterable

WIDTH = 100  # columns
INDENT = "  "


def table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Indented rows whose columns stand below each other, as far as the width allows."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [INDENT + INDENT.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if max(map(len, lines), default=0) <= WIDTH:
        return lines
    return [line for row in rows for line in wrapped(" ".join(row), INDENT)]


def wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + INDENT)

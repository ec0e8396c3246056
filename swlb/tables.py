"""The tables that `swlb show` and `swlb decap` print for people: the columns one looks for first, --json has all."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from rich.console import Console, ConsoleDimensions, ConsoleOptions
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table

COLUMNS: dict[str, tuple[str, ...]] = {
    "services": ("service", "vip", "port", "protocol", "scheduler", "fail_open", "sessions_active",
                 "sessions_inactive", "sessions_total", "refused", "stateless", "packets_in", "packets_out",
                 "bytes_in", "bytes_out"),
    "servers": ("service", "server", "address", "port", "weight", "slow_start_s", "backup", "admin", "operational",
                "reason", "since_s", "check_duration_ms", "sessions_active", "sessions_inactive", "sessions_open",
                "max_connections", "sessions_total"),
    "sessions": ("protocol", "client", "vip", "server", "service", "state", "idle_s", "expires_s", "packets_in",
                 "packets_out"),
    "persistence": ("service", "client", "server", "sessions", "age_s", "expires_s"),
    "decisions": ("time", "client", "service", "server", "text"),
    "fdb": ("segment", "mac", "vlan", "port", "age_s", "static"),
    "neighbours": ("segment", "address", "mac", "state", "age_s"),
    "ports": ("port", "kind", "device", "netns", "state", "io", "mtu", "rx_frames", "rx_dropped", "tx_frames",
              "tx_dropped", "made", "moves"),
    "drops": ("reason", "frames", "meaning"),
    "events": ("time", "kind", "text"),
    "health": ("service", "server", "check", "type", "via", "operational", "check_status", "last", "next"),
    "timeouts": ("name", "seconds", "meaning"),
    "tunnels": ("tunnel", "outer", "inner", "packets", "bytes"),
    "refused": ("reason", "packets", "meaning"),
}
EMPTY = {
    "services": "no service is configured",
    "servers": "no service has a server",
    "sessions": "no session is open",
    "persistence": "no client has a server that it would come back to",
    "decisions": "no session has begun yet",
    "fdb": "no station has been heard yet",
    "neighbours": "no next hop has been asked for yet",
    "drops": "no frame has been dropped",
    "events": "nothing has happened yet",
    "health": "no server is checked",
    "refused": "no packet was refused",
}
# On a terminal these take more lines, but no less than so many columns, where a row would be wider than it.
FOLDED = {"text": 24, "next": 16}
# What most rows have, so that a column of nothing else is left out; and whose fate other columns share.
PLAIN = {
    ("health", "via"): "server",
    ("servers", "slow_start_s"): None,
    ("servers", "backup"): False,
    ("servers", "max_connections"): None,
    ("services", "stateless"): 0,
}
PLAIN_WITH = {"sessions_open": "max_connections"}
SPACE_AT_END = re.compile(r"(?: |\x1b\[[0-9;]*m)+$", re.MULTILINE)
RESET = "\x1b[0m"
COLOURS = {"up": "green", "down": "red", "lost": "red", "checking": "yellow", "drain": "yellow", "maint": "yellow"}


def print_table(noun: str, rows: list[dict[str, Any]], *, chosen: bool = False) -> None:
    """The rows on standard output: coloured on a terminal, whole lines when piped.

    Where they were chosen, that there are none means less.
    """
    console = Console(highlight=False, soft_wrap=False)
    if noun == "drops":
        rows = sorted((row for row in rows if row["frames"]), key=lambda row: -row["frames"])
    if not rows:
        console.print(f"there are no such {noun}" if chosen else EMPTY.get(noun, "nothing"))
        return
    table = _table(noun, rows)
    if console.is_terminal and wanted(console, table) > console.width:
        narrow = _table(noun, rows, heading=lambda column: column.replace("_", "_\n"))
        table = narrow if wanted(console, narrow) <= console.width else table
    print_lines(console, table)
    for note in _notes(noun, rows):
        console.print(note, markup=False, soft_wrap=True)


def _table(noun: str, rows: list[dict[str, Any]], heading: Callable[[str], str] = str) -> Table:
    """The rows below headings, which may be of several lines: most columns are as wide as their names."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (columns := _columns(noun, rows)):
        justify: Literal["left", "right"] = "right" if _is_numeric(column, rows) and column != "port" else "left"
        folds = column in FOLDED
        table.add_column(heading(column), justify=justify, no_wrap=not folds, min_width=FOLDED.get(column))
    for row in rows:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    return table


def print_lines(console: Console, table: Table) -> None:
    """The table on a console that is wide enough for it, without the space that rich puts at the ends of lines.

    A terminal would break the line at that space, and show empty lines where nothing is.
    """
    wide = widened(console, table)
    with wide.capture() as captured:
        wide.print(table)
    wide.file.write(SPACE_AT_END.sub(lambda end: RESET if RESET in end[0] else "", captured.get()))
    wide.file.flush()


def _is_numeric(column: str, rows: list[dict[str, Any]]) -> bool:
    """Whether there are numbers in it, and nothing else but what is not known."""
    values = [row[column] for row in rows if row[column] is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _columns(noun: str, rows: list[dict[str, Any]]) -> list[str]:
    """Those that tell something: some only where a row is not PLAIN."""
    return [column for column in COLUMNS[noun] if not _is_plain(noun, PLAIN_WITH.get(column, column), rows)]


def _is_plain(noun: str, column: str, rows: list[dict[str, Any]]) -> bool:
    return (noun, column) in PLAIN and all(row[column] == PLAIN[noun, column] for row in rows)


def _notes(noun: str, rows: list[dict[str, Any]]) -> list[str]:
    """What the last probes have said, where they did not end well, or warn: too long for a table, too good to miss."""
    if noun != "health":
        return []
    notes = [
        f"{row['service']}/{row['server']} {row['check']}: {'; '.join(filter(None, said))}"
        for row in rows
        if any(said := ("" if row["ok"] else row["detail"], row["warning"]))
    ]
    return ["", *notes] if notes else []


def widened(console: Console, table: Table) -> Console:
    """The console, at least as wide as the table; on a terminal, as the table with what can be folded folded.

    Rich would cut columns down to nothing. A terminal wraps whole rows better, and a pipe has no width at all.
    """
    # Both at once: of a dumb terminal rich does not believe the width alone.
    console.size = ConsoleDimensions(max(console.width, wanted(console, table)), console.height)
    return console


def wanted(console: Console, table: Table) -> int:
    """How wide the table has to be."""
    boundless = console.options.update(max_width=10_000)
    width = console.measure(table, options=boundless).maximum
    if console.is_terminal:
        width -= sum(
            max(0, _longest(column, console, boundless) - column.min_width)
            for column in table.columns
            if column.min_width
        )
    return width


def _longest(column: Column, console: Console, options: ConsoleOptions) -> int:
    return max(Measurement.get(console, options, cell).maximum for cell in column.cells)


def cell_text(column: str, value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if column == "backup":
        return "backup" if value else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    if column == "time":
        return datetime.fromtimestamp(value).isoformat(sep=" ", timespec="milliseconds")
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _cell(column: str, value: Any) -> str:
    """The same as rich wants it."""
    colour = COLOURS.get(value) if isinstance(value, str) else None
    return f"[{colour}]{value}[/{colour}]" if colour else escape(cell_text(column, value))

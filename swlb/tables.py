"""The tables that `swlb show` and `swlb decap` print for people: the columns one looks for first, --json has all."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLUMNS: dict[str, tuple[str, ...]] = {
    "services": ("service", "vip", "port", "protocol", "scheduler", "fail_open", "sessions_active",
                 "sessions_inactive", "sessions_total", "packets_in", "packets_out", "bytes_in", "bytes_out"),
    "servers": ("service", "server", "address", "port", "weight", "admin", "operational", "reason", "since_s",
                "check_duration_ms", "sessions_active", "sessions_inactive", "sessions_total"),
    "sessions": ("protocol", "client", "vip", "server", "service", "state", "idle_s", "expires_s", "packets_in",
                 "packets_out"),
    "fdb": ("segment", "mac", "vlan", "port", "age_s", "static"),
    "neighbours": ("segment", "address", "mac", "state", "age_s"),
    "ports": ("port", "kind", "device", "netns", "state", "io", "mtu", "rx_frames", "rx_dropped", "tx_frames",
              "tx_dropped", "moves"),
    "drops": ("reason", "frames", "meaning"),
    "events": ("time", "kind", "text"),
    "health": ("service", "server", "check", "type", "via", "operational", "check_status", "check_duration_ms", "last",
               "next", "detail", "warning"),
    "timeouts": ("name", "seconds"),
    "tunnels": ("tunnel", "outer", "inner", "packets", "bytes"),
    "refused": ("reason", "packets", "meaning"),
}
EMPTY = {
    "services": "no service is configured",
    "servers": "no service has a server",
    "sessions": "no session is open",
    "fdb": "no station has been heard yet",
    "neighbours": "no next hop has been asked for yet",
    "drops": "no frame has been dropped",
    "events": "nothing has happened yet",
    "health": "no server is checked",
    "refused": "no packet was refused",
}
COLOURS = {"up": "green", "down": "red", "lost": "red", "checking": "yellow", "drain": "yellow", "maint": "yellow"}


def print_table(noun: str, rows: list[dict[str, Any]]) -> None:
    """The rows on standard output: coloured on a terminal, whole lines when piped."""
    console = Console(highlight=False, soft_wrap=False)
    if noun == "drops":
        rows = sorted((row for row in rows if row["frames"]), key=lambda row: -row["frames"])
    if not rows:
        console.print(EMPTY.get(noun, "nothing"))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [column for column in COLUMNS[noun] if column != "warning" or any(row[column] for row in rows)]
    for column in columns:
        numeric = isinstance(rows[0][column], int | float) and not isinstance(rows[0][column], bool)
        table.add_column(column, justify="right" if numeric and column != "port" else "left", no_wrap=column != "text")
    for row in rows:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    if not console.is_terminal or "text" not in COLUMNS[noun]:
        console = widened(console, table)
    console.print(table)


def widened(console: Console, table: Table) -> Console:
    """The console, at least as wide as the table.

    Rich would cut columns down to nothing. A terminal wraps whole rows better, and a pipe has no width at all.
    """
    boundless = console.options.update(max_width=10_000)
    console.width = max(console.width, console.measure(table, options=boundless).maximum)
    return console


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return escape(" ".join(map(str, value)))
    if column == "time":
        return datetime.fromtimestamp(value).isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, float):
        return f"{value:.1f}"
    colour = COLOURS.get(value) if isinstance(value, str) else None
    return f"[{colour}]{value}[/{colour}]" if colour else escape(str(value))

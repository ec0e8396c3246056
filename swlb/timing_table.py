"""How long until each service's check notices: the rows, sentences and table of `swlb check --timing`."""

import textwrap
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from swlb.config import Check, Config
from swlb.config.source import counted
from swlb.config.values import one_of
from swlb.durations import duration_text
from swlb.tables import widened
from swlb.timing import EITHER, KINDS, RETRIES, TIMEOUT, Bounds, bounds, rule

Row = dict[str, Any]

WIDTH = 100  # columns of a sentence
SECONDS = tuple(f"{name}_s" for name in Bounds._fields)
HEADINGS = ("service", "check", "a server that", "is out at best", "at worst", "is in again at best", "at worst", "by")
FAILING = {"refused": "refuses", "silent": "is silent", "slow": "is too slow"}
# What the kernel of a server does for these checks, and no application.
ASKED_OF_THE_HOST = {"tcp": "a handshake", "icmp": "an echo"}


def timing_rows(config: Config) -> list[Row]:
    """One row for each check of a service and way to fail; one for a service without a check.

    service; check, its name or type; failure, one of refused, silent and slow; rule, what takes the server out:
    retries, timeout, or with jitter either; in seconds detect_best_s, detect_worst_s, recover_best_s, recover_worst_s;
    text, a sentence about the check. Where nothing is noticed, rule and seconds are None.
    """
    services = config.services.items()
    return [row for name, service in services for check in service.checks or (None,) for row in _rows(name, check)]


def print_timing(rows: list[Row]) -> None:
    """The rows on standard output, and below them a sentence for each service."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=True, justify="right" if " at " in f" {heading}" else "left")
    above = None
    for row in rows:
        of = (row["service"], row["check"] or "-")
        table.add_row(*(("", "") if of == above else of), *_cells(row))
        above = of
    widened(console, table).print(table)
    by_text: dict[str, dict[str, None]] = {}
    for row in rows:
        by_text.setdefault(row["text"], {})[row["service"]] = None
    for text, services in by_text.items():
        said = f"{', '.join(services)}: {text}."
        console.print(f"\n{textwrap.fill(said, WIDTH, subsequent_indent='  ')}", markup=False, soft_wrap=True)


def sentence(check: Check | None) -> str:
    """Which rule takes a server out, and what brings it back."""
    if check is None:
        return "no check: servers always count as up"
    every = duration_text(check.interval)
    if check.type == "agent":
        return f"the agent itself says up or down, asked every {every}; where it says nothing, nothing changes"
    by_rule: dict[str, list[str]] = {}
    for kind in filter(lambda kind: is_noticed(check, kind), KINDS):
        by_rule.setdefault(_how(check, kind), []).append(FAILING[kind])
    parts = [f"a server that {one_of(failing)} is out {how}" for how, failing in by_rule.items()]
    parts.append(f"in again after {counted(check.rise, 'success', 'successes')} in a row")
    return "; ".join([*parts, *_notes(check)])


def is_noticed(check: Check, kind: str) -> bool:
    """Whether a probe of a server that fails in this way fails."""
    return check.type != "agent" and (check.type != "udp" or check.expect is not None or kind == "refused")


def _rows(service: str, check: Check | None) -> Iterator[Row]:
    about = {"service": service, "check": (check.name or check.type) if check else None}
    if check is None:
        yield {**about, "failure": None, "rule": None, **dict.fromkeys(SECONDS), "text": sentence(None)}
        return
    for kind in KINDS:
        noticed = is_noticed(check, kind)
        seconds = [round(second, 6) if noticed else None for second in bounds(check, kind)]
        found = {"rule": rule(check, kind) if noticed else None, **dict(zip(SECONDS, seconds, strict=True))}
        yield {**about, "failure": kind, **found, "text": sentence(check)}


def _cells(row: Row) -> Iterator[str]:
    yield FAILING.get(row["failure"], "-")
    for name in SECONDS:
        yield "-" if row[name] is None else duration_text(row[name])
    yield row["rule"] or "-"


def _how(check: Check, kind: str) -> str:
    """How the rule that comes first would be said."""
    failures = counted(check.retries, "failure") + (" in a row" if check.retries > 1 else "")
    waits = kind == "refused" or check.timeout > check.response
    by_timeout = f"{duration_text(check.timeout)} after its first failed probe began" if waits else "after one failure"
    return {
        RETRIES: f"after {failures} (retries)",
        TIMEOUT: f"{by_timeout} (timeout)",
        EITHER: f"after {failures} or {by_timeout}, whichever jitter lets come first",
    }[rule(check, kind)]


def _notes(check: Check) -> Iterator[str]:
    if check.hold_down:
        yield f"hold_down keeps changes of its state at least {duration_text(check.hold_down)} apart"
    if check.type in ASKED_OF_THE_HOST:
        asked = ASKED_OF_THE_HOST[check.type]
        yield f"a {check.type} check asks for {asked} only, and does not notice an application that is slow behind it"
    if not is_noticed(check, "silent"):
        yield f"a {check.type} check without `expect` takes silence for consent"

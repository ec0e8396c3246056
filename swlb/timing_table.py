"""How long until each service's check notices: the rows, sentences and table of `swlb check --timing`."""

import textwrap
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from swlb.asks import hears_silence
from swlb.config import Check, Config, Service
from swlb.config.source import counted
from swlb.config.values import one_of
from swlb.durations import duration_text
from swlb.tables import print_lines
from swlb.timing import EITHER, KINDS, RETRIES, TIMEOUT, Bounds, bounds, rule, together

Row = dict[str, Any]

WIDTH = 100  # columns of a sentence
SECONDS = tuple(f"{name}_s" for name in Bounds._fields)
HEADINGS = ("service", "check", "a server that", "is out at best", "at worst", "is in again at best", "at worst", "by")
FAILING = {"refused": "refuses", "silent": "is silent", "slow": "is too slow"}
TOGETHER = {
    "all": "all together: out with the first check that fails, in again with the last",
    "any": "any of them: out with the last check that fails, in again with the first",
}
# What the kernel of a server does for these checks, and no application.
ASKED_OF_THE_HOST = {"tcp": "a handshake", "icmp": "an echo"}


def timing_rows(config: Config) -> list[Row]:
    """One row for each service, check and way to fail; of several checks their sum as well; one without a check.

    service; check, its name or type (of several without a name their number and type), or all or any; failure, one of
    refused, silent and slow; rule, what takes the server out: retries, timeout, or with jitter either; in seconds
    detect_best_s, detect_worst_s, recover_best_s, recover_worst_s; text, a sentence about the check. Where nothing is
    noticed, rule and seconds are None.
    """
    return [row for service in config.services.values() for row in _rows(service)]


def print_timing(rows: list[Row]) -> None:
    """The rows on standard output, and below them a sentence for each service."""
    console = Console(highlight=False)
    if not rows:
        console.print("no service is configured")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=True, justify="right" if " at " in f" {heading}" else "left")
    above: tuple[str, str] | None = None
    for row in rows:
        head = (row["service"], row["check"] or "-")
        table.add_row(*(("", "") if head == above else head), *_cells(row))
        above = head
    print_lines(console, table)
    for text, names in _by_text(rows).items():
        said = f"{', '.join(names)}: {text}."
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
    successes = counted(check.rise, "success", "successes") + (" in a row" if check.rise > 1 else "")
    parts.append(f"in again after {successes} (rise)")
    return "; ".join([*parts, *_notes(check)])


def is_noticed(check: Check, kind: str) -> bool:
    """Whether a probe of a server that fails in this way fails."""
    return hears_silence(check) or (check.type == "udp" and kind == "refused")


def _rows(service: Service) -> Iterator[Row]:
    if not service.checks:
        yield _row(service, None, None, None, None, sentence(None))
    several = len(service.checks) > 1
    for number, check in enumerate(service.checks):
        name = service.check_words(number) if several else check.name or check.type
        for kind in KINDS:
            found = _noticed(check, kind)
            yield _row(service, name, kind, found and rule(check, kind), found, sentence(check))
    if several:
        for kind in KINDS:
            found = together(service.need, [_noticed(check, kind) for check in service.checks])
            yield _row(service, service.need, kind, None, found, TOGETHER[service.need])


def _by_text(rows: list[Row]) -> dict[str, list[str]]:
    """What is said of each check, and of which: services, with the check's name where they have several."""
    several = {row["service"] for row in rows if _is_sum(row)}
    by_text: dict[str, dict[str, None]] = {}
    for row in rows:
        check = f" {row['check']}" if row["service"] in several and not _is_sum(row) else ""
        by_text.setdefault(row["text"], {})[f"{row['service']}{check}"] = None
    return {text: list(names) for text, names in by_text.items()}


def _is_sum(row: Row) -> bool:
    return row["text"] == TOGETHER.get(row["check"])


def _noticed(check: Check, kind: str) -> Bounds | None:
    return bounds(check, kind) if is_noticed(check, kind) else None


def _row(
    service: Service, check: str | None, kind: str | None, rule: str | None, found: Bounds | None, text: str
) -> Row:
    seconds = [None] * len(SECONDS) if found is None else [round(second, 6) for second in found]
    about = {"service": service.name, "check": check, "failure": kind, "rule": rule}
    return {**about, **dict(zip(SECONDS, seconds, strict=True)), "text": text}


def _cells(row: Row) -> Iterator[str]:
    yield FAILING.get(row["failure"], "-")
    for name in SECONDS:
        yield "-" if row[name] is None else duration_text(row[name])
    yield row["rule"] or "-"


def _how(check: Check, kind: str) -> str:
    """How the rule that comes first would be said."""
    failures = counted(check.retries, "failure") + (" in a row" if check.retries > 1 else "")
    waits = check.timeout > (0.0 if kind == "refused" else check.response)
    began = f"{duration_text(check.timeout)} after its first failed probe began"
    by_timeout = began if waits else "when its first failed probe ends"
    return {
        RETRIES: f"after {failures} (retries)",
        TIMEOUT: f"{by_timeout} (timeout)",
        EITHER: f"after {failures} or {by_timeout}, whichever jitter lets come first",
    }[rule(check, kind)]


def _notes(check: Check) -> Iterator[str]:
    if check.hold_down:
        yield f"hold_down keeps changes of its state at least {duration_text(check.hold_down)} apart"
    if check.type in ASKED_OF_THE_HOST:
        article = "an" if check.type == "icmp" else "a"
        asked = ASKED_OF_THE_HOST[check.type]
        yield f"{article} {check.type} check asks for {asked} only: it does not see a slow application behind it"
    if not hears_silence(check):
        yield f"a {check.type} check without `expect` takes silence for consent"

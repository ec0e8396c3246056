"""The rules of a check, said once more: a server's state worked out from the whole list of its probes, slowly.

Where swlb.health keeps counters and moves them on, this looks for the first moment at which one of the sentences of
the rules is true, and then starts again behind it.
"""

from typing import NamedTuple


class Rules(NamedTuple):
    """A check's timers, in seconds, under the names of the configuration."""

    interval: float = 2.0
    response: float = 1.0
    retries: int = 3
    timeout: float | None = None
    dead_interval: float = 10.0
    rise: int = 2
    initial: str = "checking"


class Probe(NamedTuple):
    """One probe that has ended."""

    began: float
    ended: float
    ok: bool


class Change(NamedTuple):
    """The operational state from `moment` on; probes[counts_from] is the first that counts for the next change."""

    moment: float
    state: str
    counts_from: int


def changes(rules: Rules, probes: list[Probe], until: float) -> list[Change]:
    """All changes of state up to and including `until`, the initial state first, given the probes ended by then."""
    found = [Change(0.0, rules.initial, 0)]
    while True:
        last = found[-1]
        candidates = [change for change in _next_changes(rules, probes, last) if change.moment <= until]
        if not candidates:
            return found
        found.append(min(candidates))


def next_start(rules: Rules, probes: list[Probe], until: float) -> float:
    """When the probe after the last one of the list starts, as far as can be known at `until`."""
    last, now = probes[-1], changes(rules, probes, until)[-1]
    if now.state == "down":
        return max(last.ended + rules.dead_interval, now.moment)
    start = last.began + rules.interval
    while start < last.ended:
        start += rules.interval
    return start


def _next_changes(rules: Rules, probes: list[Probe], last: Change) -> list[Change]:
    counted = list(range(last.counts_from, len(probes)))
    if last.state == "checking":
        return [Change(probes[i].ended, "up" if probes[i].ok else "down", i + 1) for i in counted[:1]]
    if last.state == "down":
        ends = _ends_of_runs(probes, counted, ok=True, length=rules.rise)
        return [Change(probes[i].ended, "up", i + 1) for i in ends]
    ends = _ends_of_runs(probes, counted, ok=False, length=rules.retries)
    by_retries = [Change(probes[i].ended, "down", i + 1) for i in ends]
    return by_retries + [change for i in counted for change in _timed_out(rules, probes, counted, i)]


def _ends_of_runs(probes: list[Probe], counted: list[int], *, ok: bool, length: int) -> list[int]:
    """The probes that end `length` probes in a row of which each was `ok` or each was not."""
    runs = {i: range(i - length + 1, i + 1) for i in counted}
    return [i for i, run in runs.items() if run[0] in counted and all(probes[j].ok == ok for j in run)]


def _timed_out(rules: Rules, probes: list[Probe], counted: list[int], first: int) -> list[Change]:
    """The change to down by timeout if `first` is the first of some failures and none has succeeded in time."""
    starts_failures = not probes[first].ok and (first - 1 not in counted or probes[first - 1].ok)
    if rules.timeout is None or not starts_failures:
        return []
    moment = max(probes[first].began + rules.timeout, probes[first].ended)
    later = [i for i in counted if i > first]
    if any(probes[i].ok and probes[i].ended < moment for i in later):
        return []
    unended = [i for i in later if probes[i].ended >= moment]
    return [Change(moment, "down", min(unended, default=len(probes)))]

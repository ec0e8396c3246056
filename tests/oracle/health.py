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
    fast_interval: float | None = None
    jitter: float = 0.0
    hold_down: float = 0.0


class Probe(NamedTuple):
    """One probe that has ended."""

    began: float
    ended: float
    ok: bool | None


class Change(NamedTuple):
    """The operational state from `moment` on; decided(probes)[counts_from] is the first that counts for the next."""

    moment: float
    state: str
    counts_from: int


def changes(rules: Rules, probes: list[Probe], until: float) -> list[Change]:
    """All changes of state up to and including `until`, the initial state first, given the probes ended by then."""
    found = [Change(0.0, rules.initial, 0)]
    while True:
        last = found[-1]
        held_until = last.moment + rules.hold_down if len(found) > 1 else 0.0
        candidates = [
            change for change in _next_changes(rules, decided(probes), last, held_until) if change.moment <= until
        ]
        if not candidates:
            return found
        found.append(min(candidates))


def next_start(rules: Rules, probes: list[Probe], until: float) -> float:
    """When the probe after the last one of the list starts, as far as can be known at `until`."""
    last, now = probes[-1], changes(rules, probes, until)[-1]
    counted = decided(probes)[now.counts_from :]
    moves = now.state != "checking" and bool(counted) and counted[-1].ok != (now.state == "up")
    fast = rules.fast_interval if moves else None
    interval = rules.interval if fast is None else fast
    if now.state == "down" and fast is None:
        return max(last.ended + rules.dead_interval, now.moment)
    start = last.began + interval
    while start < last.ended:
        start += interval
    return max(start, now.moment)


def decided(probes: list[Probe]) -> list[Probe]:
    """Those that say something of the server."""
    return [probe for probe in probes if probe.ok is not None]


def _next_changes(rules: Rules, probes: list[Probe], last: Change, held_until: float) -> list[Change]:
    counted = list(range(last.counts_from, len(probes)))
    if last.state == "checking":
        return [Change(probes[i].ended, "up" if probes[i].ok else "down", i + 1) for i in counted[:1]]
    ok, length = (True, rules.rise) if last.state == "down" else (False, rules.retries)
    due = [(i, probes[i].ended) for i in _ends_of_runs(probes, counted, ok=ok, length=length)]
    if last.state == "up":
        due += [(i, moment) for i in counted for moment in _timed_out(rules, probes, counted, i)]
    return [change for i, moment in due for change in _carried_out(probes, i, max(moment, held_until), ok=ok)]


def _carried_out(probes: list[Probe], decisive: int, moment: float, *, ok: bool) -> list[Change]:
    """The change that probes[decisive] brought about and that was put off until `moment`; none if it was averted."""
    later = range(decisive + 1, len(probes))
    if any(probes[i].ok != ok and probes[i].ended < moment for i in later):
        return []
    unended = [i for i in later if probes[i].ended >= moment]
    return [Change(moment, "up" if ok else "down", min(unended, default=len(probes)))]


def _ends_of_runs(probes: list[Probe], counted: list[int], *, ok: bool, length: int) -> list[int]:
    """The probes that end `length` probes in a row of which each was `ok` or each was not."""
    runs = {i: range(i - length + 1, i + 1) for i in counted}
    return [i for i, run in runs.items() if run[0] in counted and all(probes[j].ok == ok for j in run)]


def _timed_out(rules: Rules, probes: list[Probe], counted: list[int], first: int) -> list[float]:
    """The moment of the timeout if `first` is the first of some failures."""
    starts_failures = not probes[first].ok and (first - 1 not in counted or probes[first - 1].ok)
    if rules.timeout is None or not starts_failures:
        return []
    return [max(probes[first].began + rules.timeout, probes[first].ended)]

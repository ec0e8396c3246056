"""How soon a check notices that a server fails, and that it is well again: computed from its timers. No I/O, no clock.

What swlb/health.py does, said in advance. A failed probe takes no time where the server refuses, and `response` where
it is silent or too slow. Between two starts lie an interval (or more, where a probe takes longer than one) and its
jitter; `fast_interval` stands for it from the first failure on, and from the first success of a server that is down.

| | best | worst |
|---|---|---|
| the first probe that fails | at once | an interval later: one has just succeeded |
| down | from then on, whichever of `retries` and `timeout` comes first | the same |
| the first probe that succeeds | at once | a probe has just begun, which fails, and `dead_interval` follows |
| up | `rise` - 1 waits later | the same |

Where `hold_down` is longer than the worst of these it is the worst: the state may have changed just before. A healthy
server is taken to answer at once; what it takes comes on top, and so does this machine's lateness, of milliseconds.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from swlb.health import SLACK_S, Timers

KINDS = ("refused", "silent", "slow")
RETRIES, TIMEOUT, EITHER = "retries", "timeout", "retries or timeout"


class Bounds(NamedTuple):
    """Seconds from the moment a server fails to down, and from the moment it is well again to up."""

    detect_best: float
    detect_worst: float
    recover_best: float
    recover_worst: float


class _Falling(NamedTuple):
    """Seconds from the start of the first failed probe to the moment that each rule would strike."""

    retries_best: float
    retries_worst: float
    timeout: float


def bounds(check: Timers, kind: str = "refused") -> Bounds:
    """The bounds where the server is `refused` (it refuses at once), `silent` or `slow` (its answers come too late)."""
    took, least, most = _took(check, kind), 1 - check.jitter, 1 + check.jitter
    falling = _falling(check, took)
    rising = check.dead_interval if check.fast_interval is None else check.fast_interval
    detect_worst = check.interval * most + min(falling.retries_worst, falling.timeout)
    recover_worst = took + (check.dead_interval + (check.rise - 1) * rising) * most
    return Bounds(
        detect_best=min(falling.retries_best, falling.timeout),
        detect_worst=max(detect_worst, check.hold_down),
        recover_best=(check.rise - 1) * rising * least,
        recover_worst=max(recover_worst, check.hold_down),
    )


def together(need: str, each: Iterable[Bounds | None]) -> Bounds | None:
    """The bounds of a server that needs `all` or `any` of its checks; None of one that does not notice its failure.

    The first of all to notice takes it out, and the last to be content brings it in again; of any the other way round.
    """
    each = list(each)
    known = [found for found in each if found is not None]
    if not known or (need == "any" and None in each):
        return None
    out, back = (min, max) if need == "all" else (max, min)
    best, worst, again, at_worst = zip(*known, strict=True)
    return Bounds(out(best), out(worst), back(again), back(at_worst))


def rule(check: Timers, kind: str = "refused") -> str:
    """What takes the server out: retries, timeout, or with jitter either."""
    falling = _falling(check, _took(check, kind))
    # The timeout does not wait for a probe that ends at the same moment, but the first one must have failed.
    if check.retries == 1 or falling.retries_worst < falling.timeout:
        return RETRIES
    return EITHER if falling.retries_best < falling.timeout else TIMEOUT


def _took(check: Timers, kind: str) -> float:
    """What a failed probe takes."""
    assert kind in KINDS, kind
    return 0.0 if kind == "refused" else check.response


def _falling(check: Timers, took: float) -> _Falling:
    interval = check.interval if check.fast_interval is None else check.fast_interval
    # Never two probes at once: a start that falls into a probe waits for the next whole interval.
    gap = max(1, math.ceil((took - SLACK_S) / interval)) * interval
    least, most = (max(took, gap * (1 + jitter)) for jitter in (-check.jitter, check.jitter))
    return _Falling(
        retries_best=(check.retries - 1) * least + took,
        retries_worst=(check.retries - 1) * most + took,
        timeout=math.inf if check.timeout is None else max(check.timeout, took),
    )

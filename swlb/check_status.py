"""What is known of a server by one check. Values only; swlb/checks.py fills them."""

from dataclasses import dataclass

from swlb.config import Check
from swlb.probes import Outcome

KEPT = 16  # probes that are remembered of each


@dataclass(frozen=True, slots=True)
class Past:
    """A probe that ended, and when by the Clock."""

    at: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What is known of one server's check. Moments are the Clock's.

    `reason` made the server `operational` at `since`; `check_status`, `check_duration_ms` and `detail` are the last
    probe's: INI, None and "" before the first has ended. `streak` counts the probes in a row that speak against
    `operational`; `next_probe_at` is None while a probe is in flight, `timeout_at` while the timeout does not run,
    and `strikes_at`, when the state changes unless a probe speaks against it, while no moment is known.
    `history` are the last KEPT probes, the oldest first.
    """

    check: Check
    operational: str
    reason: str
    since: float
    check_status: str
    check_duration_ms: float | None
    detail: str
    next_probe_at: float | None
    streak: int
    timeout_at: float | None
    strikes_at: float | None
    history: tuple[Past, ...]

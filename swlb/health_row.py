"""A row of `swlb show health`: one check of one server, what its last probes said and what happens next."""

from typing import Any

from swlb.ahead import what_next
from swlb.check_status import CheckStatus
from swlb.servers import ServerState

MARKS = {True: "✓", False: "✗", None: "·"}  # of a probe that ended well, that did not, and that says nothing


def health_row(state: ServerState, number: int, status: CheckStatus, now: float) -> dict[str, Any]:
    """The check of that number of the server, as it is now."""
    service, server = state.key
    last = status.history[-1].outcome if status.history else None
    due = status.next_probe_at
    return {
        "service": service,
        "server": server,
        "check": state.service.check_name(number),
        "type": status.check.type,
        "via": state.service.via(status.check),
        "operational": status.operational,
        "reason": status.reason,
        "since_s": round(now - status.since, 3),
        "check_status": status.check_status,
        "ok": last.ok if last else None,
        "check_duration_ms": rounded(status.check_duration_ms),
        "phases": {phase: round(took_ms, 3) for phase, took_ms in last.phases.items()} if last else {},
        "against": status.streak,
        "next_probe_s": None if due is None else round(max(0.0, due - now), 3),
        "next": what_next(status, now),
        "history": [
            [round(now - past.at, 3), past.outcome.status, round(past.outcome.duration_ms, 3)]
            for past in status.history
        ],
        "last": "".join(MARKS[past.outcome.ok] for past in status.history),
        "detail": status.detail,
        "warning": last.warning if last else "",
    }


def rounded(milliseconds: float | None) -> float | None:
    """To the microsecond."""
    return None if milliseconds is None else round(milliseconds, 3)

"""What happens next to a server's check, in words: which timer runs, and what it will do. No I/O, no clock."""

from swlb.check_status import CheckStatus
from swlb.config.source import counted
from swlb.durations import duration_text
from swlb.health import CHECKING, UP

MINUTE_S = 60.0


def what_next(status: CheckStatus, now: float) -> str:
    """Such as "probe in 1.4 s" or "probe in 0.3 s; down after 1 more failure, or in 2.1 s (timeout)"."""
    due = status.next_probe_at
    probe = "a probe is on its way" if due is None else f"probe in {seconds(due - now)}"
    return "; ".join(filter(None, (probe, _what_it_decides(status, now))))


def seconds(duration: float) -> str:
    """The duration to a tenth of a second, from a minute on to the second; never less than none."""
    return f"{max(0.0, duration):.1f} s" if duration < MINUTE_S else duration_text(round(duration))


def _what_it_decides(status: CheckStatus, now: float) -> str:
    check = status.check
    if status.operational == CHECKING:
        return "its result decides"
    wanted = check.retries if status.operational == UP else check.rise
    if status.streak >= wanted and status.strikes_at is not None:
        new = "down" if status.operational == UP else "up"
        return f"{new} in {seconds(status.strikes_at - now)} (hold_down), unless a probe forbids it"
    if status.operational != UP:
        missing = check.rise - status.streak
        if status.streak:
            return f"up after {counted(missing, 'more success', 'more successes')}"
        return f"up after {counted(missing, 'success', 'successes')}{' in a row' if missing > 1 else ''}"
    if not status.streak:
        return ""
    failures = f"down after {counted(check.retries - status.streak, 'more failure')}"
    if status.timeout_at is None:
        return failures
    return f"{failures}, or in {seconds(status.timeout_at - now)} (timeout)"

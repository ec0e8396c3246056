"""`swlb set server ... --wait`: until a server has no session left, in the terminal of whoever asked for it."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from swlb.config.source import counted
from swlb.durations import duration_text, parse_duration
from swlb.errors import SwlbError, WrongWords
from swlb.spoken import READY

POLL_S = 0.2
QUIET_S = 2.0  # before it is said that there is something to wait for
TELL_GAP_S = 1.0  # between two of a terminal's lines

Server = dict[str, Any]  # what `swlb why --json` tells


def read_patience(order: str, patience: str | None) -> float:
    """Seconds that --wait says after that order, infinite where it says none. WrongWords for what it cannot say."""
    if order not in ("drain", "maint") and not is_weight_of_0(order):
        raise WrongWords(f"--wait goes with drain, maint and weight=0: after {order!r} its sessions need not end")
    if patience is None:
        return math.inf
    try:
        return parse_duration(patience)
    except ValueError:
        raise WrongWords(f"--wait {patience}: expected a duration such as 500ms, 30s, 5m, or none") from None


def is_weight_of_0(order: str) -> bool:
    """Whether the order lets the server have no new session by its weight."""
    key, _, value = order.partition("=")
    number = value.removesuffix("%")
    return key == "weight" and number.isascii() and number.isdigit() and int(number) == 0


def wait_until_idle(
    look: Callable[[], Server],
    limit: float,
    *,
    out: TextIO | None = None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """A sentence once the server has no open session. SwlbError says how many are left where that is not to be.

    That is when `limit` seconds are over, when another order or a reload lets it have new ones, or when the user
    interrupts. On a terminal `out` (stderr) has a line that changes, elsewhere one that stays.
    """
    began, left = now(), ""
    progress = _Progress(sys.stderr if out is None else out, began, limit)
    try:
        while True:
            server = look()
            spent, left = now() - began, _remaining(server)
            # First of all: one of that name that a reload has brought has no session, but its forerunner may have.
            if server["admin"] == READY and server["weight"]:
                raise SwlbError(f"{left}; it may take new ones again, by another order or a reload")
            if not server["sessions_open"]:
                return f"server {server['server']}: no session is left (after {spent:.1f} s)"
            if spent >= limit:
                raise SwlbError(f"{left} after {duration_text(limit)}{_advice(server)}")
            progress.tell(left, now())
            sleep(min(POLL_S, max(0.0, limit - spent)))
    except KeyboardInterrupt:
        raise SwlbError(f"{left or 'interrupted'}; the wait is over, the order holds") from None
    finally:
        progress.end()


class _Progress:
    """What is said while it takes longer than QUIET_S."""

    def __init__(self, out: TextIO, began: float, limit: float) -> None:
        self._out = out
        self._began = began
        self._limit = limit
        self._told_at: float | None = None

    def tell(self, left: str, now: float) -> None:
        """The user knows how many sessions are left."""
        spent = now - self._began
        if spent < QUIET_S or (self._told_at is not None and now - self._told_at < TELL_GAP_S):
            return
        most = "" if self._limit == math.inf else f" of {duration_text(self._limit)}"
        if self._out.isatty():
            self._out.write(f"\r\x1b[K{left}, {spent:.0f}s{most} waited; Ctrl-C ends the wait only")
        elif self._told_at is None:
            at_most = "" if self._limit == math.inf else f", at most {duration_text(self._limit)} in all"
            self._out.write(f"{left}: waiting{at_most}\n")
        self._out.flush()
        self._told_at = now

    def end(self) -> None:
        """A terminal's line is gone."""
        if self._told_at is not None and self._out.isatty():
            self._out.write("\r\x1b[K")
            self._out.flush()


def _remaining(server: Server) -> str:
    count = server["sessions_open"]
    return f"server {server['server']}: {counted(count, 'session')} {'is' if count == 1 else 'are'} open"


def _advice(server: Server) -> str:
    name = server["server"]
    return f"; the order holds. `swlb show sessions` lists them, `swlb flush sessions --server {name}` forgets them"

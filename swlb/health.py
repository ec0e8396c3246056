"""Whether one server may receive new sessions: the state machine of its check. No I/O, no clock.

Whoever owns a Health starts a probe at `next_probe_at` (begin), hands over how it ended (report), and calls tick
at `timeout_at`. swlb/checks.py does so; swlb/probes.py carries the probes out.

| operational | what happens | then |
|---|---|---|
| checking | the first probe succeeds or fails | up or down: this one result decides |
| up | a probe succeeds | up; earlier failures are forgiven |
| up | a probe fails, fewer than `retries` in a row | up; the timeout runs, since the first of them began |
| up | the `retries`th failure in a row | down |
| up | `timeout` is over before a success ends the failures | down at that moment, a probe in flight or not |
| down | a probe fails | down; earlier successes are forgotten |
| down | a probe succeeds, fewer than `rise` in a row | down |
| down | the `rise`th success in a row | up |
| any | a probe that says nothing of the server (an agent that is not there) | as it was; what was counted stays |

The next probe starts, never beside another one:

| operational | when |
|---|---|
| up, failing or not | whole intervals after the last one began; a start that falls into a probe is skipped |
| down | `dead_interval` after the last one ended |

A probe that was in flight when the timeout struck counts, when it ends, as the first one of the down state. A first
failed probe that itself took longer than `timeout` means down when it ends: until then nobody could know it failed.
"""

import math
from dataclasses import dataclass
from typing import Protocol

UP = "up"
DOWN = "down"
CHECKING = "checking"

# The reason, and the status of a check, before the first probe was decided.
UNPROBED = "INI"

# A probe that ends this much after the next start was due has not missed it: sums of floats are not exact.
SLACK_S = 1e-6


class Timers(Protocol):
    """What a Health reads of a configured check; durations in seconds, architecture words."""

    @property
    def initial(self) -> str:
        """up, down or checking."""

    @property
    def interval(self) -> float:
        """Start to start while up."""

    @property
    def response(self) -> float:
        """The longest one probe may take."""

    @property
    def retries(self) -> int:
        """Failures in a row that mean down."""

    @property
    def timeout(self) -> float | None:
        """From the start of the first failed probe to down; None is no such limit."""

    @property
    def dead_interval(self) -> float:
        """End to start while down."""

    @property
    def rise(self) -> int:
        """Successes in a row that mean up."""


class Verdict(Protocol):
    """What a Health reads of a probe's outcome."""

    @property
    def ok(self) -> bool | None:
        """Whether the server answered as it should; None where the probe says nothing of it."""

    @property
    def status(self) -> str:
        """The verdict code, such as L4TOUT."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the operational state.

    `reason` is the verdict code of the probe that decided, of the last failed one when the timeout struck. `cause`
    is the rule that applied: "first probe", "retries", "timeout" or "rise".
    """

    old: str
    new: str
    reason: str
    cause: str


class Health:
    """What is now true of one server, and when something happens next. Times are the caller's, in seconds.

    `streak` counts the probes in a row that speak against `operational`; `since` is when that last changed, and
    `reason` is the verdict code that changed it. `next_probe_at` is None while a probe is in flight.
    """

    def __init__(
        self, timers: Timers, *, now: float, first_probe_at: float | None = None, initial: str | None = None
    ) -> None:
        self.operational = timers.initial if initial is None else initial
        self.reason = UNPROBED
        self.since = now
        self.streak = 0
        self.next_probe_at: float | None = now if first_probe_at is None else first_probe_at
        self._timers = timers
        self._began: float | None = None  # of the probe in flight
        self._ended = now  # of the last probe
        self._failing_since: float | None = None  # when the first probe of a streak of failures began
        self._last_failure = UNPROBED

    @property
    def timeout_at(self) -> float | None:
        """The moment the timeout strikes unless a probe succeeds before it; None while it does not run."""
        if self._failing_since is None or self._timers.timeout is None:
            return None
        return self._failing_since + self._timers.timeout

    def begin(self, now: float) -> None:
        """A probe is in flight."""
        assert self._began is None, "never two probes at once"
        self._began = now
        self.next_probe_at = None

    def tick(self, now: float) -> Transition | None:
        """The timeout has struck if its moment has come: the Transition to down, else None."""
        if self.timeout_at is None or now < self.timeout_at:
            return None
        transition = self._change(DOWN, reason=self._last_failure, cause="timeout", now=now)
        if self._began is None:
            self.next_probe_at = max(now, self._ended + self._timers.dead_interval)
        return transition

    def report(self, outcome: Verdict, now: float) -> Transition | None:
        """The probe in flight has ended and is counted; the Transition it caused, if any.

        tick(now) comes first: a success that arrives at the timeout's moment or later does not avert it.
        """
        began = self._began
        assert began is not None, "no probe is in flight"
        assert self.timeout_at is None or now < self.timeout_at, "tick(now) comes first"
        self._began = None
        self._ended = now
        transition = self._count(outcome, began, now)
        self.next_probe_at = self._start_after(began, now)
        return transition

    def _count(self, outcome: Verdict, began: float, now: float) -> Transition | None:
        if outcome.ok is None:
            return None
        if self.operational == CHECKING:
            return self._change(UP if outcome.ok else DOWN, reason=outcome.status, cause="first probe", now=now)
        if outcome.ok == (self.operational == UP):
            self._forget()
            return None
        self.streak += 1
        if outcome.ok:
            if self.streak < self._timers.rise:
                return None
            return self._change(UP, reason=outcome.status, cause="rise", now=now)
        self._last_failure = outcome.status
        if self._failing_since is None:
            self._failing_since = began
        if self.streak >= self._timers.retries:
            return self._change(DOWN, reason=outcome.status, cause="retries", now=now)
        return self.tick(now)

    def _start_after(self, began: float, ended: float) -> float:
        if self.operational == DOWN:
            return ended + self._timers.dead_interval
        # A silent server ends a probe at the response limit; what it took beyond is our own lateness, which must not
        # cost the next start: with `response` as long as `interval`, every second one would be skipped.
        took = min(ended - began, self._timers.response)
        intervals = max(1, math.ceil((took - SLACK_S) / self._timers.interval))
        return began + intervals * self._timers.interval

    def _change(self, new: str, *, reason: str, cause: str, now: float) -> Transition:
        transition = Transition(self.operational, new, reason, cause)
        self.operational, self.reason, self.since = new, reason, now
        self._forget()
        return transition

    def _forget(self) -> None:
        self.streak = 0
        self._failing_since = None

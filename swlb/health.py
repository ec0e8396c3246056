"""Whether one server may receive new sessions: the state machine of its check. No I/O, no clock.

Whoever owns a Health starts a probe at `next_probe_at` (begin), hands over how it ended (report), and calls tick
at `strikes_at` and before it begins a probe. swlb/checks.py does so; swlb/probes/ carries the probes out.

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
| any | a probe says nothing of the server | as if it had not been |
| up, down | a change falls due within `hold_down` of the last one | it waits until then, unless a probe forbids it |

The next probe starts, never beside another one:

| operational | when |
|---|---|
| up | whole intervals after the last one began; a start that falls into a probe is skipped |
| up, failing, or down, succeeding, with a `fast_interval` | the same in fast intervals |
| down | `dead_interval` after the last one ended |

Each of these waits is made longer or shorter at random by up to the share `jitter`.

A probe that was in flight when the timeout struck counts, when it ends, as the first one of the down state. A first
failed probe that itself took longer than `timeout` means down when it ends: until then nobody could know it failed.

This process may be late: stopped, or short of a processor. That is no fault of the server's. Probes that were missed
are not made up for; one that is late starts after a random delay, so that many servers do not start theirs in one
burst; and a change that falls due by time alone waits for one more probe where one was missed or is still in flight.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

UP = "up"
DOWN = "down"
CHECKING = "checking"

# The reason, and the status of a check, before the first probe was decided.
UNPROBED = "INI"

# A probe that ends this much after the next start was due has not missed it: sums of floats are not exact.
SLACK_S = 1e-6

# Whoever is later than this was not merely woken a little late.
LATE_S = 0.25
# The longest random delay of a probe that is late: spreads servers, and costs little.
MAKE_UP_S = 1.0


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

    @property
    def fast_interval(self) -> float | None:
        """Start to start while failing but up, or succeeding but down; None is as the state says."""

    @property
    def jitter(self) -> float:
        """The share, from 0 to 0.5, by which each wait is made longer or shorter at random."""

    @property
    def hold_down(self) -> float:
        """The least time between two changes of the state."""


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
    is the rule that applied: "first probe", "retries", "timeout" or "rise". `held_s` is how long `hold_down` kept
    it waiting.
    """

    old: str
    new: str
    reason: str
    cause: str
    held_s: float = 0.0


class Health:
    """What is now true of one server, and when something happens next. Times are the caller's, in seconds.

    `streak` counts the probes in a row that speak against `operational`; `since` is when that last changed, and
    `reason` is the verdict code that changed it. `next_probe_at` is None while a probe is in flight.
    """

    _failing_since: float | None  # when the first probe of a streak of failures began
    _counted_at: float | None  # when a streak was long enough
    _last_against: str  # the verdict of the streak's last probe
    _waits_until: float  # no change by time alone before that: this process was late

    def __init__(
        self,
        timers: Timers,
        *,
        now: float,
        first_probe_at: float | None = None,
        initial: str | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` is where chance comes from: a number from 0 to 1, each as likely."""
        self.operational = timers.initial if initial is None else initial
        self.reason = UNPROBED
        self.since = now
        self.streak = 0
        self.next_probe_at: float | None = now if first_probe_at is None else first_probe_at
        self._timers = timers
        self._draw = draw
        self._began = now  # the last probe
        self._ended: float | None = now  # the same; None while it is in flight
        self._was_put_off = False  # the next probe, which was late
        self._held_until = -math.inf  # no change before that
        self._forget()

    @property
    def timeout_at(self) -> float | None:
        """The moment the timeout strikes unless a probe succeeds before it; None while it does not run."""
        if self._failing_since is None or self._timers.timeout is None:
            return None
        return self._failing_since + self._timers.timeout

    @property
    def strikes_at(self) -> float | None:
        """The moment the state changes unless a probe speaks against it before; None while no moment is known."""
        due = self.timeout_at if self._counted_at is None else self._counted_at
        return None if due is None else max(due, self._held_until, self._waits_until)

    def begin(self, now: float) -> None:
        """A probe is in flight."""
        assert self._ended is not None, "never two probes at once"
        self._began, self._ended = now, None
        self.next_probe_at = None
        self._was_put_off = False

    def hasten(self, moment: float) -> bool:
        """The next probe is due by that moment; True when it was due later, False also while one is in flight."""
        if self.next_probe_at is None or self.next_probe_at <= moment:
            return False
        self.next_probe_at = moment
        return True

    def tick(self, now: float) -> Transition | None:
        """Time has passed: the Transition to what has fallen due, if anything has."""
        strikes, start = self.strikes_at, self.next_probe_at
        self._put_off_late_start(now)
        if strikes is None or now < strikes:
            return None
        missed_a_probe = self._ended is None or (start is not None and start <= strikes)
        if now - strikes > LATE_S and missed_a_probe:
            self._waits_until = (now if self.next_probe_at is None else self.next_probe_at) + self._timers.response
            return None
        transition = self._strike(now)
        if self._ended is not None:
            self.next_probe_at = max(now, self._next_start(self._ended))
        return transition

    def report(self, outcome: Verdict, now: float) -> Transition | None:
        """The probe in flight has ended and is counted; the Transition it caused, if any.

        tick(now) comes first: a success that arrives at the timeout's moment or later does not avert it.
        """
        assert self._ended is None, "no probe is in flight"
        assert self.strikes_at is None or now < self.strikes_at, "tick(now) comes first"
        self._ended = now
        self._waits_until = -math.inf
        transition = None if outcome.ok is None else self._count(outcome.ok, outcome.status, now)
        self.next_probe_at = self._next_start(now)
        return transition

    def _count(self, ok: bool, status: str, now: float) -> Transition | None:
        if self.operational == CHECKING:
            return self._change(UP if ok else DOWN, reason=status, cause="first probe", now=now)
        if ok == (self.operational == UP):
            self._forget()
            return None
        self.streak += 1
        self._last_against = status
        # A timeout that is held, or waited for this probe, came first.
        is_over = self.timeout_at is not None and self.timeout_at <= now
        if not ok and self._failing_since is None:
            self._failing_since = self._began
        if self.streak == (self._timers.rise if ok else self._timers.retries) and not is_over:
            self._counted_at = now
        return self._strike(now) if self.strikes_at is not None and now >= self.strikes_at else None

    def _strike(self, now: float) -> Transition:
        """The change that a streak or its timeout has brought about."""
        due = self.timeout_at if self._counted_at is None else self._counted_at
        assert due is not None, "nothing has fallen due"
        cause = "timeout" if self._counted_at is None else "retries" if self.operational == UP else "rise"
        new = DOWN if self.operational == UP else UP
        held_s = max(0.0, self._held_until - due)
        return self._change(new, reason=self._last_against, cause=cause, now=now, held_s=held_s)

    def _put_off_late_start(self, now: float) -> None:
        """A probe that is late starts a little later still, once. Nobody waits longer for a server's first answer."""
        due = self.next_probe_at
        if due is None or now - due <= LATE_S or self._was_put_off or self.operational == CHECKING:
            return
        self._was_put_off = True
        self.next_probe_at = now + min(now - due, MAKE_UP_S) * self._draw()

    def _next_start(self, ended: float) -> float:
        timers = self._timers
        varied = 1 + timers.jitter * (2 * self._draw() - 1)
        fast = timers.fast_interval if self.streak else None
        if self.operational == DOWN and fast is None:
            return ended + timers.dead_interval * varied
        interval = timers.interval if fast is None else fast
        # A silent server ends a probe at the response limit; what it took beyond is our own lateness, which must not
        # cost the next start: with `response` as long as `interval`, every second one would be skipped.
        took = min(ended - self._began, timers.response)
        intervals = max(1, math.ceil((took - SLACK_S) / interval))
        return self._began + intervals * interval * varied

    def _change(self, new: str, *, reason: str, cause: str, now: float, held_s: float = 0.0) -> Transition:
        transition = Transition(self.operational, new, reason, cause, held_s)
        self.operational, self.reason, self.since = new, reason, now
        self._held_until = now + self._timers.hold_down
        self._forget()
        return transition

    def _forget(self) -> None:
        """No probe speaks against the state."""
        self.streak = 0
        self._failing_since = self._counted_at = None
        self._last_against = UNPROBED
        self._waits_until = -math.inf

"""What its own traffic says against one server: a state machine beside its check. No I/O, no clock.

Whoever owns a Passive looks every now and then at what the traffic has said since (look, then tick: what was seen is
of before), and has the Evidence it gives act: a probe at once, or the server is held (hold). swlb/traffic.py does so.

| the server is | what is seen | then |
|---|---|---|
| trusted | an answer | trusted; earlier failures are forgiven |
| trusted | the `failures`th failure `within` that time, and no answer since the first | Evidence |
| held | the back-off is over | on trial |
| on trial | an answer | trusted; the next back-off is half as long, but `back_off` at least |
| on trial | one failure | Evidence; held once more, twice as long, but `back_off_max` at most |

While a trusted server goes on answering, a back-off that has grown is halved each time it would have been over.

A failure is a client that was not answered, or refused. Some are known soon: who asked again, who was refused. Late
ones, of sessions that ended without an answer, speak of a time long past: they count only when nobody has been
answered, and the server was not held, since before they began. What is seen in one look has no order: an answer
forgives the failures beside it.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Rules(Protocol):
    """What a Passive reads of a service's `passive`; durations in seconds."""

    @property
    def failures(self) -> int:
        """So many are evidence."""

    @property
    def within(self) -> float:
        """Failures are counted together for this time."""

    @property
    def back_off(self) -> float:
        """The first hold, and the shortest."""

    @property
    def back_off_max(self) -> float:
        """The longest hold."""


class Seen(NamedTuple):
    """What the traffic has said of a server since the last look: how many clients fared so."""

    answered: int = 0
    silent: int = 0
    refused: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a server is not to be trusted: clients that were not answered and that were refused; or `lost`, its host.

    `within` is the time in which it happened, in seconds; 0 where one failure was enough.
    """

    silent: int = 0
    refused: int = 0
    within: float = 0.0
    lost: bool = False

    @property
    def reason(self) -> str:
        """The verdict code that a probe would have given."""
        if self.lost:
            return "L2TOUT"
        return "L4CON" if self.refused > self.silent else "L4TOUT"


class Passive:
    """What is now true of one server, as far as its traffic tells. Times are the caller's, in seconds.

    `held_until` is None while it is not held; `back_off` is how long it was held last, or would be; `suspect` is
    whether somebody has accused it and nothing has cleared it since, an answer or a probe.
    """

    def __init__(self, rules: Rules, *, late_after: float, now: float) -> None:
        """`late_after`: a session of which a late failure tells began at most that long before it ended."""
        self.held_until: float | None = None
        self.back_off = rules.back_off
        self.suspect = False
        self._rules = rules
        self._late_after = late_after
        self._on_trial = False
        self._quiet_since = now  # nobody was answered since, and it was not held
        self._eased_at = now  # when the back-off was last halved, or could have been
        self._failures: deque[tuple[float, int, int]] = deque()  # moment, silent, refused

    def follow(self, rules: Rules, *, late_after: float) -> None:
        """The rules are others from now on; what was seen stays seen."""
        self._rules, self._late_after = rules, late_after
        self.back_off = min(max(self.back_off, rules.back_off), rules.back_off_max)

    def tick(self, now: float) -> bool:
        """True when the back-off has just been over: the server is on trial."""
        if self.held_until is None or now < self.held_until:
            return False
        self.release(now)
        return True

    def look(self, seen: Seen, now: float) -> Evidence | None:
        """What was seen is counted; the Evidence, once there is enough of it. tick(now) comes after it."""
        if seen.answered:
            self._answered(now)
            return None
        if self.held_until is not None:
            return None
        late = seen.late if now - self._quiet_since >= self._late_after else 0
        self._remember(seen.silent + late, seen.refused, now)
        silent = sum(failure[1] for failure in self._failures)
        refused = sum(failure[2] for failure in self._failures)
        if silent + refused < (1 if self._on_trial else self._rules.failures):
            return None
        self._failures.clear()
        return Evidence(silent, refused, 0.0 if silent + refused == 1 else self._rules.within)

    def hold(self, now: float) -> None:
        """The server takes no sessions until the back-off is over."""
        if self._on_trial:
            self.back_off = min(2 * self.back_off, self._rules.back_off_max)
        self.held_until = now + self.back_off
        self._on_trial = False
        self._failures.clear()

    def release(self, now: float) -> None:
        """The server is held no longer, but on trial."""
        self.held_until = None
        self._on_trial = True
        self._quiet_since = self._eased_at = now

    def _answered(self, now: float) -> None:
        self.suspect = False
        self._failures.clear()
        self._quiet_since = now
        if self._on_trial or (self.held_until is None and now - self._eased_at >= self.back_off):
            self.back_off = max(self.back_off / 2, self._rules.back_off)
            self._eased_at = now
        self._on_trial = False

    def _remember(self, silent: int, refused: int, now: float) -> None:
        if silent or refused:
            self._failures.append((now, silent, refused))
        while self._failures and now - self._failures[0][0] >= self._rules.within:
            self._failures.popleft()

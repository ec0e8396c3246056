"""What is known of one server: what the operator wants, what its agent and its checks say, what its clients have seen.

Each is kept by itself; what follows from all of them is computed.
"""

from dataclasses import dataclass, field

from swlb.combined import combined
from swlb.config import Server, Service
from swlb.config.schedule_models import Limit
from swlb.health import CHECKING, DOWN, UNPROBED, UP
from swlb.probes.outcome import Outcome
from swlb.slow_start import SHARE_FULL, portion
from swlb.spoken import DRAIN, MAINT, READY, Words, limit_said, share_of, standing, stronger, weight_said

Key = tuple[str, str]  # the names of a service and of a server of it

__all__ = ["CHECKING", "DOWN", "DRAIN", "MAINT", "NO_CHECK", "READY", "UP", "Key", "ServerState", "Standing"]

NO_CHECK = "no check"

# ext/tables/service.pxd: server_t.ready
READY_UP, READY_DRAIN, READY_MAINT = 1, 2, 4

WEIGHT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Standing:
    """What one check says of its server: up, down, checking or NO_WORD, and the verdict code that made it so."""

    state: str
    reason: str


@dataclass(slots=True)
class ServerState:
    """A server as it is now. `index` is the worker's; moments are the clock's.

    `admin` and `weight` are what the operator wants, `agent` what the server's agent has said if it has one.
    `standings` are its checks', in their order; `decider` is the number of the one that made it `operational`.
    `health_ignored` is the service's `fail_open` at work: it counts as up, whatever `operational` says.
    Until `held_until` it is down on passive evidence, whatever its checks say; `held_for` says in words what that was.
    `share` of SHARE_FULL is what counts of it: less since `slow_since`, as it starts slowly. It `has_rested` when it
    has not served since it last took sessions.
    """

    service: Service
    config: Server
    index: int
    weight: int
    operational: str
    reason: str
    since: float
    admin: str = READY
    agent: Words | None = None
    standings: list[Standing] = field(default_factory=list)
    decider: int = 0
    health_ignored: bool = False
    held_until: float | None = None
    held_for: str = ""
    share: int = SHARE_FULL
    slow_since: float | None = None
    has_rested: bool = False

    @classmethod
    def begun(cls, service: Service, config: Server, index: int, now: float) -> "ServerState":
        """A server of which nothing is known but what it is to count as until it is."""
        standings = [Standing(check.initial, UNPROBED) for check in service.checks]
        return cls(
            service=service,
            config=config,
            index=index,
            weight=config.weight,
            operational=initial_state(service),
            reason=UNPROBED if service.checks else NO_CHECK,
            since=now,
            standings=standings,
        )

    @property
    def key(self) -> Key:
        return (self.service.name, self.config.name)

    @property
    def check_name(self) -> str | None:
        """What `swlb show health` calls the check that decides: its name, or its number; None without a check."""
        if not self.service.checks:
            return None
        return self.service.check_name(self.decider)

    @property
    def agent_admin(self) -> str:
        """What the agent wants of it: ready where it has never said."""
        return (self.agent and self.agent.admin) or READY

    @property
    def effective_admin(self) -> str:
        """The stronger of what the operator and the agent want."""
        return stronger(self.admin, self.agent_admin)

    @property
    def wanted_weight(self) -> int:
        """What it weighs while nothing keeps it from new sessions."""
        if self.agent is None:
            return self.weight
        return weight_said(self.agent, configured=self.config.weight, ordered=self.weight)

    @property
    def counts_as_up(self) -> bool:
        """Whether its health lets it serve."""
        return self.operational == UP or self.health_ignored

    @property
    def ready_bits(self) -> int:
        """What the worker is told."""
        bits = READY_UP if self.counts_as_up else 0
        if self.effective_admin == DRAIN:
            bits |= READY_DRAIN
        if self.effective_admin == MAINT:
            bits |= READY_MAINT
        return bits

    @property
    def serves(self) -> bool:
        """Whether it may be sent packets at all."""
        return self.counts_as_up and self.effective_admin != MAINT

    @property
    def effective_weight(self) -> int:
        """What it weighs for new sessions now."""
        taking = self.counts_as_up and self.effective_admin == READY
        return portion(self.wanted_weight, self.share) if taking else 0

    @property
    def max_connections(self) -> Limit | None:
        """How many sessions it may have open, once it does not start slowly; None: any number."""
        configured = self.config.max_connections
        return limit_said(self.agent, configured) if self.agent else configured

    @property
    def limit(self) -> Limit | None:
        """How many it may have open now."""
        if (whole := self.max_connections) is None:
            return None
        return Limit(portion(whole.upper, self.share), portion(whole.lower, self.share))

    @property
    def for_workers(self) -> dict[str, int]:
        """All that workers are told of it, as the words of their set_server."""
        upper, lower = (limit.upper, limit.lower) if (limit := self.limit) else (0, 0)
        told = {"ready": self.ready_bits, "weight": self.wanted_weight, "share": self.share}
        return told | {"limit": upper, "lower": lower}

    def forget(self, now: float) -> None:
        """It is checked as if it had never been."""
        self.operational, self.reason, self.since = CHECKING, UNPROBED, now
        self.standings = [Standing(CHECKING, UNPROBED) for _ in self.service.checks]

    def hear(self, number: int, outcome: Outcome, now: float) -> None:
        """A probe of that check has ended so: what an agent said is kept, and that it said nothing, too."""
        if outcome.report is not None:
            self.agent = (self.agent or Words(now)).then(outcome.report, now)
        if outcome.ok is None:
            state = standing(self.standings[number].state, answered=outcome.report is not None)
            if state != self.standings[number].state:
                self.standings[number] = Standing(state, outcome.status)

    def hold(self, reason: str, words: str, *, until: float, now: float) -> None:
        """It is down on passive evidence."""
        self.operational, self.reason, self.since = DOWN, reason, now
        self.held_until, self.held_for = until, words

    def release(self, now: float) -> bool:
        """It is held no longer, but what its checks say, or up without any; whether it is up or down as before."""
        self.held_until, self.held_for = None, ""
        if self.standings:
            return not self.combine(self.decider, now)
        self.operational, self.reason, self.since = UP, NO_CHECK, now
        return False

    def is_confirmed_down(self, number: int, outcome: Outcome) -> bool:
        """Whether that check counted as down without having asked, and now has: no change, but known."""
        return outcome.ok is False and self.standings[number] == Standing(DOWN, UNPROBED)

    def combine(self, latest: int, now: float) -> bool:
        """It is what its checks say together; whether that has changed, by what `latest` of them says now.

        While it is held it stays down.
        """
        if self.held_until is not None:
            return False
        states = [standing.state for standing in self.standings]
        changed = combined(self.service.need, states).operational != self.operational
        self.operational, self.decider = combined(
            self.service.need, states, latest=latest if changed else self.decider
        )
        self.reason = self.standings[self.decider].reason
        if changed:
            self.since = now
        return changed


def initial_state(service: Service) -> str:
    """What its servers count as before they are probed: without a check, up."""
    if not service.checks:
        return UP
    return combined(service.need, [check.initial for check in service.checks]).operational


def read_order(words: str, configured_weight: int) -> tuple[str | None, int | None]:
    """(admin state, weight) that an order such as "drain", "weight=3" or "weight=50%" asks for; None: unchanged.

    A percentage is of the configured weight. Raises ValueError with a sentence when the words are none of these.
    """
    if words in (READY, DRAIN, MAINT):
        return words, None
    key, _, value = words.partition("=")
    number = value.removesuffix("%")
    if key != "weight" or not number.isascii() or not number.isdigit():
        raise ValueError(f"{words!r} is no order for a server; expected ready, drain, maint, weight=N or weight=N%")
    weight = int(number)
    if value.endswith("%"):
        weight = share_of(configured_weight, weight)
    if weight > WEIGHT_MAX:
        raise ValueError(f"a weight of {weight}; expected 0 to {WEIGHT_MAX}")
    return None, weight

"""What is known of one server: what the operator wants of it, and what its check says. Two values, never mixed."""

from dataclasses import dataclass

from swlb.config import Server, Service

READY, DRAIN, MAINT = "ready", "drain", "maint"
UP, DOWN, CHECKING = "up", "down", "checking"

# ext/tables/service.pxd: server_t.ready
READY_UP, READY_DRAIN, READY_MAINT = 1, 2, 4

WEIGHT_MAX = 65535


@dataclass(slots=True)
class ServerState:
    """A server as it is now. `index` is the worker's; moments are the clock's.

    `health_ignored` is the service's `fail_open` at work: it counts as up, whatever `operational` says.
    """

    service: Service
    config: Server
    index: int
    weight: int
    operational: str
    reason: str
    since: float
    admin: str = READY
    health_ignored: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return (self.service.name, self.config.name)

    @property
    def counts_as_up(self) -> bool:
        """Whether its health lets it serve."""
        return self.operational == UP or self.health_ignored

    @property
    def ready_bits(self) -> int:
        """What the worker is told."""
        bits = READY_UP if self.counts_as_up else 0
        if self.admin == DRAIN:
            bits |= READY_DRAIN
        if self.admin == MAINT:
            bits |= READY_MAINT
        return bits

    @property
    def serves(self) -> bool:
        """Whether it may be sent packets at all."""
        return self.counts_as_up and self.admin != MAINT

    @property
    def effective_weight(self) -> int:
        """What it weighs for new sessions now."""
        return self.weight if self.counts_as_up and self.admin == READY else 0


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
        share = configured_weight * int(number) / 100
        # Half of 1 is not nothing: only 0 % takes a server out.
        weight = max(1, round(share)) if share else 0
    if weight > WEIGHT_MAX:
        raise ValueError(f"a weight of {weight}; expected 0 to {WEIGHT_MAX}")
    return None, weight

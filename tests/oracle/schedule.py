"""Who gets the next session, said once more: every scheduler over a list of servers, slowly, from its definition.

    servers = [Server(weight=5), Server(), Server()]
    wrr = SCHEDULERS["wrr"](servers)
    number = wrr.choose()            # into servers; None: nobody has room
    servers[number].begin()          # what becomes of the session is told to the server
    wrr.changed()                    # after any change to who takes, or to weights and shares

A class for each scheduler. Where swlb keeps trees and sums up to date, these look at all servers each time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, gcd

FULL_SHARE = 256
MOST_WEIGHT = 1 << 28        # of all together; above it they are halved until they are below


@dataclass
class Server:
    """One server and its sessions; those it has open are not all that it is counted for."""

    weight: int = 1
    share: int = FULL_SHARE
    ready: bool = True
    backup: bool = False
    limit: int = 0
    lower: int = 0
    active: int = 0
    inactive: int = 0
    open: int = 0
    full: bool = False

    def takes(self) -> bool:
        return self.ready and self.weight > 0 and not self.full

    def fills(self) -> bool:
        """Whether it has become full, or is so no longer."""
        was = self.full
        if not self.limit or self.open < (self.lower or self.limit):
            self.full = False
        if self.limit and self.open >= self.limit:
            self.full = True
        return self.full != was

    def load(self) -> int:
        return 256 * self.active + self.inactive


class Scheduler(ABC):
    """Who takes new sessions, and their weights; a scheduler adds how it names one of them."""

    weighted = True

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.changed()

    def changed(self) -> None:  # noqa: B027  (most schedulers keep nothing that would have to follow)
        """Servers came, went, or have another weight."""

    def takers(self) -> list[int]:
        """Backups only when nobody else takes any."""
        for backup in (False, True):
            found = [n for n, server in enumerate(self.servers) if server.takes() and server.backup == backup]
            if found:
                return found
        return []

    def weights(self) -> dict[int, int]:
        """What the takers' weights are to each other."""
        takers = self.takers()
        weights = [self.servers[n].share * (self.servers[n].weight if self.weighted else 1) for n in takers]
        divisor = gcd(*weights)
        weights = [weight // divisor for weight in weights]
        halvings = 0
        while sum(weights) >> halvings >= MOST_WEIGHT:
            halvings += 1
        return {n: max(1, weight >> halvings) for n, weight in zip(takers, weights, strict=True)}

    def choose(self) -> int | None:
        """The server that gets a new session; None when nobody has room for it."""
        weights = self.weights()
        return self.name(weights) if weights else None

    @abstractmethod
    def name(self, weights: dict[int, int]) -> int | None:
        """The one of those that take sessions, by their weights, whom the definition names; None: nobody has room."""

    def least(self, of: Iterable[int], load: Callable[[Server], int], weights: dict[int, int]) -> int:
        """The one with the least load for its weight; of equals the earliest."""
        best = -1
        for n in of:
            # load / weight < load of the best / its weight, in whole numbers
            if best < 0 or load(self.servers[n]) * weights[best] < load(self.servers[best]) * weights[n]:
                best = n
        return best


class TakingTurns(Scheduler):
    """What rr and wrr share: credits, which a server has while it takes, and which keep their meaning.

    They are scaled as a round's worth is; whole numbers, cut off towards zero; never more than a round.
    """

    def __init__(self, servers: list[Server]) -> None:
        self.credits: dict[int, int] = {}
        self.round = 0
        super().__init__(servers)

    @abstractmethod
    def round_of(self, weights: dict[int, int]) -> int:
        """What a round is worth."""

    def changed(self) -> None:
        weights = self.weights()
        before, self.round = self.round, self.round_of(weights)
        self.credits = {n: self.rescaled(self.credits.get(n, 0), before) for n in weights}

    def rescaled(self, credit: int, before: int) -> int:
        scaled = abs(credit) * self.round // before if before else 0
        return min(scaled, self.round) * (1 if credit > 0 else -1)


class RoundRobin(TakingTurns):
    """The next one behind the last; who has less than a full share is passed over until its shares add up."""

    weighted = False
    last = -1

    def round_of(self, weights: dict[int, int]) -> int:
        return max(weights.values(), default=0)

    def name(self, weights: dict[int, int]) -> int | None:
        circle = [n for n in weights if n > self.last] + [n for n in weights if n <= self.last]
        for n in circle:
            if weights[n] < self.round:
                self.credits[n] += weights[n]
                if self.credits[n] < self.round:
                    continue
                self.credits[n] -= self.round
            self.last = n
            return n
        raise AssertionError("somebody has a full share")


class SmoothWeighted(TakingTurns):
    """All are given their weight; who has most then pays what all were given."""

    def round_of(self, weights: dict[int, int]) -> int:
        return sum(weights.values())

    def name(self, weights: dict[int, int]) -> int | None:
        for n, weight in weights.items():
            self.credits[n] += weight
        chosen = max(self.credits, key=lambda n: (self.credits[n], -n))
        self.credits[chosen] -= sum(weights.values())
        return chosen


class LeastConnections(Scheduler):
    """The least 256 A + I; a share is a weight."""

    weighted = False

    def name(self, weights: dict[int, int]) -> int | None:
        return self.least(weights, Server.load, weights)


class WeightedLeastConnections(LeastConnections):
    """The least (256 A + I) / w."""

    weighted = True


class ShortestExpectedDelay(Scheduler):
    """The least (A + 1) / w."""

    def name(self, weights: dict[int, int]) -> int | None:
        return self.least(weights, lambda server: server.active + 1, weights)


class NeverQueue(ShortestExpectedDelay):
    """The first that is idle; when none is, as sed."""

    def name(self, weights: dict[int, int]) -> int | None:
        idle = [n for n in weights if self.servers[n].active == 0]
        return idle[0] if idle else super().name(weights)


class TwoChoices(Scheduler):
    """Two are drawn by weight, each for itself; the one with less load for its weight, of equals the first drawn."""

    state = 0

    def random(self) -> int:
        """SplitMix64, as its authors give it."""
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    def name(self, weights: dict[int, int]) -> int | None:
        first, second = (self.drawn(half, weights) for half in divmod(self.random(), 2**32))
        return self.least([first, second], Server.load, weights)

    def drawn(self, half: int, weights: dict[int, int]) -> int:
        """Whoever has that point of the line on which all lie side by side, each as long as its weight."""
        point = half * sum(weights.values()) // 2**32
        for n, weight in weights.items():
            if point < weight:
                return n
            point -= weight
        raise AssertionError("the point is beyond the line")


class Failover(Scheduler):
    """The heaviest, of equals the earliest."""

    def name(self, weights: dict[int, int]) -> int | None:
        return max(weights, key=lambda n: (weights[n], -n))


class Overflow(Scheduler):
    """The heaviest that has at most as many active as its weight; while it starts slowly, as that share of it."""

    def name(self, weights: dict[int, int]) -> int | None:
        roomy = [n for n in weights if self.servers[n].active <= self.room(self.servers[n])]
        return max(roomy, key=lambda n: (weights[n], -n), default=None)

    def room(self, server: Server) -> int:
        return ceil(server.weight * server.share / FULL_SHARE)


SCHEDULERS: dict[str, type[Scheduler]] = {
    "rr": RoundRobin, "wrr": SmoothWeighted, "lc": LeastConnections, "wlc": WeightedLeastConnections,
    "sed": ShortestExpectedDelay, "nq": NeverQueue, "p2c": TwoChoices, "fo": Failover, "overflow": Overflow,
}

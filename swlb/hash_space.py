"""Which share of a service's flows gets another server when the service changes, under schedulers that hash.

Nothing is sampled. Two moduli a and b leave every pair of remainders that agree modulo their greatest common divisor
equally often, so that for `hash` the parts that two configurations give a server are counted against each other; the
tables of `maglev` are compared place by place. Where key or scheduler differ, the two names have nothing to do with
each other. Flows are those of new sessions, with all servers up: sessions that there are stay where they are.

A server that stays and weighs nothing any more keeps its part of hashes and tables, until swlb starts anew: only its
own flows go to others.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import gcd

from swlb._worker import Worker
from swlb.addresses import packed
from swlb.config.service_models import Server, Service
from swlb.indices import host_and_port

HASHED = ("hash", "maglev")
FAMILIES = (4, 6)
N_STATES = 12  # ext/tables/state.pxd

Name = Hashable  # of a server that stays what it is: its name, address and port


@dataclass(frozen=True)
class _Space:
    """Who has which part of the hashes of the clients of one family."""

    service: Service
    family: int

    @cached_property
    def servers(self) -> list[Server]:
        """Those that have a part, in the order of the configuration."""
        weighing = [server for server in self.service.servers.values() if server.weight and not server.backup]
        return [server for server in weighing if self.service.is_tunnel or server.address.version == self.family]

    @cached_property
    def total(self) -> int:
        """Into how many parts of one size the hashes are divided."""
        return len(self.table) if self.service.scheduler == "maglev" else sum(server.weight for server in self.servers)

    @cached_property
    def parts(self) -> Mapping[Name, range]:
        """Of `hash`: the remainders of each server."""
        ends = accumulate((server.weight for server in self.servers), initial=0)
        return {name: range(*part) for name, part in zip(self.names, pairwise(ends), strict=True)}

    @cached_property
    def names(self) -> list[Name]:
        """What makes each of the servers the one it is."""
        return [_name(server) for server in self.servers]

    @cached_property
    def table(self) -> list[int]:
        """Of `maglev`: the number of the server in each place."""
        worker = Worker(sessions=1, fragments=1, neighbours=1, n_services=1, n_servers=len(self.servers))
        index = worker.add_service(vips=[], protocol=6, l4_first=1, l4_last=1, refuse=0, orphans=0, on_down=0,
                                   timeouts_ns=[0] * N_STATES, forward=self.service.forward, scheduler="maglev")
        for server in self.servers:
            worker.add_server(index, ip=packed(server.address), l4_port=server.port or 0, weight=server.weight, ready=1)
        worker.seal()
        table: list[int] = worker.table(index, self.family)
        return table

    @cached_property
    def shares(self) -> Mapping[Name, float]:
        """What share of the hashes each server has."""
        if self.service.scheduler == "maglev":
            return {self.names[number]: places / self.total for number, places in Counter(self.table).items()}
        return {name: len(part) / self.total for name, part in self.parts.items()}


def moved(before: Service, after: Service) -> float | None:
    """The share of flows, from 0 to 1, that get another server, those of servers that leave included.

    None where one of the two schedulers does not hash. Of two families the mean.
    """
    return _moved(before, after, of_others=False)


def moved_of_others(before: Service, after: Service) -> float | None:
    """The same of the flows of servers that stay and go on taking sessions."""
    return _moved(before, after, of_others=True)


def _moved(before: Service, after: Service, *, of_others: bool) -> float | None:
    if before.scheduler not in HASHED or after.scheduler not in HASHED:
        return None
    shares = []
    idle = {_name(server) for server in after.servers.values() if not server.weight}
    for family in FAMILIES:
        old, new = _Space(before, family), _Space(_as_told(before, after), family)
        counted = set(old.shares) & set(new.shares) - idle if of_others else set(old.shares)
        had = sum(old.shares[name] for name in counted)
        kept = {name: share for name, share in _kept(old, new).items() if name not in idle}
        if had:
            shares.append(max(0.0, 1 - sum(kept.get(name, 0.0) for name in counted) / had))
    return sum(shares) / len(shares) if shares else 0.0


def _as_told(before: Service, after: Service) -> Service:
    """The service with the weights by which workers divide the hashes: the last that were not 0."""
    weights = {_name(server): server.weight for server in before.servers.values()}
    servers = {
        name: replace(server, weight=server.weight or weights.get(_name(server), 0))
        for name, server in after.servers.items()
    }
    return replace(after, servers=servers)


def _name(server: Server) -> Name:
    return (server.name, *host_and_port(server))


def _kept(old: _Space, new: _Space) -> Mapping[Name, float]:
    """The share of all hashes for which both name the same server, by server."""
    stay = old.shares.keys() & new.shares.keys()
    if not stay:
        return {}
    if (old.service.scheduler, old.service.hash_key) != (new.service.scheduler, new.service.hash_key):
        return {name: old.shares[name] * new.shares[name] for name in stay}
    if old.service.scheduler == "maglev":
        numbers = {name: number for number, name in enumerate(old.names)}
        was = [numbers.get(name) for name in new.names]
        same = Counter(a for a, b in zip(old.table, new.table, strict=True) if a == was[b])
        return {name: same[numbers[name]] / old.total for name in stay}
    common = gcd(old.total, new.total)
    pairs = old.total // common * new.total
    return {name: _pairs(old.parts[name], new.parts[name], common) / pairs for name in stay}


def _pairs(one: range, other: range, divisor: int) -> int:
    """How many pairs of numbers, one of each, leave the same remainder."""
    (rounds, rest), (other_rounds, other_rest) = divmod(len(one), divisor), divmod(len(other), divisor)
    overlap = sum(
        max(0, min(a.stop, b.stop) - max(a.start, b.start))
        for a in _remainders(one.start, rest, divisor)
        for b in _remainders(other.start, other_rest, divisor)
    )
    return divisor * rounds * other_rounds + rounds * other_rest + other_rounds * rest + overlap


def _remainders(first: int, n: int, divisor: int) -> tuple[range, range]:
    """The remainders of n numbers from the first on; there are fewer than divisor."""
    first %= divisor
    return range(first, min(first + n, divisor)), range(0, max(0, first + n - divisor))

"""How many flows get another server when servers come, go or change weight, by flows through the fast path itself."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import mean

from swlb._worker import Worker

from .commands import Unavailable
from .sessions import TCP, VIP_PORT, v4

SERVERS = 10
FLOWS = 5000  # through each pair of configurations; ten pairs make a value
N_STATES = 12  # ext/tables/state.pxd
VIP, FIRST_SERVER = 0xC0000201, 0xC6336401  # of 192.0.2.0/24 and 198.51.100.0/24

Weights = dict[int, int]  # by number of the server
EQUAL: Weights = dict.fromkeys(range(SERVERS), 1)


@dataclass(frozen=True)
class Change:
    """What happens to a server of ten with one weight, and what of the flows that are counted move at least."""

    key: str
    words: str
    least: float  # percent, whatever the scheduler: what the changed server gains
    modulo: float  # percent that modulo moves in theory
    of: Callable[[int], Weights]
    counts_changed: bool = True  # or only the flows of the other servers


CHANGES = (
    Change("goes", "one of ten goes, of the others' flows", 0, 800 / 9,
           lambda n: {server: weight for server, weight in EQUAL.items() if server != n}, counts_changed=False),
    Change("comes", "an eleventh comes", 100 / 11, 1000 / 11, lambda n: {**EQUAL, SERVERS + n: 1}),
    Change("weighs", "one of ten weighs twice as much", 200 / 11 - 10, 90, lambda n: {**EQUAL, n: 2}),
)


def measure_moves(scheduler: str) -> tuple[float, ...]:
    """Percent of flows that get another server, for each of CHANGES: the mean over all that it may happen to."""
    seed = count(1)
    return tuple(
        mean(moved(scheduler, change, server, random.Random(next(seed))) for server in range(SERVERS)) * 100
        for change in CHANGES
    )


def moved(scheduler: str, change: Change, server: int, choose: random.Random) -> float:
    """The share of random flows that get another server when the change happens to that one."""
    flows = [(v4(choose.randrange(1 << 24, 223 << 24)), choose.randrange(1024, 1 << 16), v4(VIP), VIP_PORT, TCP)
             for _ in range(FLOWS)]
    before, after = named(scheduler, EQUAL, flows), named(scheduler, change.of(server), flows)
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if change.counts_changed or a != server]
    return sum(a != b for a, b in pairs) / len(pairs)


def named(scheduler: str, weights: Weights, flows: Sequence[tuple[bytes, int, bytes, int, int]]) -> list[int]:
    """The number of the server that each flow gets."""
    try:
        from swlb._testing_hash import schedule_flows
    except ImportError as error:
        raise Unavailable("the doors for tests are not in wheels; it needs a build in the source tree") from error
    worker = Worker(sessions=1, n_services=1, n_servers=len(weights))
    service = worker.add_service(vips=[], protocol=TCP, l4_first=VIP_PORT, l4_last=VIP_PORT, refuse=0, orphans=0,
                                 on_down=0, timeouts_ns=[0] * N_STATES, scheduler=scheduler, hash_key="five_tuple")
    numbers = list(weights)
    for number in numbers:
        worker.add_server(service, ip=v4(FIRST_SERVER + number), l4_port=VIP_PORT, weight=weights[number], ready=1)
    worker.seal(now_ns=0)
    return [numbers[index] for index, _ in schedule_flows(worker, service, 4, flows)]

"""What it takes to choose a server, in the tables of a running swlb; a program of its own.

`python -m swlb.bench.schedules SCHEDULER SIZE...` prints, as JSON, for each number of servers the median nanoseconds of
a choice, and of a session from its choice to its end. A process of its own, so that the caches hold nothing else.
"""

import json
import sys
from statistics import median
from typing import Any

from swlb._testing_schedule import Schedule
from swlb._worker import Worker

from .sessions import TCP, VIP_PORT, v4

SESSIONS = 20_000
REPEATS = 5
# Unlike each other, as a scheduler of weights is to have work; and so heavy that overflow has room for all.
LEAST_WEIGHT, STEP, SPREAD = 20_000, 7919, 10_000


def main(scheduler: str, sizes: list[int]) -> list[tuple[float, float]]:
    """(nanoseconds of a choice, of a session) for each number of servers."""
    return [measured(scheduler, n) for n in sizes]


def measured(scheduler: str, n_servers: int) -> tuple[float, float]:
    """The same for so many servers."""
    schedule = Schedule(worker_of(scheduler, n_servers), 0, 4)
    return (median(schedule.choice_ns(SESSIONS) for _ in range(REPEATS)),
            median(schedule.session_ns(SESSIONS) for _ in range(REPEATS)))


def worker_of(scheduler: str, n_servers: int) -> Any:
    """A Worker with one service, which forwards nothing."""
    worker = Worker(sessions=SESSIONS, n_services=1, n_servers=n_servers, n_addresses=1)
    segment = worker.add_segment(mac=b"\x02\0\0\0\0\x01")
    service = worker.add_service(vips=[(v4(0xC0000201), segment)], protocol=TCP, l4_first=VIP_PORT, l4_last=VIP_PORT,
                                 refuse=0, orphans=0, on_down=0, timeouts_ns=[3600 * 10**9] * 12, scheduler=scheduler)
    for number in range(n_servers):
        worker.add_server(service, ip=v4(0x0A000001 + number), l4_port=VIP_PORT, ready=1,
                          weight=LEAST_WEIGHT + number * STEP % SPREAD)
    worker.seal(now_ns=0)
    return worker


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], [int(word) for word in sys.argv[2:]])))

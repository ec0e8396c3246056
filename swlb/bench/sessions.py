"""What a session takes of memory and a look-up of time, in a table as it is in a running swlb; a program of its own.

`python -m swlb.bench.sessions N` fills a Worker's table with N IPv4 sessions and prints, as JSON, the growth of the
process's resident memory and the median time of a look-up. A process of its own, so that the memory is the table's.
"""

import json
import sys
from pathlib import Path
from statistics import median

from swlb._testing_sessions import Sessions
from swlb._worker import Worker

LOOKUPS = 1_000_000
REPEATS = 3
PORTS_OF_CLIENT = 50
FIRST_PORT = 1024
TCP = 6
ESTABLISHED = 3
VIP_PORT = 80


def main(n: int) -> dict[str, float]:
    """Bytes in all, and nanoseconds a look-up, for n sessions."""
    worker = empty_worker(n)
    sessions = Sessions(worker, 4)
    before = resident_bytes()
    for i in range(n):
        client, port = divmod(i, PORTS_OF_CLIENT)
        if not sessions.insert(v4(10 << 24 | client), FIRST_PORT + port, TCP, VIP_PORT, 0, 0, ESTABLISHED):
            raise MemoryError(f"the table took {i} of {n} sessions")
    grown = resident_bytes() - before
    return {"bytes": grown, "lookup_ns": median(sessions.lookup_ns(LOOKUPS) for _ in range(REPEATS))}


def empty_worker(n: int) -> Worker:
    """A Worker with one service, one server and room for n sessions, which forwards nothing."""
    worker = Worker(sessions=n, n_services=1, n_servers=1, n_addresses=1)
    segment = worker.add_segment(mac=b"\x02\0\0\0\0\x01")
    service = worker.add_service(vips=[(v4(0xC0000201), segment)], protocol=TCP, l4_first=VIP_PORT, l4_last=VIP_PORT,
                                 refuse=0, orphans=0, on_down=0, timeouts_ns=[3600 * 10**9] * 12)
    worker.add_server(service, ip=v4(0xC0000202), l4_port=VIP_PORT, weight=1, ready=1)
    worker.seal(now_ns=0)
    return worker


def v4(number: int) -> bytes:
    """An IPv4 address as the doors take it: ::ffff:a.b.c.d."""
    return b"\0" * 10 + b"\xff\xff" + number.to_bytes(4, "big")


def resident_bytes() -> int:
    """The memory this process has touched and not given back."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))

"""What a session takes of memory and of time, in a table as it is in a running swlb; a program of its own.

`python -m swlb.bench.sessions N` fills a Worker's table with N IPv4 sessions and prints, as JSON, the growth of the
process's resident memory, and the median times to find a session, to begin one, and to carry a packet of one. A process
of its own, so that the memory is the table's.
"""

import json
import random
import struct
import sys
import time
from pathlib import Path
from statistics import median

from swlb._testing_sessions import Sessions
from swlb._worker import Worker

from .flood import checksum, ethernet_frame

LOOKUPS = 1_000_000
BEGUN, BEGUN_AT_ONCE = 400_000, 100_000
FRAMES = 200_000
BURST = 128  # frames that a worker takes of a port at once
REPEATS = 3
PORTS_OF_CLIENT = 50
FIRST_PORT = 1024
TCP = 6
ACK = 0x10
ESTABLISHED = 3
VIP_PORT = 80
VIP, SERVER, GATEWAY, FIRST_CLIENT = 0xC0000201, 0xC6336402, 0xC6336401, 10 << 24
OUTSIDE_MAC, INSIDE_MAC, CLIENT_MAC, SERVER_MAC = (bytes((2, 0, 0, 0, 0, n)) for n in range(1, 5))
BROADCAST = b"\xff" * 6
HOUR_NS = 3600 * 10**9


def main(n: int) -> dict[str, float]:
    """Bytes in all, and nanoseconds, for n sessions."""
    worker = empty_worker(n)
    sessions = Sessions(worker, 4)
    before = resident_bytes()
    for i in range(n):
        client, port = client_of(i)
        if not sessions.insert(v4(client), port, TCP, VIP_PORT, 0, 0, ESTABLISHED):
            raise MemoryError(f"the table took {i} of {n} sessions")
    grown = resident_bytes() - before
    at_once = min(BEGUN_AT_ONCE, n // 4)
    return {
        "bytes": grown,
        "lookup_ns": median(sessions.lookup_ns(LOOKUPS) for _ in range(REPEATS)),
        "lookup_single_ns": median(sessions.lookup_ns(LOOKUPS, single=True) for _ in range(REPEATS)),
        "begin_ns": median(sessions.insert_ns(at_once, BEGUN // at_once) for _ in range(REPEATS)),
        "frame_ns": frame_ns(worker, n),
    }


def client_of(i: int) -> tuple[int, int]:
    """Address and port of the client of session i."""
    client, port = divmod(i, PORTS_OF_CLIENT)
    return FIRST_CLIENT | client, FIRST_PORT + port


def frame_ns(worker: Worker, n: int) -> float:
    """Nanoseconds that a worker takes of a client's packet: in by one port, translated, out by the other.

    The median of bursts, each of packets of random sessions; what memory ports take for copying is in it.
    """
    question = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + SERVER_MAC + packed(SERVER) + bytes(6) + packed(GATEWAY)
    worker.put(1, BROADCAST + SERVER_MAC + b"\x08\x06" + question)
    worker.turn(0)
    chance = random.Random(n)
    times = [burst_ns(worker, [frame_of(*client_of(chance.randrange(n))) for _ in range(BURST)])
             for _ in range(FRAMES // BURST)]
    arrived = worker.port(1)["tx_frames"] - 1  # the answer to the question
    if arrived != len(times) * BURST:
        raise ValueError(f"{arrived} of {len(times) * BURST} packets reached the server")
    return median(times) / BURST


def burst_ns(worker: Worker, frames: list[bytes]) -> int:
    """The time of the turn in which the frames go through."""
    for frame in frames:
        worker.put(0, frame)
    begin = time.perf_counter_ns()
    worker.turn(0)
    taken = time.perf_counter_ns() - begin
    worker.take(1)
    return taken


def frame_of(client: int, port: int) -> bytes:
    """An acknowledgement to the VIP; nobody looks at its TCP checksum."""
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 40, 0, 0x4000, 64, TCP, 0, client, VIP)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet_frame(OUTSIDE_MAC, CLIENT_MAC,
                          header + struct.pack("!HHIIBBHHH", port, VIP_PORT, 1, 1, 0x50, ACK, 512, 0, 0) + bytes(6))


def empty_worker(n: int) -> Worker:
    """A Worker between two memory ports with one service, one server and room for n sessions."""
    worker = Worker(sessions=n, n_segments=2, n_services=1, n_servers=1, n_addresses=2)
    outside, inside = worker.add_segment(mac=OUTSIDE_MAC), worker.add_segment(mac=INSIDE_MAC)
    worker.add_port(outside)
    worker.add_port(inside)
    worker.add_address(outside, v4(FIRST_CLIENT | 0xFFFFFE), 96 + 8)
    worker.add_address(inside, v4(GATEWAY), 96 + 24)
    service = worker.add_service(vips=[(v4(VIP), outside)], protocol=TCP, l4_first=VIP_PORT, l4_last=VIP_PORT,
                                 refuse=0, orphans=0, on_down=0, timeouts_ns=[HOUR_NS] * 12)
    worker.add_server(service, ip=v4(SERVER), l4_port=VIP_PORT, weight=1, ready=1)
    worker.seal(now_ns=0)
    return worker


def packed(number: int) -> bytes:
    """An IPv4 address as packets have it."""
    return number.to_bytes(4, "big")


def v4(number: int) -> bytes:
    """An IPv4 address as the doors take it: ::ffff:a.b.c.d."""
    return b"\0" * 10 + b"\xff\xff" + packed(number)


def resident_bytes() -> int:
    """The memory this process has touched and not given back."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))

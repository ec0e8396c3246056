"""The figures of a SYN flood: what becomes of downloads and of new connections beside it, and of swlb's memory.

Two programs run beside `synflood.py`. `python -m swlb.bench.siege serve PORT`, in the server, sends whoever connects
CHUNK_LEN bytes every CHUNK_S, for ever. `... visit ADDRESS PORT N HTTP_PORT RATE SECONDS`, in the client, has N
such downloads, prints "open" when all of them run, and then asks the web server RATE times a second, each time on a
new connection; at the end it prints, as JSON, what became of both.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence

from .commands import BenchError, run
from .figure import Figure, Reading
from .peer import Setup
from .servers import BULK_PORT, HTTP_PORT
from .topology import Process, Topology

SYN_RATE, FLOOD_S = 100_000, 20.0
DOWNLOADS, NEW_RATE = 500, 200
CHUNK_LEN, CHUNK_S = 10_000, 0.5  # 20 kB/s, in few enough steps for a thousandth of a core each
RECOVER_S = 10.0  # what was lost is sent again, later each time
PATIENCE_S = 3.0  # a lost SYN is repeated after one second
OPEN_S = 20.0
GRACE_S = 15.0
OPEN = "open"
REQUEST = b"GET / HTTP/1.1\r\nHost: siege\r\nConnection: close\r\n\r\n"
MEBI = 1 << 20
KILO = 1e3

FIGURES = tuple(
    Figure(key, f"SYN flood: {title}", unit, higher_is_better=better, compared=False, on_request=True)
    for key, title, unit, better in (
        ("syn_flood_sent", "sent beside downloads", "k/s", True),
        ("syn_flood_broken", f"broken of {DOWNLOADS} downloads", "", False),
        ("syn_flood_failed", f"failed of {NEW_RATE} new connections a second", "%", False),
        ("syn_flood_memory", "growth of the balancer's memory", "MiB", False)))


def measure_siege(setup: Setup, topology: Topology, seconds: int, *, flood_s: float = FLOOD_S,
                  syn_rate: int = SYN_RATE, downloads: int = DOWNLOADS) -> Reading:
    """Thousand SYNs a second that were sent, downloads that broke, percent of new connections that failed, MiB."""
    siege = [sys.executable, "-m", "swlb.bench.siege"]
    name = f"{setup.peer.name}-siege"
    with topology.apart(name) as part:
        server = part.spawn([*siege, "serve", str(BULK_PORT)], netns=setup.server, name=f"{name}-server")
        server.wait_until_listening(BULK_PORT)
        words = (setup.target, BULK_PORT, downloads, HTTP_PORT, NEW_RATE, flood_s)
        visitor = part.spawn([*siege, "visit", *map(str, words)], netns=setup.client, name=f"{name}-visitor")
        visitor.wait_until(lambda: visitor.says(OPEN), "all downloads open", timeout_s=OPEN_S)
        before = _resident(setup)
        report = run([sys.executable, "-m", "swlb.bench.synflood", setup.target, str(HTTP_PORT), str(syn_rate),
                      str(flood_s)], netns=setup.client, timeout_s=flood_s + GRACE_S)
        grown = None if before is None else (_resident(setup) or 0) / MEBI - before / MEBI
        visitor.wait_until(lambda: _last_line(visitor).startswith("{"), "done", timeout_s=GRACE_S)
    (sent, elapsed_s), result = json.loads(report), json.loads(_last_line(visitor))
    if not result["begun"]:
        raise BenchError("no new connection was begun")
    failed = 100 * (1 - result["completed"] / result["begun"])
    remark = (f"{sent} SYNs, {result['begun']} new connections, the slowest {result['slowest_s']:.1f} s, "
              f"no download silent for more than {result['silence_s']:.1f} s")
    return Reading((sent / elapsed_s / KILO, float(result["broken"]), failed, grown), remark)


def _resident(setup: Setup) -> int | None:
    return setup.balancer.resident_bytes() if setup.balancer else None


def _last_line(process: Process) -> str:
    return process.log.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2]


class Download(asyncio.Protocol):
    """The client's end of one: when its last bytes came, how long there were none, and whether it ended."""

    heard_at: float | None = None
    silence_s = 0.0
    ended = False

    def data_received(self, data: bytes) -> None:
        """It goes on."""
        now = time.monotonic()
        self.silence_s = max(self.silence_s, now - (self.heard_at or now))
        self.heard_at = now

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody ends one but us, at the end."""
        self.ended = True

    def goes_on(self, since: float) -> bool:
        """Whether bytes have come since then."""
        return not self.ended and (self.heard_at or 0.0) > since


class Visit(asyncio.Protocol):
    """One request on a connection of its own; `done` is true when it was answered."""

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The question is asked."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """An answer may come in parts."""
        self._answer += data

    def connection_lost(self, error: Exception | None) -> None:
        """The server ends it, after its answer."""
        if not self.done.done():
            self.done.set_result(error is None and self._answer.endswith(b"ok"))


async def visit_once(address: str, l4_port: int) -> float | None:
    """Seconds until the answer was there; None when there was none in time."""
    loop, begin = asyncio.get_running_loop(), time.monotonic()
    transport = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            transport, visit = await loop.create_connection(Visit, address, l4_port)
            return time.monotonic() - begin if await visit.done else None
    except (OSError, TimeoutError):
        return None
    finally:
        if transport is not None:
            transport.abort()


async def visit(address: str, l4_port: int, n: int, http_port: int, rate: int, seconds: float) -> dict[str, float]:
    """What became of n downloads and of the new connections meanwhile."""
    loop = asyncio.get_running_loop()
    opened = await asyncio.gather(*(loop.create_connection(Download, address, l4_port) for _ in range(n)))
    downloads = [protocol for _, protocol in opened]
    while any(download.heard_at is None for download in downloads):
        await asyncio.sleep(CHUNK_S / 10)
    print(OPEN, flush=True)
    begin, visits = loop.time(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(begin + number / rate - loop.time())
        visits.append(asyncio.create_task(visit_once(address, http_port)))
    times = [taken for taken in await asyncio.gather(*visits) if taken is not None]
    broken = len(downloads) - await going_on(downloads)
    return {"broken": broken, "silence_s": max(download.silence_s for download in downloads), "begun": len(visits),
            "completed": len(times), "slowest_s": max(times, default=0.0)}


async def going_on(downloads: Sequence[Download]) -> int:
    """How many go on from now, soon."""
    now = time.monotonic()
    while time.monotonic() - now < RECOVER_S and not all(one.ended or one.goes_on(now) for one in downloads):
        await asyncio.sleep(CHUNK_S / 10)
    return sum(download.goes_on(now) for download in downloads)


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A slow download, until the other side is gone."""
    chunk = bytes(CHUNK_LEN)
    try:
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(CHUNK_S)
    except OSError:
        writer.close()


async def serve(l4_port: int) -> None:
    """Downloads for whoever connects."""
    server = await asyncio.start_server(pour, port=l4_port, backlog=DOWNLOADS)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        where, port, n_downloads, web_port, new_rate, duration = sys.argv[2:]
        print(json.dumps(asyncio.run(visit(where, int(port), int(n_downloads), int(web_port), int(new_rate),
                                           float(duration)))))

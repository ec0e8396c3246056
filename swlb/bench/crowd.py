"""Many servers in one process, which note when each of them was asked; a program of its own, run in their namespace.

`python -m swlb.bench.crowd PORT` listens at that port of every address, answers whatever is said with an HTTP page, and
at its end by SIGTERM prints, as JSON, `{ADDRESS: [seconds, ...]}`: the moments of CLOCK_MONOTONIC at which a client
connected.
"""

import asyncio
import json
import signal
import socket
import sys
import time
from collections import defaultdict

BACKLOG = 1024
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

Moments = dict[str, list[float]]


class Guest(asyncio.Protocol):
    """One connection: noted, answered, closed."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The address that was asked is noted."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._moments[transport.get_extra_info("sockname")[0]].append(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """A request is short enough to come at once."""
        self._transport.write(PAGE)
        self._transport.close()


async def serve(port: int) -> Moments:
    """What was noted until SIGTERM came."""
    moments: Moments = defaultdict(list)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: Guest(moments), port=port, family=socket.AF_INET, backlog=BACKLOG)
    await ended.wait()
    server.close()
    return moments


if __name__ == "__main__":
    print(json.dumps(asyncio.run(serve(int(sys.argv[1])))))

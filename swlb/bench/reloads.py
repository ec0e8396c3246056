"""The figure of a reload: how long one of a large configuration takes, and what is lost of a stream that goes through.

`python -m swlb.bench.reloads ADDRESS PORT` is the stream, a program of its own in the client: datagrams, one every
millisecond, until SIGTERM; then it prints `[sent, echoed]`. `... echo PORT` sends back what comes, in the server.
"""

import copy
import json
import signal
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from swlb.client import ask

from .commands import BenchError, run
from .figure import Reading
from .ours import large, spawn_swlb
from .topology import End, Process, Topology, address_device

SERVICES, SERVERS, WORKERS = 100, 10, 2
RELOADS = 10
CHANGED = 5  # services whose servers change
VIP, PORT = "10.1.200.1", 9
GAP_S = 0.001
SETTLE_S = 1.0
LAST_S = 2.0  # an echo may be under way so long
STREAM = "echoed"


def measure_reload(topology: Topology) -> Reading:
    """Milliseconds from the request to the answer, the median of ten; and datagrams lost meanwhile."""
    with topology.apart("reload") as part:
        client, server, own = (part.namespace(f"reload-{role}") for role in ("client", "server", "balancer"))
        first = configuration(client, server)
        name = "swlb-reload"
        process = spawn_swlb(part, first, netns=own, name=name)
        address_device(End(client, "swc0", "10.1.100.1/16"))
        address_device(End(server, "sws0", "10.2.0.1/16"))
        run(["ip", "-n", server, "route", "add", "default", "via", "10.2.255.254"])
        with stream(part, client, server) as counts:
            control, file = part.directory / f"{name}.sock", part.directory / f"{name}.yaml"
            times_ms = []
            for n in range(RELOADS):
                file.write_text(json.dumps(changed(first, n)), encoding="utf-8")
                begin = time.monotonic()
                ask(control, "POST", "/reload", {"file": None})
                times_ms.append((time.monotonic() - begin) * 1000)
            process.check_running()
    sent, echoed = counts
    if sent < RELOADS:
        raise BenchError(f"the stream came to {sent} datagrams only")
    return Reading((statistics.median(times_ms), float(sent - echoed)), f"{sent} datagrams")


def configuration(client: str, server: str) -> dict[str, Any]:
    """The large configuration, whose servers nobody asks meanwhile, and a service for the stream."""
    check = {"type": "tcp", "interval": "1h", "initial": "up"}
    config: dict[str, Any] = large(client, server, services=SERVICES, servers=SERVERS, check=check)
    config["workers"] = WORKERS
    servers = {"s1": {"address": "10.2.0.1"}}
    config["services"][STREAM] = {"vip": VIP, "port": PORT, "protocol": "udp", "servers": servers}
    return config


def changed(first: dict[str, Any], n: int) -> dict[str, Any]:
    """The configuration of reload n: in a few services a server is replaced, and another has another weight."""
    config = copy.deepcopy(first)
    for service in range(1, CHANGED + 1):
        servers = config["services"][f"web{service}"]["servers"]
        servers[f"late{n}"] = servers.pop("s1")
        servers["s2"]["weight"] = 2 + n
    return config


@contextmanager
def stream(topology: Topology, client: str, server: str) -> Iterator[list[int]]:
    """Within the block datagrams go through; afterwards what is yielded says how many were sent and came back."""
    counts: list[int] = []
    program = [sys.executable, "-m", "swlb.bench.reloads"]
    topology.spawn([*program, "echo", str(PORT)], netns=server, name="reload-echo")
    process = topology.spawn([*program, VIP, str(PORT)], netns=client, name="reload-stream")
    time.sleep(SETTLE_S)
    process.check_running()
    yield counts
    process.stop()
    counts += told_by(process)


def told_by(process: Process) -> list[int]:
    """What the stream has printed."""
    text = process.log.read_text(encoding="utf-8")
    try:
        sent, echoed = json.loads(text)
    except ValueError:
        raise BenchError(f"the stream said: {text.strip() or 'nothing'}") from None
    return [sent, echoed]


def echo(l4_port: int) -> None:
    """Whatever comes goes back, for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", l4_port))
        while True:
            data, sender = sock.recvfrom(100)
            sock.sendto(data, sender)


def count(address: str, l4_port: int) -> tuple[int, int]:
    """How many datagrams were sent before SIGTERM, one every GAP_S, and how many of them came back."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, l4_port))
        greet(sock)
        sock.setblocking(False)
        sent, back = 0, set[bytes]()
        while not ended:
            sock.send(sent.to_bytes(8))
            sent += 1
            time.sleep(GAP_S)
            back |= set(arrived(sock))
        deadline = time.monotonic() + LAST_S
        while len(back) < sent and time.monotonic() < deadline:
            time.sleep(GAP_S)
            back |= set(arrived(sock))
    return sent, len(back)


def greet(sock: socket.socket) -> None:
    """A datagram has come back: everybody on the way knows its neighbours."""
    sock.settimeout(0.2)
    while True:
        try:
            sock.send(b"first")
            sock.recv(100)
            return
        except (TimeoutError, ConnectionRefusedError):
            continue  # the echo is yet to begin


def arrived(sock: socket.socket) -> Iterator[bytes]:
    """Numbers that are there; what is left of the greeting is none."""
    try:
        while True:
            data = sock.recv(100)
            if len(data) == 8:
                yield data
    except (BlockingIOError, ConnectionRefusedError):
        return


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(int(sys.argv[2]))
    else:
        print(json.dumps(count(sys.argv[1], int(sys.argv[2]))))

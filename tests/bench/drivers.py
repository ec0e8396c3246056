"""The figures, and for each the program that measures it through one peer.

A driver takes a peer that is up and a duration in whole seconds, and gives back one value for each of its figures, in
the figure's unit. Loads are bounded by that duration; a program that does not end in time is a failed measurement.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .commands import BenchError, run
from .peers import Setup
from .servers import BULK_PORT, HTTP_PORT, PACKETS_PORT, PING_PORT, counted_packets, serving
from .topology import Topology

GRACE_S = 10.0
WRK_CONNECTIONS = 32
WRK_THREADS = 2
FLOOD = Path(__file__).with_name("flood.py")
KILO = 1e3
GIGA = 1e9


@dataclass(frozen=True)
class Figure:
    """One row of the table. `compared` figures have a ratio worth showing."""

    key: str
    title: str
    unit: str
    higher_is_better: bool = True
    compared: bool = True


@dataclass(frozen=True)
class Reading:
    """One value for each figure of the driver, and what else a reader of the raw data should know."""

    values: tuple[float, ...]
    remark: str = ""


@dataclass(frozen=True)
class Driver:
    """How a figure, or several at once, is measured."""

    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Setup, Topology, int], Reading]
    udp: bool = False

    def fits(self, setup: Setup) -> bool:
        """Whether the peer can do this at all."""
        return setup.peer.carries_udp or not self.udp


def measure_bulk(setup: Setup, topology: Topology, seconds: int, *, streams: int, down: bool) -> Reading:
    """Gb/s that arrive, counted by the receiver. Up is from the client to the server."""
    argv = ["iperf3", "-J", "-c", setup.target, "-p", str(BULK_PORT), "-t", str(seconds), "-P", str(streams)]
    with serving(topology, ["iperf3", "-4", "-s", "-1", "-p", str(BULK_PORT)], netns=setup.server, port=BULK_PORT):
        report = run(argv + ["-R"] * down, netns=setup.client, timeout_s=seconds + GRACE_S)
    end = json.loads(report)["end"]
    remark = f"{end['sum_sent'].get('retransmits', 0)} retransmits"
    return Reading((end["sum_received"]["bits_per_second"] / GIGA,), remark)


def measure_requests(setup: Setup, topology: Topology, seconds: int, *, close: bool) -> Reading:
    """Thousand answers a second from the web server, on kept connections or on a new one for each."""
    argv = ["wrk", f"-t{WRK_THREADS}", f"-c{WRK_CONNECTIONS}", f"-d{seconds}s", f"http://{setup.target}:{HTTP_PORT}/"]
    report = run(argv + ["-H", "Connection: close"] * close, netns=setup.client, timeout_s=seconds + GRACE_S)
    return read_wrk(report)


def read_wrk(report: str) -> Reading:
    """Thousand requests a second, with the errors wrk admits to as the remark."""
    rate = re.search(r"^Requests/sec:\s+([\d.]+)$", report, re.MULTILINE)
    if not rate:
        raise BenchError(f"wrk: no rate in its report: {report.strip()}")
    if float(rate[1]) == 0:
        raise BenchError(f"wrk: not one answer: {report.strip()}")
    errors = re.findall(r"^\s*((?:Socket errors|Non-2xx).*)$", report, re.MULTILINE)
    return Reading((float(rate[1]) / KILO,), "; ".join(errors))


def measure_ping_pong(setup: Setup, topology: Topology, seconds: int) -> Reading:
    """Median and 99th percentile of one way (half a round trip) in microseconds, one message at a time over TCP."""
    server = ["sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", str(PING_PORT)]
    client = ["sockperf", "ping-pong", "--tcp", "-i", setup.target, "-p", str(PING_PORT), "-t", str(seconds)]
    with serving(topology, server, netns=setup.server, port=PING_PORT):
        report = run(client, netns=setup.client, timeout_s=seconds + GRACE_S)
    return read_sockperf(report)


def read_sockperf(report: str) -> Reading:
    """Median and 99th percentile in microseconds."""
    percentiles = dict(re.findall(r"percentile (\d+\.\d+) =\s+([\d.]+)", report))
    try:
        return Reading((float(percentiles["50.000"]), float(percentiles["99.000"])))
    except KeyError as error:
        raise BenchError(f"sockperf: no percentiles in its report: {report.strip()}") from error


def measure_packets(setup: Setup, topology: Topology, seconds: int) -> Reading:
    """Thousand 60-byte frames a second that reach the server while the client sends as fast as one core can."""
    with cores_apart(setup) as (sender_core, _):
        before = counted_packets(netns=setup.server)
        report = run([sys.executable, str(FLOOD), setup.target, str(PACKETS_PORT), str(seconds), str(sender_core)],
                     netns=setup.client, timeout_s=seconds + GRACE_S)
        arrived = counted_packets(netns=setup.server) - before
    sent, elapsed_s = json.loads(report)
    return Reading((arrived / elapsed_s / KILO,), f"{sent / elapsed_s / KILO:.0f} k/s sent")


@contextmanager
def cores_apart(setup: Setup) -> Iterator[tuple[int, int]]:
    """The sender's core and the balancer's, two if there are two; inside the block the balancer stays on its own.

    A balancer in the kernel would run inside the sender's system calls, so its receive queue is steered away.
    """
    cores = sorted(os.sched_getaffinity(0))
    sender, balancer = cores[0], cores[-1]
    threads = _threads(setup)
    for thread in threads:
        os.sched_setaffinity(thread, {balancer})
    _steer(setup, 1 << balancer if balancer != sender else 0)
    try:
        yield sender, balancer
    finally:
        _steer(setup, 0)
        for thread in threads:
            os.sched_setaffinity(thread, cores)


def _threads(setup: Setup) -> list[int]:
    pids = setup.balancer.pids() if setup.balancer else ()
    return [int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]


def _steer(setup: Setup, mask: int) -> None:
    """Frames the kernel balancer receives are handled on the cores of `mask`, or where they came in for 0."""
    if setup.receiver:
        netns, device = setup.receiver
        run(["sh", "-c", f"for queue in /sys/class/net/{device}/queues/rx-*/rps_cpus; do echo {mask:x} >$queue; done"],
            netns=netns)


def _bulk(key: str, title: str, *, streams: int, down: bool) -> Driver:
    return Driver(title, (Figure(key, title, "Gb/s"),), partial(measure_bulk, streams=streams, down=down))


DRIVERS = (
    _bulk("tcp_1_up", "TCP 1 stream up", streams=1, down=False),
    _bulk("tcp_1_down", "TCP 1 stream down", streams=1, down=True),
    _bulk("tcp_8_up", "TCP 8 streams up", streams=8, down=False),
    _bulk("tcp_8_down", "TCP 8 streams down", streams=8, down=True),
    Driver("new connections", (Figure("connections", "new connections", "k/s"),),
           partial(measure_requests, close=True)),
    Driver("requests, kept connections", (Figure("requests", "requests, kept conn.", "k/s"),),
           partial(measure_requests, close=False)),
    Driver("TCP ping-pong", (Figure("ping_p50", "ping-pong p50, one way", "µs", higher_is_better=False),
                             Figure("ping_p99", "ping-pong p99, one way", "µs", higher_is_better=False)),
           measure_ping_pong),
    Driver("60-byte UDP packets", (Figure("packets", "60-byte UDP packets", "k/s"),), measure_packets, udp=True),
)

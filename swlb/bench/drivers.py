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

from .commands import BenchError, run
from .figure import Figure, Reading
from .peer import Setup
from .servers import BULK_PORT, HTTP_PORT, PACKETS_PORT, PING_PORT, counted_packets, serving
from .siege import FIGURES as SIEGE_FIGURES
from .siege import measure_siege
from .topology import Topology

GRACE_S = 10.0
WRK_CONNECTIONS = 32
WRK_THREADS = 2
MANY_FLOWS = 64
KILO = 1e3
MICRO = 1e6
GIGA = 1e9


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


def measure_packets(setup: Setup, topology: Topology, seconds: int, *, flows: int) -> Reading:
    """Thousand 60-byte frames a second that reach the server while the client sends as fast as one core can.

    Then the microseconds of processor time the balancer spent for each of them, None when it has no process.
    """
    with cores_apart(setup) as (sender_core, _):
        before, cpu_before = counted_packets(netns=setup.server), _cpu_seconds(setup)
        report = run([sys.executable, "-m", "swlb.bench.flood", setup.target, str(PACKETS_PORT), str(seconds),
                      str(sender_core), str(flows)], netns=setup.client, timeout_s=seconds + GRACE_S)
        cpu_after, arrived = _cpu_seconds(setup), counted_packets(netns=setup.server) - before
    if not arrived:
        raise BenchError("not one of the packets arrived")
    sent, elapsed_s = json.loads(report)
    cost = None if cpu_before is None or cpu_after is None else (cpu_after - cpu_before) / arrived * MICRO
    return Reading((arrived / elapsed_s / KILO, cost), f"{sent / elapsed_s / KILO:.0f} k/s sent")


def measure_one_flow(setup: Setup, topology: Topology, seconds: int) -> Reading:
    """The same with frames that are all of one connection, so that none of them can be a different core's."""
    reading = measure_packets(setup, topology, seconds, flows=1)
    return Reading(reading.values[:1], reading.remark)


def _cpu_seconds(setup: Setup) -> float | None:
    return setup.balancer.cpu_seconds() if setup.balancer else None


@contextmanager
def cores_apart(setup: Setup) -> Iterator[tuple[int, int]]:
    """The sender's core and the balancer's, two if there are two; inside the block the balancer stays on its own.

    A balancer in the kernel would run inside the sender's system calls, so its receive queue is steered away.
    """
    cores = sorted(os.sched_getaffinity(0))
    sender, balancer = cores[0], cores[-1]
    threads = setup.balancer.threads() if setup.balancer else []
    for thread in threads:
        os.sched_setaffinity(thread, {balancer})
    _steer(setup, 1 << balancer if balancer != sender else 0)
    try:
        yield sender, balancer
    finally:
        _steer(setup, 0)
        for thread in threads:
            os.sched_setaffinity(thread, cores)


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
    Driver("60-byte UDP, many flows", (Figure("packets_many", "60-byte UDP, many flows", "k/s"),
                                       Figure("cpu_per_packet", "CPU per packet", "µs", higher_is_better=False)),
           partial(measure_packets, flows=MANY_FLOWS), udp=True),
    Driver("60-byte UDP, one flow", (Figure("packets_one", "60-byte UDP, one flow", "k/s"),),
           measure_one_flow, udp=True),
    Driver("SYN flood", SIEGE_FIGURES, measure_siege),
)

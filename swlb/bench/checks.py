"""What checking 500 servers once a second costs, and how punctual their probes are, as the servers see it."""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from swlb.client import ask

from .commands import BenchError, run
from .figure import Reading
from .ours import LARGE_PORT, large, spawn_swlb
from .topology import Process, Topology

SERVICES, SERVERS = 5, 100
INTERVAL_S = 1.0
# A first probe that finds nobody yet is followed soon; `response` leaves room for a machine that is not quiet.
CHECK = {"interval": "1s", "response": "900ms", "dead_interval": "500ms", "rise": 1}
UP_TIMEOUT_S = 15.0
# After the first probes, which every server is asked by anew: what was imported, resolved and cached by them is there.
SETTLE_S, WINDOW_S = 1.0, 3.0
LATEST = 0.99
MILLI = 1e3
DEVICE = "sws0"  # as ours.py calls it


@dataclass(frozen=True)
class Window:
    """From when to when was measured (CLOCK_MONOTONIC), and the processor time that all, and Python alone, had."""

    begin: float
    end: float
    total_s: float
    python_s: float

    @property
    def length_s(self) -> float:
        """How long that was."""
        return self.end - self.begin


def measure_checks(topology: Topology, *, kind: str) -> Reading:
    """Percent of a core that swlb's Python takes, and the milliseconds by which the latest 1 % of the probes are late.

    `kind` is the type of the checks. Forwarding the probes is the worker's part, and told in the remark.
    """
    name = f"checks-{kind}"
    with topology.apart(name) as part:
        client, server, own = (part.namespace(f"{name}-{role}") for role in ("client", "server", "balancer"))
        with crowd(part, server, name) as asked:
            configuration = large(client, server, services=SERVICES, servers=SERVERS, check={"type": kind, **CHECK})
            process = spawn_swlb(part, configuration, netns=own, name=name)
            address_crowd(server)
            control = part.directory / f"{name}.sock"
            process.wait_until(lambda: all(row["operational"] == "up" for row in ask(control, "GET", "/show/servers")),
                               "all servers up", timeout_s=UP_TIMEOUT_S, poll_s=0.2)
            window = watch(process)
    late = lateness(asked, window)
    if not late:
        raise BenchError("no server was asked twice")
    remark = f"{len(late)} probes; the worker took {(window.total_s - window.python_s) / window.length_s * 100:.1f} %"
    return Reading((window.python_s / window.length_s * 100, percentile(late, LATEST) * MILLI), remark)


@contextmanager
def crowd(topology: Topology, netns: str, name: str) -> Iterator[dict[str, list[float]]]:
    """Within the block all addresses of the namespace serve; afterwards what is yielded says when they were asked."""
    asked: dict[str, list[float]] = {}
    process = topology.spawn([sys.executable, "-m", "swlb.bench.crowd", str(LARGE_PORT)], netns=netns,
                             name=f"{name}-crowd")
    process.wait_until_listening(LARGE_PORT)
    yield asked
    process.stop()
    asked.update(json.loads(process.log.read_text(encoding="utf-8")))


def address_crowd(netns: str) -> None:
    """The device has the addresses of all servers of the large configuration."""
    addresses = [f"10.2.{service}.{n}/16" for service in range(1, SERVICES + 1) for n in range(1, SERVERS + 1)]
    batch = "".join(f"address add {address} dev {DEVICE}\n" for address in addresses)
    run(["ip", "-n", netns, "-batch", "-"], stdin=f"{batch}link set {DEVICE} up\n")


def watch(process: Process) -> Window:
    """A quiet window of checks, after a moment in which everything settles."""
    time.sleep(SETTLE_S)
    total, python, begin = process.cpu_seconds(), process.first_thread_cpu_seconds(), time.monotonic()
    time.sleep(WINDOW_S)
    total, python = process.cpu_seconds() - total, process.first_thread_cpu_seconds() - python
    return Window(begin, time.monotonic(), total, python)


def lateness(asked: Mapping[str, Sequence[float]], window: Window) -> list[float]:
    """By how many seconds each probe in the window began later than an interval after the one before; 0 if earlier."""
    return [max(0.0, now - before - INTERVAL_S)
            for moments in asked.values()
            for before, now in pairwise(moments)
            if window.begin <= now <= window.end]


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that so large a share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]

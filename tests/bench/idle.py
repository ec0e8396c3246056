"""The share of a core that balancers take while nothing is sent. Those in the kernel have no process to ask."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from .drivers import Figure
from .peers import Setup

IDLE = Figure("idle", "idle CPU, one core", "%", higher_is_better=False, compared=False)
IDLE_S = 3.0
# Time for a worker that spins a little after its last frame to notice that there is no next one.
SETTLE_S = 0.5


def measure_idle(setups: Sequence[Setup]) -> dict[str, float]:
    """Percent of one core for each peer that has a process, all over the same three quiet seconds."""
    processes = {setup.peer.name: setup.balancer for setup in setups if setup.balancer}
    time.sleep(SETTLE_S)
    before = {name: cpu_seconds(process.pids()) for name, process in processes.items()}
    begin = time.monotonic()
    time.sleep(IDLE_S)
    elapsed_s = time.monotonic() - begin
    return {name: (cpu_seconds(process.pids()) - before[name]) / elapsed_s * 100 for name, process in processes.items()}


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes since they began, all their threads included."""
    return sum(_ticks(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _ticks(stat: str) -> int:
    # The name, in brackets, may itself contain spaces and brackets. utime and stime are fields 14 and 15 (proc(5)).
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

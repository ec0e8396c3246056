"""The share of a core that balancers take while nothing is sent. Those in the kernel have no process to ask."""

import time
from collections.abc import Sequence

from .figure import Figure
from .peer import Setup

IDLE = Figure("idle", "idle CPU, one core", "%", higher_is_better=False, compared=False)
IDLE_S = 3.0
# Time for a worker that spins a little after its last frame to notice that there is no next one.
SETTLE_S = 0.5


def measure_idle(setups: Sequence[Setup]) -> dict[str, float]:
    """Percent of one core for each peer that has a process, all over the same three quiet seconds."""
    processes = {setup.peer.name: setup.balancer for setup in setups if setup.balancer}
    time.sleep(SETTLE_S)
    before = {name: process.cpu_seconds() for name, process in processes.items()}
    begin = time.monotonic()
    time.sleep(IDLE_S)
    elapsed_s = time.monotonic() - begin
    return {name: (process.cpu_seconds() - before[name]) / elapsed_s * 100 for name, process in processes.items()}

"""`swlb bench --profile`: where swlb's worker spends its time, stage by stage, under three loads."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from swlb.errors import SwlbError

from .commands import BenchError, run
from .drivers import DRIVERS, Driver
from .measure import check_machine, end_in_order, wide_console
from .peer import Setup
from .peers import PEERS
from .runner import SUBJECT
from .samples import digits
from .stages import chains, folded, in_order, shares
from .table import ABSENT, plain_table
from .topology import Topology

LOADS = ("tcp_1_up", "connections", "packets_many")
# A prime number a second, so that sampling does not keep step with anything that happens regularly.
FREQUENCY = 1999
# Functions of swlb with less are put together.
LEAST_PERCENT = 0.3
SCRIPT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Profile:
    """What the worker did under one load: percent by stage, of how much of a core, and what was carried meanwhile."""

    title: str
    carried: str
    busy: float
    shares: dict[str, float]


def run_profile(*, seconds: int) -> int:
    """The table is printed; the exit code. Raises SwlbError when something is missing."""
    if not shutil.which("perf"):
        raise SwlbError("--profile needs perf: apt-get install linux-perf (Debian), linux-tools-generic (Ubuntu)")
    check_machine()
    end_in_order()
    console = wide_console()
    drivers = [driver for key in LOADS for driver in DRIVERS if any(figure.key == key for figure in driver.figures)]
    with Topology() as topology:
        peer = PEERS[SUBJECT]
        setup = peer.start(peer, topology)
        profiles = []
        for driver in drivers:
            console.print(f"{driver.title} ...", style="dim", highlight=False)
            profiles.append(profile(driver, setup, topology, seconds))
    console.print(profile_table(profiles))
    return 0


def profile(driver: Driver, setup: Setup, topology: Topology, seconds: int) -> Profile:
    """The load is carried by swlb while perf looks at it."""
    assert setup.balancer
    data = topology.directory / f"{driver.figures[0].key}.perf"
    recorder = topology.spawn(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-g", "-o", str(data),
                               "-p", ",".join(map(str, setup.balancer.pids()))], netns=None, name=data.name)
    recorder.wait_until(data.exists, "recording", timeout_s=5.0)
    before, begin = setup.balancer.cpu_seconds(), time.monotonic()
    try:
        reading = driver.measure(setup, topology, seconds)
        busy = (setup.balancer.cpu_seconds() - before) / (time.monotonic() - begin)
    finally:
        recorder.stop()
    carried = f"{digits(reading.values[0] or 0)} {driver.figures[0].unit}"
    return Profile(driver.title, carried, busy, shares(chains(_script(data))))


def _script(data: Path) -> str:
    script = run(["perf", "script", "-f", "-i", str(data), "-F", "ip,sym,dso"], timeout_s=SCRIPT_TIMEOUT_S)
    if not script.strip():
        raise BenchError("perf took no samples")
    return script


def profile_table(profiles: Sequence[Profile]) -> Table:
    """Percent of the samples by stage and load."""
    table = plain_table(f"{SUBJECT}: where the time goes", "percent of the processor time of all its threads; what was "
                        "inlined counts with the function it went into")
    for each in profiles:
        table.add_column(f"{each.title}\n{each.carried}", justify="right")
    table.add_row("busy, of one core", *(f"{each.busy * 100:.0f} %" for each in profiles), style="dim")
    loads = folded([each.shares for each in profiles], least=LEAST_PERCENT)
    for title in in_order({title for load in loads for title in load}):
        table.add_row(title, *(f"{load[title]:.1f}" if title in load else ABSENT for load in loads))
    return table

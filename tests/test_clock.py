"""swlb/clock.py, and the clock that tests put in its place."""

import ast
import asyncio
from pathlib import Path

import pytest

from swlb.clock import SystemClock
from tests.manual_clock import ManualClock

ROOT = Path(__file__).parents[1]

def test_the_system_clock_never_wakes_early():
    async def lateness():
        clock = SystemClock()
        moment = clock.now() + 0.001
        await clock.sleep_until(moment)
        return clock.now() - moment

    assert asyncio.run(lateness()) >= 0.0


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_a_moment_that_has_passed_still_lets_others_run(clock):
    async def others_ran():
        ran = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(ran.set_result, None)
        await clock.sleep_until(clock.now() - 1.0)
        return ran.done()

    assert asyncio.run(others_ran())


# Who may read the clock on the wall, which people set and which jumps: nobody waits by what it says.
WHO_READS_IT = {
    "swlb/bench/machine.py": "the date of a run",
    "swlb/decisions.py": "the moment of a choice",
    "swlb/events.py": "the moment of an event",
    "swlb/lab/proof.py": "events of a lab's swlb are awaited by their moments",
    "swlb/probes/tls.py": "whether a certificate is valid, and for how long",
}
WALL_CLOCKS = {"time": ("time", "time_ns", "localtime", "gmtime"), "datetime": ("now", "utcnow", "today")}


def reads_wall_clock(source: str) -> bool:
    tree = ast.walk(ast.parse(source))
    # Of datetime.datetime.now, too, the last two names.
    names = (".".join(ast.unparse(node).split(".")[-2:]) for node in tree if isinstance(node, ast.Attribute))
    return not {f"{module}.{name}" for module, reads in WALL_CLOCKS.items() for name in reads}.isdisjoint(names)


def test_nobody_waits_by_a_clock_that_jumps():
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in ROOT.glob("swlb/**/*.py")}
    assert {name for name, source in sources.items() if reads_wall_clock(source)} == WHO_READS_IT.keys()


def test_a_clock_cannot_be_read_by_another_name():
    imported = [f"{path.name}: {name.name}" for path in ROOT.glob("swlb/**/*.py")
                for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
                for name in node.names if node.module == "time"]  # fmt: skip
    assert imported == []

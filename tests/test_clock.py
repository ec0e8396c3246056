"""swlb/clock.py, and the clock that tests put in its place."""

import asyncio

import pytest

from swlb.clock import SystemClock
from tests.manual_clock import ManualClock


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

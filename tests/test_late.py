"""This process is late: stopped for a while, or short of a processor. No server pays for it, no probe is made up for.

First swlb/health.py, then swlb/checks.py on a clock moved by hand, then a real process that is stopped, judged by the
server that it asks.
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise

import pytest

from swlb.health import LATE_S, MAKE_UP_S, Health
from swlb.probes.reach import within
from tests.checks_bench import REFUSED, UP, WEB1, Answer, on_bench
from tests.oracle.health import Rules
from tests.test_health import OK, SILENT, failing, health, probe

STALL_S = 60.0


def late(*, draw: float = 0.5, **rules: object) -> Health:
    """Up, the last probe at 0; chance draws that number."""
    server = Health(Rules(initial="up", **rules), now=0.0, draw=lambda: draw)
    probe(server, OK, began=0.0)
    return server


def test_a_probe_that_is_a_little_late_starts_at_once():
    server = late(interval=2.0)
    server.tick(2.0 + LATE_S)
    assert server.next_probe_at == 2.0


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_probes_that_are_late_are_spread_over_a_second(draw):
    server = late(interval=2.0, draw=draw)
    server.tick(2.0 + STALL_S)
    assert server.next_probe_at == 2.0 + STALL_S + draw * MAKE_UP_S


def test_the_spread_is_no_longer_than_the_delay_that_made_it_necessary():
    server = late(interval=2.0, draw=1.0)
    server.tick(2.5)
    assert server.next_probe_at == 3.0


def test_a_probe_is_put_off_once():
    server = late(interval=2.0)
    server.tick(10.0)
    server.tick(20.0)
    assert server.next_probe_at == 10.5


def test_a_first_answer_is_not_waited_for_any_longer():
    server = health(initial="checking")
    server.tick(STALL_S)
    assert server.next_probe_at == 0.0


def test_probes_that_were_missed_are_not_made_up_for():
    server = late(interval=2.0, draw=0.0)
    server.tick(STALL_S)
    probe(server, OK, began=STALL_S)
    assert server.next_probe_at == STALL_S + 2.0


def test_a_timeout_waits_for_the_probe_that_was_missed():
    """One probe failed, the next was due before the timeout, and this process slept through both."""
    server = failing(timeout=5.0)
    assert (server.next_probe_at, server.timeout_at) == (4.0, 7.0)
    assert server.tick(STALL_S) is None
    began = server.next_probe_at
    assert server.tick(began) is None
    assert probe(server, OK, began=began) is None
    assert (server.operational, server.strikes_at) == ("up", None)


def test_a_missed_timeout_strikes_when_the_next_probe_fails():
    server = failing(timeout=5.0)
    server.tick(STALL_S)
    change = probe(server, SILENT, began=server.next_probe_at, took=0.5)
    assert (change.new, change.cause) == ("down", "timeout")


def test_a_missed_timeout_strikes_when_the_next_probe_has_had_its_time():
    server = failing(timeout=5.0, response=1.0)
    server.tick(STALL_S)
    began = server.next_probe_at
    server.begin(began)
    assert server.strikes_at == began + 1.0
    assert server.tick(began + 1.0).cause == "timeout"


def test_a_missed_timeout_waits_for_the_probe_in_flight():
    server = failing(timeout=5.0)
    server.begin(6.5)
    assert server.tick(STALL_S) is None
    assert server.report(OK, STALL_S) is None
    assert server.operational == "up"


def test_a_missed_timeout_strikes_at_once_where_no_probe_was_missed():
    server = failing(timeout=1.5)
    assert (server.next_probe_at, server.timeout_at) == (4.0, 3.5)
    assert server.tick(3.5 + LATE_S + 0.2).cause == "timeout"


# swlb/checks.py


def test_after_a_stall_a_server_that_is_well_stays_up():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, timeout=5.0)
        bench.answers[target] = [UP, REFUSED, UP]
        await bench.clock.advance_to(3.0)
        await bench.clock.stall_until(3.0 + STALL_S)
        await bench.clock.advance_to(80.0)
        assert bench.heard == []

    on_bench(scenario)


def test_after_a_stall_a_probe_whose_answer_waits_counts_before_the_timeout():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, timeout=5.0)
        bench.answers[target] = [REFUSED, REFUSED, Answer(True, 0.5), UP]
        await bench.clock.advance_to(4.25)
        await bench.clock.stall_until(STALL_S)
        await bench.clock.advance_to(80.0)
        assert bench.heard == []

    on_bench(scenario)


def test_after_a_stall_a_server_that_fails_is_down_soon():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0, timeout=5.0)
        bench.answers[target] = [UP, REFUSED]
        await bench.clock.advance_to(3.0)
        await bench.clock.stall_until(3.0 + STALL_S)
        await bench.clock.advance_to(3.0 + STALL_S + 0.5)
        assert bench.heard == [(3.0 + STALL_S + 0.5, WEB1, "down")]

    on_bench(scenario)


def test_after_a_stall_probes_go_on_an_interval_apart():
    async def scenario(bench):
        target = bench.start(initial="up", interval=2.0)
        await bench.clock.advance_to(3.0)
        await bench.clock.stall_until(3.0 + STALL_S)
        await bench.clock.advance_to(70.0)
        assert bench.starts[target] == [0.0, 2.0, 63.5, 65.5, 67.5, 69.5]

    on_bench(scenario)


def test_after_a_stall_many_servers_are_not_asked_in_one_burst():
    async def scenario(bench):
        bench.draw = random.Random(5).random
        keys = [("web", f"web{k}", 0) for k in range(100)]
        targets = [bench.start(key, initial="up", interval=2.0, dead_interval=2.0) for key in keys]
        await bench.clock.advance_to(1.0)
        await bench.clock.stall_until(STALL_S)
        await bench.clock.advance_to(STALL_S + MAKE_UP_S)
        starts = [[at for at in bench.starts[target] if at >= STALL_S] for target in targets]
        assert all(len(of_one) == 1 for of_one in starts)
        tenths = Counter(int((at - STALL_S) * 10) for (at,) in starts)
        assert max(tenths.values()) < 25, tenths

    on_bench(scenario)


# A probe's time limit


def stall(seconds: float) -> None:
    """Nothing else happens in this process."""
    time.sleep(seconds)


def test_steps_that_a_stall_has_kept_from_ending_have_their_time_all_the_same():
    async def steps() -> str:
        for _ in range(3):
            await asyncio.sleep(0.05)
        return "done"

    async def run() -> str:
        asyncio.get_running_loop().call_later(0.02, stall, 0.6)
        return await within(0.2, steps())

    assert asyncio.run(run()) == "done"


def test_a_stall_gives_no_more_time_than_it_took():
    async def run() -> float:
        asyncio.get_running_loop().call_later(0.02, stall, 0.6)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await within(0.2, asyncio.sleep(60))
        return time.monotonic() - began

    assert asyncio.run(run()) < 5


# A real process that is stopped

N = 40
INTERVAL_S = 0.4
CHILD = """
import asyncio, json, sys
from ipaddress import ip_address
from swlb.checks import Checks
from swlb.clock import SystemClock
from swlb.config import Check
from swlb.probes import Target, Way

async def main(l4_port, n, interval):
    tell = lambda *words: print(json.dumps(words), flush=True)
    checks = Checks(SystemClock(), on_transition=lambda key, change: tell(key[1], change.new, change.reason),
                    on_probe=lambda key, outcome: None)
    check = Check(type="tcp", interval=interval, response=0.3, retries=1, timeout=0.5)
    for k in range(n):
        checks.start(("web", str(k), 0), check, Target(ip_address(f"127.0.1.{k + 1}"), l4_port), Way(), position=(k, n))
    await asyncio.sleep(3600)

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
"""


def accepted(listener: socket.socket, seconds: float) -> list[tuple[float, str]]:
    """When each connection came that came within so many seconds, and to which address."""
    listener.setblocking(False)
    over_at, found = time.monotonic() + seconds, []
    while time.monotonic() < over_at:
        with suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                found.append((time.monotonic(), connection.getsockname()[0]))
                connection.close()
        time.sleep(0.002)
    return found


def test_a_process_that_was_stopped_takes_nobody_down_and_floods_nobody():
    with socket.create_server(("", 0), backlog=512) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        argv = [sys.executable, "-c", CHILD, str(listener.getsockname()[1]), str(N), str(INTERVAL_S)]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            told = [json.loads(child.stdout.readline()) for _ in range(N)]  # every server has answered once
            for _ in range(2):
                accepted(listener, 0.5)
                os.kill(child.pid, signal.SIGSTOP)
                accepted(listener, 2.0)
                os.kill(child.pid, signal.SIGCONT)
                after = accepted(listener, 2.0)
                moments = {address: [at for at, other in after if other == address] for _, address in after}
                assert len(moments) == N
                gaps = [later - earlier for found in moments.values() for earlier, later in pairwise(found)]
                # A burst of missed probes would be five at once to each.
                assert sorted(gaps)[len(gaps) // 10] > INTERVAL_S / 2
        finally:
            child.kill()
            output = child.communicate()[0]
        told += [json.loads(line) for line in output.splitlines()]
    assert {word for _, word, _ in told} == {"up"}

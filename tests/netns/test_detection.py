"""How long until a server that fails is down, and one that recovers is up: measured, and within what swlb promises.

Twenty servers of each kind fail one after the other, so that every phase of their checks is met; then they recover in
the same way. A trial is judged by the time of its event.
"""

import os
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from netns.running import Swlb, wait_until
from netns.sick import Server, Ward, ward
from netns.sites import Routed, site
from swlb.config import parse
from swlb.timing import bounds

pytestmark = pytest.mark.root

TRIALS = 20
# What a trial may take beyond the promise: swlb and the servers share the cores with whatever else runs, and are asked
# to be served before it.
ALLOWANCE_S = 0.15
PREFERRED = -15  # niceness
LONGEST_S = 1.5  # more than any promise below
# Two clocks are read, the server's process in between, to know when it failed.
READING_S = 0.01
KINDS = {"refused": "refusing", "silent": "silent", "slow": "slow"}  # of swlb.timing, and of sick.py
INTERVAL_S = 0.25
# Twenty of these steps meet twenty phases of an interval that are equally far apart, and no two servers fail at once.
STEP_S = 0.65 * INTERVAL_S
TIMERS = {"interval": "250ms", "response": "150ms", "dead_interval": "250ms", "rise": 2}
RULES = {"retries": {"retries": 3, "timeout": "5s"}, "timeout": {"retries": 9, "timeout": "600ms"}}


def prefer(*pids: int) -> None:
    """These processes get a core before all that is as nice as processes usually are."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), PREFERRED)


def servers_at(host) -> list[Server]:
    """Trial n of a kind is a server of its own; what is slow to answer must have something to answer."""
    ports = iter(range(9001, 9999))
    return [Server(f"{kind}-{n}", "http" if kind == "slow" else "tcp", [host.ipv4], next(ports))
            for kind in KINDS for n in range(TRIALS)]  # fmt: skip


def with_trials(servers: list[Server], rule: str):
    """A change of the site's configuration: a service for each kind, with its trials as servers."""

    def change(config) -> None:
        config["services"] = {
            kind: {
                "vip": Routed.vips[4], "port": port,
                "check": {"type": "http" if kind == "slow" else "tcp", **TIMERS, **RULES[rule]},
                "servers": {server.name: {"address": server.addresses[0], "port": server.port}
                            for server in servers if server.name.startswith(kind)},
            }
            for port, kind in enumerate(KINDS, 80)
        }  # fmt: skip

    return change


def fall(at: Ward, sicknesses: dict[str, str]) -> dict[str, tuple[float, float]]:
    """All kinds have their sickness in one trial after the other; by server, the moments between which it had."""
    began, moments = time.monotonic(), {}
    for n in range(TRIALS):
        time.sleep(max(0.0, began + n * STEP_S - time.monotonic()))
        before = time.time()
        after = at.set({f"{kind}-{n}": sickness for kind, sickness in sicknesses.items()})
        moments |= {f"{kind}-{n}": (before, after) for kind in sicknesses}
    return moments


def told(swlb: Swlb, event: str, since: float, n: int) -> dict[str, float]:
    """When each of n servers had the event, once all have."""

    def found() -> dict[str, float]:
        return {row["server"]: row["time"] for row in swlb.events(event) if row["time"] >= since}

    # Whoever asks all the time makes the one that is measured late.
    time.sleep(LONGEST_S)
    wait_until(lambda: len(found()) == n, f"{event} of all {n}", within=15)
    return found()


def judge(what: str, kind: str, moments, events, best: float, worst: float) -> None:
    """Every trial of the kind took from best to worst."""
    names = [name for name in moments if name.startswith(kind)]
    least = [events[name] - moments[name][0] for name in names]
    most = [events[name] - moments[name][1] for name in names]
    print(f"{what} {kind}: promised {best:.3f} to {worst:.3f} s, measured {min(least):.3f} to {max(most):.3f} s, "
          f"median {median(most):.3f} s of {len(names)}")  # fmt: skip
    assert len(names) == TRIALS
    assert min(least) >= best - READING_S
    assert max(most) <= worst + ALLOWANCE_S


@pytest.mark.parametrize("rule", RULES)
def test_detection_and_recovery_take_as_long_as_is_promised(make_netns, tmp_path, rule):
    # A configuration is made before the hosts are there; their addresses are known beforehand.
    servers = servers_at(Routed.hosts(lambda: "")["web1"])
    with (
        site(Routed, make_netns, tmp_path, change=with_trials(servers, rule)) as at,
        ward(at["web1"], servers, tmp_path) as ill,
    ):
        prefer(at.swlb.process.pid, ill.pid)
        at.swlb.wait_operational("up", within=15)
        services = parse(at.swlb.file.read_text(), file="").services
        since = time.time()
        failed = fall(ill, KINDS)
        downs = told(at.swlb, "server_down", since, len(servers))
        since = time.time()
        recovered = fall(ill, dict.fromkeys(KINDS, "healthy"))
        ups = told(at.swlb, "server_up", since, len(servers))
        for kind in KINDS:
            (check,) = services[kind].checks
            of = bounds(check, kind)
            judge("down,", kind, failed, downs, of.detect_best, of.detect_worst)
            judge("up,", kind, recovered, ups, of.recover_best, of.recover_worst)


FLIP_S, FLIPS, HOLD_DOWN_S = 0.4, 10, 1.5
NERVOUS = {"type": "tcp", "interval": "100ms", "response": "1s", "retries": 1, "dead_interval": "100ms", "rise": 1}


def test_a_server_that_flaps_changes_its_state_no_faster_than_hold_down_allows(make_netns, tmp_path):
    server = Server("flapping", "tcp", [Routed.hosts(lambda: "")["web1"].ipv4], 9001)

    def change(config):
        config["services"] = {
            name: {"vip": Routed.vips[4], "port": port, "check": {**NERVOUS, **more},
                   "servers": {"one": {"address": server.addresses[0], "port": server.port}}}
            for name, port, more in (("free", 80, {}), ("held", 81, {"hold_down": f"{HOLD_DOWN_S}s"}))
        }  # fmt: skip

    with site(Routed, make_netns, tmp_path, change=change) as at, ward(at["web1"], [server], tmp_path) as ill:
        at.swlb.wait_operational("up", within=15)
        since = time.time()
        for sickness in ("refusing", "healthy") * (FLIPS // 2):
            ill.set({"flapping": sickness})
            time.sleep(FLIP_S)
        at.swlb.wait_operational("up", within=15)
        free, held = (changes(at.swlb, service, since) for service in ("free", "held"))
        print(f"{FLIPS} flips, changes without hold_down: {len(free)}, with: {len(held)}")
        assert len(free) > len(held)
        assert 0 < len(held) <= FLIPS * FLIP_S / HOLD_DOWN_S + 2
        # An event is told a little after the change.
        assert all(now - before > HOLD_DOWN_S - ALLOWANCE_S for before, now in pairwise(held))


def changes(swlb: Swlb, service: str, since: float) -> list[float]:
    """When the state of the service's server changed."""
    events = [*swlb.events("server_down"), *swlb.events("server_up")]
    return sorted(event["time"] for event in events if event["service"] == service and event["time"] > since)

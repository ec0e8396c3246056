"""Servers that behave as badly as they can: each gets its verdict, and nobody else's check and no memory suffers."""

import re
import signal
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from netns.running import Swlb, wait_until
from netns.sick import Server, script_of, ward
from netns.sites import Routed, site

pytestmark = pytest.mark.root

INTERVAL_S, RESPONSE_S = 0.2, 1.5
TIMERS = {"interval": "200ms", "response": "1500ms", "retries": 2, "timeout": "10s",
          "dead_interval": "200ms", "rise": 2}  # fmt: skip
HOLD_S = 4.0
MEBI = 1 << 20
MOST_GROWN = 32 * MEBI

CONTENT = {"type": "http", "content": "ok"}
# By name: the kind of server and its sickness, the check, and what is then said of it.
HOSTILE = {
    "drips": ("http", "drips", CONTENT, ("L7TOUT", "down")),
    "huge": ("http", "huge", CONTENT, ("L7STS", "down")),
    "redirects": ("http", "redirects", {"type": "http"}, ("L7OK", "up")),
    "garbage": ("http", "garbage", {"type": "http"}, ("L7RSP", "down")),
    "agent": ("agent", "garbage", {"type": "agent"}, ("L7RSP", "up")),
    "hangs": ("exec", "half-dead", {"type": "exec"}, ("PROCTOUT", "down")),
}
HEALTHY = {"by-tcp": ("tcp", {"type": "tcp"}), "by-http": ("http", {"type": "http"})}


def resident_bytes(swlb: Swlb) -> int:
    status = Path(f"/proc/{swlb.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def service(port: int, address: str, check: dict) -> dict:
    return {"vip": Routed.vips[4], "port": port, "check": {**TIMERS, **check},
            "servers": {"one": {"address": address, "port": port}}}  # fmt: skip


def verdicts(swlb: Swlb) -> dict[str, tuple[str, str]]:
    return {row["service"]: (row["check_status"], row["operational"]) for row in swlb.show("servers")}


def test_bad_servers_get_their_verdict_and_harm_nobody_else(make_netns, tmp_path):
    hosts = {name: host.ipv4 for name, host in Routed.hosts(lambda: "").items()}
    ports = {name: port for port, name in enumerate((*HOSTILE, *HEALTHY), 9001)}

    def change(config):
        config["services"] = {name: service(ports[name], hosts["web1"], dict(check))
                              for name, (_, _, check, _) in HOSTILE.items()}  # fmt: skip
        config["services"]["hangs"]["check"]["command"] = ["/bin/sh", str(script_of(tmp_path, "hangs"))]
        config["services"] |= {name: service(ports[name], hosts["web2"], check)
                               for name, (_, check) in HEALTHY.items()}  # fmt: skip

    bad = [Server(name, kind, [hosts["web1"]], ports[name]) for name, (kind, *_) in HOSTILE.items()]
    good = [Server(name, kind, [hosts["web2"]], ports[name]) for name, (kind, _) in HEALTHY.items()]
    with (
        site(Routed, make_netns, tmp_path, change=change) as at,
        ward(at["web1"], bad, tmp_path) as hostile,
        ward(at["web2"], good, tmp_path) as healthy,
    ):
        at.swlb.wait_operational("up", within=15)
        before = resident_bytes(at.swlb)
        hostile.set({name: sickness for name, (_, sickness, _, _) in HOSTILE.items()})
        wanted = {name: verdict for name, (*_, verdict) in HOSTILE.items()}
        wait_until(lambda: wanted.items() <= verdicts(at.swlb).items(), "every verdict", within=15)
        since = time.monotonic()
        time.sleep(HOLD_S)
        assert wanted.items() <= verdicts(at.swlb).items()
        grown = resident_bytes(at.swlb) - before
        print(f"memory: {before / MEBI:.1f} MiB before, {grown / MEBI:.1f} MiB more after {HOLD_S:g} s")
        assert grown < MOST_GROWN
        for name in HEALTHY:
            expect_punctual([moment for moment in healthy.asked(name) if moment >= since])
        # Nobody followed it to where it points.
        assert len([moment for moment in hostile.asked("redirects") if moment >= since]) <= HOLD_S / INTERVAL_S + 2
        assert {name: verdict for name, verdict in verdicts(at.swlb).items() if verdict[1] == "down"} == {
            name: verdict for name, verdict in wanted.items() if verdict[1] == "down"}  # fmt: skip


def expect_punctual(asked: list[float]) -> None:
    """Probes began as often as they should; none waited for somebody else's to end, which takes RESPONSE_S."""
    gaps = [now - before for before, now in pairwise(asked)]
    print(f"{len(gaps)} gaps of {min(gaps):.3f} to {max(gaps):.3f} s, median {median(gaps):.3f} s")
    assert median(gaps) == pytest.approx(INTERVAL_S, rel=0.25)
    assert max(gaps) < RESPONSE_S / 2


def test_a_swlb_that_was_stopped_for_seconds_takes_nobody_out_and_asks_nobody_twice(make_netns, tmp_path):
    web1 = Routed.hosts(lambda: "")["web1"].ipv4
    timers = {"response": "500ms", "timeout": "1s", "retries": 3}

    def change(config):
        config["services"] = {name: service(ports[name], web1, {**check, **timers})
                              for name, (_, check) in HEALTHY.items()}  # fmt: skip

    ports = {name: port for port, name in enumerate(HEALTHY, 9001)}
    servers = [Server(name, kind, [web1], ports[name]) for name, (kind, _) in HEALTHY.items()]
    with site(Routed, make_netns, tmp_path, change=change) as at, ward(at["web1"], servers, tmp_path) as here:
        at.swlb.wait_operational("up", within=15)
        since = here.set({"by-http": "late"})
        for _ in range(3):
            at.swlb.process.send_signal(signal.SIGSTOP)
            time.sleep(1.2)
            at.swlb.process.send_signal(signal.SIGCONT)
            time.sleep(0.7)
        assert [event["text"] for event in at.swlb.events("server_down") if event["time"] > since] == []
        for name in HEALTHY:
            gaps = [now - before for before, now in pairwise(here.asked(name))]
            assert max(gaps) > 1, "it was not stopped"
            assert min(gaps) > INTERVAL_S / 2

"""The figure of many checks: the servers that note when they were asked, and what is made of their notes."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from swlb.bench import checks
from swlb.bench.checks import Window, lateness, measure_checks, percentile
from swlb.bench.topology import Topology

ROOT = Path(__file__).parents[2]
PORT = 18099
WINDOW = Window(begin=10.0, end=13.0, total_s=0.0, python_s=0.0)


def test_a_probe_is_late_by_what_it_came_after_an_interval() -> None:
    assert lateness({"a": [10.0, 11.0, 12.25]}, WINDOW) == [0.0, 0.25]


def test_a_probe_that_came_early_is_not_late() -> None:
    assert lateness({"a": [10.0, 10.5]}, WINDOW) == [0.0]


def test_only_probes_within_the_window_count() -> None:
    assert lateness({"a": [8.0, 9.5, 10.75, 13.5], "b": [11.0]}, WINDOW) == [0.25]


@pytest.mark.parametrize(("share", "value"), [(0.99, 99), (0.5, 50), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_the_least_value_that_the_share_does_not_exceed(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_the_crowd_answers_at_every_address_and_notes_when_it_was_asked() -> None:
    argv = [sys.executable, "-m", "swlb.bench.crowd", str(PORT)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        began = time.monotonic()
        pages = [page_of(address, process) for address in ("127.0.0.7", "127.0.0.8", "127.0.0.7")]
        ended = time.monotonic()
        process.terminate()
        asked = json.loads(process.stdout.read())
    assert pages == [b"ok"] * 3
    assert {address: len(moments) for address, moments in asked.items()} == {"127.0.0.7": 2, "127.0.0.8": 1}
    assert all(began <= moment <= ended for moments in asked.values() for moment in moments)


def page_of(address: str, process: subprocess.Popen[str]) -> bytes:
    """What a server of the crowd says, once it listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=5) as answer:
                return answer.read()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.root
def test_a_small_crowd_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SERVICES", 2)
    monkeypatch.setattr(checks, "SERVERS", 5)
    with Topology() as topology:
        reading = measure_checks(topology, kind="tcp")
    python, late_ms = reading.values
    assert 0 <= python <= 100
    assert 0 <= late_ms < 10_000
    # Ten servers over three seconds, each asked once a second, give or take the edges and a busy machine.
    assert 10 <= int(reading.remark.split()[0]) <= 40

"""The figure of a reload: the stream that counts its datagrams, and what is made of both."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from swlb.bench import reloads
from swlb.bench.reloads import changed, configuration, measure_reload
from swlb.bench.topology import Topology
from swlb.changes import changes
from swlb.config import parse

ROOT = Path(__file__).parents[2]
LOST = 3


def test_the_stream_counts_what_does_not_come_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        argv = [sys.executable, "-m", "swlb.bench.reloads", "127.0.0.1", str(sock.getsockname()[1])]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            sent: set[bytes] = set()
            while len(sent) < 50:
                data, sender = sock.recvfrom(100)
                if len(data) == 8:
                    sent.add(data)
                if len(data) != 8 or len(sent) > LOST:
                    sock.sendto(data, sender)
            process.send_signal(signal.SIGTERM)
            sock.settimeout(1)
            try:
                while True:
                    data, sender = sock.recvfrom(100)
                    sent.add(data)
                    sock.sendto(data, sender)
            except TimeoutError:
                pass
            assert process.stdout is not None
            assert json.loads(process.stdout.read()) == [len(sent), len(sent) - LOST]


def test_every_reload_changes_a_few_services_and_not_the_one_of_the_stream() -> None:
    first = configuration("one", "two")
    before = parse(json.dumps(first), file="first")
    for n in range(2):
        after = parse(json.dumps(changed(first, n)), file="after")
        steps = changes(before, after).steps
        assert {step.name.split("/")[0] for step in steps} == {f"web{i}" for i in range(1, reloads.CHANGED + 1)}
        before = after


@pytest.mark.root
def test_a_small_reload_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloads, "SERVICES", 6)
    monkeypatch.setattr(reloads, "RELOADS", 2)
    with Topology() as topology:
        reading = measure_reload(topology)
    took_ms, lost = reading.values
    assert took_ms > 0
    assert lost == 0
    assert int(reading.remark.split()[0]) > 100

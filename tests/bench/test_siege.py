"""The figures of a SYN flood: a small one, and what the visitors say of servers that let them down."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swlb.bench.ours import start_routed
from swlb.bench.peer import Peer
from swlb.bench.siege import measure_siege
from swlb.bench.topology import Topology

ROOT = Path(__file__).parents[2]


@contextmanager
def downloads(n: int) -> Iterator[tuple[int, list[socket.socket]]]:
    """A server's port, and who has connected, each of whom was told something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        guests: list[socket.socket] = []

        def welcome() -> None:
            for _ in range(n):
                guest = listener.accept()[0]
                guest.send(b"first")
                guests.append(guest)

        thread = threading.Thread(target=welcome)
        thread.start()
        yield listener.getsockname()[1], guests
        thread.join()
        for guest in guests:
            guest.close()


def test_a_download_that_ends_is_broken_and_an_unanswered_request_has_failed() -> None:
    with downloads(2) as (port, guests), socket.create_server(("127.0.0.1", 0)) as deaf:
        argv = [sys.executable, "-m", "swlb.bench.siege", "visit", "127.0.0.1", str(port), "2",
                str(deaf.getsockname()[1]), "10", "0.5"]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            guests[0].close()
            going = threading.Event()

            def go_on() -> None:
                while not going.wait(0.1):
                    guests[1].send(b"more")

            told = threading.Thread(target=go_on)
            told.start()
            result = json.loads(process.stdout.read())
            going.set()
            told.join()
    assert (result["broken"], result["begun"], result["completed"]) == (1, 5, 0)


@pytest.mark.root
def test_a_small_flood_is_measured() -> None:
    with Topology() as topology:
        setup = start_routed(Peer("swlb", "swlb", start_routed), topology)
        reading = measure_siege(setup, topology, 1, flood_s=1.0, syn_rate=1000, downloads=10)
    sent, broken, failed, grown = reading.values
    assert 0 < sent <= 1.1
    assert (broken, failed) == (0, 0)
    assert grown is not None

"""A client that closes and calls again from the same port, at once and many times, never waits.

Where a balancer drops the first SYN of a port it knows, as IPVS may, the client's kernel asks again after a second: so
half a second says that it was not so.
"""

import errno
import socket
import struct
import time

import pytest

from netns.running import made_namespaces, wait_until
from netns.sites import Routed, Transparent, serving, site

pytestmark = pytest.mark.root

TIMES = 200
WAITED_S = 0.5  # Linux sends a SYN again after one second (RFC 6298 2.1)
PORT = 23456
REQUEST = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # l_onoff, l_linger


@pytest.fixture(scope="module", params=[Routed, Transparent], ids=["routed", "transparent"])
def at(request, tmp_path_factory):
    def taking_turns(config) -> None:
        config["services"]["always"] = {**config["services"]["web"], "port": 81, "source_nat": "always"}

    directory = tmp_path_factory.mktemp("reuse")
    with made_namespaces() as make, site(request.param, make, directory, change=taking_turns) as made, serving(made):
        yield made, request.param


def opened(client, vip: str, port: int) -> socket.socket:
    """A connection from PORT. Until the last one's end was acknowledged the client's own kernel has none to give."""
    while True:
        sock = client.socket(6 if ":" in vip else 4, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::" if ":" in vip else "0.0.0.0", PORT))
            sock.settimeout(5)
            sock.connect((vip, port))
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        else:
            return sock


def call(client, vip: str, port: int, *, reset: bool) -> tuple[float, bytes]:
    """Seconds until there was a connection from PORT, and what was answered; then it is closed, or reset."""
    began = time.monotonic()
    with opened(client, vip, port) as sock:
        took = time.monotonic() - began
        sock.sendall(REQUEST)
        answer = b""
        while more := sock.recv(4096):  # the server closes first, so that the client's port is free at once
            answer += more
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        return took, answer


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [80, 81], ids=["auto", "source_nat_always"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_no_call_from_a_used_port_waits(at, family, port, reset):
    made, shape = at
    before = made.swlb.show("services")
    calls = [call(made.client, shape.vips[family], port, reset=reset) for _ in range(TIMES)]
    assert all(answer.startswith(b"HTTP/1.1 200") for _, answer in calls)
    waited = [took for took, _ in calls if took >= WAITED_S]
    assert waited == []
    # Each was a session of its own, not one that was gone on with.
    name = {80: "web", 81: "always"}[port]
    total = {row["service"]: row["sessions_total"] for row in before}
    counted = total[name] + TIMES
    wait_until(lambda: made.swlb.row("services", service=name)["sessions_total"] == counted, f"{counted} sessions")

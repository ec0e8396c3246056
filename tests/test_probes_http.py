"""swlb/probes/http.py against servers on loopback: honest ones, and those that are anything but."""

import asyncio
import logging
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

import pytest

from swlb import __version__
from swlb.config import Check
from swlb.config.check_values import read_pattern
from swlb.probes import Outcome, Target
from swlb.probes.http import request_of
from tests.http_servers import CONTENT, FAILING, JUDGED, OK, Case, dripping, no_end, status
from tests.probing import ask
from tests.raw_server import asked, outcome_of, saying, serving, silent

GIB = 1024 * 1024 * 1024
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _no_complaints(caplog) -> Iterator[None]:
    """Neither asyncio nor aiohttp has anything to say about what a probe leaves behind."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records] == []


# What is asked, as the standard library's server understands it


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    do_GET = do_HEAD = do_POST = do_OPTIONS = _answer  # noqa: N815 (names of the standard library)

    def log_message(self, *_: object) -> None:
        pass


class _Server6(HTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(params=["127.0.0.1", "::1"])
def stdlib_server(request) -> Iterator[HTTPServer]:
    """An HTTP server of the standard library, and what it has seen."""
    with (_Server6 if ":" in request.param else HTTPServer)((request.param, 0), _Asked) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def target_of(server: HTTPServer) -> Target:
    return Target(ip_address(server.server_address[0]), server.server_address[1])


def seen_of(server: HTTPServer, **keys: object) -> tuple[str, str, dict[str, str]]:
    """What the server saw of one probe that it answered well."""
    outcome = asyncio.run(ask("http", target_of(server), response=5.0, **keys))
    assert (outcome.ok, outcome.status) == (True, "L7OK")
    (seen,) = server.seen
    return seen


def test_a_request_names_the_target_and_who_asks(stdlib_server):
    expected = {
        "Host": str(target_of(stdlib_server)),
        "User-Agent": f"swlb/{__version__}",
        "Accept": "*/*",
        "Connection": "close",
    }
    assert seen_of(stdlib_server) == ("GET", "/", expected)


def test_a_request_is_as_the_check_says(stdlib_server):
    method, path, headers = seen_of(
        stdlib_server,
        method="POST",
        path="/a%2Fb/../c?x=%20&y",
        host="example.org:81",
        headers=(("user-agent", "probe"), ("X-Probe", "a b")),
    )
    assert (method, path) == ("POST", "/a%2Fb/../c?x=%20&y")
    assert headers["Host"] == "example.org:81"
    assert (headers["user-agent"], headers["X-Probe"], headers["Content-Length"]) == ("probe", "a b", "0")
    assert "User-Agent" not in headers


@pytest.mark.parametrize(
    ("kind", "address", "l4_port", "host"),
    [
        ("http", "10.0.2.11", 80, "10.0.2.11"),
        ("http", "10.0.2.11", 443, "10.0.2.11:443"),
        ("https", "10.0.2.11", 443, "10.0.2.11"),
        ("https", "fd00:2::11", 443, "[fd00:2::11]"),
        ("http", "fd00:2::11", 8080, "[fd00:2::11]:8080"),
    ],
)
def test_the_port_that_goes_without_saying_is_not_said(kind, address, l4_port, host):
    request = request_of(Check(type=kind), Target(ip_address(address), l4_port))
    assert f"\r\nHost: {host}\r\n".encode() in request


def test_head_is_answered_without_a_body(stdlib_server):
    assert seen_of(stdlib_server, method="HEAD")[0] == "HEAD"


def test_a_proxy_of_the_environment_is_not_asked(stdlib_server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    assert seen_of(stdlib_server)[1] == "/"


# What answers are worth


@pytest.mark.parametrize("case", JUDGED + FAILING, ids=lambda case: case.name)
def test_an_answer_gets_the_verdict_it_deserves(case: Case):
    async def run() -> tuple[Outcome, int, int]:
        async with serving(case.talk) as served:
            outcome = await asked(served, "http", **case.keys)
            return outcome, served.target.l4_port, served.connections

    outcome, l4_port, connections = asyncio.run(run())
    begin, end = (part.replace("PORT", str(l4_port)) for part in case.detail)
    assert (outcome.status, outcome.ok) == (case.status, case.status == "L7OK"), outcome.detail
    assert outcome.detail.startswith(begin), outcome.detail
    assert outcome.detail.endswith(end), outcome.detail
    assert connections == 1, "a server is asked once"


def test_a_closed_l4_port_is_l4con():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        target = Target(ip_address("127.0.0.1"), sock.getsockname()[1])
    outcome = asyncio.run(ask("http", target, response=5.0))
    assert (outcome.ok, outcome.status) == (False, "L4CON")


def test_a_silent_l4_port_is_l4tout():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        with socket.create_connection(sock.getsockname()):  # takes the one place in the backlog
            outcome = asyncio.run(ask("http", Target(ip_address("127.0.0.1"), sock.getsockname()[1]), response=0.2))
    assert outcome.status == "L4TOUT"


def test_the_phases_are_told_in_their_order():
    outcome = outcome_of(saying(OK + b"\r\n", b"ok"), **CONTENT)
    assert list(outcome.phases) == ["connect", "first_byte", "body"]
    assert sum(outcome.phases.values()) <= outcome.duration_ms


@pytest.mark.parametrize("keys", [{}, CONTENT, {**CONTENT, "body_limit": MIB}], ids=["none", "64 KiB", "1 MiB"])
def test_a_body_of_a_gib_takes_no_more_memory_than_its_limit(keys):
    answer = saying(OK + b"Content-Length: %d\r\n\r\n" % GIB, then=no_end)
    outcome_of(answer, **keys)  # what is imported and cached at first is no matter of the body's
    tracemalloc.start()
    try:
        outcome = outcome_of(answer, **keys)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.status == ("L7STS" if keys else "L7OK")
    assert peak < 2 * MIB + 3 * keys.get("body_limit", 0)


@pytest.mark.parametrize(
    "talk",
    [silent, saying(OK, then=silent), saying(OK + b"\r\n", then=dripping)],
    ids=["nothing came", "within the head", "within a body that is read"],
)
def test_a_cancelled_probe_leaves_nothing(talk):
    async def run() -> None:
        async with serving(talk) as served:
            probe = asyncio.ensure_future(asked(served, "http", response=60.0, content=read_pattern("/ok$/")))
            await served.is_asked()
            assert not probe.done()
            tasks = asyncio.all_tasks() - {probe}
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
            assert probe.cancelled()
            assert served.is_left_alone()
            assert asyncio.all_tasks() <= tasks

    asyncio.run(run())


def test_a_stuck_server_delays_no_other_probe():
    async def run() -> tuple[float, str]:
        async with serving(saying(OK + b"\r\n", then=dripping)) as stuck, serving(saying(status(200))) as well:
            waiting = asyncio.ensure_future(ask("http", stuck.target, response=1.0, content=read_pattern("ok")))
            outcomes = [await ask("http", well.target, response=5.0) for _ in range(20)]
            return max(outcome.duration_ms for outcome in outcomes), (await waiting).status

    longest_ms, verdict = asyncio.run(run())
    assert verdict == "L7TOUT"
    assert longest_ms < 1000

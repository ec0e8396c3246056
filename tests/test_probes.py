"""swlb/probes: tcp against servers on loopback. Hosts and routers in between are in test_probes_hosts.py."""

import asyncio
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from swlb.probes import Outcome, Target
from tests.answering import HOSTS, no_descriptors_left, target_of
from tests.probing import ask, probed

LISTEN_ONE = 0  # a backlog of 0 holds one connection; what comes after it is silence


@pytest.fixture(params=HOSTS)
def listener(request) -> Iterator[socket.socket]:
    """A listening socket on loopback."""
    with socket.socket(socket.AF_INET6 if ":" in request.param else socket.AF_INET) as sock:
        sock.bind((request.param, 0))
        sock.listen(LISTEN_ONE)
        sock.settimeout(5)
        yield sock


def test_a_completed_handshake_is_l4ok(listener):
    outcome = probed(ask("tcp", target_of(listener), response=5.0))
    assert (outcome.ok, outcome.status) == (True, "L4OK")


def test_a_good_outcome_names_the_server_and_the_time(listener):
    outcome = probed(ask("tcp", target_of(listener), response=5.0))
    assert outcome.detail == f"connected to {target_of(listener)} in {outcome.duration_ms:.1f} ms"


def test_the_server_sees_an_orderly_end(listener):
    probed(ask("tcp", target_of(listener), response=5.0))
    accepted, _ = listener.accept()
    with accepted:
        assert accepted.recv(1) == b""


def test_a_closed_l4_port_is_l4con(listener):
    target = target_of(listener)
    listener.close()
    outcome = probed(ask("tcp", target, response=5.0))
    assert (outcome.ok, outcome.status) == (False, "L4CON")
    assert outcome.detail == f"connection refused by {target} after {outcome.duration_ms:.1f} ms"


def test_a_silent_server_is_l4tout_after_response(listener):
    with socket.create_connection(listener.getsockname()[:2]):  # takes the one place in the backlog
        outcome = probed(ask("tcp", target_of(listener), response=0.2))
    assert (outcome.ok, outcome.status) == (False, "L4TOUT")
    assert 200 <= outcome.duration_ms < 2000


def test_a_cancelled_probe_leaves_no_socket(listener):
    async def cancelled() -> Outcome:
        probe = asyncio.ensure_future(ask("tcp", target_of(listener), response=60.0))
        await asyncio.sleep(0.05)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert probe.cancelled()
        return Outcome(True, "", "", 0.0)

    with socket.create_connection(listener.getsockname()[:2]):
        probed(cancelled())


def test_an_answer_that_came_during_a_stall_of_ours_counts(listener):
    async def stalled() -> Outcome:
        asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(time.sleep, 0.1))
        return await ask("tcp", target_of(listener), response=0.05)

    outcome = probed(stalled())
    assert outcome.status == "L4OK"


def test_a_probe_comes_from_the_source_it_is_given(listener):
    source = ip_address("127.0.0.77" if listener.family == socket.AF_INET else "::1")
    probed(ask("tcp", target_of(listener), source=source, response=5.0))
    accepted, (address, *_) = listener.accept()
    accepted.close()
    assert address == str(source)


def test_a_probe_goes_by_the_device_it_is_given(listener):
    assert probed(ask("tcp", target_of(listener), device="lo", response=5.0)).status == "L4OK"


def test_a_device_that_does_not_exist_is_sockerr(listener):
    outcome = probed(ask("tcp", target_of(listener), device="swlb-no-such", response=5.0))
    assert (outcome.ok, outcome.status) == (False, "SOCKERR")
    assert outcome.detail == f"{target_of(listener)} could not be probed from this host: No such device"


def test_a_source_that_is_not_ours_is_sockerr():
    outcome = probed(ask("tcp", Target(ip_address("127.0.0.1"), 9), source=ip_address("198.51.100.1"), response=5.0))
    assert outcome.status == "SOCKERR"


def test_no_descriptors_left_is_sockerr():
    async def run() -> Outcome:
        with no_descriptors_left():
            return await ask("tcp", Target(ip_address("127.0.0.1"), 9), response=5.0)

    outcome = asyncio.run(run())
    assert outcome.status == "SOCKERR"
    assert outcome.detail == "127.0.0.1:9 could not be probed from this host: Too many open files"


@pytest.mark.parametrize(
    ("address", "l4_port", "text"),
    [("10.0.2.11", 80, "10.0.2.11:80"), ("fd00::1", 80, "[fd00::1]:80"), ("::1", None, "::1")],
)
def test_a_target_is_written_as_people_write_it(address, l4_port, text):
    assert str(Target(ip_address(address), l4_port)) == text

"""swlb/probes/udp.py against servers on loopback. Hosts that are gone are in test_probes_hosts.py."""

import socket
import threading
from ipaddress import ip_address

import pytest

from swlb.config.check_values import Pattern, read_pattern
from tests.answering import HOSTS, answering, bound, target_of
from tests.probing import ask, probed

PONG = Pattern("pong")
EITHER = pytest.mark.parametrize("host", HOSTS)


@EITHER
def test_the_expected_answer_is_l7ok(host):
    with answering(host, lambda request: [b"pong to " + request]) as target:
        outcome = probed(ask("udp", target, send=b"ping", expect=PONG, response=5.0))
    assert (outcome.ok, outcome.status) == (True, "L7OK")
    assert outcome.detail == f"{target} answered after {outcome.duration_ms:.1f} ms with 'pong to ping'"


def test_another_answer_is_l7rsp_and_shown():
    with answering(HOSTS[0], lambda _: [b"\xff\x00no"]) as target:
        outcome = probed(ask("udp", target, send=b"ping", expect=PONG, response=5.0))
    assert (outcome.ok, outcome.status) == (False, "L7RSP")
    assert outcome.detail.endswith(r"with '\xff\x00no', without 'pong'")


def test_a_regular_expression_may_be_expected():
    with answering(HOSTS[0], lambda _: [b"load 0.75"]) as target:
        outcome = probed(ask("udp", target, expect=read_pattern(r"/load 0\.[0-9]+/"), response=5.0))
    assert outcome.status == "L7OK"


def test_the_first_answer_decides():
    with answering(HOSTS[0], lambda _: [b"busy", b"pong"]) as target:
        outcome = probed(ask("udp", target, expect=PONG, response=5.0))
    assert outcome.status == "L7RSP"


@EITHER
def test_silence_is_l7tout_where_an_answer_is_expected(host):
    with bound(host, socket.SOCK_DGRAM) as silent:
        outcome = probed(ask("udp", target_of(silent), expect=PONG, response=0.2))
    assert (outcome.ok, outcome.status) == (False, "L7TOUT")
    assert 200 <= outcome.duration_ms < 2000


@EITHER
def test_silence_is_l4ok_where_nothing_is_expected_and_said_to_be_all(host):
    with bound(host, socket.SOCK_DGRAM) as silent:
        outcome = probed(ask("udp", target_of(silent), response=0.2))
    assert (outcome.ok, outcome.status) == (True, "L4OK")
    assert "nor any complaint; without `expect` that is enough" in outcome.detail
    assert 200 <= outcome.duration_ms < 2000


def test_any_answer_is_l4ok_where_nothing_is_expected_and_ends_the_probe():
    with answering(HOSTS[0], lambda _: [b""]) as target:
        outcome = probed(ask("udp", target, response=30.0))
    assert (outcome.ok, outcome.status) == (True, "L4OK")
    assert outcome.detail.endswith("with nothing")
    assert outcome.duration_ms < 10_000


@EITHER
@pytest.mark.parametrize("keys", [{}, {"expect": PONG}, {"device": "lo"}])
def test_port_unreachable_is_l4con(host, keys):
    with bound(host, socket.SOCK_DGRAM) as sock:
        target = target_of(sock)
    outcome = probed(ask("udp", target, response=30.0, **keys))
    assert (outcome.ok, outcome.status) == (False, "L4CON")
    assert outcome.detail == f"{target} says that nothing listens there, after {outcome.duration_ms:.1f} ms"


@pytest.mark.parametrize(("keys", "payload"), [({}, b""), ({"send": b"\x00\xff"}, b"\x00\xff")])
def test_what_is_sent_is_what_send_says_and_nothing_without_it(keys, payload):
    with bound(HOSTS[0], socket.SOCK_DGRAM) as sock:
        probed(ask("udp", target_of(sock), response=0.05, **keys))
        sock.settimeout(5)
        assert sock.recv(65535) == payload


def test_an_answer_from_anywhere_else_is_none():
    with bound(HOSTS[0], socket.SOCK_DGRAM) as elsewhere, bound(HOSTS[0], socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)

        def answer_from_elsewhere() -> None:
            _, client = sock.recvfrom(100)
            elsewhere.sendto(b"pong", client)

        thread = threading.Thread(target=answer_from_elsewhere)
        thread.start()
        outcome = probed(ask("udp", target_of(sock), expect=PONG, response=0.3))
        thread.join()
    assert outcome.status == "L7TOUT"


@EITHER
def test_a_probe_comes_from_the_source_it_is_given(host):
    source = "127.0.0.77" if host == HOSTS[0] else "::1"
    with bound(host, socket.SOCK_DGRAM) as sock:
        probed(ask("udp", target_of(sock), source=ip_address(source), response=0.05))
        sock.settimeout(5)
        assert sock.recvfrom(100)[1][0] == source

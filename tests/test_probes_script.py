"""swlb/probes/script.py against servers on loopback that speak SMTP, Redis, or neither."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable

import pytest

from swlb.config.check_models import Step
from swlb.config.check_values import read_pattern
from swlb.probes import Outcome
from tests.answering import HOSTS, bound, listening, target_of
from tests.probing import ask, probed

Serve = Callable[[socket.socket], None]


def send(text: bytes) -> Step:
    return Step(send=text)


def expect(pattern: str) -> Step:
    return Step(expect=read_pattern(pattern))


def expect_not(pattern: str) -> Step:
    return Step(expect_not=read_pattern(pattern))


def scripted(steps: list[Step], serve: Serve, host: str = HOSTS[0], *, response: float = 5.0) -> Outcome:
    """The outcome of the steps with a server that does so."""
    with listening(host, serve) as target:
        return probed(ask("script", target, steps=tuple(steps), response=response))


def says(*pieces: bytes, pause: float = 0.0) -> Serve:
    """A server that says these pieces, each after a pause, and then hears the client out."""

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            time.sleep(pause)
            connection.sendall(piece)
        while connection.recv(65536):
            pass

    return serve


def closes_after(said: bytes) -> Serve:
    return lambda connection: connection.sendall(said)


def smtp(connection: socket.socket) -> None:
    """A mail server that knows EHLO and QUIT."""
    connection.sendall(b"220 mail.example.org ESMTP\r\n")
    for line in connection.makefile("rb"):
        word = line.split()[0].upper()
        replies = {b"EHLO": b"250-mail.example.org\r\n250 PIPELINING\r\n", b"QUIT": b"221 bye\r\n"}
        connection.sendall(replies.get(word, b"502 what?\r\n"))
        if word == b"QUIT":
            return


SMTP = [expect("220 "), send(b"EHLO swlb\r\n"), expect_not("/^5[0-9][0-9]/"), expect("250 "), send(b"QUIT\r\n")]


@pytest.mark.parametrize("host", HOSTS)
def test_a_mail_server_is_l7ok(host):
    outcome = scripted([*SMTP, expect("221")], smtp, host)
    assert (outcome.ok, outcome.status) == (True, "L7OK")
    assert " did all 6 steps in " in outcome.detail
    assert list(outcome.phases) == ["connect", *(f"step {number}" for number in range(1, 7))]


def test_a_mail_server_that_knows_no_such_word_is_l7sts():
    outcome = scripted([expect("220"), send(b"HELP\r\n"), expect_not("/5[0-9][0-9] /"), expect("250 ")], smtp)
    assert (outcome.ok, outcome.status) == (False, "L7STS")
    assert "sent /5[0-9][0-9] /, which step 3 bars: ' mail.example.org ESMTP\\r\\n502 what?\\r\\n'" in outcome.detail


@pytest.mark.parametrize(("reply", "status"), [(b"+PONG\r\n", "L7OK"), (b"-LOADING dataset\r\n", "L7STS")])
def test_redis_is_asked(reply, status):
    def redis(connection: socket.socket) -> None:
        assert connection.recv(100) == b"PING\r\n"
        connection.sendall(reply)

    assert scripted([send(b"PING\r\n"), expect_not("-LOADING"), expect("+PONG")], redis).status == status


def test_sending_may_be_all():
    received = []
    outcome = scripted([send(b"\x00\xff")], lambda connection: received.append(connection.makefile("rb").read()))
    assert (outcome.status, received) == ("L7OK", [b"\x00\xff"])


# What is found, and what is left


def test_what_comes_in_pieces_is_found():
    assert scripted([expect("ready")], says(b"re", b"a", b"dy", pause=0.02)).status == "L7OK"


def test_what_follows_a_match_is_left_for_the_next_step():
    assert scripted([expect("one"), expect("two")], says(b"one two")).status == "L7OK"


def test_what_was_matched_is_not_matched_again():
    outcome = scripted([expect("one"), expect("one")], closes_after(b"one two"))
    assert (outcome.status, outcome.detail.split("; ")[1]) == ("L7RSP", "it sent ' two'")


def test_what_came_before_a_match_is_gone():
    assert scripted([expect("two"), expect("one")], closes_after(b"one two")).status == "L7RSP"


def test_a_script_does_not_wait_for_more_than_it_asks_for():
    outcome = scripted([expect("220")], says(b"220"), response=30.0)
    assert (outcome.status, outcome.duration_ms < 10_000) == ("L7OK", True)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"ok", "L7OK"),
        (b"ok error", "L7OK"),  # behind what was awaited: nobody looks there
        (b"error ok", "L7STS"),
        (b"error", "L7STS"),
        (b"", "L7RSP"),
    ],
)
def test_what_is_barred_must_not_come_before_what_is_awaited(said, status):
    assert scripted([expect_not("error"), expect("ok")], closes_after(said)).status == status


def test_what_is_barred_is_refused_as_soon_as_it_comes():
    outcome = scripted([expect_not("error"), expect("ok")], says(b"error"), response=30.0)
    assert (outcome.status, outcome.duration_ms < 10_000) == ("L7STS", True)


def test_a_bar_ends_with_what_was_awaited():
    assert scripted([expect_not("b"), expect("a"), expect("b")], says(b"a", b"b")).status == "L7OK"


def test_several_bars_hold_for_one_step():
    steps = [expect_not("x"), send(b"?"), expect_not("y"), expect("z")]
    outcomes = [scripted(steps, closes_after(said)) for said in (b"x z", b"y z", b"z")]
    assert [outcome.status for outcome in outcomes] == ["L7STS", "L7STS", "L7OK"]


# Servers that fail


def test_a_server_that_closes_early_is_l7rsp_and_the_step_named():
    outcome = scripted([expect("220"), expect("250")], closes_after(b"220 hello"))
    assert (outcome.ok, outcome.status) == (False, "L7RSP")
    assert "did not send '250' (step 2) but closed the connection after " in outcome.detail
    assert outcome.detail.endswith("; it sent ' hello'")


def test_a_server_that_resets_is_l7rsp():
    def reset(connection: socket.socket) -> None:
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    outcome = scripted([send(b"?"), expect("250")], reset)
    assert (outcome.ok, outcome.status) == (False, "L7RSP")
    assert "did not send '250' (step 2) but reset the connection after " in outcome.detail


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_that_accepts_and_is_silent_is_l7tout_and_the_step_named(host):
    outcome = scripted([send(b"?"), expect("/^250/")], says(), host, response=0.2)
    assert (outcome.ok, outcome.status) == (False, "L7TOUT")
    assert 200 <= outcome.duration_ms < 2000
    assert f"did not send /^250/ (step 2) within {outcome.duration_ms:.0f} ms; it sent nothing" in outcome.detail


def test_response_covers_connection_and_all_steps():
    outcome = scripted([expect("a"), expect("b"), expect("c")], says(b"a", b"b", b"c", pause=0.2), response=0.3)
    assert (outcome.status, "step 2" in outcome.detail) == ("L7TOUT", True)


def test_a_server_that_drips_is_l7tout():
    outcome = scripted([expect("ready")], says(*[b"x"] * 30, pause=0.02), response=0.2)
    assert outcome.status == "L7TOUT"


def test_a_server_that_takes_nothing_more_is_l7tout():
    def deaf(connection: socket.socket) -> None:
        time.sleep(0.5)

    outcome = scripted([send(b"x" * 1400)] * 8000, deaf, response=0.2)
    assert outcome.status == "L7TOUT"
    assert " did not take what step " in outcome.detail


def test_64_kib_of_something_else_are_enough():
    outcome = scripted([expect("ready")], says(b"x" * 65536 + b"ready"))
    assert (outcome.ok, outcome.status) == (False, "L7RSP")
    assert "did not send 'ready' (step 1) but sent 65536 bytes of something else after " in outcome.detail
    assert outcome.detail.endswith(f"; it sent '{'x' * 60}' and more")


def test_what_is_awaited_may_end_with_the_64_kib():
    assert scripted([expect("ready")], says(b"x" * 65531 + b"ready")).status == "L7OK"


def test_a_closed_l4_port_is_l4con():
    with bound(HOSTS[0], socket.SOCK_STREAM) as sock:
        target = target_of(sock)
    outcome = probed(ask("script", target, steps=tuple(SMTP), response=5.0))
    assert (outcome.ok, outcome.status) == (False, "L4CON")


def test_no_handshake_is_l4tout():
    with bound(HOSTS[0], socket.SOCK_STREAM) as sock:
        sock.listen(0)
        with socket.create_connection(sock.getsockname()[:2]):  # takes the one place
            outcome = probed(ask("script", target_of(sock), steps=tuple(SMTP), response=0.2))
    assert (outcome.ok, outcome.status) == (False, "L4TOUT")


def test_a_cancelled_script_leaves_no_socket():
    async def cancelled(target) -> Outcome:
        probe = asyncio.ensure_future(ask("script", target, steps=(expect("never"),), response=60.0))
        await asyncio.sleep(0.1)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert probe.cancelled()
        return Outcome(True, "", "", 0.0)

    closed = []

    def hear_out(connection: socket.socket) -> None:
        closed.append(connection.recv(1))

    with listening(HOSTS[0], hear_out) as target:
        probed(cancelled(target))
    assert closed == [b""]

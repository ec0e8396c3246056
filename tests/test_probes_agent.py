"""swlb/probes/agent.py against agents on loopback. What their words mean is in test_agent_words.py."""

import socket
import struct

import pytest

from swlb.probes import Outcome
from swlb.probes.outcome import Report
from tests.answering import HOSTS, bound, listening, target_of
from tests.probing import ask, probed


def told(said: bytes, host: str = HOSTS[0], *, response: float = 5.0, closing: bool = True, **keys: object) -> Outcome:
    """The outcome with an agent that says so, and then hangs up or waits until swlb does."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(said)
        if not closing:
            connection.recv(1)

    with listening(host, serve) as target:
        return probed(ask("agent", target, response=response, **keys))


@pytest.mark.parametrize("host", HOSTS)
def test_up_is_l7ok(host):
    outcome = told(b"up\n", host)
    assert (outcome.ok, outcome.status, outcome.report) == (True, "L7OK", Report(health="up"))


@pytest.mark.parametrize("word", ["down", "fail", "stopped"])
def test_down_is_l7sts_and_the_word_and_the_reason_are_shown(word):
    outcome = told(f"{word} # disk full\r\n".encode())
    assert (outcome.ok, outcome.status) == (False, "L7STS")
    assert outcome.report == Report(health=word, description="disk full")
    assert f" said '{word} # disk full' after " in outcome.detail


@pytest.mark.parametrize(
    ("line", "report"),
    [
        (b"drain\n", Report(admin="drain")),
        (b"75%\n", Report(weight=75, weight_is_percent=True)),
        (b"ready maxconn:30\n", Report(admin="ready", max_connections=30)),
        (b"# all well\n", Report(description="all well")),
        (b"\n", Report()),
    ],
)
def test_a_line_without_up_or_down_says_nothing_of_health(line, report):
    outcome = told(line)
    assert (outcome.ok, outcome.status, outcome.report) == (None, "L7OK", report)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_the_first_end_of_a_line_ends_the_probe(end):
    outcome = told(b"up" + end + b"down\n", closing=False, response=30.0)
    assert (outcome.status, outcome.duration_ms < 10_000) == ("L7OK", True)


@pytest.mark.parametrize("said", [b"down", b"", b"x" * 4097 + b"\n", b"down " * 1000])
def test_a_line_without_an_end_is_ignored_and_that_is_said(said):
    outcome = told(said)
    assert (outcome.ok, outcome.status, outcome.report) == (None, "L7RSP", None)
    assert " did not send a whole line but " in outcome.detail
    assert outcome.detail.endswith("; that says nothing of the server")


def test_a_line_of_4095_bytes_and_its_end_is_read():
    assert told(b"up " + b"," * 4092 + b"\n").status == "L7OK"


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"\x16\x03\x01\x00\n", b"\xff\xfe\n", b"up;\n"])
def test_garbage_is_l7rsp_and_changes_nothing(said):
    outcome = told(said)
    assert (outcome.ok, outcome.status, outcome.report) == (None, "L7RSP", None)
    assert "is no word of an agent and changes nothing" in outcome.detail


def test_an_unknown_word_among_others_is_named_and_they_count():
    outcome = told(b"up nolb 50% later\n")
    assert (outcome.ok, outcome.report) == (True, Report(health="up", weight=50, weight_is_percent=True))
    assert outcome.detail.endswith("; 'nolb' is no word of an agent and changes nothing")


@pytest.mark.parametrize("said", [b"", b"up"])
def test_an_agent_that_does_not_end_its_line_in_time_says_nothing(said):
    outcome = told(said, closing=False, response=0.2)
    assert (outcome.ok, outcome.status) == (None, "L7TOUT")
    assert f"did not send a whole line within {outcome.duration_ms:.0f} ms" in outcome.detail


def test_no_agent_says_nothing():
    with bound(HOSTS[0], socket.SOCK_STREAM) as sock:
        target = target_of(sock)
    outcome = probed(ask("agent", target, response=5.0))
    assert (outcome.ok, outcome.status, outcome.report) == (None, "L4CON", None)


def test_an_agent_that_takes_no_connection_says_nothing():
    with bound(HOSTS[0], socket.SOCK_STREAM) as sock:
        sock.listen(0)
        with socket.create_connection(sock.getsockname()[:2]):  # takes the one place
            outcome = probed(ask("agent", target_of(sock), response=0.2))
    assert (outcome.ok, outcome.status) == (None, "L4TOUT")


def test_an_agent_that_resets_says_nothing():
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with listening(HOSTS[0], reset) as target:
        outcome = probed(ask("agent", target, response=5.0))
    # A reset may be there before the handshake was seen to be complete.
    assert (outcome.ok, outcome.status in ("L7RSP", "L4CON")) == (None, True)


@pytest.mark.parametrize("keys", [{"send": b"web1?\n"}, {"send": b"\x00"}])
def test_it_is_asked_verbatim(keys):
    heard = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(100))
        connection.sendall(b"up\n")

    with listening(HOSTS[0], serve) as target:
        outcome = probed(ask("agent", target, response=5.0, **keys))
    assert (outcome.ok, heard) == (True, [keys["send"]])

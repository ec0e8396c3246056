"""What came while swlb itself stood still, longer than `response`, counts all the same: a stall fails no server."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from scapy.layers.dns import DNS

from swlb.config.check_models import Step
from swlb.config.check_values import Pattern
from swlb.probes import Outcome, Target
from tests.answering import HOSTS, answering, listening
from tests.probing import ask, probed

# The stall begins before the answer and ends after it, and `response` is over in between.
RESPONSE_S, LATE_S, STALL_S = 0.3, 0.5, 0.8


def pong(_: bytes) -> list[bytes]:
    time.sleep(LATE_S)
    return [b"pong"]


def responded(wire: bytes) -> list[bytes]:
    time.sleep(LATE_S)
    query = DNS(wire)
    return [bytes(DNS(id=query.id, qr=1, qd=query.qd))]


def says(line: bytes) -> Callable[[ExitStack], Target]:
    def serve(sock: socket.socket) -> None:
        time.sleep(LATE_S)
        sock.sendall(line)

    return lambda stack: stack.enter_context(listening(HOSTS[0], serve))


def replies(with_these: Callable[[bytes], list[bytes]]) -> Callable[[ExitStack], Target]:
    return lambda stack: stack.enter_context(answering(HOSTS[0], with_these))


KINDS = {
    "udp": (replies(pong), {"expect": Pattern("pong")}, "L7OK"),
    "dns": (replies(responded), {}, "L7OK"),
    "script": (says(b"220 ready"), {"steps": (Step(expect=Pattern("220")),)}, "L7OK"),
    "agent": (says(b"up\n"), {}, "L7OK"),
    "exec": (says(b""), {"command": ("/bin/sleep", str(LATE_S))}, "PROCOK"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_came_during_a_stall_of_ours_counts(kind):
    serve, keys, status = KINDS[kind]

    async def stalled(target: Target) -> Outcome:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, time.sleep, STALL_S)
        return await ask(kind, target, response=RESPONSE_S, **keys)

    with ExitStack() as stack:
        outcome = probed(stalled(serve(stack)))
    assert (outcome.ok, outcome.status) == (True, status)

"""swlb.agent, asked over raw sockets as a balancer asks. What ends a process is in test_agent_end.py."""

import asyncio
import gc
import logging
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swlb import agent as module
from swlb.agent import Agent, Balancers, weight_word

T = TypeVar("T")
LOCAL = "127.0.0.1"
PATIENCE_S = 5.0

# The grammar of HAProxy's manual, with the words that an agent of ours uses.
LINE = re.compile(
    rb"(ready|drain|maint) (up|down|stopped)( (weight:[0-9]+|[0-9]+%))?( # [^\r\n]+)?\n",
)


def run(steps: Awaitable[T]) -> T:
    """What came out; nothing was left open."""

    async def bounded() -> T:
        gc.collect()  # what earlier tests left to it may be closed at any time
        before = set(os.listdir("/proc/self/fd"))
        result = await asyncio.wait_for(steps, 30)
        assert set(os.listdir("/proc/self/fd")) <= before
        return result

    return asyncio.run(bounded())


def quiet(**options: object) -> Agent:
    """An agent on a port of the kernel's choice that hears no signals."""
    return Agent(0, host=LOCAL, signals=(), **options)


def ask_now(port: int, sent: bytes = b"", source: str = LOCAL) -> bytes:
    """All that comes back, until the other side closes."""
    with socket.create_connection((LOCAL, port), timeout=PATIENCE_S, source_address=(source, 0)) as sock:
        sock.sendall(sent)
        received = b""
        while piece := sock.recv(4096):
            received += piece
    return received


async def ask(agent: Agent, sent: bytes = b"", source: str = LOCAL) -> bytes:
    return await asyncio.to_thread(ask_now, agent.port, sent, source)


async def answer_after(prepare: Callable[[Agent], object], **options: object) -> bytes:
    async with quiet(**options) as agent:
        prepare(agent)
        return await ask(agent)


# What needs nothing else


def test_the_file_alone_runs_with_the_standard_library_alone(tmp_path):
    shutil.copy(module.__file__, tmp_path / "agent.py")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agent; agent.Agent(9999)"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


def test_importing_it_imports_nothing_else_of_swlb_and_no_other_package():
    program = (
        "import sys; before = set(sys.modules); import swlb.agent\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(name for name in new if name.partition('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "['swlb', 'swlb.agent']\n"


# The lines

LINES = [
    ("at the beginning", lambda agent: None, {}, b"ready up\n"),
    ("with a weight", lambda agent: None, {"weight": 3}, b"ready up weight:3\n"),
    ("with a share", lambda agent: None, {"weight": "75%"}, b"ready up 75%\n"),
    ("with a weight that changes", lambda agent: None, {"weight": lambda: "10%"}, b"ready up 10%\n"),
    ("in maintenance", lambda agent: agent.maint("new disk"), {}, b"maint up # new disk\n"),
    ("after it", lambda agent: (agent.maint("new disk"), agent.ready()), {}, b"ready up\n"),
    ("down", lambda agent: agent.down("no database"), {}, b"ready down # no database\n"),
    ("down without a reason", lambda agent: agent.down(), {}, b"ready down\n"),
    ("up again", lambda agent: (agent.down("no database"), agent.up()), {}, b"ready up\n"),
    ("both", lambda agent: (agent.down("no database"), agent.maint("disk")), {}, b"maint down # no database; disk\n"),
    ("draining", lambda agent: agent.drain("SIGTERM"), {}, b"drain up # SIGTERM, sessions left: 0\n"),
    ("draining for good", lambda agent: (agent.drain("x"), agent.ready()), {}, b"drain up # x, sessions left: 0\n"),
    ("sessions", lambda agent: agent.drain("x"), {"sessions": lambda: 3}, b"drain up # x, sessions left: 3\n"),
    ("a reason of two lines", lambda agent: agent.down("a\r\nready up"), {}, b"ready down # a  ready up\n"),
]


@pytest.mark.parametrize(("what", "prepare", "options", "line"), LINES, ids=[case[0] for case in LINES])
def test_whoever_asks_is_told(what, prepare, options, line):
    assert run(answer_after(prepare, **options)) == line


@given(st.text(max_size=300), st.text(max_size=300), st.integers(0, 65535), st.booleans())
@example("\n\r\x85\u2028\x00", "#", 0, False)
def test_whatever_the_reasons_are_it_is_one_line_of_the_grammar(health_why, admin_why, weight, draining):
    agent = quiet(weight=weight)
    agent.down(health_why)
    agent.maint(admin_why)
    if draining:
        agent.drain()
    line = f"{agent.line}\n".encode()
    match = LINE.fullmatch(line)
    assert match, line
    assert match[1] == (b"drain" if draining else b"maint")
    assert (match[2], match[4]) == (b"down", f"weight:{weight}".encode())


@pytest.mark.parametrize("weight", [-1, 65536, True, 1.5, "75", "-1%", "1.5%", "", "12345%", "weight:3"])
def test_a_weight_that_is_none_is_refused_at_once(weight):
    with pytest.raises(ValueError, match="expected a number from 0 to 65535, or a share"):
        quiet(weight=weight)


def test_a_weight_of_zero_is_said():
    assert weight_word(0) == "weight:0"


def test_functions_that_fail_are_logged_once_and_the_balancer_is_answered(caplog):
    async def steps() -> tuple[bytes, bytes]:
        async with quiet(weight=lambda: 1 // 0, sessions=lambda: [][0]) as agent:
            agent.drain("x")
            return await ask(agent), await ask(agent)

    assert run(steps()) == (b"drain up # x, sessions left: 1\n",) * 2
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "the function for sessions failed",
        "the function for weight failed",
    ]


def test_an_agent_that_has_ended_answers_nobody_and_its_port_is_free():
    async def steps() -> int:
        async with quiet() as agent:
            await ask(agent)
        with pytest.raises(ConnectionRefusedError):
            await ask(agent)
        async with Agent(agent.port, host=LOCAL, signals=()):
            return 1

    assert run(steps()) == 1


# Who asks, and how


@pytest.mark.parametrize("sent", [b"\n", b"GET / HTTP/1.1\r\n\r\n", bytes(1400)])
def test_what_a_balancer_sends_first_does_not_spoil_its_answer(sent):
    async def steps() -> list[bytes]:
        async with quiet() as agent:
            return [await ask(agent, sent) for _ in range(20)]

    assert run(steps()) == [b"ready up\n"] * 20


def connected(agent: Agent) -> socket.socket:
    return socket.create_connection((LOCAL, agent.port), timeout=PATIENCE_S)


def test_a_balancer_is_answered_while_many_connect_and_say_nothing():
    async def steps() -> bytes:
        async with quiet() as agent:
            silent = [await asyncio.to_thread(connected, agent) for _ in range(2 * module.MOST_TALKS)]
            try:
                assert len(agent._talks) <= module.MOST_TALKS
                return await ask(agent)
            finally:
                for sock in silent:
                    sock.close()

    assert run(steps()) == b"ready up\n"


def closed_within(sock: socket.socket, seconds: float) -> bool:
    """Whether the other side has closed for good: it takes nothing any more."""
    sock.settimeout(seconds)
    try:
        while sock.recv(4096):
            pass
        for _ in range(int(seconds / 0.05)):
            sock.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        return True
    return False


def test_one_that_does_not_go_is_cut_off(monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 0.2)

    async def steps() -> bool:
        async with quiet() as agent:
            with await asyncio.to_thread(connected, agent) as sock:
                return await asyncio.to_thread(closed_within, sock, PATIENCE_S)

    assert run(steps())


def test_one_that_does_not_stop_talking_is_cut_off(monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 60.0)

    def talk_for_ever(port: int) -> int:
        with socket.create_connection((LOCAL, port), timeout=PATIENCE_S) as sock:
            for pieces in range(10**6):
                try:
                    sock.sendall(bytes(1024))
                except OSError:
                    return pieces
        raise AssertionError("it took all of it")

    async def steps() -> int:
        async with quiet() as agent:
            return await asyncio.to_thread(talk_for_ever, agent.port)

    assert run(steps()) < 10**5


def test_one_that_resets_the_connection_leaves_no_trace(caplog):
    async def steps() -> bytes:
        async with quiet() as agent:
            for _ in range(50):
                with await asyncio.to_thread(connected, agent) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return await ask(agent)

    assert run(steps()) == b"ready up\n"
    assert caplog.records == []


# Who must know


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 20)), max_size=40), st.floats(0, 20), st.floats(0.1, 10))
def test_all_know_when_everyone_who_asked_lately_has_asked_twice_more(questions, drain_at, grace):
    balancers = Balancers(grace)
    # One history of questions and of the drain, in the order of time.
    history = sorted([(at, f"10.0.0.{who}") for who, at in questions if at != drain_at] + [(drain_at, "")])
    for at, who in history:
        if who:
            balancers.asked(who, at)
        else:
            balancers.drain(at)
    recent = {who for at, who in history if who and at < drain_at and drain_at - at <= grace}
    twice = {who: [at for at, asker in history if asker == who and at > drain_at][1:2] for who in recent}
    assert set(balancers.untold) == {who for who, moments in twice.items() if not moments}
    seconds = [moments[0] for moments in twice.values() if moments]
    in_time = max(seconds, default=drain_at) if not balancers.untold else drain_at + grace
    assert balancers.told_at == min(in_time, drain_at + grace)


def test_before_a_drain_nobody_knows():
    balancers = Balancers(5.0)
    balancers.asked("10.0.0.1", 0.0)
    assert balancers.told_at == float("inf")


def test_of_too_many_who_asked_the_longest_silent_is_forgotten():
    balancers = Balancers(1000.0)
    for number in range(module.MOST_BALANCERS + 3):
        balancers.asked(str(number), float(number))
    balancers.drain(100.0)
    assert list(balancers.untold) == [str(number) for number in range(3, module.MOST_BALANCERS + 3)]

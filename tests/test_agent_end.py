"""How a service with a swlb.agent ends: whom it waits for, for how long, and what signals do."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from swlb import agent as module
from swlb.agent import Agent
from tests.test_agent import LOCAL, ask, ask_now, quiet, run

PATIENCE_S = 10.0
ANOTHER = "127.0.0.2"


@pytest.fixture(autouse=True)
def briskly(monkeypatch):
    """No client of these tests is a round trip away."""
    monkeypatch.setattr(module, "SETTLE_S", 0.0)
    monkeypatch.setattr(module, "POLL_S", 0.01)


async def still_waits(waiter: asyncio.Task[bool]) -> bool:
    """Whether it has not ended, after time enough to."""
    await asyncio.wait({waiter}, timeout=10 * module.POLL_S)
    return not waiter.done()


@contextmanager
def waiting(agent: Agent, timeout: float | None = PATIENCE_S) -> Iterator[asyncio.Task[bool]]:
    waiter = asyncio.ensure_future(agent.until_drained(timeout))
    yield waiter
    waiter.cancel()


# Balancers


def test_a_drain_waits_until_the_balancer_has_asked_again_after_it_heard_of_it():
    async def steps() -> tuple[bytes, bytes]:
        async with quiet(grace=PATIENCE_S) as agent:
            with waiting(agent) as waiter:
                assert await still_waits(waiter)  # nobody has said that it ends
                await ask(agent)
                agent.drain("new version")
                assert await still_waits(waiter)  # the balancer does not know
                first = await ask(agent)
                assert await still_waits(waiter)  # it may not have acted on it
                second = await ask(agent)
                assert await waiter
                assert await ask(agent) == b"drain stopped\n"
                return first, second

    assert run(steps()) == (b"drain up # new version, sessions left: 0\n",) * 2


def test_every_balancer_is_waited_for():
    async def steps() -> None:
        async with quiet(grace=PATIENCE_S) as agent:
            with waiting(agent) as waiter:
                await ask(agent)
                await ask(agent, source=ANOTHER)
                agent.drain()
                for _ in range(3):
                    await ask(agent)
                assert await still_waits(waiter)
                for _ in range(2):
                    await ask(agent, source=ANOTHER)
                assert await waiter

    run(steps())


def test_a_balancer_that_has_gone_is_waited_for_no_longer_than_grace(caplog):
    async def steps() -> bool:
        async with quiet(grace=1.0) as agent:
            await ask(agent)
            agent.drain()
            return await agent.until_drained(PATIENCE_S)

    assert run(steps())
    assert caplog.messages == [f"may still choose this server, not having asked twice: {LOCAL}"]


def test_where_nobody_asks_nobody_is_waited_for():
    async def steps() -> bool:
        async with quiet(grace=PATIENCE_S) as agent:
            agent.drain()
            return await asyncio.wait_for(agent.until_drained(), PATIENCE_S / 2)

    assert run(steps())


def test_a_handshake_that_was_under_way_may_still_be_completed(monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.3)

    async def steps() -> float:
        loop = asyncio.get_running_loop()
        async with quiet() as agent:
            agent.drain()
            began = loop.time()
            await agent.until_drained()
            return loop.time() - began

    assert run(steps()) >= 0.3


# Sessions


def test_a_drain_waits_for_the_sessions_that_there_are():
    async def steps() -> bytes:
        async with quiet() as agent:
            with waiting(agent) as waiter, agent.session():
                with agent.session():
                    agent.drain()
                assert await still_waits(waiter)
                line = await ask(agent)
            with waiting(agent) as waiter:
                assert await waiter
            return line

    assert run(steps()) == b"drain up # drain, sessions left: 1\n"


def test_a_drain_waits_for_the_sessions_that_the_service_counts_itself():
    async def steps() -> bool:
        left = [3]
        async with quiet(sessions=lambda: left[0]) as agent:
            with waiting(agent) as waiter:
                agent.drain()
                assert await still_waits(waiter)
                left[0] = 0
                return await waiter

    assert run(steps())


def test_a_session_that_ends_in_an_exception_has_ended():
    agent = quiet()
    with suppress(ZeroDivisionError), agent.session():
        raise ZeroDivisionError
    assert agent.sessions == 0


def test_sessions_that_do_not_end_are_given_up_in_time(caplog):
    async def steps() -> bool:
        async with quiet() as agent:
            with agent.session():
                agent.drain()
                return await agent.until_drained(0.2)

    assert run(steps()) is False
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.endswith("sessions left: 1")


def test_time_runs_from_the_beginning_of_the_drain():
    async def steps() -> bool:
        async with quiet() as agent:
            with agent.session():
                agent.drain()
                await asyncio.sleep(0.2)
                return await asyncio.wait_for(agent.until_drained(0.2), 0.15)

    assert run(steps()) is False


def test_a_connection_is_not_to_be_kept_in_a_drain():
    agent = quiet()
    assert not agent.draining
    agent.drain()
    assert agent.draining


# Signals

SERVICE = """
import asyncio, logging, signal, sys
from swlb.agent import Agent

async def main():
    agent = Agent(0, host="127.0.0.1")
    async def talk(reader, writer):
        with agent.session():
            while line := await reader.readline():
                writer.write(line)
        writer.close()
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with agent:
        print(agent.port, server.sockets[0].getsockname()[1], flush=True)
        return await agent.until_drained(timeout=float(sys.argv[1]))

logging.basicConfig(level=logging.INFO, format="%(message)s")
sys.exit(0 if asyncio.run(main()) else 3)
"""


@dataclass(frozen=True)
class Service:
    """A service in a process of its own that says again what it is told, and its agent."""

    process: subprocess.Popen[str]
    agent_port: int
    l4_port: int

    def ended(self) -> tuple[int, list[str]]:
        """Its exit code, and what it has logged."""
        _, logged = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, logged.splitlines()


@contextmanager
def service(timeout: float) -> Iterator[Service]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", SERVICE, str(timeout)], **pipes)
    try:
        yield Service(process, *map(int, process.stdout.readline().split()))
    finally:
        process.kill()
        process.communicate()


def test_sigterm_drains_and_the_process_ends_when_its_last_session_has():
    with service(PATIENCE_S) as at, socket.create_connection((LOCAL, at.l4_port), timeout=PATIENCE_S) as session:
        session.sendall(b"before\n")
        assert session.recv(100) == b"before\n"
        assert ask_now(at.agent_port) == b"ready up\n"
        at.process.send_signal(signal.SIGTERM)
        while (answer := ask_now(at.agent_port)) == b"ready up\n":
            pass
        assert answer == b"drain up # SIGTERM, sessions left: 1\n"
        ask_now(at.agent_port)
        session.sendall(b"in the drain\n")
        assert session.recv(100) == b"in the drain\n"
        session.shutdown(socket.SHUT_WR)
        assert session.recv(100) == b""
        code, logged = at.ended()
    assert code == 0
    assert logged[0] == "draining (SIGTERM), sessions: 1"
    assert logged[1].startswith("drained after ")
    assert logged[1].endswith(" s, sessions left: 0")


def test_sigterm_once_more_ends_the_waiting():
    with service(60.0) as at, socket.create_connection((LOCAL, at.l4_port), timeout=PATIENCE_S) as session:
        session.sendall(b"x\n")
        session.recv(100)
        at.process.send_signal(signal.SIGTERM)
        while not ask_now(at.agent_port).startswith(b"drain"):
            pass
        at.process.send_signal(signal.SIGTERM)
        code, logged = at.ended()
    assert code == 3
    assert logged[1] == "SIGTERM in a drain: not waiting any longer"


def test_a_process_that_is_not_waited_for_by_anybody_ends_in_its_time():
    with service(0.3) as at, socket.create_connection((LOCAL, at.l4_port), timeout=PATIENCE_S) as session:
        session.sendall(b"x\n")
        session.recv(100)
        at.process.send_signal(signal.SIGTERM)
        code, _ = at.ended()
    assert code == 3


@pytest.fixture
def own_handler() -> Iterator[object]:
    """A handler of the process's own."""

    def handler(number: int, frame: object) -> None:
        raise AssertionError("it was the agent's turn")

    before = signal.signal(signal.SIGUSR1, handler)
    yield handler
    signal.signal(signal.SIGUSR1, before)


def test_signals_do_afterwards_what_they_did_before(own_handler):
    async def steps() -> bool:
        async with Agent(0, host=LOCAL, signals=(signal.SIGUSR1,)) as agent:
            signal.raise_signal(signal.SIGUSR1)
            return await agent.until_drained(PATIENCE_S)

    assert run(steps())
    assert signal.getsignal(signal.SIGUSR1) is own_handler


def test_where_signals_cannot_be_heard_the_port_is_free_again():
    ports: list[int] = []

    async def steps() -> None:
        agent = Agent(0, host=LOCAL)
        try:
            await agent.__aenter__()
        except RuntimeError:
            ports.append(agent.port)

    thread = threading.Thread(target=lambda: asyncio.run(steps()))
    thread.start()
    thread.join()
    with pytest.raises(ConnectionRefusedError):
        ask_now(ports[0])

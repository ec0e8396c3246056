"""A reload as a whole, over ports of memory: what is in force, what is told, and what is undone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
from control import CONFIG, Control, control

from swlb import reloading
from swlb.build_ports import Opened, host_port_name
from swlb.config import Config
from swlb.errors import ConfigError, SwlbError
from swlb.ports import Ports
from swlb.probes import Way
from swlb.reloading import Reloading

WITH_WEB3 = CONFIG.replace("      web1v6:", "      web3: {address: 10.0.2.13, port: 8080}\n      web1v6:")
BAD = CONFIG.replace("weight: 4", "weight: many").replace("sessions: 100", "sessions: 200")


class MemoryPorts(Ports):
    """Ports without devices, which say how each change of theirs has ended."""

    def __init__(self) -> None:
        super().__init__({})
        self.ended: list[str] = []
        self.macs = {}

    @contextmanager
    def prepare(self, config: Config):
        """What has the ports of the configuration."""
        self.config = config
        self.ended.append("abandoned")
        yield self

    def devices(self) -> dict[str, Opened]:
        """Ports of memory."""
        return {name: Opened((), 1500) for name in [*self.config.ports, *map(host_port_name, self.config.segments)]}

    def commit(self, *_) -> None:
        """The change is kept."""
        self.ended[-1] = "kept"

    def close(self) -> None:
        """What has left is closed."""


class Bench:
    """A reloading of a balancer under test, whose file is at `file`."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "swlb.yaml"
        self.file.write_text(CONFIG)
        self.control: Control = control()
        self.control.ports = self.ports = MemoryPorts()
        self.control.hear = lambda: None
        self.reloading = Reloading(self.control, self.file)

    def servers(self) -> list[str]:
        return [name for service, name in self.control.balancer.servers if service == "web"]

    def told(self, kind: str) -> list[str]:
        return [event["text"] for event in self.control.events.rows() if event["kind"] == kind]


@pytest.fixture
def on_bench(tmp_path, monkeypatch):
    """Runs a scenario; its checks have been stopped afterwards."""
    monkeypatch.setattr(reloading, "check_surroundings", lambda config, *, twins: [])
    ways = {(name, version): Way("lo") for name in ("outside", "inside") for version in (4, 6)}
    monkeypatch.setattr(reloading, "ways_out", lambda config, ports: ways)

    def run(scenario: Callable[[Bench], Awaitable[None]]) -> None:
        async def main() -> None:
            bench = Bench(tmp_path)
            await scenario(bench)
            await bench.control.balancer.stop()

        asyncio.run(main())

    return run


def test_the_file_is_in_force_and_that_is_told(on_bench):
    async def scenario(at: Bench) -> None:
        workers = at.control.built.workers
        at.file.write_text(WITH_WEB3)
        assert await at.reloading.reload(None) == "1 server added"
        assert at.servers() == ["web1", "web2", "web3", "web1v6"]
        assert (at.control.built.workers, at.ports.ended) == (workers, ["kept"])
        assert at.told("config_loaded") == [f"{at.file}: 1 server added"]

    on_bench(scenario)


def test_another_file_is_the_one_to_read_from_then_on(on_bench):
    async def scenario(at: Bench) -> None:
        other = at.file.with_name("other.yaml")
        other.write_text(WITH_WEB3)
        await at.reloading.reload(other)
        assert await at.reloading.reload(None) == "nothing is different"
        assert at.reloading.file == other

    on_bench(scenario)


def test_another_order_of_servers_is_in_force(on_bench):
    async def scenario(at: Bench) -> None:
        first, second = CONFIG[CONFIG.index("      web1:") :].splitlines(keepends=True)[:2]
        at.file.write_text(CONFIG.replace(first + second, second + first))
        await at.reloading.reload(None)
        assert (at.servers(), at.ports.ended) == (["web2", "web1", "web1v6"], ["kept"])

    on_bench(scenario)


def test_all_problems_of_a_file_are_told_and_nothing_has_changed(on_bench):
    async def scenario(at: Bench) -> None:
        before = at.control.config, at.control.built
        other = at.file.with_name("other.yaml")
        other.write_text(BAD)
        with pytest.raises(ConfigError) as refusal:
            await at.reloading.reload(other)
        assert [problem.line for problem in refusal.value.problems] == [2, 13]
        (event,) = at.control.events.rows()
        assert (event["kind"], event["problems"]) == ("config_refused", str(refusal.value).splitlines())
        assert all(problem in event["text"] for problem in event["problems"])
        assert (at.control.config, at.control.built) == before
        assert (at.reloading.file, at.ports.ended) == (at.file, [])

    on_bench(scenario)


@pytest.mark.parametrize(("error", "told"), [
    (ValueError("there is room for 3 only"), "room for 3 only; reload in two steps"),
    (MemoryError(), "no memory for the workers to take it over; .* free some"),
])
def test_devices_are_given_up_where_workers_cannot_take_it_over(on_bench, monkeypatch, error, told):
    def fail(*_):
        raise error

    async def scenario(at: Bench) -> None:
        before = at.control.config, at.control.built
        at.file.write_text(WITH_WEB3)
        with monkeypatch.context() as patch:
            patch.setattr(reloading, "take_over", fail)
            with pytest.raises(SwlbError, match=told):
                await at.reloading.reload(None)
        assert (at.control.config, at.control.built, at.ports.ended) == (*before, ["abandoned"])
        assert len(at.told("config_refused")) == 1
        await at.reloading.reload(None)
        assert at.servers() == ["web1", "web2", "web3", "web1v6"]

    on_bench(scenario)


def test_a_mistake_after_the_workers_have_taken_over_is_not_told_as_a_refusal(on_bench, monkeypatch):
    def fail(*_):
        raise ValueError("a mistake")

    async def scenario(at: Bench) -> None:
        at.file.write_text(WITH_WEB3)
        monkeypatch.setattr(at.ports, "commit", fail)
        with pytest.raises(RuntimeError, match="failed in itself, halfway"):
            await at.reloading.reload(None)
        assert at.told("config_refused") == []

    on_bench(scenario)


def test_two_at_once_are_done_one_after_the_other(on_bench):
    async def scenario(at: Bench) -> None:
        other = at.file.with_name("other.yaml")
        other.write_text(WITH_WEB3)
        done = await asyncio.gather(*(at.reloading.reload(file) for file in (other, at.file, other)))
        assert done == ["1 server added", "1 server removed", "1 server added"]

    on_bench(scenario)


def test_whenever_asked_it_reads_the_file_whatever_came_of_it_the_last_time(on_bench):
    async def scenario(at: Bench) -> None:
        asked = asyncio.Event()
        task = asyncio.create_task(at.reloading.at(asked))
        for text, kind in ((BAD, "config_refused"), (WITH_WEB3, "config_loaded")):
            at.file.write_text(text)
            asked.set()
            while not at.told(kind):
                await asyncio.sleep(0.01)
        assert "web3" in at.servers()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    on_bench(scenario)


def test_nothing_is_changed_any_more_once_it_has_ended(on_bench):
    async def scenario(at: Bench) -> None:
        at.file.write_text(WITH_WEB3)
        begun = asyncio.create_task(at.reloading.reload(None))
        await asyncio.sleep(0)
        await at.reloading.end()
        assert begun.done()
        at.file.write_text(CONFIG)
        with pytest.raises(SwlbError, match="ending"):
            await at.reloading.reload(None)
        assert "web3" in at.servers()

    on_bench(scenario)

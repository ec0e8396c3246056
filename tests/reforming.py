"""A balancer under test that goes over to another configuration, on a clock moved by hand."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable

from control import Control, control
from told import Told

from swlb.build import Built, build, take_over
from swlb.build_ports import Opened, host_port_name
from swlb.config import parse
from swlb.probes import Way
from swlb.succession import inform, up_in
from swlb.workers import Workers


class Informed(Workers):
    """Workers that write down what they are told of each server, in the order in which it comes."""

    def __init__(self, workers: Iterable, told: list[tuple[int, dict]]) -> None:
        super().__init__(list(workers))
        self.told = told

    def set_server(self, index: int, **said) -> None:
        """The server is so."""
        self.told.append((index, said))
        super().set_server(index, **said)


class Reforming:
    """A balancer with the configuration of a text, and another one after `go_over`.

    `said` is what workers, those of the image among them, were told of servers since.
    """

    def __init__(self, text: str) -> None:
        self.told = Told()
        self.said: list[tuple[int, dict]] = []
        self.control: Control = control(text, probe_of=self.told.probe_of)
        self.told.clock = self.clock = self.control.clock
        self.balancer = self.control.balancer
        self.meant: list[str] = []
        self._take(self._spied(self.control.built))

    def go_over(self, text: str) -> None:
        """The configuration of the text is in force."""
        self.said.clear()
        config = parse(text, file="test.yaml", running=self.balancer.config)
        names = [*config.ports, *map(host_port_name, config.segments)]
        up = up_in(self.balancer.servers, config)
        devices = {name: Opened((), 1500) for name in names}
        image = self._spied(build(config, devices, up_at_start=up, previous=self.control.built))
        informed = inform(image, self.balancer.servers, config)
        built = take_over(self.control.built, image)
        ways = {(name, version): Way("lo") for name in config.segments for version in (4, 6)}
        self.meant = self.balancer.reconfigure(config, built, ways, informed)
        self.control.config = config
        self._take(built)

    def _spied(self, built: Built) -> Built:
        return dataclasses.replace(built, workers=Informed(built.workers, self.said))

    def _take(self, built: Built) -> None:
        self.control.built = self.balancer.built = built

    def last_said(self, word: str) -> dict[str, int]:
        """What workers were told last in that word, by "SERVICE/SERVER"."""
        last = {index: said[word] for index, said in self.said}
        return {"/".join(key): last[index] for key, index in self.control.built.servers.items() if index in last}

    async def until(self, moment: float) -> None:
        await self.clock.advance_to(moment)

    def states(self) -> dict[str, str]:
        """The operational state of each server."""
        return {"/".join(key): state.operational for key, state in self.balancer.servers.items()}

    def asked(self, kind: str, target: str) -> list[float]:
        """When probes of that kind were sent to the target."""
        return self.told.asked[kind, target]

    def events(self, *kinds: str) -> list[str]:
        """The texts of the events, or of those of some kinds."""
        return [event["text"] for event in self.control.events.rows() if not kinds or event["kind"] in kinds]


def reforming(text: str, scenario: Callable[[Reforming], Awaitable[None]]) -> None:
    """Run a scenario on a balancer whose checks have begun; no task outlives it."""

    async def run() -> None:
        under_test = Reforming(text)
        under_test.balancer.start()
        await scenario(under_test)
        await under_test.balancer.stop()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())

"""A balancer under test that goes over to another configuration, on a clock moved by hand."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from control import Control, control
from told import Told

from swlb.build import Opened, build, host_port_name
from swlb.config import Config, parse
from swlb.probes import Way
from swlb.succession import inform, up_in
from swlb.workers import Workers


class Informed(Workers):
    """Workers that remember what they were told of each server, in the order in which it came."""

    def __init__(self, workers: Sequence) -> None:
        super().__init__(workers)
        self.told: list[tuple[int, dict]] = []

    def set_server(self, index: int, **said) -> None:
        """The server is so."""
        self.told.append((index, said))
        super().set_server(index, **said)


class Reforming:
    """A balancer with the configuration of a text, and another one after `go_over`."""

    def __init__(self, text: str) -> None:
        self.told = Told()
        self.control: Control = control(text, probe_of=self.told.probe_of)
        self.told.clock = self.clock = self.control.clock
        self.balancer = self.control.balancer
        self.meant: list[str] = []
        self.image = self.control.built

    def go_over(self, text: str) -> None:
        """The configuration of the text is in force."""
        config = parse(text, file="test.yaml", running=self.balancer.config)
        self.image = self._image(config)
        informed = inform(self.image, self.balancer.servers, config)
        ways = {(name, version): Way("lo") for name in config.segments for version in (4, 6)}
        self.meant = self.balancer.reconfigure(config, self.image, ways, informed)
        self.control.config, self.control.built = config, self.image

    def _image(self, config: Config):
        names = [*config.ports, *map(host_port_name, config.segments)]
        up = up_in(self.balancer.servers, config)
        built = build(config, {name: Opened((), 1500) for name in names}, up_at_start=up)
        workers = Informed([built.workers[number] for number in range(len(built.workers))])
        return dataclasses.replace(built, workers=workers, pins=self.control.built.pins)

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

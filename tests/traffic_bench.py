"""Where passive evidence is tested: a balancer whose workers count, and whose probes end, as they are told."""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable, Callable

from control import Control, control
from manual_clock import ManualClock

from swlb.balancer import Balancer
from swlb.config import Check
from swlb.probes import Outcome, Target, Way
from swlb.workers import Workers

STATUS = {True: "L4OK", False: "L4TOUT"}


class ToldWorkers(Workers):
    """Workers that have counted, beside their own, what a test says."""

    def __init__(self, workers: Workers) -> None:
        super().__init__([workers[number] for number in range(len(workers))])
        self.told: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def server(self, index: int) -> dict[str, int]:
        """The server's counters."""
        return {name: count + self.told[index][name] for name, count in super().server(index).items()}


class Bench:
    """A balancer under test on a clock moved by hand, which begins at 100.

    `ok` and `takes` say how the probes of a server end, by its address; `probed` are the moments at which they began.
    """

    def __init__(self, text: str) -> None:
        made = control(text)
        self.workers = ToldWorkers(made.built.workers)
        built = dataclasses.replace(made.built, workers=self.workers)
        self.clock: ManualClock = made.clock
        ways = made.balancer._paths._ways
        self.balancer = Balancer(
            made.config, built, ways, made.clock, made.events, probe_of=lambda kind: self.probe
        )
        self.control = Control(made.config, built, made.events, made.clock, self.balancer)
        self.ok: dict[str, bool] = defaultdict(lambda: True)
        self.takes: dict[str, float] = defaultdict(float)
        self.probed: dict[str, list[float]] = defaultdict(list)

    async def probe(self, check: Check, target: Target, way: Way) -> Outcome:
        """A probe that ends as it was told."""
        address, began = str(target.address), self.clock.now()
        self.probed[address].append(began)
        ok = self.ok[address]
        await self.clock.sleep_until(began + self.takes[address])
        return Outcome(ok, STATUS[ok], "as told", (self.clock.now() - began) * 1000)

    def count(self, server: str, *, service: str = "web", **counts: int) -> None:
        """So much more was counted of the server since the last look."""
        for name, count in counts.items():
            self.workers.told[self.control.server(server, service).index][name] += count

    async def until(self, moment: float) -> None:
        await self.clock.advance_to(moment)

    def states(self, service: str = "web") -> dict[str, str]:
        """The operational states of a service's servers."""
        return {name: state.operational for (of, name), state in self.balancer.servers.items() if of == service}

    def told(self, kind: str) -> list[str]:
        """The texts of the events of a kind."""
        return [event["text"] for event in self.control.events.rows() if event["kind"] == kind]


def on_bench(text: str, scenario: Callable[[Bench], Awaitable[None]]) -> None:
    """Run a scenario with checks started and the traffic watched; no task outlives it."""

    async def run() -> None:
        bench = Bench(text)
        bench.balancer.start()
        watching = asyncio.create_task(bench.balancer.traffic.watch())
        await scenario(bench)
        if watching.done():
            watching.result()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await bench.balancer.stop()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())

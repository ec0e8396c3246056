"""The order of a run: figure after figure, each through all peers in turn, round after round.

What is compared is thus taken within seconds of each other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .commands import BenchError, run
from .drivers import DRIVERS, Driver, Figure
from .idle import IDLE, measure_idle
from .peers import Peer, Setup
from .samples import Samples
from .servers import HTTP_PORT
from .table import digits
from .topology import Topology

FIGURES = (*(figure for driver in DRIVERS for figure in driver.figures), IDLE)


@dataclass(frozen=True)
class Step:
    """One measurement to come; without a setup, the quiet seconds in which all are watched at once."""

    round: int
    driver: Driver | None = None
    setup: Setup | None = None

    @property
    def title(self) -> str:
        """What is measured, for a person."""
        if self.driver is None or self.setup is None:
            return "idle CPU, all peers"
        return f"{self.driver.title}, {self.setup.peer.title}"


def start(peers: Sequence[Peer], topology: Topology, *, tell: Callable[[str], None]) -> list[Setup]:
    """Every peer is up and has carried one request from its client to its server."""
    setups = []
    for peer in peers:
        tell(f"starting {peer.title}")
        setup = peer.start(peer, topology)
        _check_reachable(setup)
        setups.append(setup)
    return setups


def plan(setups: Sequence[Setup], rounds: int) -> Iterator[Step]:
    """The steps in their order."""
    for number in range(1, rounds + 1):
        yield Step(number)
        for driver in DRIVERS:
            yield from (Step(number, driver, setup) for setup in setups if driver.fits(setup))


@dataclass
class Results:
    """What a run found out: the values, remarks on single values, and measurements that failed."""

    samples: Samples = field(default_factory=Samples)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Runner:
    """Takes steps; what they gave, or that they failed, is in `results`."""

    def __init__(self, topology: Topology, setups: Sequence[Setup], *, seconds: int) -> None:
        self._topology = topology
        self._setups = setups
        self._seconds = seconds
        self.results = Results()

    def take(self, step: Step) -> str:
        """A short form of the step's values, or "failed"."""
        try:
            values = self._measure(step)
        # A program or /proc answered nothing, or something strange. The other steps are still worth taking.
        except (BenchError, OSError, ValueError, KeyError) as error:
            self.results.failures.append(f"round {step.round}, {step.title}: {error}")
            self._record_failure(step)
            return "failed"
        for figure, peer, value in values:
            self.results.samples.add(figure.key, peer, value)
        return ", ".join(f"{digits(value)} {figure.unit}" if step.setup else f"{peer} {digits(value)} {figure.unit}"
                         for figure, peer, value in values)

    def _measure(self, step: Step) -> list[tuple[Figure, str, float]]:
        if not (step.driver and step.setup):
            return [(IDLE, peer, share) for peer, share in measure_idle(self._setups).items()]
        if step.setup.balancer:
            step.setup.balancer.check_running()
        reading = step.driver.measure(step.setup, self._topology, self._seconds)
        if reading.remark:
            self.results.remarks.append(f"round {step.round}, {step.title}: {reading.remark}")
        name = step.setup.peer.name
        return [(figure, name, value) for figure, value in zip(step.driver.figures, reading.values, strict=True)]

    def _record_failure(self, step: Step) -> None:
        """None in the place of each value, so that the values of a round stay beside each other."""
        figures = step.driver.figures if step.driver else (IDLE,)
        setups = (step.setup,) if step.setup else [setup for setup in self._setups if setup.balancer]
        for figure in figures:
            for setup in setups:
                self.results.samples.add(figure.key, setup.peer.name, None)


def _check_reachable(setup: Setup) -> None:
    """The server's page was read through the peer. Three tries: neighbours have to find each other first."""
    answer = run(["curl", "-sS", "--max-time", "2", "--retry", "3", "--retry-delay", "1", "--retry-connrefused",
                  f"http://{setup.target}:{HTTP_PORT}/"], netns=setup.client)
    if answer != "ok":
        raise BenchError(f"{setup.peer.title}: the web server's answer arrived as {answer!r}")

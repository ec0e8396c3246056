"""The order of a run: figure after figure, each through all peers in turn, round after round.

What is compared is thus taken within seconds of each other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .commands import BenchError, Unavailable, run
from .drivers import DRIVERS, Driver
from .figure import Figure, Reading
from .idle import IDLE, measure_idle
from .own import OWN_DRIVERS, OwnDriver
from .peer import Peer, Setup
from .samples import Samples, digits
from .servers import HTTP_PORT
from .topology import Topology

SUBJECT = "swlb"
FIGURES = (*(figure for driver in DRIVERS for figure in driver.figures), IDLE,
           *(figure for own in OWN_DRIVERS for figure in own.figures))


@dataclass(frozen=True)
class Step:
    """One measurement to come: its figures, the peers it gives values for, and how it is taken."""

    round: int
    title: str
    figures: tuple[Figure, ...]
    peers: tuple[str, ...]
    measure: Callable[[], dict[str, Reading]]


@dataclass
class Results:
    """What a run found out: the values, remarks on single values, what failed, and what this machine cannot do."""

    samples: Samples = field(default_factory=Samples)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class Runner:
    """Brings peers up and takes steps; what they gave, or that they failed, is in `results`."""

    def __init__(self, topology: Topology, *, seconds: int, chosen: Sequence[str]) -> None:
        """`chosen` are the keys of the figures that are wanted; what comes along with them is left out."""
        self._topology = topology
        self._seconds = seconds
        self._chosen = frozenset(chosen)
        self.setups: list[Setup] = []
        self.results = Results()

    def start(self, peer: Peer) -> str:
        """The peer is up and has carried a request from its client to its server, or is one of the skipped."""
        try:
            setup = peer.start(peer, self._topology)
            _check_reachable(setup)
        except Unavailable as error:
            self.results.skipped.append(f"{peer.title}: {error}")
            return f"skipped: {error}"
        # Whatever it is, the other peers are still worth measuring.
        except (BenchError, OSError) as error:
            self.results.failures.append(f"{peer.title} did not come up: {error}")
            return "failed"
        self.setups.append(setup)
        return "up"

    def plan(self, rounds: int, *, own: bool) -> Iterator[Step]:
        """The steps in their order; `own`: with those of swlb itself."""
        for number in range(1, rounds + 1):
            for step in self._round(number, own=own):
                if self._chosen.intersection(figure.key for figure in step.figures):
                    yield step

    def take(self, step: Step) -> str:
        """A short form of the step's values, or "failed"."""
        try:
            readings = step.measure()
        except Unavailable as error:
            self._skip(f"{step.title}: {error}")
            return "skipped"
        # A program or /proc answered nothing, or something strange. The other steps are still worth taking.
        except (BenchError, OSError, ValueError, KeyError) as error:
            self.results.failures.append(f"round {step.round}, {step.title}: {error}")
            # None in the place of each value, so that the values of a round stay beside each other.
            readings = {peer: Reading((None,) * len(step.figures)) for peer in step.peers}
        return self._record(step, readings) or "failed"

    def _round(self, number: int, *, own: bool) -> Iterator[Step]:
        watched = tuple(setup.peer.name for setup in self.setups if setup.balancer)
        if watched:
            yield Step(number, "idle CPU, all peers", (IDLE,), watched, self._idle)
        if own:
            yield from (self._own_step(number, driver) for driver in OWN_DRIVERS)
        for driver in DRIVERS:
            for setup in self.setups:
                if driver.fits(setup):
                    yield self._step(number, driver, setup)

    def _step(self, number: int, driver: Driver, setup: Setup) -> Step:
        def measure() -> dict[str, Reading]:
            if setup.balancer:
                setup.balancer.check_running()
            return {setup.peer.name: driver.measure(setup, self._topology, self._seconds)}

        return Step(number, f"{driver.title}, {setup.peer.title}", driver.figures, (setup.peer.name,), measure)

    def _own_step(self, number: int, driver: OwnDriver) -> Step:
        def measure() -> dict[str, Reading]:
            return {SUBJECT: driver.measure(self._topology)}

        return Step(number, f"{driver.title}, swlb itself", driver.figures, (SUBJECT,), measure)

    def _idle(self) -> dict[str, Reading]:
        return {peer: Reading((share,)) for peer, share in measure_idle(self.setups).items()}

    def _record(self, step: Step, readings: dict[str, Reading]) -> str:
        said = []
        for peer, reading in readings.items():
            if reading.remark:
                self.results.remarks.append(f"round {step.round}, {step.title}: {reading.remark}")
            for figure, value in zip(step.figures, reading.values, strict=True):
                if figure.key not in self._chosen:
                    continue
                self.results.samples.add(figure.key, peer, value)
                if value is not None:
                    said.append(f"{peer} " * (len(readings) > 1) + f"{digits(value)} {figure.unit}")
        return ", ".join(said)

    def _skip(self, sentence: str) -> None:
        if sentence not in self.results.skipped:
            self.results.skipped.append(sentence)


def _check_reachable(setup: Setup) -> None:
    """The server's page was read through the peer. Three tries: neighbours have to find each other first."""
    answer = run(["curl", "-sS", "--max-time", "2", "--retry", "3", "--retry-delay", "1", "--retry-connrefused",
                  f"http://{setup.target}:{HTTP_PORT}/"], netns=setup.client)
    if answer != "ok":
        raise BenchError(f"{setup.peer.title}: the web server's answer arrived as {answer!r}")

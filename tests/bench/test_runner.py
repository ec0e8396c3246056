"""The order of a run, and what becomes of a measurement that fails; nothing is started."""

import pytest

from swlb.bench import runner
from swlb.bench.commands import BenchError, Unavailable
from swlb.bench.drivers import Driver
from swlb.bench.figure import Figure, Reading
from swlb.bench.own import OwnDriver
from swlb.bench.peer import Peer, Setup
from swlb.bench.peers import PEERS
from swlb.bench.runner import Runner
from swlb.bench.topology import Process, Topology

TWO = (Figure("p50", "p50", "µs"), Figure("p99", "p99", "µs"))
ALL = ("p50", "p99", "idle", "bytes")
BYTES = (Figure("bytes", "bytes", "bytes", own=True),)


class Resting(Process):
    """A balancer's process of which nobody asks anything."""

    def __init__(self) -> None:
        pass

    def check_running(self) -> None:
        pass


def driver(answer: Reading | Exception, *, udp: bool = False) -> Driver:
    def measure(setup: Setup, topology: Topology, seconds: int) -> Reading:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Driver("ping", TWO, measure, udp=udp)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Makes a Runner with these drivers and three peers that are up."""
    def make(*drivers: Driver, chosen: tuple[str, ...] = ALL) -> Runner:
        monkeypatch.setattr(runner, "DRIVERS", drivers)
        monkeypatch.setattr(runner, "OWN_DRIVERS",
                            (OwnDriver("memory", BYTES, lambda topology: Reading((52.0,))),))
        made = Runner(Topology(), seconds=1, chosen=chosen)
        made.setups = [Setup(PEERS[name], client="c", server="s", target="10.0.1.100",
                             balancer=Resting() if name != "direct" else None)
                       for name in ("swlb", "direct", "haproxy")]
        return made

    return make


def order(made: Runner, rounds: int, *, own: bool = False) -> list[str]:
    return ["+".join(step.peers) for step in made.plan(rounds, own=own)]


IDLE = "swlb+haproxy"  # those with a process


def test_each_figure_goes_through_all_peers_before_the_next(run) -> None:
    assert order(run(driver(Reading(())), driver(Reading(()))), 1) == [
        IDLE, "swlb", "direct", "haproxy", "swlb", "direct", "haproxy"]


def test_rounds_repeat_the_whole_order(run) -> None:
    assert order(run(driver(Reading(()))), 2) == [IDLE, "swlb", "direct", "haproxy"] * 2


def test_haproxy_is_not_asked_for_udp(run) -> None:
    assert order(run(driver(Reading(()), udp=True)), 1) == [IDLE, "swlb", "direct"]


def test_figures_of_swlb_itself_are_taken_once_a_round(run) -> None:
    assert order(run(chosen=("bytes",)), 2, own=True) == ["swlb", "swlb"]


def test_only_steps_that_give_a_chosen_figure_are_taken(run) -> None:
    assert order(run(driver(Reading(())), chosen=("idle",)), 1) == [IDLE]


def test_what_comes_along_with_a_chosen_figure_is_left_out(run) -> None:
    made = run(driver(Reading((20.0, 40.0))), chosen=("p99",))
    assert made.take(next(made.plan(1, own=False))) == "40.0 µs"
    assert made.results.samples.raw() == {"p99": {"swlb": [40.0]}}


def steps(made: Runner, rounds: int = 1) -> list:
    """Those of the drivers."""
    return [step for step in made.plan(rounds, own=False) if step.figures == TWO]


def test_a_reading_becomes_one_sample_for_each_figure(run) -> None:
    made = run(driver(Reading((20.0, 40.0))))
    assert made.take(steps(made)[0]) == "20.0 µs, 40.0 µs"
    assert made.results.samples.raw() == {"p50": {"swlb": [20.0]}, "p99": {"swlb": [40.0]}}


def test_a_value_that_a_peer_cannot_have_is_no_failure(run) -> None:
    made = run(driver(Reading((20.0, None))))
    assert made.take(steps(made)[0]) == "20.0 µs"
    assert made.results.failures == []


def test_a_failed_measurement_keeps_its_place_in_the_round(run) -> None:
    made = run(driver(BenchError("no answer")))
    assert made.take(steps(made)[0]) == "failed"
    made.take(steps(run(driver(Reading((20.0, 40.0)))))[0])
    assert made.results.samples.raw()["p50"] == {"swlb": [None, 20.0]}


def test_a_failed_measurement_is_reported_with_its_round_and_peer(run) -> None:
    made = run(driver(BenchError("no answer")))
    made.take(steps(made, 2)[-2])
    assert made.results.failures == ["round 2, ping, direct link: no answer"]


def test_remarks_are_kept_for_the_raw_data(run) -> None:
    made = run(driver(Reading((1.0, 2.0), "3 retransmits")))
    made.take(steps(made)[0])
    assert made.results.remarks == ["round 1, ping, swlb: 3 retransmits"]


def refusing(error: Exception) -> Peer:
    def start(peer: Peer, topology: Topology) -> Setup:
        raise error

    return Peer("other", "another", start)


def test_a_peer_that_the_machine_cannot_run_is_skipped_with_a_sentence(run) -> None:
    made = run()
    assert made.start(refusing(Unavailable("no io_uring"))) == "skipped: no io_uring"
    assert (made.results.skipped, made.results.failures) == (["another: no io_uring"], [])


def test_a_peer_that_does_not_come_up_is_a_failure_and_the_others_go_on(run) -> None:
    made = run()
    assert made.start(refusing(BenchError("ended with 2"))) == "failed"
    assert made.results.failures == ["another did not come up: ended with 2"]
    assert len(made.setups) == 3

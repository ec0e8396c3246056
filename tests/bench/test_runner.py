"""The order of a run, and what becomes of a measurement that fails; nothing is started."""

import pytest

from . import runner
from .commands import BenchError
from .drivers import Driver, Figure, Reading
from .peers import PEERS, Setup
from .runner import Runner, Step, plan
from .topology import Topology

SETUPS = [Setup(PEERS[name], client="c", server="s", target="10.0.1.100") for name in ("swlb", "direct", "haproxy")]
TWO = (Figure("p50", "p50", "µs"), Figure("p99", "p99", "µs"))


def driver(answer: Reading | Exception, *, udp: bool = False) -> Driver:
    def measure(setup: Setup, topology: Topology, seconds: int) -> Reading:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Driver("ping", TWO, measure, udp=udp)


def order(rounds: int) -> list[str]:
    return [step.setup.peer.name if step.setup else "idle" for step in plan(SETUPS, rounds)]


def test_each_figure_goes_through_all_peers_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DRIVERS", (driver(Reading(())), driver(Reading(()))))
    assert order(1) == ["idle", "swlb", "direct", "haproxy", "swlb", "direct", "haproxy"]


def test_rounds_repeat_the_whole_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DRIVERS", (driver(Reading(())),))
    assert order(2) == ["idle", "swlb", "direct", "haproxy"] * 2


def test_haproxy_is_not_asked_for_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DRIVERS", (driver(Reading(()), udp=True),))
    assert order(1) == ["idle", "swlb", "direct"]


def test_a_reading_becomes_one_sample_for_each_figure() -> None:
    run = Runner(Topology(), SETUPS, seconds=1)
    assert run.take(Step(1, driver(Reading((20.0, 40.0))), SETUPS[0])) == "20.0 µs, 40.0 µs"
    assert run.results.samples.raw() == {"p50": {"swlb": [20.0]}, "p99": {"swlb": [40.0]}}


def test_a_failed_measurement_keeps_its_place_in_the_round() -> None:
    run = Runner(Topology(), SETUPS, seconds=1)
    run.take(Step(1, driver(BenchError("no answer")), SETUPS[0]))
    run.take(Step(2, driver(Reading((20.0, 40.0))), SETUPS[0]))
    assert run.results.samples.raw()["p50"] == {"swlb": [None, 20.0]}


def test_a_failed_measurement_is_reported_with_its_round_and_peer() -> None:
    run = Runner(Topology(), SETUPS, seconds=1)
    run.take(Step(2, driver(BenchError("no answer")), SETUPS[1]))
    assert run.results.failures == ["round 2, ping, direct link: no answer"]


def test_remarks_are_kept_for_the_raw_data() -> None:
    run = Runner(Topology(), SETUPS, seconds=1)
    run.take(Step(1, driver(Reading((1.0, 2.0), "3 retransmits")), SETUPS[0]))
    assert run.results.remarks == ["round 1, ping, swlb: 3 retransmits"]

"""What swlb is meant to reach, and how a run is judged by it."""

import pytest

from swlb.bench.figure import Figure
from swlb.bench.marks import MARKS, Bound, Mark, Verdict, judge, mark_words
from swlb.bench.peers import PEERS
from swlb.bench.runner import FIGURES
from swlb.bench.samples import Samples

BULK = Figure("bulk", "bulk", "Gb/s")
PING = Figure("ping", "ping", "µs", higher_is_better=False)
BYTES = Figure("bytes", "bytes", "bytes", higher_is_better=False, compared=False, own=True)


def judged(mark: Mark | Bound, **values: float) -> list[Verdict]:
    samples = Samples()
    for peer, value in values.items():
        samples.add(mark.figure, peer, value)
    return judge(samples, [BULK, PING, BYTES], [mark])


def test_every_mark_speaks_of_figures_and_peers_that_there_are() -> None:
    keys = {figure.key for figure in FIGURES}
    for mark in MARKS:
        assert mark.figure in keys
        assert mark.subject in PEERS
        assert not isinstance(mark, Mark) or mark.other in PEERS


def test_no_mark_is_set_twice() -> None:
    about = [(mark.figure, mark.subject, mark.other if isinstance(mark, Mark) else None) for mark in MARKS]
    assert len(about) == len(set(about))


def test_every_mark_beside_a_peer_is_of_a_figure_that_is_compared() -> None:
    compared = {figure.key for figure in FIGURES if figure.compared}
    assert {mark.figure for mark in MARKS if isinstance(mark, Mark)} <= compared


@pytest.mark.parametrize(("ours", "words"), [(20.0, "reached"), (25.0, "reached"), (15.0, "missed by 25.0 %")])
def test_a_mark_is_reached_by_at_least_its_ratio(ours: float, words: str) -> None:
    (verdict,) = judged(Mark("bulk", "nft", 2.0), swlb=ours, nft=10.0)
    assert verdict.judgement == words


@pytest.mark.parametrize(("ours", "reached"), [(8.0, True), (8.1, False)])
def test_a_latency_of_at_most_0_8_is_a_mark_of_1_25(ours: float, reached: bool) -> None:
    (verdict,) = judged(Mark("ping", "nft", 1.25), swlb=ours, nft=10.0)
    assert verdict.reached is reached


@pytest.mark.parametrize(("ours", "words"), [(64.0, "reached"), (0.0, "reached"), (96.0, "missed by 50.0 %")])
def test_a_bound_is_reached_by_at_most_its_value(ours: float, words: str) -> None:
    (verdict,) = judged(Bound("bytes", 64.0), swlb=ours)
    assert verdict.judgement == words


def test_a_bound_of_nothing_is_missed_by_anything() -> None:
    (verdict,) = judged(Bound("bytes", 0), swlb=1.0)
    assert verdict.judgement == "missed"


def test_a_mark_whose_figure_was_not_measured_for_both_has_no_verdict() -> None:
    assert judged(Mark("bulk", "nft", 2.0), swlb=10.0) == []
    assert judged(Mark("bulk", "nft", 2.0, subject="swlb-switch"), swlb=10.0, nft=10.0) == []


def test_a_mark_is_told_with_the_titles_of_both_peers() -> None:
    (verdict,) = judged(Mark("bulk", "nft", 2.0), swlb=15.0, nft=10.0)
    assert mark_words(verdict, {"swlb": "swlb", "nft": "nftables DNAT"}) == (
        "bulk", "swlb vs nftables DNAT", "≥ 2.00×", "1.50×")


def test_a_bound_is_told_with_its_unit() -> None:
    (verdict,) = judged(Bound("bytes", 64.0), swlb=52.2)
    assert mark_words(verdict, {}) == ("bytes", "swlb", "≤ 64.0 bytes", "52.2 bytes")

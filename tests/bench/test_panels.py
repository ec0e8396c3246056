"""What the picture of a run shows, and that it can be drawn."""

from pathlib import Path

import pytest

from swlb.bench.figure import Figure
from swlb.bench.panels import chosen_base, panels
from swlb.bench.results import Report
from swlb.bench.runner import Results
from swlb.bench.samples import Samples, Summary
from swlb.bench.table import Column
from swlb.errors import SwlbError

BULK = Figure("bulk", "bulk", "Gb/s")
PING = Figure("ping", "ping", "µs", higher_is_better=False)
IDLE = Figure("idle", "idle", "%", compared=False)
COLUMNS = [Column(name, name) for name in ("swlb", "direct", "nft", "haproxy")]


def samples() -> Samples:
    made = Samples()
    for peer, values in {"swlb": (12.0, 18.0), "direct": (20.0, 30.0), "nft": (10.0, 20.0)}.items():
        for value in values:
            made.add("bulk", peer, value)
    made.add("ping", "swlb", 10.0)
    made.add("ping", "nft", 20.0)
    made.add("idle", "nft", 1.0)
    return made


def bars(figure: Figure) -> dict[str, Summary | None]:
    (panel,) = panels(samples(), [figure], COLUMNS, "nft")
    return {bar.peer: bar.ratio for bar in panel.bars}


def test_a_bar_is_the_ratio_to_the_base_round_by_round() -> None:
    assert bars(BULK)["swlb"] == Summary(1.05, 0.9, 1.2)


def test_a_longer_bar_is_better_for_latencies_too() -> None:
    assert bars(PING)["swlb"] == Summary(2.0, 2.0, 2.0)


def test_the_base_is_one_to_itself() -> None:
    assert bars(BULK)["nft"] == Summary(1.0, 1.0, 1.0)


def test_a_peer_that_cannot_do_it_keeps_its_place_without_a_bar() -> None:
    assert list(bars(BULK)) == [column.peer for column in COLUMNS]
    assert bars(BULK)["haproxy"] is None


def test_figures_that_are_not_compared_or_that_the_base_lacks_have_no_panel() -> None:
    assert [panel.figure for panel in panels(samples(), [BULK, PING, IDLE], COLUMNS, "direct")] == [BULK]


def test_the_base_is_the_wanted_peer_or_the_second() -> None:
    assert chosen_base(COLUMNS, "nft") == COLUMNS[2]
    assert chosen_base(COLUMNS, "ovs") == COLUMNS[1]
    assert chosen_base(COLUMNS[:1], "nft") is None


def report(columns: list[Column]) -> Report:
    machine = {"date": "2026-11-25", "kernel": "6.18", "cores": 2, "commit": "abc", "versions": {}}
    return Report(machine, 2, 1, [BULK, PING], columns, Results(samples=samples()), [])


def test_a_run_becomes_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install 'swlb[bench]'")
    from swlb.bench.plot import draw

    draw(report(COLUMNS), tmp_path / "new" / "run.png", base="nft")
    assert (tmp_path / "new" / "run.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_with_one_peer_is_nothing_to_draw(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install 'swlb[bench]'")
    from swlb.bench.plot import draw

    with pytest.raises(SwlbError, match="nothing to draw"):
        draw(report(COLUMNS[:1]), tmp_path / "run.png", base="nft")


def test_a_plot_without_matplotlib_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from swlb.bench import plot

    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(SwlbError, match=r"pip install matplotlib"):
        plot.check_plotting()

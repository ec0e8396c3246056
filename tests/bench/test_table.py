"""Statistics and the tables made of them, from samples that were never measured."""

import pytest
from rich.console import Console, RenderableType

from swlb.bench.figure import Figure
from swlb.bench.samples import Samples, Summary, digits, summarise
from swlb.bench.table import Column, grid_table, own_table, ratio_table, report, value_table

BULK = Figure("bulk", "bulk", "Gb/s")
PING = Figure("ping", "ping", "µs", higher_is_better=False)
IDLE = Figure("idle", "idle", "%", higher_is_better=False, compared=False)
BYTES = Figure("bytes", "bytes", "bytes", higher_is_better=False, compared=False, own=True)
SWLB, HAPROXY = Column("swlb", "swlb"), Column("haproxy", "HAProxy")


def samples_of(figure: str, **values: list[float | None]) -> Samples:
    samples = Samples()
    for peer, series in values.items():
        for value in series:
            samples.add(figure, peer, value)
    return samples


def printed(table: RenderableType) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def row(table: RenderableType, title: str) -> list[str]:
    """The words of the row with this title, without the title."""
    return next(line.split()[1:] for line in printed(table).splitlines() if line.split()[:1] == [title])


def test_summary_is_median_lowest_and_highest() -> None:
    assert summarise([3.0, 1.0, 10.0]) == Summary(3.0, 1.0, 10.0)


def test_median_of_an_even_number_lies_between_the_middle_two() -> None:
    assert summarise([1.0, 2.0, 4.0, 100.0]) == Summary(3.0, 1.0, 100.0)


def test_failed_measurements_are_not_part_of_a_summary() -> None:
    assert summarise([None, 2.0, None]) == Summary(2.0, 2.0, 2.0)


def test_nothing_measured_has_no_summary() -> None:
    assert summarise([None, None]) is None


def test_ratio_pairs_the_values_of_one_round() -> None:
    # The machine became twice as slow after the first round; the ratio did not change.
    samples = samples_of("bulk", swlb=[20.0, 10.0, 10.0], haproxy=[10.0, 5.0, 5.0])
    assert samples.ratio("bulk", "swlb", "haproxy", higher_is_better=True) == Summary(2.0, 2.0, 2.0)


def test_ratio_is_the_median_of_ratios_not_the_ratio_of_medians() -> None:
    samples = samples_of("bulk", swlb=[10.0, 30.0, 20.0], haproxy=[10.0, 10.0, 20.0])
    assert samples.ratio("bulk", "swlb", "haproxy", higher_is_better=True) == Summary(1.0, 1.0, 3.0)


def test_ratio_above_one_is_better_when_less_is_better() -> None:
    samples = samples_of("ping", swlb=[20.0], haproxy=[60.0])
    assert samples.ratio("ping", "swlb", "haproxy", higher_is_better=False) == Summary(3.0, 3.0, 3.0)


@pytest.mark.parametrize("missing", [None, 0.0])
def test_a_round_that_lacks_a_value_is_left_out_of_the_ratio(missing: float | None) -> None:
    samples = samples_of("bulk", swlb=[10.0, 30.0], haproxy=[missing, 10.0])
    assert samples.ratio("bulk", "swlb", "haproxy", higher_is_better=True) == Summary(3.0, 3.0, 3.0)


def test_a_peer_that_cannot_do_it_has_no_ratio() -> None:
    assert samples_of("udp", swlb=[500.0]).ratio("udp", "swlb", "haproxy", higher_is_better=True) is None


def test_raw_samples_keep_rounds_and_failures_in_order() -> None:
    assert samples_of("bulk", swlb=[2.0, None, 1.0]).raw() == {"bulk": {"swlb": [2.0, None, 1.0]}}


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0.00"), (0.333, "0.33"), (9.994, "9.99"), (9.996, "10.0"), (47.46, "47.5"), (99.94, "99.9"), (99.96, "100"),
    (596.4, "596"), (1234.5, "1234")])
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_one_value_is_shown_without_a_spread() -> None:
    assert row(value_table(samples_of("bulk", swlb=[12.34]), [BULK], [SWLB]), "bulk") == ["Gb/s", "12.3"]


def test_several_values_are_shown_with_their_spread() -> None:
    table = value_table(samples_of("bulk", swlb=[12.0, 14.0, 13.0]), [BULK], [SWLB])
    assert row(table, "bulk") == ["Gb/s", "13.0"]
    assert "12.0–14.0" in printed(table)


def test_what_a_peer_cannot_do_is_shown_as_a_dash() -> None:
    assert row(value_table(samples_of("bulk", swlb=[12.0]), [BULK], [SWLB, HAPROXY]), "bulk") == ["Gb/s", "12.0", "-"]


def test_ratio_is_shown_as_a_factor() -> None:
    samples = samples_of("bulk", swlb=[12.0], haproxy=[8.0])
    assert row(ratio_table(samples, [BULK], [HAPROXY], subject="swlb"), "bulk") == ["1.50×"]


@pytest.mark.parametrize(("ours", "style"), [
    ([12.0, 13.0], "bold green"), ([10.5, 13.0], ""), ([8.0, 12.0], ""), ([7.0, 8.0], "bold red")])
def test_a_ratio_is_coloured_only_when_no_round_contradicts_it(ours: list[float | None], style: str) -> None:
    samples = samples_of("bulk", swlb=ours, haproxy=[10.0, 10.0])
    cell = next(iter(ratio_table(samples, [BULK], [HAPROXY], subject="swlb").columns[1].cells))
    assert str(getattr(cell, "style", None)) == style


def test_figures_without_a_meaningful_ratio_are_not_compared() -> None:
    samples = samples_of("idle", swlb=[0.3], haproxy=[0.1])
    assert "idle" not in printed(ratio_table(samples, [IDLE], [HAPROXY], subject="swlb"))


def test_ratios_come_before_the_values() -> None:
    text = printed(report(samples_of("ping", swlb=[20.0], haproxy=[60.0]), [PING], [SWLB, HAPROXY], [], subject="swlb"))
    assert text.index("3.00×") < text.index("60.0")


@pytest.mark.parametrize("columns", [[HAPROXY], [SWLB]])
def test_a_run_that_cannot_compare_shows_values_alone(columns: list[Column]) -> None:
    samples = samples_of("bulk", swlb=[12.0], haproxy=[8.0])
    assert "how many times" not in printed(report(samples, [BULK], columns, [], subject="swlb"))


def test_a_run_that_measured_nothing_beside_peers_shows_swlb_itself_alone() -> None:
    samples = samples_of("bytes", swlb=[52.0, 54.0])
    text = printed(report(samples, [BYTES], [], [], subject="swlb"))
    assert "swlb itself" in text
    assert "values" not in text


def test_figures_of_swlb_itself_are_shown_with_unit_value_and_spread() -> None:
    samples = samples_of("bytes", swlb=[52.0, 54.0])
    assert row(own_table(samples, [BYTES], subject="swlb"), "bytes") == ["bytes", "53.0", "52.0–54.0"]


def test_cells_of_one_title_are_a_table_by_row_and_column() -> None:
    grid = [Figure(f"choice_{row}_{n}", "choosing", "ns", own=True, row=row, column=f"{n} servers")
            for row in ("rr", "lc") for n in (2, 10)]
    samples = Samples()
    for value, figure in enumerate(grid[:3]):
        samples.add(figure.key, "swlb", 10.0 + value)
    table = grid_table(samples, grid, subject="swlb")
    assert (row(table, "rr"), row(table, "lc")) == (["10.0", "11.0"], ["12.0", "-"])
    assert printed(report(samples, grid, [SWLB], [], subject="swlb")).count("choosing") == 1

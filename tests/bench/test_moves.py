"""Flows that move when servers change: the figures of the bench against what can be worked out."""

import pytest

from swlb.bench.moves import CHANGES, EQUAL, FLOWS, SERVERS, measure_moves
from tests.oracle import hashing


def twins(weights: dict[int, int]) -> list[hashing.Server]:
    return [hashing.Server(f"198.51.100.{number + 1}", 80, weight) for number, weight in weights.items()]


def test_modulo_moves_as_much_as_the_theory_says() -> None:
    # Five standard deviations, with what is unlikeliest.
    assert measure_moves("hash") == pytest.approx([change.modulo for change in CHANGES],
                                                  abs=5 * (0.09 / (SERVERS * FLOWS)) ** 0.5 * 100)


def test_maglev_moves_little_more_than_it_must() -> None:
    for value, change in zip(measure_moves("maglev"), CHANGES, strict=True):
        # 2 % is what is promised when one of ten goes.
        assert change.least - 0.5 <= value <= change.least + 2


def test_the_theory_is_that_of_counting_every_remainder() -> None:
    comes, weighs = CHANGES[1:]
    for n in (0, 4, 9):
        assert float(hashing.moved_by_modulo(twins(EQUAL), twins(comes.of(n)))) * 100 == pytest.approx(comes.modulo)
        assert float(hashing.moved_by_modulo(twins(EQUAL), twins(weighs.of(n)))) * 100 == pytest.approx(weighs.modulo)

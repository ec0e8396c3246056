"""What several checks make of their server: the documented table, over every combination of up to four of them."""

from itertools import product

import pytest

from swlb import combined as module
from swlb.combined import NO_WORD, Combined, combined
from tests.doc_tables import rows_of

STATES = ("up", "down", "checking", NO_WORD)
TABLE = rows_of(module, "need")


def documented(need: str, standings: tuple[str, ...]) -> str:
    """What the table says; exactly one row fits."""
    voting = [standing for standing in standings if standing != NO_WORD]
    if not voting:
        return "checking"
    some = ["yes" if state in voting else "no" for state in ("down", "checking", "up")]
    fitting = [row[4] for row in TABLE
               if row[0] == need and all(cell in ("-", is_) for cell, is_ in zip(row[1:4], some, strict=True))]
    assert len(fitting) == 1, (need, standings)
    return fitting[0]


@pytest.mark.parametrize("need", ["all", "any"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_combination_is_as_documented(need: str, count: int) -> None:
    for standings in product(STATES, repeat=count):
        assert combined(need, standings).operational == documented(need, standings), standings


@pytest.mark.parametrize("need", ["all", "any"])
def test_the_decider_is_one_that_stands_as_the_server_does(need: str) -> None:
    for standings in product(STATES[:3], repeat=3):
        for latest in range(3):
            state, decider = combined(need, standings, latest=latest)
            assert standings[decider] == state
            assert decider == latest or standings[latest] != state


def test_without_a_latest_the_first_decides() -> None:
    assert combined("all", ["up", "down", "down"]) == Combined("down", 1)
    assert combined("any", [NO_WORD, "down", "down"]) == Combined("down", 1)

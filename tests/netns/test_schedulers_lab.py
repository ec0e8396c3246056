"""The shares of ten thousand connections under each scheduler, as the lab printed them and as definitions say."""

import pytest

from netns.lab_runs import NAME, NOTHING, ROOT, Told, left_of, told_by
from swlb.lab.in_short import row_of

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tidied_lab")]

CONNECTIONS = 10_000
WEIGHTS = (40, 30, 20, 10)
BY_WEIGHT = [4_000, 3_000, 2_000, 1_000]
EQUAL = [2_500] * 4
# Of 60 that are open the first holds 41: it is passed over once it has more than its weight.
SPILLED = [6_833, 3_167, 0, 0]
OF_AN_ADDRESS = CONNECTIONS // 250
# How far the load may be from even: what has ended may be heard of a moment late.
MARGIN = 200
# Of the chi-square distribution with 3 degrees of freedom: chance exceeds it once in a million runs.
ONCE_IN_A_MILLION = 30.66


@pytest.fixture(scope="module")
def told() -> Told:
    """What the lab printed; it is run once."""
    return told_by("schedulers")


def got(told: Told, service: str) -> list[int]:
    """The connections of each server: two decimals of a percentage are every one of ten thousand."""
    row = next(words for words in map(str.split, told.lines) if words[:2] == [service, "got"])
    return [round(100 * float(word)) for word in row[2:]]


def chi_square(seen: list[int], keys: int) -> float:
    """How far so many keys, each with as many connections as the others, are from the weights."""
    each = CONNECTIONS // keys
    expected = [keys * weight / sum(WEIGHTS) for weight in WEIGHTS]
    return sum((n / each - wanted) ** 2 / wanted for n, wanted in zip(seen, expected, strict=True))


@pytest.mark.parametrize(("service", "shares"), [("rr", EQUAL), ("wrr", BY_WEIGHT), ("fo", [CONNECTIONS, 0, 0, 0])])
def test_where_nothing_but_turns_or_weights_decide_shares_are_exact(told, service, shares):
    assert got(told, service) == shares


LOADS = {"lc": EQUAL, "wlc": BY_WEIGHT, "sed": BY_WEIGHT, "nq": BY_WEIGHT, "p2c": BY_WEIGHT, "overflow": SPILLED}


@pytest.mark.parametrize(("service", "shares"), LOADS.items())
def test_where_load_decides_shares_are_those_of_the_least_load(told, service, shares):
    seen = got(told, service)
    assert sum(seen) == CONNECTIONS
    assert [abs(n - wanted) <= MARGIN for n, wanted in zip(seen, shares, strict=True)] == [True] * 4


def test_overflow_asks_nobody_while_those_before_have_room(told):
    assert got(told, "overflow")[2:] == [0, 0]


@pytest.mark.parametrize(("service", "keys"), [("hash", 250), ("hash-5", CONNECTIONS), ("maglev", CONNECTIONS)])
def test_where_chance_draws_shares_are_by_weight_as_near_as_chance_is(told, service, keys):
    seen = got(told, service)
    assert sum(seen) == CONNECTIONS
    assert chi_square(seen, keys) < ONCE_IN_A_MILLION


def test_under_hash_all_connections_of_an_address_have_one_server(told):
    assert [n % OF_AN_ADDRESS for n in got(told, "hash")] == [0] * 4


def test_every_scheduler_of_the_lab_is_judged_here(told):
    services = [line.split()[0] for line in told.lines if line.split()[1:2] == ["got"]]
    assert services == ["rr", "wrr", "lc", "wlc", "sed", "nq", "p2c", "hash", "hash-5", "maglev", "fo", "overflow"]


# What is asked of every lab


def test_it_leaves_nothing_behind(told):
    assert left_of(NAME) == NOTHING


def test_its_row_in_the_table_of_modes_says_what_was_captured(told):
    assert row_of(told.lab, told.in_short) in (ROOT / "README.md").read_text().splitlines()


def test_its_lines_are_not_beyond_90_columns(told):
    assert max(map(len, told.lines)) <= 90

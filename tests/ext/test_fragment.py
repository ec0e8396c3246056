"""Fragments: a cache in sets of four. Against a dict, it may forget, but never lie."""

import random

from swlb._testing_tables import Fragments
from tests.ext.values import WRAP, ip

TIMEOUT_MS = 1000


def packet(n: int) -> tuple[bytes, bytes, int, int]:
    return ip(f"10.0.0.{n % 5}"), ip(f"10.0.1.{n % 3}"), n, (6, 17)[n % 2]


def test_what_is_found_is_what_was_noted_last() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    table, noted, now, found_n = Fragments(64), {}, WRAP - 5000, 0
    for step in range(20_000):
        now += choose.randrange(3)
        n = choose.randrange(200)
        if choose.random() < 0.4:
            if n not in noted or now - noted[n][1] >= TIMEOUT_MS:
                ends = (ip(f"192.0.2.{choose.randrange(9)}"), ip(f"198.51.100.{choose.randrange(9)}"))
                value = (choose.randrange(1, 4), *ends)
                noted[n] = (value, now)
                table.note(packet(n), *value, now % WRAP)
            continue
        found = table.find(packet(n), TIMEOUT_MS, now % WRAP)
        fresh = n in noted and now - noted[n][1] < TIMEOUT_MS
        assert found is None or (fresh and found == noted[n][0]), f"seed {seed}, step {step}"
        found_n += found is not None
    assert found_n > 500, f"seed {seed}"


def test_the_last_four_of_a_set_are_always_remembered() -> None:
    table = Fragments(4)
    for n in range(20):
        table.note(packet(n), 1, ip("192.0.2.1"), ip("192.0.2.2"), n)
    assert [n for n in range(20) if table.find(packet(n), TIMEOUT_MS, 20)] == [16, 17, 18, 19]


def test_an_entry_is_good_until_its_timeout_also_across_the_wrap_of_the_clock() -> None:
    table = Fragments(4)
    table.note(packet(1), 3, ip("192.0.2.1"), ip("192.0.2.2"), WRAP - 10)
    assert table.find(packet(1), TIMEOUT_MS, TIMEOUT_MS - 11) == (3, ip("192.0.2.1"), ip("192.0.2.2"))
    assert table.find(packet(1), TIMEOUT_MS, TIMEOUT_MS - 10) is None


def test_packets_that_differ_in_one_thing_only_are_told_apart() -> None:
    src, dst, number, protocol = packet(8)
    table = Fragments(64)
    table.note((src, dst, number, protocol), 1, ip("192.0.2.1"), ip("192.0.2.2"), 0)
    others = [(dst, dst, number, protocol), (src, src, number, protocol), (src, dst, number + 1, protocol),
              (src, dst, number, protocol + 1)]
    assert [table.find(other, TIMEOUT_MS, 0) for other in others] == [None] * 4


def test_there_is_room_for_as_many_packets_as_configured() -> None:
    assert [Fragments(n).room for n in (1, 4, 5, 4096)] == [4, 4, 8, 4096]

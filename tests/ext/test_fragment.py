"""The table of packets in fragments: what has come of each against the slow twin; who gives way when a set is full."""

import random

from swlb._testing_fragments import Fragments
from tests.ext.values import WRAP, ip
from tests.oracle.fragments import Fragment, Packet

TIMEOUT_MS = 1000
ENDS = (ip("192.0.2.1"), ip("192.0.2.2"))
DST_END = 2


def packet(n: int) -> tuple[bytes, bytes, int, int]:
    return ip(f"10.0.0.{n % 5}"), ip(f"10.0.1.{n % 3}"), n, (6, 17)[n % 2]


def known(table: Fragments, n: int, now_ms: int) -> bool:
    """The packet's first fragment has come, and it is somebody's; False when there was no room."""
    if not table.begin(packet(n), True, now_ms):
        return False
    assert table.add(packet(n), 0, 8, True, now_ms) == "fresh"
    table.note(packet(n), DST_END, *ENDS, now_ms)
    return True


def some_fragment(choose: random.Random) -> Fragment:
    """Often one that lies beside others, sometimes anywhere."""
    if choose.random() < 0.1:
        at, n = choose.randrange(8191) * 8, choose.randrange(1, 200)
    else:
        at, n = choose.randrange(12) * 512, choose.choice([512, 512, 512, 1024, 8])
    more = choose.random() < 0.85
    n = min(n, 65535 - at)
    return Fragment(None, at, n // 8 * 8 or 8 if more and at + 8 <= 65535 else n, more and at + 8 <= 65535)


def test_what_has_come_is_what_the_slow_twin_says() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    table, said = Fragments(4, TIMEOUT_MS), {"fresh": 0, "again": 0, "overlap": 0}
    for number in range(400):
        twin = Packet(0)
        assert table.begin(packet(number), True, 0)
        for step in range(choose.randrange(1, 30)):
            new = some_fragment(choose)
            wanted = "overlap" if twin.contradicts(new) else "again" if new in twin.came else "fresh"
            got = table.add(packet(number), new.at, new.n, new.more, 0)
            assert got == wanted, f"seed {seed}, packet {number}, step {step}: {new} after {twin.came}"
            said[got] += 1
            if got == "overlap":
                break
            if got == "fresh":
                twin.came.append(new)
            state = "whole" if twin.is_whole() else "known" if twin.has_begun() else "early"
            assert table.find(packet(number), 0)[0] == state, f"seed {seed}, packet {number}, step {step}"
            assert table.audit() is None, f"seed {seed}"
    assert min(said.values()) > 50, f"seed {seed}: {said}"


def test_what_is_found_is_what_was_noted_last() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    table, noted, now, found_n = Fragments(64, TIMEOUT_MS), {}, WRAP - 5000, 0
    for step in range(20_000):
        now += choose.randrange(3)
        n = choose.randrange(200)
        found = table.find(packet(n), now % WRAP)
        fresh = n in noted and now - noted[n][1] < TIMEOUT_MS
        assert found is None or (fresh and found[1:] == noted[n][0]), f"seed {seed}, step {step}"
        found_n += found is not None
        if found is None and choose.random() < 0.4:
            ends = (ip(f"192.0.2.{choose.randrange(9)}"), ip(f"198.51.100.{choose.randrange(9)}"))
            value = (choose.randrange(1, 4), *ends)
            assert table.begin(packet(n), True, now % WRAP)
            table.add(packet(n), 0, 8, True, now % WRAP)
            noted[n] = (value, now)
            table.note(packet(n), *value, now % WRAP)
    assert found_n > 500, f"seed {seed}"


def test_the_last_four_of_a_set_are_always_remembered() -> None:
    table = Fragments(4, TIMEOUT_MS)
    assert all(known(table, n, n) for n in range(20))
    assert [n for n in range(20) if table.find(packet(n), 20)] == [16, 17, 18, 19]


def test_what_has_no_beginning_takes_the_place_of_its_like_only() -> None:
    table = Fragments(4, TIMEOUT_MS)
    assert all(known(table, n, n) for n in range(3))
    assert all(table.begin(packet(n), False, n) for n in range(3, 20))
    assert [n for n in range(20) if table.find(packet(n), 20)] == [0, 1, 2, 19]
    assert known(table, 20, 20)
    assert not table.begin(packet(21), False, 21)
    assert [n for n in range(22) if table.find(packet(n), 21)] == [0, 1, 2, 20]


def test_a_packet_that_is_whole_gives_way_before_all_others() -> None:
    table = Fragments(4, TIMEOUT_MS)
    assert all(known(table, n, n) for n in range(4))
    assert table.add(packet(3), 8, 1, False, 4) == "fresh"
    assert table.begin(packet(4), False, 5)
    assert [n for n in range(5) if table.find(packet(n), 5)] == [0, 1, 2, 4]


def test_a_packet_is_good_until_its_timeout_also_across_the_wrap_of_the_clock() -> None:
    table = Fragments(4, TIMEOUT_MS)
    known(table, 1, WRAP - 10)
    assert table.find(packet(1), TIMEOUT_MS - 11) == ("known", DST_END, *ENDS)
    assert table.find(packet(1), TIMEOUT_MS - 10) is None


def test_packets_that_differ_in_one_thing_only_are_told_apart() -> None:
    src, dst, number, protocol = packet(8)
    table = Fragments(64, TIMEOUT_MS)
    known(table, 8, 0)
    others = [(dst, dst, number, protocol), (src, src, number, protocol), (src, dst, number + 1, protocol),
              (src, dst, number, protocol + 1)]
    assert [table.find(other, 0) for other in others] == [None] * 4


def test_there_is_room_for_as_many_packets_as_configured() -> None:
    assert [Fragments(n, TIMEOUT_MS).room for n in (1, 4, 5, 4096)] == [4, 4, 8, 4096]


def test_identifications_in_a_row_are_spread_under_every_key():
    """450 packets in 1024 sets of 4 seldom meet five in one: what finds no room is counted, over 200 keys."""
    choose = random.Random(4)
    refused = []
    for _ in range(200):
        table = Fragments(4096, TIMEOUT_MS, (choose.getrandbits(64), choose.getrandbits(64)))
        packets = [(*ENDS, number, 17) for number in range(100, 550)]
        for packet in packets:
            table.begin(packet, True, 0)
        refused.append(sum(table.find(packet, 0) is None for packet in packets))
    assert max(refused) <= 4
    assert sum(refused) < 100

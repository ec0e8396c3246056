"""`per_source`: how many established sessions one client address may have, held against a dict."""

import random
from collections import Counter
from typing import Any

import pytest

from .balanced import Scene, routed

BOTH = pytest.mark.parametrize("family", [4, 6])
LIMIT = 3
OTHER = {4: "10.0.1.77", 6: "fd00:1:0:1::77"}
SAME_64 = "fd00:1::9999"


def scene(family: int = 4, **given: Any) -> Scene:
    return routed(family, limits={"per_source": LIMIT}, **given)


def begin(of: Scene, sport: int) -> None:
    """A session of the client's is established."""
    if of.protocol == "tcp":
        of.open(sport=sport)
        return
    server = of.call(sport=sport)
    assert server is not None
    of.answer(server, dport=sport)


@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_limit_is_exact_and_what_is_beyond_is_dropped_counted_and_told(family: int, protocol: str) -> None:
    of = scene(family, protocol=protocol)
    for n in range(LIMIT):
        begin(of, 2000 + n)
    assert [of.call(sport=3000 + n) for n in range(2)] == [None, None]
    assert of.net.drops() == {"source_limit": 2}
    told = [event for event in of.net.events() if event["kind"] == "source_limit"]
    assert [event["ip"] for event in told] == [of.client.addresses[0]]
    assert len(of.sessions()) == LIMIT
    for n in range(LIMIT):
        assert of.call("A", sport=2000 + n) is not None


@BOTH
def test_who_ends_a_session_may_begin_another(family: int) -> None:
    of = scene(family)
    for n in range(LIMIT):
        begin(of, 2000 + n)
    assert of.call(sport=3000) is None
    of.call("FA", sport=2001)
    begin(of, 3000)
    assert of.call(sport=3001) is None
    of.net.worker.flush_sessions()
    begin(of, 3001)


@BOTH
def test_others_are_not_concerned(family: int) -> None:
    of = scene(family)
    for n in range(LIMIT):
        begin(of, 2000 + n)
    assert of.call(sport=3000, src=OTHER[family]) is not None


def test_ipv6_is_counted_by_64() -> None:
    of = scene(6)
    for n in range(LIMIT):
        begin(of, 2000 + n)
    assert of.call(sport=3000, src=SAME_64) is None


def test_whoever_forges_an_address_takes_nothing_from_whom_it_is() -> None:
    of = scene()
    for n in range(50):
        assert of.call(sport=2000 + n) is not None
    begin(of, 4000)


def test_without_a_limit_nobody_is_counted() -> None:
    of = routed()
    for n in range(50):
        of.open(sport=2000 + n)
    assert of.net.drops() == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_count_is_a_dict_s_under_random_steps(seed: int) -> None:
    dice = random.Random(seed)
    of = scene()
    clients = [f"10.0.1.{n}" for n in range(20, 26)]
    counts: Counter[str] = Counter()
    alive: dict[tuple[str, int], int] = {}
    for step in range(250):
        client, sport = dice.choice(clients), 2000 + dice.randrange(8)
        if (client, sport) in alive:
            server = alive.pop((client, sport))
            assert of.call(dice.choice(["FA", "R"]), sport=sport, src=client) == server
            counts[client] -= 1
        else:
            new = of.call(sport=sport, src=client)
            assert (new is None) == (counts[client] >= LIMIT), (seed, step)
            if new is not None:
                of.send_reply(new, "SA", dport=sport, dst=client)
                of.net.discard()
                assert of.call("A", sport=sport, src=client) == new
                alive[client, sport] = new
                counts[client] += 1
        if dice.random() < 0.02:
            of.net.worker.flush_sessions()
            alive.clear()
            counts.clear()

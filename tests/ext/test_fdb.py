"""The forwarding database against a dict, under random steps."""

import random

import pytest

from swlb._testing_tables import Fdb
from tests.ext.values import WRAP

STEPS = 20_000
AGEING_MS = 1000


def station(n: int) -> bytes:
    return b"\x02" + n.to_bytes(5, "big")


class Model:
    """What an FDB of so many places should do. Keys are in the order in which they were last seen."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.known: dict[tuple[int, int], tuple[int, int]] = {}

    def learn(self, key: tuple[int, int], port: int, now: int) -> tuple[str, bool]:
        """What learning says, and whether another station had to go for it."""
        old = self.known.pop(key, None)
        full = old is None and len(self.known) == self.limit
        if full:
            of_port = [port for port, _ in self.known.values()]
            most = max(range(8), key=lambda p: (of_port.count(p), -p))
            del self.known[next(k for k, (p, _) in self.known.items() if p == most)]
        self.known[key] = (port, now)
        return ("new" if old is None else "known" if old[0] == port else "moved"), full

    def lookup(self, key: tuple[int, int], now: int) -> int | None:
        port, seen = self.known.get(key, (None, 0))
        return None if port is None or now - seen >= AGEING_MS else port

    def forget(self, gone: object) -> None:
        self.known = {key: value for key, value in self.known.items() if not gone(*value)}


@pytest.mark.parametrize("limit", [1, 7, 64])
def test_the_fdb_does_what_a_dict_would(limit: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    fdb, model = Fdb(limit, AGEING_MS, (choose.getrandbits(64), choose.getrandbits(64))), Model(limit)
    now = WRAP - 20_000
    for step in range(STEPS):
        now += choose.choice((0, 0, 1, 3, 20))
        n, vid, port, clock = choose.randrange(2 * limit), choose.choice((0, 0, 7)), choose.randrange(8), now % WRAP
        kind = choose.random()
        if kind < 0.5:
            evictions = fdb.evictions
            said, full = model.learn((n, vid), port, now)
            assert fdb.learn(station(n), vid, port, clock) == said, f"seed {seed}, step {step}"
            assert fdb.evictions - evictions == full
        elif kind < 0.8:
            assert fdb.lookup(station(n), vid, clock) == model.lookup((n, vid), now), f"seed {seed}, step {step}"
        elif kind < 0.9:
            assert fdb.remove(station(n), vid) == (model.known.pop((n, vid), None) is not None), f"seed {seed}"
        elif kind < 0.95:
            fdb.age(clock)
            model.forget(lambda _, seen, now=now: now - seen >= AGEING_MS)
        else:
            fdb.forget_port(port)
            model.forget(lambda of, _, port=port: of == port)
        assert len(fdb) == len(model.known), f"seed {seed}, step {step}"
        if step % 50 == 0:
            assert fdb.audit() is None, f"seed {seed}, step {step}"


def test_a_port_that_invents_stations_loses_its_own_and_nobody_else_s() -> None:
    fdb = Fdb(16, AGEING_MS)
    for n in range(4):
        fdb.learn(station(n), 0, 1, n)
    for n in range(1000):
        fdb.learn(station(1000 + n), 0, 2, 10 + n // 100)
    assert [fdb.lookup(station(n), 0, 20) for n in range(4)] == [1, 1, 1, 1]
    assert (len(fdb), fdb.n_of(1), fdb.n_of(2)) == (16, 4, 12)


def test_a_station_is_forgotten_when_it_was_silent_for_the_ageing_time() -> None:
    fdb = Fdb(4, AGEING_MS)
    fdb.learn(station(1), 0, 3, 0)
    assert fdb.lookup(station(1), 0, AGEING_MS - 1) == 3
    assert fdb.lookup(station(1), 0, AGEING_MS) is None


def test_the_same_mac_in_two_vlans_is_two_stations() -> None:
    fdb = Fdb(4, AGEING_MS)
    fdb.learn(station(1), 10, 1, 0)
    fdb.learn(station(1), 20, 2, 0)
    assert (fdb.lookup(station(1), 10, 0), fdb.lookup(station(1), 20, 0)) == (1, 2)


def test_a_move_is_counted_once() -> None:
    fdb = Fdb(4, AGEING_MS)
    said = [fdb.learn(station(1), 0, port, 0) for port in (1, 1, 2, 2)]
    assert said == ["new", "known", "moved", "known"]
    assert fdb.moves[:3] == [0, 0, 1]

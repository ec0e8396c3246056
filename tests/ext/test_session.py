"""The session table against a dict, under random steps, for both families."""

import random

import pytest

from swlb._testing_sessions import Services, Sessions
from tests.ext.values import STATES, TIMEOUTS_MS, WRAP, balancer, ip

STEPS = 8000
LIMIT = 100
VIPS = (("10.0.0.100", "fd00::100"), ("10.0.0.101", "fd00::101"))
SERVERS = (("10.0.1.1", "10.0.1.2", "fd00:1::1", "fd00:1::2"), ("10.0.1.1", "fd00:1::1"))
# By family: (service, server address, server index)
BEHIND = {4: ((0, "10.0.1.1", 0), (0, "10.0.1.2", 1), (1, "10.0.1.1", 4)),
          6: ((0, "fd00:1::1", 2), (0, "fd00:1::2", 3), (1, "fd00:1::1", 5))}
CLIENT = {4: "192.0.2.", 6: "2001:db8::"}


class Model:
    """request -> [server, state, seen]"""

    def __init__(self) -> None:
        self.rows: dict[tuple, list] = {}

    def expire(self, now: int) -> int:
        gone = [key for key, (_, state, seen) in self.rows.items() if now - seen >= TIMEOUTS_MS[state]]
        for key in gone:
            del self.rows[key]
        return len(gone)

    def counts(self, server: int) -> tuple[int, int]:
        states = [state for of, state, _ in self.rows.values() if of == server]
        active = states.count(STATES["ESTABLISHED"])
        return active, len(states) - active


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("own_port", [8080, 0], ids=["the server's port", "the client's port kept"])
def test_the_session_table_does_what_a_dict_would(family: int, own_port: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    worker = balancer(sessions=LIMIT, vips=VIPS, servers=SERVERS, l4_port=own_port)
    table, services, model = Sessions(worker, family), Services(worker), Model()
    now = WRAP - 10_000
    for step in range(STEPS):
        now += choose.choice((0, 0, 0, 1, 5, 40))
        client, port = ip(f"{CLIENT[family]}{choose.randrange(1, 10)}"), choose.randrange(1000, 1006)
        service, _, server = choose.choice(BEHIND[family])
        vip_port = choose.choice((80, 443))
        request = (client, port, 6, ip(VIPS[service][family == 6]), vip_port)
        known = model.rows.get(request)
        where = f"seed {seed}, step {step}"
        kind = choose.random()
        if kind < 0.35 and known is None and (client, port, server, vip_port) not in clashes(model, own_port):
            state = choose.choice(list(STATES.values()))
            made = table.insert(client, port, 6, vip_port, server, now % WRAP, state)
            assert made == (len(model.rows) < LIMIT), where
            if made:
                model.rows[request] = [server, state, now]
        elif kind < 0.6:
            row = table.of_request(request)
            assert row == (known and (client, port, 6, vip_port, known[0], known[1])), where
            if known:
                at = next(address for _, address, index in BEHIND[family] if index == known[0])
                assert table.of_reply(client, port, 6, ip(at), own_port or vip_port) == row, where
        elif kind < 0.75:
            assert table.remove(request) == (model.rows.pop(request, None) is not None), where
        elif kind < 0.9:
            state = choose.choice(list(STATES.values()))
            assert table.set_state(request, state) == table.count(request, 0, 60, now % WRAP) == bool(known), where
            if known:
                known[1:] = [state, now]
        elif kind < 0.93:
            assert table.sweep(LIMIT, now % WRAP) == model.expire(now), where
        assert len(table) == len(model.rows), where
        if step % 50 == 0:
            assert (table.audit(), services.audit()) == (None, None), where
            counted = worker.server(server)
            assert (counted["sessions_active"], counted["sessions_inactive"]) == model.counts(server), where


def clashes(model: Model, own_port: int) -> set[tuple]:
    """Who may not begin another session: replies from one server's port could not be told apart."""
    taken = set()
    for (client, port, _, _, vip_port), (server, _, _) in model.rows.items():
        same = {0: (0, 4), 4: (0, 4), 2: (2, 5), 5: (2, 5)}.get(server, (server,))
        for of in same:
            taken |= {(client, port, of, any_port) for any_port in ((80, 443) if own_port else (vip_port,))}
    return taken


def test_a_million_ipv4_sessions_take_at_most_64_bytes_each() -> None:
    table = Sessions(balancer(sessions=1_000_000, vips=VIPS, servers=SERVERS), 4)
    assert 50 < table.bytes / 1_000_000 <= 64


@pytest.mark.parametrize("family", [4, 6])
def test_a_table_takes_as_many_sessions_as_it_says(family: int) -> None:
    worker = balancer(sessions=20_000, vips=VIPS, servers=SERVERS)
    table, server = Sessions(worker, family), BEHIND[family][0][2]
    clients = [ip(f"{CLIENT[family]}{n}") for n in range(1, 5)]
    for n in range(20_000):
        assert not table.crowded(clients[n % 4], 1000 + n // 4, 6)
        assert table.insert(clients[n % 4], 1000 + n // 4, 6, 80, server, 0, STATES["SYN_RECV"]), n
    assert not table.insert(clients[0], 999, 6, 80, server, 0, STATES["SYN_RECV"])
    assert table.audit() is None
    assert table.lookup_ns(20_000) > 0


@pytest.mark.parametrize("family", [4, 6])
def test_neighbouring_entries_do_not_overwrite_each_other(family: int) -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    table = Sessions(worker, family)
    _, _, server = BEHIND[family][0]
    vip = ip(VIPS[0][family == 6])
    clients = [ip(f"{CLIENT[family]}{n}") for n in range(1, LIMIT + 1)]
    for n, client in enumerate(clients):
        assert table.insert(client, 1000 + n, 6, 80, server, 0, STATES["SYN_RECV"])
    for n, client in enumerate(clients):
        assert table.of_request((client, 1000 + n, 6, vip, 80))[:2] == (client, 1000 + n)


@pytest.mark.parametrize("family", [4, 6])
def test_timing_look_ups_finds_every_session(family: int) -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    table = Sessions(worker, family)
    for n in range(LIMIT):
        table.insert(ip(f"{CLIENT[family]}1"), 1000 + n, 6, 80, BEHIND[family][n % 3][2], 0, STATES["ESTABLISHED"])
    assert table.lookup_ns(10 * LIMIT) > 0
    assert table.lookup_ns(10 * LIMIT, single=True) > 0


@pytest.mark.parametrize("family", [4, 6])
def test_timing_beginnings_leaves_every_session_where_it_is_found(family: int) -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    table, services = Sessions(worker, family), Services(worker)
    for n in range(LIMIT):
        table.insert(ip(f"{CLIENT[family]}1"), 1000 + n, 6, 80, BEHIND[family][n % 3][2], 0, STATES["ESTABLISHED"])
    for n in (1, 7, 8, 9, LIMIT):
        assert table.insert_ns(n, 5) > 0
        assert (len(table), table.high, table.audit(), services.audit()) == (LIMIT, LIMIT, None, None)


def test_a_full_table_evicts_nobody() -> None:
    worker = balancer(sessions=3, vips=VIPS, servers=SERVERS)
    table = Sessions(worker, 4)
    made = [table.insert(ip("192.0.2.1"), n, 6, 80, 0, 0, STATES["ESTABLISHED"]) for n in range(5)]
    assert made == [True, True, True, False, False]
    assert len(table) == table.high == 3


def test_one_end_point_is_crowded_after_64_sessions_in_its_chain() -> None:
    worker = balancer(sessions=1000, vips=VIPS, servers=SERVERS, l4_port=0)
    table, client = Sessions(worker, 4), ip("192.0.2.1")
    for n in range(63):
        table.insert(client, 1000, 6, n + 1, 0, 0, STATES["ESTABLISHED"])
    assert not table.crowded(client, 1000, 6)
    table.insert(client, 1000, 6, 64, 0, 0, STATES["ESTABLISHED"])
    assert table.crowded(client, 1000, 6)


def test_a_sweep_in_portions_passes_every_session() -> None:
    worker = balancer(sessions=500, vips=VIPS, servers=SERVERS)
    table = Sessions(worker, 4)
    for n in range(500):
        table.insert(ip("192.0.2.1"), n, 6, 80, 0, 0, STATES["CLOSED"])
    pages = table.pages
    assert pages > 1
    assert sum(table.sweep(1, 99) for _ in range(pages)) == 0
    removed = [table.sweep(1, 100) for _ in range(pages)]
    assert sum(removed) == 500
    assert all(removed)


def test_idle_time_is_right_across_the_wrap_of_the_clock() -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    table = Sessions(worker, 4)
    table.insert(ip("192.0.2.1"), 1, 6, 80, 0, WRAP - 50, STATES["CLOSED"])
    assert table.sweep(10, 49) == 0
    assert table.sweep(10, 50) == 1

"""Schedulers that hash, against their plain-Python twin, and what they promise: even shares, few moves."""

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from swlb._testing_hash import admitted, again, flow_hash, schedule_flows
from swlb._worker import Worker
from tests.oracle import hashing
from tests.oracle.hashing import FULL, PRIME, Flow, Server

from .values import TIMEOUTS_MS, ip, mac

KEYS = ("source", "source_port", "destination_port", "five_tuple")
SCHEDULER = 0
FALLBACK = 3
VIPS = {4: "10.0.0.100", 6: "fd00::100"}
UP, DOWN, DRAINED = 1, 0, 3
N_FLOWS = 30_000
GOLDEN = [0xBA0ABF762811A0EC, 0x0390ED341F1F51F1, 0x14B7E88D767F8AEF, 0xB3A0637690AD58BA]


def worker_of(servers: Sequence[Server], scheduler: str, key: str = "five_tuple", *, order: Sequence[int] = (),
              like: Sequence[Any] = ()) -> Any:
    """A Worker with one service that has these servers, all of one family; `order` is the one of the configuration.

    `like` are workers that may have the same tables.
    """
    version = 6 if ":" in servers[0].address else 4
    worker = Worker(n_services=1, n_servers=len(servers), n_addresses=1)
    segment = worker.add_segment(mac=mac("02:00:00:00:00:01"))
    service = worker.add_service(vips=[(ip(VIPS[version]), segment)], protocol=6, l4_first=80, l4_last=80, refuse=0,
                                 orphans=0, on_down=0, timeouts_ns=[ms * 10**6 for ms in TIMEOUTS_MS],
                                 scheduler=scheduler, hash_key=key)
    for n in order or range(len(servers)):
        server = servers[n]
        worker.add_server(service, ip=ip(server.address), l4_port=server.port, weight=server.weight,
                          ready=UP if server.takes else DOWN, backup=server.backup)
    worker.seal(like=like, now_ns=0)
    return worker


def servers_of(*weights: int, version: int = 4) -> list[Server]:
    pattern = "10.0.1.{}" if version == 4 else "fd00:1::{}"
    return [Server(pattern.format(n + 1), weight=weight) for n, weight in enumerate(weights)]


def flows_of(seed: int, n: int, version: int = 4) -> list[Flow]:
    choose = random.Random(seed)
    def address() -> str:
        return (f"10.{choose.randrange(256)}.{choose.randrange(256)}.{choose.randrange(256)}" if version == 4
                else f"fd00:{choose.randrange(65536):x}::{choose.randrange(65536):x}")
    return [Flow(address(), choose.randrange(1024, 65536), VIPS[version]) for _ in range(n)]


def packed(flow: Flow) -> tuple[bytes, int, bytes, int, int]:
    return (ip(flow.client), flow.client_port, ip(flow.vip), flow.vip_port, flow.protocol)


def named(worker: Any, flows: Sequence[Flow], family: int = 4) -> list[int]:
    return [server for server, _ in schedule_flows(worker, 0, family, map(packed, flows))]


def chi_square(counts: Counter[int], weights: Sequence[int]) -> float:
    """How far the counts are from the weights, as a sum of squares."""
    n, total = counts.total(), sum(weights)
    return sum((counts[i] - n * weight / total) ** 2 / (n * weight / total) for i, weight in enumerate(weights))


# ---- the hash ----


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("version", [4, 6])
def test_a_flow_has_the_hash_that_is_written_down(key: str, version: int) -> None:
    for flow in flows_of(7, 500, version):
        assert flow_hash(KEYS.index(key), packed(flow)) == hashing.flow_hash(key, flow), flow


def test_the_hash_of_a_flow_never_changes() -> None:
    """Two machines of different versions share their clients."""
    flow = packed(Flow("192.0.2.1", 40000, "198.51.100.10", 443))
    assert [flow_hash(i, flow) for i in range(4)] == GOLDEN


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_made_of_what_it_names_and_nothing_else(key: str) -> None:
    base = Flow("10.0.0.1", 1024, "10.0.0.100", 80, 6)
    others = {"client": Flow("10.0.0.2"), "client_port": Flow("10.0.0.1", 1025),
              "vip_port": Flow("10.0.0.1", vip_port=81),
              "vip": Flow("10.0.0.1", vip="10.0.0.101"), "protocol": Flow("10.0.0.1", protocol=17)}
    part = {"source": {"client"}, "source_port": {"client", "client_port"}, "destination_port": {"client", "vip_port"},
            "five_tuple": set(others)}[key]
    number = KEYS.index(key)
    changed = {name for name, flow in others.items()
               if flow_hash(number, packed(flow)) != flow_hash(number, packed(base))}
    assert changed == part


def test_another_hash_and_admission_are_as_written_down() -> None:
    choose = random.Random(3)
    for _ in range(500):
        of, attempt, share = choose.randrange(2**64), choose.randrange(1, 17), choose.randrange(FULL + 1)
        assert again(of, attempt) == hashing.again(of, attempt)
        assert admitted(of, share) == hashing.admitted(of, share)


def test_a_server_with_a_growing_share_only_gains_flows() -> None:
    choose = random.Random(5)
    hashes = [choose.randrange(2**64) for _ in range(2000)]
    for less, more in pairwise(range(0, FULL + 1, 16)):
        assert all(admitted(of, more) for of in hashes if admitted(of, less))
    assert not any(admitted(of, 0) for of in hashes)
    assert sum(admitted(of, FULL // 2) for of in hashes) == pytest.approx(1000, abs=110)


# ---- who is named ----


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("weights", [(1,), (1, 1, 1), (3, 1, 2), (0, 5, 1), (65535, 1, 300)])
def test_the_twin_names_the_same_server(scheduler: str, version: int, weights: tuple[int, ...]) -> None:
    servers = [Server(s.address, weight=s.weight, takes=s.weight > 0) for s in servers_of(*weights, version=version)]
    table = hashing.maglev(servers) if scheduler == "maglev" else None
    flows = flows_of(11, 2000, version)
    want = [hashing.named(servers, hashing.flow_hash("five_tuple", flow), table)[0] for flow in flows]
    assert named(worker_of(servers, scheduler), flows, version) == want


def test_the_table_of_maglev_is_the_twins_in_every_place() -> None:
    for weights in ((1, 1, 1, 1), (7, 1, 3, 65535), (2, 0, 4)):
        servers = servers_of(*weights)
        assert worker_of(servers, "maglev").table(0, 4) == hashing.maglev(servers), weights


ALIKE = (servers_of(3, 1, 2, 1), servers_of(3, 1, 2, 2), servers_of(3, 1, 2), servers_of(3, 1, 2, 0),
         [*servers_of(3, 1, 2), Server("10.0.1.9")], [*servers_of(3, 1, 2), Server("10.0.1.4", port=81)],
         [*servers_of(3, 1, 2), Server("10.0.1.4", backup=True)], [*reversed(servers_of(3, 1, 2, 1))],
         servers_of(3, 1, 2, 1, version=6))  # fmt: skip


@pytest.mark.parametrize("servers", ALIKE)
def test_a_table_that_may_come_from_other_workers_is_the_twins_in_every_place(servers: list[Server]) -> None:
    others = [worker_of(other, scheduler) for other in ALIKE for scheduler in ("maglev", "hash")]
    table = worker_of(servers, "maglev", like=others).table(0, 6 if ":" in servers[0].address else 4)
    assert table == hashing.maglev(servers)


def test_a_table_that_came_from_another_worker_is_its_own() -> None:
    """The other one gets another weight, and is gone."""
    servers = servers_of(3, 1, 2)
    other = worker_of(servers, "maglev")
    worker = worker_of(servers, "maglev", like=[other])
    other.set_server(0, ready=UP, weight=9)
    assert other.table(0, 4) == hashing.maglev(hashing.weighing(servers, 0, 9))
    del other
    assert worker.table(0, 4) == hashing.maglev(servers)


def test_two_machines_that_write_their_servers_in_another_order_have_the_same_table() -> None:
    servers = servers_of(3, 1, 2, 1, 5)
    order = [3, 0, 4, 2, 1]
    one, other = worker_of(servers, "maglev").table(0, 4), worker_of(servers, "maglev", order=order).table(0, 4)
    assert [order[n] for n in other] == one


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
def test_shares_of_random_clients_are_those_of_the_weights(scheduler: str) -> None:
    seed = random.randrange(2**32)
    weights = (5, 1, 2, 2, 3, 1, 1, 4, 1, 10)
    counts = Counter(named(worker_of(servers_of(*weights), scheduler, "source"), flows_of(seed, N_FLOWS)))
    # 99.999 % of 9 degrees of freedom stay below 41; places of a table are off by one at most.
    assert chi_square(counts, weights) < 41, f"seed {seed}: {sorted(counts.items())}"


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
def test_clients_in_a_row_are_spread_as_random_ones_are(scheduler: str) -> None:
    flows = [Flow(f"10.1.{n // 256}.{n % 256}") for n in range(20_000)]
    counts = Counter(named(worker_of(servers_of(*[1] * 10), scheduler, "source"), flows))
    assert chi_square(counts, [1] * 10) < 41, sorted(counts.items())


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
def test_servers_that_come_go_drain_and_change_weight_are_followed_by_the_twin(scheduler: str) -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    servers = servers_of(1, 2, 3, 4, 5, 1)
    servers[4] = Server(servers[4].address, weight=5, backup=True)
    servers[5] = Server(servers[5].address, weight=2, backup=True)
    worker = worker_of(servers, scheduler)
    flows = flows_of(seed, 40)
    hashes = [hashing.flow_hash("five_tuple", flow) for flow in flows]
    table = hashing.maglev(servers) if scheduler == "maglev" else None
    for step in range(400):
        n = choose.randrange(6)
        ready = choose.choice((UP, UP, UP, DOWN, DRAINED))
        share = choose.choice((FULL, FULL, 1, 100))
        weight = choose.choice((0, servers[n].weight)) if step % 40 else choose.randrange(1, 9)
        worker.set_server(n, ready=ready, weight=weight, share=share, now_ns=0)
        changed = weight not in (0, servers[n].weight)
        servers[n] = Server(servers[n].address, weight=weight or servers[n].weight, takes=ready == UP and weight > 0,
                            backup=servers[n].backup, share=share)
        if changed and table is not None:
            table = hashing.maglev(servers)
        if not any(server.takes for server in servers):
            continue
        want = [hashing.named(servers, of, table) for of in hashes]
        got = schedule_flows(worker, 0, 4, map(packed, flows))
        assert got == [(n, FALLBACK if other else SCHEDULER) for n, other in want], f"seed {seed}, step {step}"


# ---- who moves ----


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
@pytest.mark.parametrize("how", [{"ready": DOWN, "weight": 1}, {"ready": DRAINED, "weight": 1},
                                 {"ready": UP, "weight": 0}, {"ready": UP, "weight": 1, "share": 1}])
def test_a_server_that_takes_less_moves_nobody_elses_flows(scheduler: str, how: dict[str, int]) -> None:
    flows = flows_of(13, 5000)
    worker = worker_of(servers_of(*[1] * 10), scheduler)
    before = named(worker, flows)
    worker.set_server(4, now_ns=0, **how)
    after = named(worker, flows)
    assert [(b, a) for b, a in zip(before, after, strict=True) if b not in (4, a)] == []
    moved = Counter(a for b, a in zip(before, after, strict=True) if b == 4 != a)
    # They are spread over all others.
    assert len(moved) == 9
    assert max(moved.values()) < 2.2 * moved.total() / 9
    worker.set_server(4, ready=UP, weight=1, now_ns=0)
    assert named(worker, flows) == before


def test_removing_one_of_ten_moves_at_most_two_percent_of_the_others_flows_under_maglev() -> None:
    servers, flows = servers_of(*[1] * 10), flows_of(17, N_FLOWS)
    before = named(worker_of(servers, "maglev"), flows)
    for gone in (0, 4, 9):
        left = hashing.without(servers, gone)
        after = [n + (n >= gone) for n in named(worker_of(left, "maglev"), flows)]
        others = [(b, a) for b, a in zip(before, after, strict=True) if b != gone]
        assert sum(b != a for b, a in others) / len(others) <= 0.02


@pytest.mark.parametrize("gone", [0, 4, 9])
def test_removing_one_of_ten_moves_as_many_flows_under_hash_as_the_theory_says(gone: int) -> None:
    servers, flows = servers_of(*[1] * 10), flows_of(19, N_FLOWS)
    left = hashing.without(servers, gone)
    before, after = named(worker_of(servers, "hash"), flows), named(worker_of(left, "hash"), flows)
    moved = sum(b != a + (a >= gone) for b, a in zip(before, after, strict=True)) / len(flows)
    theory = float(hashing.moved_by_modulo(servers, left))
    # Five standard deviations.
    assert moved == pytest.approx(theory, abs=5 * (theory * (1 - theory) / len(flows)) ** 0.5)


def test_the_theory_for_the_last_of_ten_is_nine_tenths() -> None:
    servers = servers_of(*[1] * 10)
    assert hashing.moved_by_modulo(servers, hashing.without(servers, 9)) == hashing.modulo_theory(10) == Fraction(9, 10)


def test_every_place_of_the_table_is_somebodys_by_weight_to_the_place() -> None:
    weights = (1, 2, 3, 4)
    counts = Counter(worker_of(servers_of(*weights), "maglev").table(0, 4))
    assert counts.total() == PRIME
    assert all(abs(counts[n] - PRIME * weight / 10) <= len(weights) for n, weight in enumerate(weights))


# ---- tables of the control plane ----


def test_a_table_is_read_in_turns_and_those_who_take_nothing_are_passed_by() -> None:
    worker = worker_of(servers_of(1, 1, 1), "table", "none")
    flows = flows_of(1, 8)
    assert named(worker, flows[:4]) == [0, 1, 2, 0]
    worker.set_table(0, 4, [2, 2, 0])
    assert worker.table(0, 4) == [2, 2, 0]
    assert named(worker, flows[:6]) == [2, 2, 0, 2, 2, 0]
    worker.set_server(2, ready=DOWN, weight=1, now_ns=0)
    assert named(worker, flows[:3]) == [0, 0, 0]
    worker.set_server(0, ready=DOWN, weight=1, now_ns=0)
    assert named(worker, flows[:2]) == [1, 1]
    worker.set_table(0, 4, [])
    worker.set_server(0, ready=UP, weight=1, now_ns=0)
    assert sorted(named(worker, flows[:2])) == [0, 1]


def test_turns_go_on_where_they_were_when_a_table_is_given_anew() -> None:
    worker = worker_of(servers_of(1, 1, 1), "table", "none")
    chosen = []
    for flow in flows_of(1, 6):
        worker.set_table(0, 4, [0, 1, 2])
        chosen += named(worker, [flow])
    assert chosen == [0, 1, 2, 0, 1, 2]


def test_a_table_with_a_hash_key_is_read_by_the_hash() -> None:
    worker = worker_of(servers_of(1, 1, 1, 1), "table", "source")
    table = [3, 1, 0, 0, 1]
    worker.set_table(0, 4, table)
    flows = flows_of(23, 500)
    of = [hashing.flow_hash("source", flow) for flow in flows]
    assert named(worker, flows) == [table[h % 5] for h in of]
    worker.set_server(0, ready=DOWN, weight=1, now_ns=0)
    assert named(worker, flows) == [[3, 1, 1, 1, 1][h % 5] for h in of]
    worker.set_table(0, 4, [0])
    assert named(worker, flows) == [(1, 2, 3)[h % 3] for h in of]


def test_a_table_names_only_servers_of_its_service() -> None:
    worker = worker_of(servers_of(1, 1), "table", "none")
    worker.set_table(0, 4, [1])
    for wrong in ([2], [0, 7]):
        with pytest.raises(ValueError, match="serves no client"):
            worker.set_table(0, 4, wrong)
    with pytest.raises(ValueError, match="serves no client"):
        worker.set_table(0, 6, [0])
    with pytest.raises(ValueError, match="65537"):
        worker.set_table(0, 4, [0] * 65538)
    with pytest.raises(ValueError, match="with a table"):
        worker_of(servers_of(1, 1), "maglev").set_table(0, 4, [0])
    assert worker.table(0, 4) == [1]

"""What share of flows moves when a service changes, against the plain-Python twin and against flows themselves."""

import random
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address

import pytest

from swlb._testing_hash import schedule_flows
from swlb._worker import Worker
from swlb.addresses import packed
from swlb.config.service_models import Server, Service
from swlb.config.values import PortRange
from swlb.hash_space import moved, moved_of_others
from tests.oracle import hashing


def service(*weights: int, scheduler: str = "hash", first: int = 1, **more: object) -> Service:
    servers = {f"s{n}": Server(name=f"s{n}", address=ip_address(f"10.0.2.{n}"), port=8080, weight=weight)
               for n, weight in enumerate(weights, first)}
    return Service(name="web", vips=(ip_address("10.0.1.100"),), l4_ports=PortRange(80, 80), scheduler=scheduler,
                   servers=servers, **more)


def without(of: Service, *names: str) -> Service:
    return replace(of, servers={name: server for name, server in of.servers.items() if name not in names})


def weighing(of: Service, name: str, weight: int) -> Service:
    return replace(of, servers={**of.servers, name: replace(of.servers[name], weight=weight)})


def twins(of: Service) -> list[hashing.Server]:
    return [hashing.Server(str(server.address), server.port, server.weight) for server in of.servers.values()]


def flows_moved(before: Service, after: Service, n: int) -> float:
    """By n random flows through the fast path, as two services that have nothing to do with each other."""
    choose = random.Random(29)
    vip = packed(ip_address("10.0.1.100"))
    flows = [(packed(ip_address(choose.randrange(2**32))), choose.randrange(65536), vip, 80, 6) for _ in range(n)]
    names = []
    for of in (before, after):
        worker = Worker(n_services=1, n_servers=len(of.servers))
        worker.add_service(vips=[], protocol=6, l4_first=80, l4_last=80, refuse=0, orphans=0, on_down=0,
                           timeouts_ns=[0] * 12, scheduler=of.scheduler, hash_key=of.hash_key)
        for server in of.servers.values():
            worker.add_server(0, ip=packed(server.address), l4_port=server.port, weight=server.weight, ready=1)
        worker.seal()
        of_index = list(of.servers)
        names.append([of_index[index] for index, _ in schedule_flows(worker, 0, 4, flows)])
    return sum(a != b for a, b in zip(*names, strict=True)) / n


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
def test_a_service_that_stays_what_it_is_moves_nothing(scheduler):
    of = service(3, 1, 2, scheduler=scheduler)
    assert (moved(of, of), moved_of_others(of, of)) == (0.0, 0.0)


@pytest.mark.parametrize(("before", "after"), [("rr", "hash"), ("maglev", "wlc"), ("rr", "rr")])
def test_of_schedulers_that_do_not_hash_nothing_is_said(before, after):
    assert moved(service(1, 1, scheduler=before), service(1, 1, scheduler=after)) is None
    assert moved_of_others(service(1, 1, scheduler=before), service(1, 1, scheduler=after)) is None


def test_hash_moves_what_counting_every_remainder_says():
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    for _ in range(200):
        before = service(*(choose.randrange(1, 9) for _ in range(choose.randrange(1, 7))))
        after = service(*(choose.randrange(1, 9) for _ in range(choose.randrange(1, 7))), first=choose.randrange(1, 4))
        want = hashing.moved_by_modulo(twins(before), twins(after))
        assert moved(before, after) == pytest.approx(float(want)), f"seed {seed}: {before.servers} {after.servers}"


def test_removing_the_last_of_ten_moves_nine_tenths_under_hash():
    of = service(*[1] * 10)
    assert moved(of, without(of, "s10")) == pytest.approx(0.9)
    # Of the nine others' flows, of which each keeps one in nine hundredths ...
    assert moved_of_others(of, without(of, "s10")) == pytest.approx(float(1 - Fraction(9 * 1, 90) / Fraction(9, 10)))


def test_maglev_moves_what_the_twins_tables_say():
    before = service(1, 2, 3, 1, scheduler="maglev")
    for after in (without(before, "s3"), weighing(before, "s2", 5), service(1, 2, 3, 1, 2, scheduler="maglev")):
        tables = []
        for of in (before, after):
            names = list(of.servers)
            tables.append([names[n] for n in hashing.maglev(twins(of))])
        pairs = list(zip(*tables, strict=True))
        others = [(a, b) for a, b in pairs if a in after.servers]
        assert moved(before, after) == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
        assert moved_of_others(before, after) == pytest.approx(sum(a != b for a, b in others) / len(others))


def test_removing_one_of_ten_moves_few_of_the_others_flows_under_maglev():
    of = service(*[1] * 10, scheduler="maglev")
    shares = [moved_of_others(of, without(of, f"s{n}")) for n in range(1, 11)]
    assert max(shares) <= 0.02
    assert min(moved(of, without(of, f"s{n}")) for n in range(1, 11)) >= 0.0999


@pytest.mark.parametrize(("before", "after"), [
    (service(2, 3, 4), weighing(service(2, 3, 4), "s1", 5)),
    (service(1, 1, 1, hash_key="source"), service(1, 1, 1, hash_key="source_port")),
    (service(1, 2, hash_key="five_tuple"), service(1, 2, scheduler="maglev")),
    (service(1, 2, scheduler="maglev"), service(1, 2, scheduler="maglev", hash_key="source")),
])
def test_as_many_flows_move_in_the_fast_path(before, after):
    # Five standard deviations of 60,000 flows.
    assert flows_moved(before, after, 60_000) == pytest.approx(moved(before, after), abs=0.0105)


def test_who_has_no_part_moves_nothing():
    of = service(1, 1, 1)
    address = ip_address("10.0.2.99")
    spare = replace(of, servers={**of.servers, "spare": Server(name="spare", address=address, backup=True)})
    idle = replace(of, servers={**of.servers, "idle": Server(name="idle", address=address, weight=0)})
    assert moved(of, spare) == moved(of, idle) == moved(spare, of) == 0.0


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
def test_as_many_move_in_the_fast_path_when_a_server_that_stays_weighs_nothing_any_more(scheduler):
    of = service(3, 1, 2, 4, scheduler=scheduler)
    worker, choose = Worker(n_services=1, n_servers=4), random.Random(31)
    worker.add_service(vips=[], protocol=6, l4_first=80, l4_last=80, refuse=0, orphans=0, on_down=0,
                       timeouts_ns=[0] * 12, scheduler=of.scheduler, hash_key=of.hash_key)
    for server in of.servers.values():
        worker.add_server(0, ip=packed(server.address), l4_port=server.port, weight=server.weight, ready=1)
    worker.seal()
    vip = packed(ip_address("10.0.1.100"))
    flows = [(packed(ip_address(choose.randrange(2**32))), choose.randrange(65536), vip, 80, 6) for _ in range(20_000)]
    was = [index for index, _ in schedule_flows(worker, 0, 4, flows)]
    worker.set_server(1, ready=1, weight=0)
    now = [index for index, _ in schedule_flows(worker, 0, 4, flows)]
    idle = weighing(of, "s2", 0)
    assert moved_of_others(of, idle) == sum(a != b for a, b in zip(was, now, strict=True) if a != 1) == 0
    assert sum(a != b for a, b in zip(was, now, strict=True)) / 20_000 == pytest.approx(moved(of, idle), abs=0.011)


def test_a_server_at_another_address_is_another():
    of = service(1, 1)
    other = replace(of, servers={**of.servers, "s2": replace(of.servers["s2"], address=ip_address("10.0.2.9"))})
    assert moved(of, other) == 0.5
    assert moved_of_others(of, other) == 0.0


def test_each_family_counts_by_itself():
    both = (ip_address("10.0.1.100"), ip_address("fd00::100"))
    six = {f"v{n}": Server(name=f"v{n}", address=ip_address(f"fd00:2::{n}")) for n in (1, 2)}
    of = replace(service(1, 1), vips=both)
    of = replace(of, servers={**of.servers, **six})
    assert moved(of, without(of, "v2")) == pytest.approx((0 + 0.5) / 2)


def test_whoever_loses_all_servers_moves_all():
    assert moved(service(1, 1), service()) == 1.0
    assert moved(service(), service(1, 1)) == 0.0

"""Services: which one a port of a VIP belongs to, who takes and who serves, when a VIP is announced."""

import random

import pytest

from swlb._testing_sessions import Services
from swlb._worker import Worker
from tests.ext.values import balancer, ip, mac

VIPS = (("10.0.0.100", "fd00::100"),)
SERVERS = (("10.0.1.1", "10.0.1.2", "10.0.1.3", "fd00:1::1"),)
UP, DRAIN, MAINT = 1, 2, 4


def test_a_port_of_a_vip_belongs_to_the_service_whose_range_holds_it() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    cuts = sorted(choose.sample(range(1, 65535), 20))
    ranges = [(vip, protocol, first, last - 1) for vip in ("10.0.0.1", "10.0.0.2", "fd00::1") for protocol in (6, 17)
              for first, last in zip(cuts[::2], cuts[1::2], strict=True)]
    choose.shuffle(ranges)
    worker = Worker(n_services=len(ranges))
    worker.add_segment(mac=mac("02:00:00:00:00:01"))
    for vip, protocol, first, last in ranges:
        worker.add_service(vips=[(ip(vip), None)], protocol=protocol, l4_first=first, l4_last=last, refuse=0, orphans=0,
                           on_down=0, timeouts_ns=[10**9] * 12)
    services = Services(worker)
    for port in [c + d for c in cuts for d in (-1, 0, 1)] + [choose.randrange(65536) for _ in range(500)]:
        for vip in ("10.0.0.1", "fd00::1", "10.0.0.3"):
            want = [n for n, (of, protocol, first, last) in enumerate(ranges)
                    if of == vip and protocol == 17 and first <= port <= last]
            assert services.find(ip(vip), 17, port) == (want[0] if want else None), f"seed {seed}: {vip} {port}"


def test_only_vips_are_vips() -> None:
    services = Services(balancer(vips=VIPS, servers=SERVERS))
    assert [services.is_vip(ip(a)) for a in ("10.0.0.100", "fd00::100", "10.0.0.101", "10.0.1.1", "::")] == [
        True, True, False, False, False]


@pytest.mark.parametrize(("ready", "weight", "takes", "serves"), [
    (UP, 1, True, True), (UP, 0, False, True), (0, 1, False, False), (UP | DRAIN, 1, False, True),
    (UP | MAINT, 1, False, False), (DRAIN, 1, False, False), (UP | DRAIN | MAINT, 1, False, False)])
def test_who_takes_new_sessions_and_who_serves_known_ones(ready: int, weight: int, takes: bool, serves: bool) -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    services = Services(worker)
    worker.set_server(0, ready=ready, weight=weight, now_ns=0)
    assert (services.takers(0, 4), services.serving(0, 4)) == (2 + takes, 2 + serves)
    assert (services.takers(0, 6), services.serving(0, 6)) == (1, 1)


def test_a_vip_is_active_while_a_server_of_its_family_serves() -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    services = Services(worker)
    worker.set_server(3, ready=0, weight=1, now_ns=0)
    assert (services.is_active(ip("10.0.0.100")), services.is_active(ip("fd00::100"))) == (True, False)


def test_a_vip_that_becomes_active_again_is_announced_three_times() -> None:
    worker = balancer(vips=VIPS, servers=SERVERS)
    services, vip, second = Services(worker), ip("fd00::100"), 10**9
    for n in range(10):
        worker.turn(n * second)
    assert services.announcements(vip) == 0
    for ready in (0, UP):
        worker.set_server(3, ready=ready, weight=1, now_ns=20 * second)
    assert services.announcements(vip) == 3

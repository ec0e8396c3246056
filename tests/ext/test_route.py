"""The routing table against a search for the longest prefix."""

import ipaddress
import random

from swlb._testing_tables import Routes
from tests.ext.values import ip

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def mapped(network: Network) -> tuple[bytes, bytes, int]:
    """(network, mask, length) as a route has them, all of 128 bits."""
    length = network.prefixlen + (96 if network.version == 4 else 0)
    return ip(str(network.network_address)), ((1 << 128) - (1 << (128 - length))).to_bytes(16, "big"), length


def test_the_longest_match_is_found_whatever_the_order() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    networks = {ipaddress.ip_network(f"10.{choose.randrange(4)}.{choose.randrange(4)}.0/{n}", strict=False)
                for n in range(8, 31) for _ in range(3)}
    networks |= {ipaddress.ip_network(f"fd00:{choose.randrange(4)}::/{n}", strict=False) for n in range(16, 65, 4)}
    order = sorted(networks, key=lambda _: choose.random())
    routes = Routes(0, len(order))
    for n, network in enumerate(order):
        routes.add(*mapped(network), ip("10.9.9.9"), n, False)
    for _ in range(5000):
        b, c, d = choose.randrange(5), choose.randrange(5), choose.randrange(256)
        dst = ipaddress.ip_address(choose.choice((f"10.{b}.{c}.{d}", f"fd00:{b}::{d:x}")))
        matches = [n for n, network in enumerate(order) if dst in network]
        found = routes.lookup(ip(str(dst)))
        best = max(matches, key=lambda n: order[n].prefixlen, default=None)
        assert (found and found[2]) == best, f"seed {seed}: {dst}"


def test_a_connected_network_goes_before_a_route_of_its_length() -> None:
    for first in (True, False):
        routes = Routes(0, 2)
        for connected in (first, not first):
            routes.add(*mapped(ipaddress.ip_network("10.0.0.0/24")), ip("10.9.9.9"), int(connected), connected)
        assert routes.lookup(ip("10.0.0.7"))[2:] == (1, True)


def test_a_default_route_of_ipv4_does_not_match_ipv6() -> None:
    routes = Routes(0, 1)
    routes.add(*mapped(ipaddress.ip_network("0.0.0.0/0")), ip("10.0.0.254"), 0, False)
    assert routes.lookup(ip("203.0.113.9")) == (96, ip("10.0.0.254"), 0, False)
    assert routes.lookup(ip("2001:db8::1")) is None


def test_an_address_of_swlb_s_own_is_found_by_itself_and_by_its_segment() -> None:
    routes = Routes(2, 0)
    routes.add_address(ip("10.0.0.1"), ip("10.0.0.255"), 3)
    routes.add_address(ip("fd00::1"), ip("fd00::1"), 3)
    assert (routes.address_find(ip("10.0.0.1")), routes.address_find(ip("10.0.0.2"))) == (3, None)
    assert (routes.address_on(3, True), routes.address_on(3, False)) == (ip("10.0.0.1"), ip("fd00::1"))
    assert routes.address_on(2, True) is None


def test_only_the_last_address_of_a_network_is_its_broadcast() -> None:
    routes = Routes(2, 0)
    routes.add_address(ip("10.0.0.1"), ip("10.0.0.255"), 0)
    routes.add_address(ip("10.0.1.1"), ip("10.0.1.1"), 0)
    said = [routes.is_directed_broadcast(ip(a)) for a in ("10.0.0.255", "10.0.0.254", "10.0.0.1", "10.0.1.1")]
    assert said == [True, False, False, False]

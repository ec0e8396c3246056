"""Kernel twins when the configuration changes: they are edited in place, and what is bound to them lives on."""

import os
import select
import socket
from contextlib import closing
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import dpkt
import pytest

from netns.changing import Changing, addresses, changing, links, members, routes, rows, set_to, without
from netns.running import ip
from swlb.devices import namespace
from swlb.errors import PortError, SwlbError
from swlb.surroundings import check_surroundings
from swlb.twins import Twin, extend, open_twin, reduce

pytestmark = pytest.mark.root

VNET_LEN = 10
OWN = {"10.0.2.1/24", "fd00:2::1/64"}
CONNECTED = {"10.0.2.0/24", "fd00:2::/64"}
TO_VIPS = {"10.0.1.0/24", "fd00:1::/64"}
STATIC = {"10.9.0.0/16 via 10.0.2.254", "fd00:9::/64 via fd00:2::fe"}
ROUTES = [("10.9.0.0/16", "10.0.2.254"), ("fd00:9::/64", "fd00:2::fe")]


@pytest.fixture
def at(make_netns):
    with changing(make_netns) as made:
        assert (made.addresses(), made.routes()) == (OWN, CONNECTED | TO_VIPS | STATIC)
        yield made


def bound(source: str, device: str = "swlb-inside") -> socket.socket:
    """A datagram socket as probes have it: bound to the kernel twin, and to its address."""
    sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.bind((source, 0))
    return sock


def sent_to(at: Changing, sock: socket.socket, target: str) -> tuple[str, str]:
    """Whom the frame was for and from whom, with which the twin's kernel began to bring a datagram to the target."""
    sock.sendto(b"probe", (target, 9))
    fd = at.ports.opened["inside/host"].device.fd
    while select.select([fd], [], [], 5.0)[0]:
        frame = dpkt.ethernet.Ethernet(os.read(fd, 65536)[VNET_LEN:])
        if frame.type == dpkt.ethernet.ETH_TYPE_ARP:
            return "asked", str(ip_address(frame.data.tpa))
        if getattr(frame.data, "dst", None) == ip_address(target).packed:
            return "sent", str(ip_address(frame.data.src))
    raise AssertionError("no frame within 5 s")


# ---- addresses ----


@pytest.mark.parametrize("changed", [
    ("10.0.2.1/24", "fd00:2::1/64", "10.3.0.1/24"),
    ("10.0.2.1/24", "fd00:2::1/64", "10.0.2.2/24", "fd00:2::2/64"),
    ("10.0.2.7/24", "fd00:2::7/64"),
    ("10.0.2.7/24", "10.0.2.1/24", "fd00:2::1/64"),
    ("10.0.2.1/23", "fd00:2::1/48"),
    ("10.0.2.1/24", "fd00:2::1/80"),
    ("10.0.2.1/25", "fd00:2::1/64"),
])  # fmt: skip
def test_the_twin_has_the_addresses_of_the_segment_with_their_routes(at, changed):
    far = [("10.9.0.0/16", "10.0.2.100"), ("fd00:9::/64", "fd00:2::fe")]
    for texts in (changed, tuple(sorted(OWN))):
        at.reload(addresses(*texts), routes(*far))
        networks = {str(ip_interface(text).network) for text in texts}
        assert at.addresses() == set(texts)
        assert at.routes() == networks | TO_VIPS | {f"{to} via {via}" for to, via in far}


def test_an_address_that_goes_takes_no_other_along(at):
    at.reload(addresses("10.0.2.1/24", "10.0.2.2/24", "10.0.2.3/24", "fd00:2::1/64"))
    at.reload(addresses("10.0.2.3/24", "10.0.2.2/24", "fd00:2::1/64"))
    assert at.addresses() == {"10.0.2.3/24", "10.0.2.2/24", "fd00:2::1/64"}
    assert at.routes() == CONNECTED | TO_VIPS | STATIC


def test_ipv6_comes_and_goes(at):
    def is_off() -> bool:
        return Path("/proc/sys/net/ipv6/conf/swlb-inside/disable_ipv6").read_text() == "1\n"

    at.reload(addresses("10.0.2.1/24"), routes(*ROUTES[:1]), without("services", "web", "servers", "web1v6"),
              set_to(["10.0.1.100"], "services", "web", "vip"))  # fmt: skip
    assert is_off()
    assert at.addresses() == {"10.0.2.1/24"}
    at.restore()
    assert not is_off()
    assert (at.addresses(), at.routes()) == (OWN, CONNECTED | TO_VIPS | STATIC)


def test_an_address_may_go_from_one_twin_to_another(at):
    at.reload(addresses("10.0.3.1/24", "fd00:3::1/64"), routes(), without("services", "web"),
              addresses("10.0.2.1/24", "fd00:2::1/64", segment="outside"))  # fmt: skip
    assert (at.addresses("swlb-outside"), at.addresses()) == (OWN, {"10.0.3.1/24", "fd00:3::1/64"})
    assert at.routes("swlb-outside") == CONNECTED


def test_a_twin_comes_with_the_first_address_and_goes_with_the_last(at):
    fds = at.ports.opened["outside/host"].device.fds
    at.reload(set_to([], "segments", "inside", "addresses"), routes(), without("services", "web"))
    assert set(links(at.home)) == {"swlb-outside"}
    assert "inside/host" not in at.ports.opened
    at.restore()
    assert set(links(at.home)) == {"swlb-outside", "swlb-inside"}
    assert at.ports.opened["outside/host"].device.fds == fds


# ---- the MAC and the name ----


def test_the_segment_keeps_its_mac_though_its_addresses_change(at):
    mac = at.ports.macs["inside"]
    for texts in (["10.0.2.7/24", "fd00:2::7/64"], [], ["10.0.2.1/24"]):
        at.reload(addresses(*texts), routes(), set_to({}, "services"))
        assert at.ports.macs["inside"] == mac
        assert not texts or links(at.home)["swlb-inside"]["address"] == mac.hex(":")


def test_a_segment_that_comes_again_has_the_mac_of_its_addresses(at):
    mac = at.ports.macs["inside"]
    at.reload(addresses("10.0.2.7/24"), routes(), set_to({}, "services"))
    at.reload(without("segments", "inside"), members("outside", "client", "other", "web1", "web2"))
    at.restore()
    assert at.ports.macs["inside"] == mac


def test_a_twin_keeps_its_name_though_a_new_one_would_have_another(at):
    far = set_to({"ports": ["a"], "addresses": ["10.3.0.1/24"]}, "segments", "far")
    at.reload(set_to({"tap": "swlb-far"}, "ports", "a"), far)
    before = set(links(at.home))
    (name,) = before - {"swlb-outside", "swlb-inside", "swlb-far"}
    at.reload(set_to({"tap": "sw-a", "netns": at.ends}, "ports", "a"), far)
    assert set(links(at.home)) == before - {"swlb-far"}
    assert at.ports.twins() == {"swlb-outside", "swlb-inside", name}


# ---- routes ----


def test_the_twin_has_the_routes_that_lead_by_its_segment(at):
    at.reload(routes(("10.8.0.0/16", "10.0.2.254"), ("0.0.0.0/0", "10.0.1.254"), ("fd00:9::/64", "fd00:2::fd")))
    assert at.routes() == CONNECTED | TO_VIPS | {"10.8.0.0/16 via 10.0.2.254", "fd00:9::/64 via fd00:2::fd"}
    assert at.routes("swlb-outside") == {"10.0.1.0/24", "fd00:1::/64", "default via 10.0.1.254"}


def test_a_route_may_go_from_one_twin_to_another(at):
    at.reload(routes(("10.9.0.0/16", "10.0.1.254"), ("fd00:9::/64", "fd00:1::fe")))
    assert at.routes() == CONNECTED | TO_VIPS
    assert at.routes("swlb-outside") == {"10.0.1.0/24", "fd00:1::/64", "10.9.0.0/16 via 10.0.1.254",
                                         "fd00:9::/64 via fd00:1::fe"}  # fmt: skip


def test_a_route_that_somebody_has_taken_away_is_no_obstacle(at):
    ip(at.home, "route delete 10.9.0.0/16 via 10.0.2.254 dev swlb-inside")
    at.reload(routes())
    assert at.routes() == CONNECTED | TO_VIPS


# ---- VIPs ----


def test_vips_come_and_go_with_their_services(at):
    assert at.neighbours() == {"10.0.1.100", "fd00:1::100"}
    at.reload(set_to(["10.0.1.101", "fd00:1::100"], "services", "web", "vip"))
    assert at.neighbours() == {"10.0.1.101", "fd00:1::100"}
    at.reload(without("services", "web"))
    assert (at.neighbours(), at.routes()) == (set(), CONNECTED | STATIC)


def test_two_twins_may_lead_to_vips_of_one_network(at):
    at.reload(set_to({"tap": "sw-a", "netns": at.ends}, "ports", "a"),
              set_to({"ports": ["a"], "addresses": ["10.3.0.1/24"]}, "segments", "far"),
              set_to({"address": "10.3.0.11"}, "services", "web", "servers", "far"))  # fmt: skip
    assert at.routes("swlb-far") == {"10.3.0.0/24", "10.0.1.0/24"}
    with closing(bound("10.3.0.1", "swlb-far")) as sock:
        sock.connect(("10.0.1.100", 80))


def test_a_segment_without_ethernet_asks_nobody(at):
    def is_quiet() -> bool:
        return "NOARP" in links(at.home)["swlb-inside"]["flags"]

    at.reload(*(without("ports", name) for name in ("web1", "web2")), members("inside", "t"),
              set_to({"tun": "sw-t", "netns": at.ends}, "ports", "t"))  # fmt: skip
    assert is_quiet()
    with closing(bound("10.0.2.1")) as sock:
        assert sent_to(at, sock, "10.0.1.100") == ("sent", "10.0.2.1")
    at.restore()
    assert not is_quiet()
    assert at.neighbours() == {"10.0.1.100", "fd00:1::100"}
    with closing(bound("10.0.2.1")) as sock:
        assert sent_to(at, sock, "10.0.2.11") == ("asked", "10.0.2.11")


# ---- who is bound to it ----


@pytest.mark.parametrize("source", ["10.0.2.1", "fd00:2::1"])
def test_what_is_bound_to_the_twin_lives_on(at, source):
    vip = "fd00:1::100" if ":" in source else "10.0.1.100"
    with closing(bound(source)) as sock:
        for number in range(5):
            at.reload(addresses("10.0.2.9/24", "10.0.2.1/24", "fd00:2::9/64", "fd00:2::1/64"), routes(),
                      set_to(1300 + number, "ports", "web1", "mtu"), set_to(7, "services", "web", "port"))  # fmt: skip
            assert sent_to(at, sock, vip) == ("sent", source)
            at.restore()
            assert sent_to(at, sock, vip) == ("sent", source)


def test_the_index_of_the_twin_stays(at):
    before = links(at.home)["swlb-inside"]["ifindex"]
    at.reload(addresses("10.0.2.7/24", "fd00:2::7/64"))
    assert links(at.home)["swlb-inside"]["ifindex"] == before


# ---- the host ----


def test_the_twins_addresses_are_not_the_host_s(at):
    moved = addresses("10.0.2.1/24", "fd00:2::1/64", segment="outside"), addresses("10.0.1.1/24", "fd00:1::1/64")
    for changes in ((), (*moved, routes(), set_to({}, "services"))):
        assert check_surroundings(at.parsed(*changes), twins=at.ports.twins()) == []


def test_the_host_s_own_address_is_in_the_way_as_before(at):
    ip(at.home, "link add eth7 type veth")
    ip(at.home, "address add 10.0.1.101/24 dev eth7")
    with pytest.raises(SwlbError, match=r"10.0.1.101 of service web is this host's own already, on eth7"):
        check_surroundings(at.parsed(set_to(["10.0.1.101", "fd00:1::100"], "services", "web", "vip")),
                           twins=at.ports.twins())  # fmt: skip


# ---- what others have done to it ----


def test_a_twin_under_another_name_is_edited_all_the_same(at):
    ip(at.home, "link set swlb-inside down")
    ip(at.home, "link set swlb-inside name other up")
    at.reload(addresses("10.0.2.1/24", "10.0.2.2/24", "fd00:2::1/64"), routes())
    assert {"10.0.2.1/24", "10.0.2.2/24"} <= at.addresses("other")


def test_a_twin_that_was_lost_is_made_anew(at):
    mac = links(at.home)["swlb-inside"]["address"]
    ip(at.home, "link delete swlb-inside")
    at.reload()
    assert links(at.home)["swlb-inside"]["address"] == mac
    assert (at.addresses(), at.routes()) == (OWN, CONNECTED | TO_VIPS | STATIC)


def test_an_extension_that_fails_half_way_is_undone(netns):
    before = Twin((ip_interface("10.0.2.1/24"),), mtu=1400)
    after = Twin((*before.addresses, ip_interface("fd00:2::1/64")), mtu=1500,
                 routes=((ip_network("10.9.0.0/16"), ip_address("203.0.113.1")),))  # fmt: skip
    mac = bytes.fromhex("025e00000001")
    with namespace(netns), closing(open_twin("inside", "swlb-inside", before, mac=mac)) as tap:
        shown = ("address show", "-4 route show table all", "-6 route show table all")
        found = [rows(netns, what) for what in shown]
        with pytest.raises(PortError, match=r"add route .*; `via` must lie in a network of the segment"):
            extend(tap, before, after)
        assert [rows(netns, what) for what in shown] != found
        reduce(tap, after, before)
        assert [rows(netns, what) for what in shown] == found

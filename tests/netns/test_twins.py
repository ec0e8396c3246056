"""The kernel twin of a segment, as `ip` and /proc/sys see it."""

import json
import os
import subprocess
from contextlib import closing
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from swlb.devices import namespace
from swlb.errors import PortError
from swlb.twins import Twin, open_twin

pytestmark = pytest.mark.root

MAC = bytes.fromhex("025e00000001")
IPV4 = ip_interface("10.0.2.1/24")
IPV6 = ip_interface("fd00:2::1/64")
ROUTES = [
    (ip_network("0.0.0.0/0"), ip_address("10.0.2.254")),
    (ip_network("10.9.0.0/16"), ip_address("10.0.2.253")),
    (ip_network("fd00:9::/64"), ip_address("fd00:2::fe")),
]


def ip(command: str) -> list[dict]:
    """What `ip` answers inside the namespace that the test runs in."""
    output = subprocess.run(["ip", "-json", *command.split()], check=True, capture_output=True, text=True).stdout
    return json.loads(output or "[]")


def sysctl(family: str, device: str, name: str) -> str:
    return Path("/proc/sys/net", family, "conf", device, name).read_text().strip()


def set_sysctl(family: str, device: str, name: str, value: str) -> None:
    Path("/proc/sys/net", family, "conf", device, name).write_text(value)


@pytest.fixture
def home(netns):
    """The namespace that swlb runs in; the test is inside, and so are the commands it runs."""
    with namespace(netns):
        yield netns


def opened(addresses=(IPV4, IPV6), routes=ROUTES):
    return open_twin("inside", "swlb-inside", Twin(tuple(addresses), tuple(routes), mtu=1400), mac=MAC)


@pytest.fixture
def twin(home):
    with closing(opened()) as twin:
        yield twin


def test_the_twin_has_the_mac_and_mtu_of_the_segment_and_is_up(twin):
    (link,) = ip("link show swlb-inside")
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == ("02:5e:00:00:00:01", 1400, True)


def test_the_twin_has_the_addresses_of_the_segment_and_no_other(twin):
    (link,) = ip("address show swlb-inside")
    assert [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]] == [str(IPV4), str(IPV6)]


def test_its_ipv6_address_can_be_used_at_once(twin):
    (link,) = ip("-6 address show swlb-inside")
    assert "tentative" not in link["addr_info"][0]


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("ipv4", "rp_filter", "2"),
        ("ipv4", "arp_ignore", "1"),
        ("ipv6", "accept_ra", "0"),
        ("ipv6", "autoconf", "0"),
        ("ipv6", "addr_gen_mode", "1"),
        ("ipv6", "disable_ipv6", "0"),
    ],
)
def test_the_twin_is_quiet_and_for_itself(twin, family, name, value):
    assert sysctl(family, "swlb-inside", name) == value


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_forwarding_stays_as_the_host_has_it(home, family):
    set_sysctl(family, "all", "forwarding", "1")
    with closing(opened()):
        assert sysctl(family, "swlb-inside", "forwarding") == "1"


@pytest.mark.parametrize("scope", ["all", "default", "lo"])
def test_no_other_device_is_touched(home, scope):
    def settings():
        return [
            sysctl("ipv4", scope, "rp_filter"),
            sysctl("ipv4", scope, "arp_ignore"),
            *(sysctl("ipv6", scope, name) for name in ("accept_ra", "autoconf", "addr_gen_mode", "disable_ipv6")),
        ]

    before = settings()
    with closing(opened()):
        assert settings() == before


def test_ipv6_works_where_the_host_has_it_off_by_default(home):
    set_sysctl("ipv6", "default", "disable_ipv6", "1")
    with closing(opened()):
        (link,) = ip("-6 address show swlb-inside")
    assert link["addr_info"][0]["local"] == "fd00:2::1"


def test_a_twin_without_ipv6_addresses_has_ipv6_off(home):
    with closing(opened(addresses=[IPV4], routes=[])):
        assert sysctl("ipv6", "swlb-inside", "disable_ipv6") == "1"


def test_a_twin_without_ipv6_addresses_sends_nothing_of_its_own(home):
    with closing(opened(addresses=[IPV4], routes=[])) as twin, pytest.raises(BlockingIOError):
        os.read(twin.fd, 70_000)


def test_every_route_has_the_metric_that_gives_way(twin):
    routes = ip("-4 route show dev swlb-inside") + ip("-6 route show dev swlb-inside")
    assert {route["dst"]: route["metric"] for route in routes} == dict.fromkeys(
        ["default", "10.9.0.0/16", "10.0.2.0/24", "fd00:9::/64", "fd00:2::/64"], 20000
    )


@pytest.mark.parametrize("destination", ["10.0.2.7", "192.0.2.1"])
def test_the_host_s_own_route_wins(home, destination):
    subprocess.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "eth1"], check=True)
    for command in (
        "link set eth1 up",
        "link set eth0 up",
        "address add 192.168.7.1/24 dev eth0",
        "route add 10.0.2.0/24 dev eth0 metric 100",
        "route add default via 192.168.7.254 metric 600",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    with closing(opened()):
        (route,) = ip(f"route get {destination}")
    assert route["dev"] == "eth0"


def test_close_leaves_no_device_address_or_route(home):
    def everything():
        return [ip("address show"), ip("-4 route show table all"), ip("-6 route show table all")]

    before = everything()
    opened().close()
    assert everything() == before


@pytest.mark.parametrize("network", ["10.8.0.0/16", "fd00:8::/64"])
def test_a_gateway_outside_the_segment_is_refused_and_nothing_is_left(home, network):
    via = ip_address("203.0.113.1") if "." in network else ip_address("2001:db8::1")
    words = (
        rf"^port inside \(swlb-inside\): add route {network} via {via}: .*; `via` must lie in a network of the segment"
    )
    with pytest.raises(PortError, match=words):
        opened(routes=[(ip_network(network), via)])
    assert [link["ifname"] for link in ip("link show")] == ["lo"]


def test_a_name_that_exists_is_refused(twin):
    with pytest.raises(PortError, match=r"^port inside \(swlb-inside\): TUNSETIFF: Device or resource busy"):
        opened()

"""swlb/probes: icmp on loopback, and kinds of every layer towards hosts and routers in namespaces."""

import asyncio
import socket
import time
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP

from swlb.namespaces import namespace
from swlb.probes import Outcome, Target
from tests.answering import bound
from tests.probing import ask, inside, probed, probed_in

HOSTS = ["127.0.0.9", "::1"]


@pytest.mark.root
@pytest.mark.parametrize("host", HOSTS)
def test_an_echo_reply_is_l3ok(host):
    outcome = probed(ask("icmp", Target(ip_address(host)), response=5.0))
    assert (outcome.ok, outcome.status) == (True, "L3OK")


@pytest.mark.root
@pytest.mark.parametrize("host", HOSTS)
def test_many_probes_at_once_do_not_take_each_others_replies(host):
    async def run() -> list[Outcome]:
        return await asyncio.gather(*(ask("icmp", Target(ip_address(host)), response=5.0) for _ in range(50)))

    assert {outcome.status for outcome in asyncio.run(run())} == {"L3OK"}


@pytest.mark.root
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_does_not_echo_is_l3tout(netns, host):
    knob = "ipv6/icmp/echo_ignore_all" if ":" in host else "ipv4/icmp_echo_ignore_all"
    inside(netns, f"sysctl -qw net/{knob}=1")
    outcome = probed_in(netns, ask("icmp", Target(ip_address(host)), response=0.2))
    assert outcome.status == "L3TOUT"
    assert 200 <= outcome.duration_ms < 2000


@pytest.mark.root
def test_a_flood_of_others_replies_does_not_stretch_response(monkeypatch):
    others_reply = bytes(IP(src="127.0.0.9") / ICMP(type=0, id=1, seq=1))

    async def run() -> Outcome:
        started = time.monotonic()

        async def received_at_once(*_: object) -> tuple[bytes, tuple[str, int]]:
            assert time.monotonic() < started + 2, "the response limit could not strike"
            return others_reply, ("127.0.0.9", 0)

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_recvfrom", received_at_once)
        return await ask("icmp", Target(ip_address("127.0.0.9")), response=0.05)

    assert asyncio.run(run()).status == "L3TOUT"


# What hosts and routers in between say


@pytest.fixture
def host_and_router(make_netns) -> tuple[str, str]:
    """A namespace with addresses 10.77.0.1 and fd77::1 on dev0; the router 10.77.0.2, fd77::2 knows no way onwards."""
    host, router = make_netns(), make_netns()
    inside(host, f"ip link add dev0 type veth peer name dev1 netns {router}")
    for name, device, number in ((host, "dev0", 1), (router, "dev1", 2)):
        inside(name, f"ip address add 10.77.0.{number}/24 dev {device}")
        inside(name, f"ip address add fd77::{number}/64 dev {device} nodad")
        inside(name, f"ip link set {device} up")
    inside(router, "sysctl -qw net/ipv4/ip_forward=1 net/ipv6/conf/all/forwarding=1")
    for to in (
        "10.88.0.0/16 via 10.77.0.2",
        "fd88::/16 via fd77::2",
        "10.99.0.0/16 via 10.77.0.9",
        "fd99::/16 via fd77::9",
    ):
        inside(host, f"ip route add {to} dev dev0")
    return host, router


@pytest.fixture
def behind_router(host_and_router) -> str:
    """The namespace of the host that has the router for a neighbour."""
    return host_and_router[0]


PROBES = ["tcp", "icmp", "udp"]
DEVICES = [None, "dev0"]


@pytest.mark.root
@pytest.mark.parametrize("address", ["10.77.0.9", "fd77::9"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("probe", PROBES)
def test_a_host_that_answers_no_arp_or_nd_is_l2tout(behind_router, probe, device, address):
    target = Target(ip_address(address), None if probe == "icmp" else 80)
    outcome = probed_in(behind_router, ask(probe, target, device=device, response=0.2))
    assert (outcome.ok, outcome.status) == (False, "L2TOUT")
    asked = "neighbour discovery" if ":" in address else "ARP"
    assert outcome.detail == f"{address} did not answer {asked} within {outcome.duration_ms:.0f} ms"


@pytest.mark.root
def test_a_host_without_a_route_is_looked_for_on_the_device_itself(behind_router):
    outcome = probed_in(behind_router, ask("tcp", Target(ip_address("10.66.0.1"), 80), device="dev0", response=0.2))
    assert outcome.status == "L2TOUT"


@pytest.mark.root
def test_a_host_the_kernel_gave_up_on_is_l2tout(behind_router):
    outcome = probed_in(behind_router, ask("tcp", Target(ip_address("10.77.0.9"), 80), response=10.0))
    assert outcome.status == "L2TOUT"
    assert outcome.duration_ms < 5000


@pytest.mark.root
@pytest.mark.parametrize("address", ["10.99.0.1", "fd99::1"])
def test_a_gateway_that_answers_no_arp_or_nd_is_l2tout_and_named(behind_router, address):
    outcome = probed_in(behind_router, ask("tcp", Target(ip_address(address), 80), device="dev0", response=0.2))
    gateway = "fd77::9" if ":" in address else "10.77.0.9"
    assert outcome.status == "L2TOUT"
    assert outcome.detail.startswith(f"{gateway}, the gateway towards {address}, did not answer")


@pytest.mark.root
@pytest.mark.parametrize("address", ["10.88.0.1", "fd88::1"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("probe", PROBES)
def test_a_router_that_knows_no_way_is_l3unr(behind_router, probe, device, address):
    target = Target(ip_address(address), None if probe == "icmp" else 80)
    outcome = probed_in(behind_router, ask(probe, target, device=device, response=5.0))
    assert (outcome.ok, outcome.status) == (False, "L3UNR")


@pytest.mark.root
@pytest.mark.parametrize("probe", PROBES)
def test_no_route_is_l3unr(netns, probe):
    target = Target(ip_address("10.77.0.9"), 80)
    outcome = probed_in(netns, ask(probe, target, response=5.0))
    assert (outcome.status, outcome.detail) == ("L3UNR", f"{target} cannot be reached: Network is unreachable")


@pytest.mark.root
def test_an_agent_on_a_host_that_is_gone_says_nothing_of_its_server(behind_router):
    outcome = probed_in(behind_router, ask("agent", Target(ip_address("10.77.0.9"), 80), response=0.2))
    assert (outcome.ok, outcome.status) == (None, "L2TOUT")


@pytest.mark.root
@pytest.mark.parametrize("address", ["10.77.0.2", "fd77::2"])
def test_a_host_that_has_gone_is_soon_l2tout_where_silence_is_enough(host_and_router, address):
    """The kernel by itself would believe for 23 to 53 seconds that its neighbour is there."""
    host, router = host_and_router
    inside(host, "sysctl -qw net/ipv4/neigh/dev0/retrans_time_ms=100 net/ipv6/neigh/dev0/retrans_time_ms=100")
    with namespace(router), bound(address, socket.SOCK_DGRAM) as silent:
        target = Target(ip_address(address), silent.getsockname()[1])

        def comes(status: str) -> bool:
            until = time.monotonic() + 15
            while time.monotonic() < until:
                if probed_in(host, ask("udp", target, device="dev0", response=0.2)).status == status:
                    return True
            return False

        assert comes("L4OK")
        inside(router, "ip link set dev1 arp off address 02:00:00:00:00:99")
        assert comes("L2TOUT")

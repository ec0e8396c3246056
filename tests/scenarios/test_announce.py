"""VIPs announce themselves, and are defended against stations that claim them. RFC 5227 2.4 and 3, RFC 4861 7.2.6."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from .network import Network, Segment, Server, Service
from .shapes import INSIDE, OUTSIDE, V4, V6, Family, router

FAMILIES = [V4, V6]
EVERYONE = "ff:ff:ff:ff:ff:ff"
RIVAL = "02:dd:00:00:00:66"


def announcement(family: Family, mac: str, address: str | None = None) -> Packet:
    """A gratuitous ARP request, or an unsolicited advertisement to all nodes."""
    address = address or family.vip
    if family.version == 4:
        return (Ether(src=mac, dst=EVERYONE)
                / ARP(op=1, hwsrc=mac, psrc=address, hwdst="00:00:00:00:00:00", pdst=address))
    return (Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src=address, dst="ff02::1", hlim=255)
            / ICMPv6ND_NA(R=1, S=0, O=1, tgt=address) / ICMPv6NDOptDstLLAddr(lladdr=mac))


def both(net: Network) -> list[bytes]:
    return [bytes(announcement(family, net.mac("outside"))) for family in FAMILIES]


def left(net: Network, port: str) -> list[bytes]:
    return [frame for _, frame in net.take_raw(port)]


def test_at_the_start_every_vip_is_announced_three_times_a_second_apart():
    net = router(quiet=False)
    seen = []
    for tenth in range(60):
        net.wait(0.1)
        frames = left(net, "client")
        if frames:
            assert sorted(frames) == sorted(both(net))
            seen.append(tenth)
    assert seen == [0, 10, 20]


def test_announcements_reach_every_port_of_the_segment_but_the_kernel_twin_and_no_other_segment():
    net = router(outside=("client", "other"), host=True, quiet=False)
    net.wait(0.1)
    assert sorted(left(net, "client")) == sorted(left(net, "other")) == sorted(both(net))
    net.expect_silence()


def test_a_vip_nobody_serves_is_announced_at_the_start_too():
    net = router(ready=0, quiet=False)
    net.wait(0.1)
    assert sorted(left(net, "client")) == sorted(both(net))


def test_a_vip_that_becomes_active_is_announced_three_times():
    net = router(ready=0)
    net.set_server(0)
    net.wait(5.0)
    net.expect("client", *[announcement(V4, net.mac("outside"))] * 3)


def test_a_vip_that_becomes_inactive_or_stays_active_is_not_announced():
    net = router()
    net.set_server(0, weight=7)
    net.set_server(0, ready=0)
    net.wait(5.0)
    net.expect_silence()


def test_the_vips_of_a_segment_are_announced_on_demand():
    net = router()
    net.worker.announce(net.segments["outside"], now_ns=net.now_ns)
    net.wait(0.1)
    assert sorted(left(net, "client")) == sorted(both(net))
    net.wait(5.0)
    assert sorted(left(net, "client")) == sorted(both(net) * 2)


def test_a_demand_for_another_segment_announces_nothing():
    net = router()
    net.worker.announce(net.segments["inside"], now_ns=net.now_ns)
    net.wait(5.0)
    net.expect_silence()


def test_a_vip_of_no_segment_is_not_announced():
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE)}, quiet=False,
                  services=[Service(("192.0.2.1",), (Server(V4.server, 80),))])
    net.wait(5.0)
    net.expect_silence()


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_rival_is_reported_and_answered_by_one_announcement(family):
    net = router(outside=("client", "rival"))
    net.send("rival", announcement(family, RIVAL))
    net.take("client")
    net.wait(5.0)
    net.expect("client", announcement(family, net.mac("outside")))
    net.expect("rival", announcement(family, net.mac("outside")))
    [event] = net.events()
    assert event == {"kind": "vip_conflict", "segment": "outside", "port": "rival", "mac": RIVAL, "ip": family.vip}


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_rival_that_goes_on_is_answered_and_reported_once_in_ten_seconds(family):
    net = router(outside=("client", "rival"))
    for _ in range(25):
        net.send("rival", announcement(family, RIVAL))
        net.wait(1.0)
    assert left(net, "rival") == [bytes(announcement(family, net.mac("outside")))] * 3
    assert [event["kind"] for event in net.events()] == ["vip_conflict"] * 3


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_rivals_claim_is_bridged_and_changes_nothing_in_what_swlb_knows(family):
    net = router(outside=("client", "rival"))
    net.send("rival", announcement(family, RIVAL))
    net.expect("client", announcement(family, RIVAL))
    assert net.neighbours() == {}


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_claim_of_a_segments_address_is_reported_and_not_answered(family):
    net = router(outside=("client", "rival"))
    for _ in range(5):
        net.send("rival", announcement(family, RIVAL, family.outside))
        net.wait(1.0)
    net.expect("rival")
    assert net.events() == [{"kind": "address_conflict", "segment": "outside", "port": "rival", "mac": RIVAL,
                             "ip": family.outside}]


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_claim_on_another_segment_is_no_conflict(family):
    net = router(inside=("web1", "web2"))
    net.send("web1", announcement(family, RIVAL))
    net.wait(5.0)
    net.expect("client")
    assert net.events() == []

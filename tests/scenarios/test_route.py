"""Packets sent to the segment's MAC for somebody else: routed. RFC 1812 5.2 and 5.3, RFC 8200 3."""

import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet

from .frames import with_right_checksums
from .network import Network, Segment, Station
from .shapes import FAMILIES, INSIDE, OUTSIDE, V4, V6, Family, router

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)


def acquainted(family: Family, **options) -> tuple[Network, Station, Station]:
    net = router(**options)
    client, web = net.station("client", family.client), net.station("web1", family.server)
    client.greet()
    web.greet()
    return net, client, web


@each_family
def test_a_packet_goes_to_the_other_segment_with_its_hop_count_lowered_by_one(family):
    net, client, web = acquainted(family)
    client.send(family.udp(family.client, family.server, 64))
    web.expect(family.udp(family.client, family.server, 63))
    net.expect_silence()
    assert net.drops() == {}


@pytest.mark.parametrize("hops", [2, 3, 128, 255])
@each_family
def test_any_hop_count_above_one_is_lowered_by_one(family, hops):
    _net, client, web = acquainted(family)
    client.send(family.udp(family.client, family.server, hops))
    web.expect(family.udp(family.client, family.server, hops - 1))


@each_family
def test_a_packet_may_leave_by_the_segment_it_came_in_on(family):
    net, client, _ = acquainted(family, outside=("client", "other"))
    neighbour = {4: "10.0.1.77", 6: "fd00:1::77"}[family.version]
    other = net.station("other", neighbour)
    other.greet()
    client.send(family.udp(family.client, neighbour))
    other.expect(family.udp(family.client, neighbour, 63))


def variants(family: Family) -> dict[str, Packet]:
    """Packets of which only the hop count may change, by what is special about them."""
    src, dst = family.client, family.server
    common = {
        "TCP": family.ip(src, dst) / TCP(sport=1, dport=2, flags="PA") / b"data",
        "a protocol swlb does not know": family.ip(src, dst, **({"proto": 132} if family.version == 4 else {"nh": 132}))
        / bytes(range(40)),
        "a wrong UDP checksum": family.ip(src, dst) / UDP(sport=1, dport=2, chksum=0x1234) / b"data",
        "a wrong TCP checksum": family.ip(src, dst) / TCP(sport=1, dport=2, chksum=0x1234) / b"data",
        "an echo": family.echo(src, dst),
    }
    if family.version == 4:
        fragment = {"id": 77, "proto": 17}
        return common | {
            "UDP without checksum": IP(src=src, dst=dst) / UDP(sport=1, dport=2, chksum=0) / b"data",
            "DSCP and ECN": IP(src=src, dst=dst, tos=0xBB) / UDP() / b"data",
            "don't fragment and an id": IP(src=src, dst=dst, flags="DF", id=4711) / UDP() / b"data",
            "options": IP(src=src, dst=dst, options=[IPOption_RR(), IPOption_NOP(), IPOption_Timestamp()])
            / UDP() / b"data",
            "a first fragment": IP(src=src, dst=dst, flags="MF", **fragment) / bytes(UDP(len=200)) / bytes(64),
            "a later fragment": IP(src=src, dst=dst, frag=9, **fragment) / bytes(64),
        }
    return common | {
        "class and flow label": IPv6(src=src, dst=dst, tc=0xBB, fl=0x12345) / UDP() / b"data",
        "extension headers": IPv6(src=src, dst=dst) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP() / b"data",
        "a used-up routing header": IPv6(src=src, dst=dst) / IPv6ExtHdrRouting(addresses=["fd00:9::1"], segleft=0)
        / UDP(),
        "a first fragment": IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(m=1, id=7, nh=17)
        / bytes(UDP(chksum=7, len=200)),
        "a later fragment": IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(offset=9, id=7, nh=17) / bytes(64),
        "no next header": IPv6(src=src, dst=dst, nh=59),
    }


CASES = [pytest.param(family, case, id=f"{family}-{case}") for family in FAMILIES for case in variants(family)]


@pytest.mark.parametrize(("family", "case"), CASES)
def test_nothing_but_the_hop_count_changes(family, case):
    net, client, web = acquainted(family)
    packet = variants(family)[case]
    lowered = type(packet)(bytes(packet))
    if family.version == 4:
        lowered.ttl -= 1
        del lowered.chksum
    else:
        lowered.hlim -= 1
    client.send(packet)
    web.expect(lowered)
    assert net.drops() == {}


def test_ethernet_padding_is_no_part_of_the_packet():
    net, client, _web = acquainted(V4)
    packet = IP(src=V4.client, dst=V4.server) / UDP(sport=1, dport=2)
    net.send("client", bytes(client.frame(packet)) + b"\xa5" * 18)
    assert bytes(net.take_one("web1"))[14:42] == bytes(IP(src=V4.client, dst=V4.server, ttl=63) / UDP(sport=1, dport=2))


@each_family
def test_a_priority_tagged_packet_is_routed(family):
    net, client, _ = acquainted(family)
    net.send("client", Ether(src=client.mac, dst=net.mac("outside")) / Dot1Q(vlan=0, prio=5)
             / family.udp(family.client, family.server))
    out = net.take_one("web1")
    layer = IP if family.version == 4 else IPv6
    assert bytes(out[layer]) == bytes(family.udp(family.client, family.server, 63))


TAGS = {"one tag": Dot1Q(vlan=7), "two tags": Dot1AD(vlan=9) / Dot1Q(vlan=7),
        "a VLAN behind a priority tag": Dot1Q(vlan=0) / Dot1Q(vlan=7)}


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("dst", [V4.server, V4.vip, V4.outside])
def test_a_packet_on_a_vlan_sent_to_the_segments_mac_is_dropped(dst, tags):
    net, client, _ = acquainted(V4, host=True)
    net.send("client", Ether(src=client.mac, dst=net.mac("outside")) / TAGS[tags] / V4.udp(V4.client, dst))
    net.expect_silence()
    assert net.drops() == {"tagged_for_us": 1}


# ---- routes ----

def with_routes(*routes: tuple[str, str]) -> tuple[Network, Station, dict[str, Station]]:
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE)}, routes=routes)
    client = net.station("client", V4.client, V6.client)
    client.greet()
    gateways = {}
    for via in {via for _, via in routes}:
        gateways[via] = net.station("web1", via)
        gateways[via].greet()
    return net, client, gateways


@each_family
def test_the_default_route_leads_to_its_gateway(family):
    _net, client, gateways = with_routes((family.default, family.gateway))
    client.send(family.udp(family.client, family.far))
    gateways[family.gateway].expect(family.udp(family.client, family.far, 63))


LONGEST = {
    V4: (("0.0.0.0/0", "10.0.2.2"), ("192.0.0.0/8", "10.0.2.3"), ("192.0.2.0/24", "10.0.2.4"),
         ("192.0.2.7/32", "10.0.2.5")),
    V6: (("::/0", "fd00:2::2"), ("2001:db8::/32", "fd00:2::3"), ("2001:db8:1::/48", "fd00:2::4"),
         ("2001:db8:1::7/128", "fd00:2::5")),
}
TOWARDS = {V4: ("8.8.8.8", "192.1.1.1", "192.0.2.8", "192.0.2.7"),
           V6: ("2001:4860::1", "2001:db8:2::1", "2001:db8:1::8", "2001:db8:1::7")}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("nth", range(4))
@each_family
def test_the_longest_prefix_wins_in_whatever_order_routes_were_given(family, nth, order):
    _net, client, gateways = with_routes(*LONGEST[family][::order])
    client.send(family.udp(family.client, TOWARDS[family][nth]))
    gateways[LONGEST[family][nth][1]].expect(family.udp(family.client, TOWARDS[family][nth], 63))


@each_family
def test_a_connected_network_wins_over_a_route_of_the_same_length(family):
    net, client, _ = with_routes(({4: "10.0.2.0/24", 6: "fd00:2::/64"}[family.version], family.gateway))
    web = net.station("web1", family.server)
    web.greet()
    client.send(family.udp(family.client, family.server))
    web.expect(family.udp(family.client, family.server, 63))


@each_family
def test_a_packet_from_behind_the_gateway_is_routed_back(family):
    _net, client, gateways = with_routes((family.default, family.gateway))
    gateways[family.gateway].send(family.udp(family.far, family.client))
    client.expect(family.udp(family.far, family.client, 63))


def test_the_next_hop_is_asked_for_not_the_destination():
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE)},
                  routes=[(V4.default, V4.gateway)])
    client = net.station("client", V4.client)
    client.greet()
    client.send(V4.udp(V4.client, V4.far))
    assert net.take_one("web1").pdst == V4.gateway


# ---- offloads ----

def test_a_super_frame_is_routed_whole_with_its_offload_header():
    net, client, web = acquainted(V4)
    packet = IP(src=V4.client, dst=V4.server) / TCP(sport=1, dport=2, flags="A", chksum=0x4242) / bytes(40000)
    offload = struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16)
    client.send(packet, offload=offload)
    packet.ttl = 63
    assert net.take_raw("web1") == [(offload, bytes(Ether(src=net.mac("inside"), dst=web.mac) / packet))]


def test_a_partial_checksum_stays_partial():
    net, client, web = acquainted(V6)
    packet = IPv6(src=V6.client, dst=V6.server) / UDP(sport=1, dport=2, chksum=0x4242) / b"data"
    offload = struct.pack("<BBHHHH", 1, 0, 0, 0, 54, 6)
    client.send(packet, offload=offload)
    packet.hlim = 63
    assert net.take_raw("web1") == [(offload, bytes(Ether(src=net.mac("inside"), dst=web.mac) / packet))]


def test_routed_icmp_has_the_checksum_scapy_computes():
    net, client, _ = acquainted(V4)
    client.send(IP(src=V4.client, dst=V4.server) / ICMP(type=13, id=5) / bytes(12))
    out = net.take_one("web1")
    assert bytes(out) == with_right_checksums(out)

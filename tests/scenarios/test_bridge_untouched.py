"""What passes the bridge is byte for byte what came in, whatever it is: the receiver judges it, not the switch."""

import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.l2 import LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Raw

from .network import Network, Segment
from .shapes import OUTSIDE, service, switch

A, B = "02:aa:00:00:00:01", "02:aa:00:00:00:02"
TO_B = Ether(src=A, dst=B)
V4 = IP(src="10.0.1.10", dst="10.0.1.11")
V6 = IPv6(src="fd00:1::10", dst="fd00:1::11")
TCP_SYN = TCP(sport=1, dport=80, flags="S")

FRAMES = {
    "nothing behind the Ethernet header": TO_B / Raw(b""),
    "an unknown EtherType": Ether(src=A, dst=B, type=0x88B5) / b"abc",
    "802.3 with LLC": Dot3(src=A, dst=B) / LLC() / SNAP() / b"payload",
    "a TCP segment": TO_B / V4 / TCP_SYN / b"data",
    "a wrong TCP checksum": TO_B / V4 / TCP(sport=1, dport=80, chksum=0x1234),
    "a wrong UDP checksum": TO_B / V6 / UDP(sport=1, dport=80, chksum=0x1234) / b"data",
    "UDP without checksum": TO_B / V4 / UDP(sport=1, dport=80, chksum=0) / b"data",
    "UDP over IPv6 without checksum": TO_B / V6 / UDP(sport=1, dport=80, chksum=0) / b"data",
    "a wrong IPv4 header checksum": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", chksum=0x1234) / TCP_SYN,
    "an IPv4 total length beyond the frame": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", len=4000) / TCP_SYN,
    "an IPv4 header length of 4": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", ihl=4) / TCP_SYN,
    "IP version 7": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", version=7) / TCP_SYN,
    "TTL 0": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", ttl=0) / TCP_SYN,
    "TTL 1": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", ttl=1) / TCP_SYN,
    "hop limit 1": TO_B / IPv6(src="fd00:1::10", dst="fd00:1::11", hlim=1) / TCP_SYN,
    "IPv4 options": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", options=[IPOption_RR(), IPOption_Timestamp()])
    / TCP_SYN,
    "an IPv4 source route": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", options=[IPOption_LSRR()]) / TCP_SYN,
    "IPv6 extension headers": TO_B / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP_SYN,
    "an IPv6 routing header": TO_B / V6 / IPv6ExtHdrRouting(addresses=["fd00:9::1"], segleft=1) / TCP_SYN,
    "a first fragment": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", id=7, flags="MF") / UDP() / bytes(64),
    "a later fragment": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", id=7, frag=9, proto=17) / bytes(64),
    "a later IPv6 fragment": TO_B / V6 / IPv6ExtHdrFragment(nh=17, offset=9, id=7) / bytes(64),
    "a cut TCP header": TO_B / IP(src="10.0.1.10", dst="10.0.1.11", proto=6) / bytes(7),
    "a martian source": TO_B / IP(src="127.0.0.1", dst="10.0.1.11") / TCP_SYN,
    "a link-local source": TO_B / IPv6(src="fe80::1", dst="fe80::2") / TCP_SYN,
    "ICMP that is no error": TO_B / V4 / ICMP(type=13),
    "Ethernet padding": TO_B / V4 / TCP_SYN / Raw(b"") / Raw(b"\xa5" * 6),
    "a VLAN tag": TO_B / Dot1Q(vlan=7, prio=5) / V4 / TCP_SYN,
    "a priority tag": TO_B / Dot1Q(vlan=0, prio=5) / V4 / TCP_SYN,
    "a drop-eligible tag": TO_B / Dot1Q(vlan=4095, dei=1) / V6 / TCP_SYN,
    "two tags": TO_B / Dot1AD(vlan=100) / Dot1Q(vlan=7) / V4 / TCP_SYN,
    "three tags": TO_B / Dot1AD(vlan=100) / Dot1AD(vlan=101) / Dot1Q(vlan=7) / V4 / TCP_SYN,
}
# flags, gso_type, then header length, segment size, checksum start and offset.
# A contradiction is not the switch's to judge.
OFFLOADS = {"partial checksum": struct.pack("<BBHHHH", 1, 0, 0, 0, 34, 16),
            "TCP super-frame": struct.pack("<BBHHHH", 1, 1, 66, 1448, 34, 16),
            "nonsense": struct.pack("<BBHHHH", 0xFF, 0x7F, 0xFFFF, 1, 0xFFFF, 0xFFFF)}


def plain() -> Network:
    return switch("p1", "p2", "p3")


def with_addresses_and_vip() -> Network:
    return Network({"lan": Segment(("p1", "p2", "p3"), OUTSIDE, host=True)}, services=[service()])


@pytest.mark.parametrize("build", [plain, with_addresses_and_vip])
@pytest.mark.parametrize("case", FRAMES)
def test_a_frame_for_another_station_is_carried_untouched(build, case):
    net = build()
    net.send("p1", FRAMES[case])
    net.expect("p2", FRAMES[case])
    net.expect("p3", FRAMES[case])
    net.expect_silence()
    assert net.drops() == {}


@pytest.mark.parametrize("build", [plain, with_addresses_and_vip])
@pytest.mark.parametrize("offload", OFFLOADS)
def test_the_offload_header_is_carried_untouched(build, offload):
    net = build()
    frame = TO_B / V4 / TCP_SYN / bytes(1000)
    net.send("p1", frame, offload=OFFLOADS[offload])
    assert net.take_raw("p2") == [(OFFLOADS[offload], bytes(frame))]


@pytest.mark.parametrize("build", [plain, with_addresses_and_vip])
def test_a_super_frame_of_64_kib_is_carried_untouched(build):
    net = build()
    frame = TO_B / V4 / TCP(sport=1, dport=2, flags="A") / (bytes(range(256)) * 255)
    net.send("p1", frame, offload=OFFLOADS["TCP super-frame"])
    assert net.take_raw("p2") == [(OFFLOADS["TCP super-frame"], bytes(frame))]

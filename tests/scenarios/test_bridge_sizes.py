"""How long a frame may be: the port's MTU and 18 bytes, 22 with two tags. Offload super-frames count by segment."""

import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from .network import Network, Segment
from .shapes import switch

A, B, C = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "02:aa:00:00:00:03"
EVERYONE = "ff:ff:ff:ff:ff:ff"
HEADS = {"untagged": (Ether(src=A, dst=B, type=0x88B5), 18),
         "one tag": (Ether(src=A, dst=B) / Dot1Q(vlan=7, type=0x88B5), 18),
         "two tags": (Ether(src=A, dst=B) / Dot1AD(vlan=9) / Dot1Q(vlan=7, type=0x88B5), 22)}


@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
@pytest.mark.parametrize("head", HEADS)
def test_the_longest_frame_passes_and_one_byte_more_does_not(head, mtu):
    net = switch("p1", "p2", mtu={"p1": mtu, "p2": mtu})
    start, extra = HEADS[head]
    longest = start / bytes(mtu + extra - len(start))
    net.send("p1", longest)
    net.expect("p2", longest)
    net.send("p1", longest / b"x")
    net.expect("p2")
    assert net.drops() == {"oversize": 1}


def test_a_flood_leaves_out_the_ports_it_is_too_long_for():
    net = switch("p1", "jumbo", "small", mtu={"p1": 9000, "jumbo": 9000})
    frame = Ether(src=A, dst=EVERYONE, type=0x88B5) / bytes(8000)
    net.send("p1", frame)
    net.expect("jumbo", frame)
    net.expect("small")
    assert net.drops() == {}


def test_a_flood_that_is_too_long_for_every_port_is_oversize():
    net = switch("jumbo", "p1", "p2", mtu={"jumbo": 9000})
    net.send("jumbo", Ether(src=A, dst=EVERYONE, type=0x88B5) / bytes(8000))
    net.expect_silence()
    assert net.drops() == {"oversize": 1}


def test_a_change_of_mtu_counts_from_the_next_frame_on():
    net = switch("p1", "p2", mtu={"p1": 9000})
    frame = Ether(src=A, dst=B, type=0x88B5) / bytes(8000)
    net.set_port("p2", mtu=9000)
    net.send("p1", frame)
    net.expect("p2", frame)


STAMPED = TCP(flags="A", options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
TCPV4, TCPV6, UDP_L4, ECN = 1, 4, 5, 0x80
SUPER_FRAMES = {
    "TCP": (IP() / TCP(flags="A"), 14, TCPV4, 1460),
    "TCP with options": (IP() / STAMPED, 14, TCPV4, 1448),
    "TCP with ECN": (IP() / TCP(flags="A"), 14, TCPV4 | ECN, 1460),
    "TCP over IPv6": (IPv6() / TCP(flags="A"), 14, TCPV6, 1440),
    "TCP behind IPv6 extension headers": (IPv6() / IPv6ExtHdrDestOpt() / TCP(flags="A"), 14, TCPV6, 1432),
    "TCP in a VLAN": (Dot1Q(vlan=7) / IP() / TCP(flags="A"), 18, TCPV4, 1460),
    "UDP": (IP() / UDP(), 14, UDP_L4, 1472),
    "UDP over IPv6": (IPv6() / UDP(), 14, UDP_L4, 1452),
}


@pytest.mark.parametrize(("more", "passes"), [(-500, True), (0, True), (1, False)])
@pytest.mark.parametrize("case", SUPER_FRAMES)
def test_a_super_frame_counts_by_the_size_of_its_segments(case, more, passes):
    net = switch("p1", "p2")
    packet, l3_off, gso_type, most = SUPER_FRAMES[case]
    l4 = packet[UDP] if UDP in packet else packet[TCP]
    l4_off, header_len = l3_off + bytes(packet).index(bytes(l4)), len(l4)
    if isinstance(packet, Dot1Q):
        l4_off -= 4
    offload = struct.pack("<BBHHHH", 1, gso_type, l4_off + header_len, most + more, l4_off, 6 if UDP in packet else 16)
    net.send("p1", Ether(src=A, dst=B) / packet / bytes(30000), offload=offload)
    assert len(net.take("p2")) == passes
    assert net.drops() == ({} if passes else {"oversize": 1})


@pytest.mark.parametrize("csum_start", [0, 13, 30035, 30054, 65535])
def test_an_offload_header_that_points_out_of_the_frame_is_not_followed(csum_start):
    net = switch("p1", "p2")
    frame = Ether(src=A, dst=B) / IP(src="10.0.1.10", dst="10.0.1.11") / TCP(flags="A") / bytes(30000)
    net.send("p1", frame, offload=struct.pack("<BBHHHH", 1, TCPV4, 54, 1500, csum_start, 16))
    assert len(net.take("p2")) == 1


@pytest.mark.parametrize("length", range(14))
def test_a_frame_shorter_than_an_ethernet_header_is_dropped(length):
    net = switch("p1", "p2")
    net.send("p1", bytes(Ether(src=A, dst=B))[:length])
    net.expect_silence()
    assert net.drops() == {"runt": 1}


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("tags", [Dot1Q(vlan=7), Dot1AD(vlan=9) / Dot1Q(vlan=7)])
def test_a_frame_that_ends_within_its_tag_is_dropped(tags, cut):
    net = switch("p1", "p2")
    net.send("p1", bytes(Ether(src=A, dst=B) / tags)[:-cut])
    net.expect_silence()
    assert net.drops() == {"runt": 1}


def test_a_frame_of_nothing_but_headers_passes():
    net = switch("p1", "p2")
    net.send("p1", Ether(src=A, dst=B, type=0x88B5))
    net.expect("p2", Ether(src=A, dst=B, type=0x88B5))


def test_ports_of_one_segment_may_have_different_mtus():
    net = Network({"lan": Segment(("p1", "p2", "p3"), mtu={"p1": 9000, "p2": 9000})})
    net.send("p2", Ether(src=B, dst=EVERYONE, type=0x88B5))
    net.send("p3", Ether(src=C, dst=EVERYONE, type=0x88B5))
    net.discard()
    long_frame = Ether(src=A, dst=B, type=0x88B5) / bytes(8000)
    net.send("p1", long_frame)
    net.expect("p2", long_frame)
    net.send("p1", Ether(src=A, dst=C, type=0x88B5) / bytes(8000))
    assert net.drops() == {"oversize": 1}

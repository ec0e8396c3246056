"""How long a frame may be: the port's MTU and 18 bytes, 22 with two tags. Offload super-frames count by segment."""

import struct

import pytest
from scapy.layers.inet import IP, TCP
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


@pytest.mark.parametrize(("size", "passes"), [(1448, True), (1500, True), (1501, False)])
def test_a_super_frame_counts_by_the_size_of_its_segments(size, passes):
    net = switch("p1", "p2")
    frame = Ether(src=A, dst=B) / IP(src="10.0.1.10", dst="10.0.1.11") / TCP(flags="A") / bytes(30000)
    net.send("p1", frame, offload=struct.pack("<BBHHHH", 1, 1, 54, size, 34, 16))
    assert len(net.take("p2")) == passes
    assert net.drops() == ({} if passes else {"oversize": 1})


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

"""The learning switch: where a frame that is for somebody else goes. IEEE 802.1Q clause 8."""

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from .network import Network, Segment
from .shapes import OUTSIDE, switch

A, B, C = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "02:aa:00:00:00:03"
EVERYONE = "ff:ff:ff:ff:ff:ff"


def frame(src: str, dst: str, payload: bytes = b"x" * 50) -> Packet:
    """A frame of an EtherType that swlb knows nothing about."""
    return Ether(src=src, dst=dst, type=0x88B5) / payload


def test_unknown_unicast_is_flooded_to_all_other_ports():
    net = switch("p1", "p2", "p3")
    net.send("p1", frame(A, B))
    net.expect("p1")
    net.expect("p2", frame(A, B))
    net.expect("p3", frame(A, B))


def test_known_unicast_leaves_by_the_one_port_its_station_is_behind():
    net = switch("p1", "p2", "p3")
    net.send("p2", frame(B, EVERYONE))
    net.discard()
    net.send("p1", frame(A, B))
    net.expect("p2", frame(A, B))
    net.expect_silence()


@pytest.mark.parametrize("group", [EVERYONE, "01:00:5e:00:00:fb", "33:33:00:00:00:01", "01:80:c2:00:00:10"])
def test_group_frames_go_to_every_other_port_and_to_the_kernel_twin(group):
    net = Network({"lan": Segment(("p1", "p2"), OUTSIDE, host=True)})
    net.send("p1", frame(A, group))
    net.expect("p2", frame(A, group))
    net.expect("lan-host", frame(A, group))
    net.expect_silence()


def test_unknown_unicast_is_not_flooded_to_the_kernel_twin():
    net = Network({"lan": Segment(("p1", "p2"), OUTSIDE, host=True)})
    net.send("p1", frame(A, B))
    net.expect("p2", frame(A, B))
    net.expect("lan-host")


def test_a_frame_is_not_sent_back_by_the_port_it_came_from():
    net = switch("p1", "p2")
    net.send("p1", frame(B, EVERYONE))
    net.discard()
    net.send("p1", frame(A, B))
    net.expect_silence()
    assert net.drops() == {"same_port": 1}


def test_a_flood_that_no_port_can_take_is_counted():
    net = switch("p1")
    net.send("p1", frame(A, B), frame(A, EVERYONE))
    assert net.drops() == {"nowhere": 2}


@pytest.mark.parametrize("last", range(16))
def test_frames_to_reserved_group_addresses_are_not_forwarded(last):
    net = switch("p1", "p2")
    net.send("p1", frame(A, f"01:80:c2:00:00:{last:02x}"))
    net.expect_silence()
    assert net.drops() == {"reserved_mac": 1}


@pytest.mark.parametrize("source", [EVERYONE, "01:00:5e:00:00:01", "33:33:00:00:00:01", "00:00:00:00:00:00"])
def test_a_group_or_zero_source_is_dropped_and_not_learnt(source):
    net = switch("p1", "p2")
    net.send("p1", frame(source, B))
    net.expect_silence()
    assert net.drops() == {"bad_source_mac": 1}
    assert net.fdb("lan") == {}


def test_the_segments_own_mac_as_source_is_dropped_and_not_learnt():
    net = Network({"lan": Segment(("p1", "p2"), OUTSIDE)})
    net.send("p1", frame(net.mac("lan"), EVERYONE))
    net.expect_silence()
    assert net.drops() == {"own_source_mac": 1}
    assert net.fdb("lan") == {}


def test_segments_without_addresses_are_switches_side_by_side():
    net = Network({"left": Segment(("l1", "l2")), "right": Segment(("r1", "r2"))})
    net.send("l2", frame(B, EVERYONE))
    net.send("r1", frame(B, EVERYONE))
    net.discard()
    net.send("l1", frame(A, B))
    net.expect("l2", frame(A, B))
    net.expect_silence()
    net.send("r2", frame(A, B))
    net.expect("r1", frame(A, B))
    net.expect_silence()


def test_a_plain_switch_has_no_mac_of_its_own():
    net = switch("p1", "p2")
    net.send("p1", frame(net.mac("lan"), B))
    net.expect("p2", frame(net.mac("lan"), B))
    net.send("p2", frame(B, net.mac("lan")))
    net.expect("p1", frame(B, net.mac("lan")))


def test_a_port_that_is_down_is_left_out_of_floods():
    net = switch("p1", "p2", "p3")
    net.set_port("p3", up=False)
    net.send("p1", frame(A, EVERYONE))
    net.expect("p2", frame(A, EVERYONE))
    net.expect("p3")
    assert net.drops() == {}


def test_a_port_that_came_up_again_takes_part():
    net = switch("p1", "p2")
    net.set_port("p2", up=False)
    net.set_port("p2", up=True)
    net.send("p1", frame(A, EVERYONE))
    net.expect("p2", frame(A, EVERYONE))


def test_a_burst_longer_than_the_loops_keeps_its_order():
    net = switch("p1", "p2")
    burst = [frame(A, B, bytes([i]) * 50) for i in range(200)]
    net.send("p1", *burst)
    net.expect("p2", *burst)

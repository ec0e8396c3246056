"""Requests through tunnels: every field of the outer packet, and the inner one untouched, in all combinations."""

import struct

import pytest
from scapy.layers.l2 import Dot1Q

from tests.oracle.checksum import flaws

from .frames import NO_OFFLOAD, TCP, Ether
from .test_offload_nat import partial
from .tunnelled import ALL_WAYS, OWN, Scene, peel, tunnelled

NEEDS_CSUM = 1


def offload(scene: Scene, gso_type: int = 0, gso_size: int = 0) -> bytes:
    """What a kernel asks for with a frame whose checksum is partial."""
    start = 14 + (20 if scene.inner == 4 else 40)
    l4_len, check = (20, 16) if scene.protocol == "tcp" else (8, 6)
    return struct.pack("<BBHHHH", NEEDS_CSUM, gso_type, start + l4_len if gso_type else 0, gso_size, start, check)


@ALL_WAYS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_request_arrives_as_it_was_sent_within_an_outer_packet_to_the_server(forward, inner, outer, protocol):
    scene = tunnelled(forward, inner, outer, protocol=protocol)
    sent = scene.request(payload=b"question")
    scene.client.send(sent)
    assert scene.arrived() == [bytes(sent)]
    assert scene.net.drops() == {}


@ALL_WAYS
def test_later_packets_follow_the_first(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, n_servers=2)
    for flags in ("S", "A", "PA", "FA"):
        scene.client.send(scene.request(flags))
        assert scene.arrived(0) == [bytes(scene.request(flags))]
    assert scene.arrived(1) == []


@ALL_WAYS
@pytest.mark.parametrize("hops", [1, 2, 64, 255])
def test_hops_within_are_not_counted(forward, inner, outer, hops):
    scene = tunnelled(forward, inner, outer)
    scene.client.send(scene.request(hops=hops))
    assert scene.arrived() == [bytes(scene.request(hops=hops))]


@ALL_WAYS
@pytest.mark.parametrize("traffic_class", [0, 1, 2, 3, 0xB8, 0xBB, 0xFF])
def test_class_and_congestion_marks_are_copied_out(forward, inner, outer, traffic_class):
    scene = tunnelled(forward, inner, outer)
    scene.client.send(scene.request(**{"tos" if inner == 4 else "tc": traffic_class}))
    peeled, = scene.peeled()
    assert peeled.traffic_class == traffic_class


@ALL_WAYS
def test_a_flow_keeps_its_label_and_port_and_flows_differ(forward, inner, outer):
    scene = tunnelled(forward, inner, outer)
    marks = []
    for sport in range(2000, 2064):
        scene.client.send(scene.request("S", sport=sport), scene.request("A", sport=sport, payload=b"more"))
        first, second = scene.peeled()
        assert (first.flow, first.label) == (second.flow, second.label)
        marks.append((first.flow, first.label))
    if forward == "gue":
        assert all(49152 <= flow <= 65535 for flow, _ in marks)
    assert len(set(marks)) > 55 or (forward, outer) == ("ipip", 4)


@pytest.mark.parametrize("outer", [4, 6])
def test_gue_goes_to_the_port_that_is_configured(outer):
    scene = tunnelled("gue", 4, outer, gue_port=19523)
    scene.client.send(scene.request())
    assert scene.arrived() == [bytes(scene.request())]


@ALL_WAYS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_partial_checksum_within_is_completed(forward, inner, outer, protocol):
    scene = tunnelled(forward, inner, outer, protocol=protocol).open()
    scene.client.send(partial(scene.request("PA", payload=b"odd")), offload=offload(scene))
    (header, frame), = scene.net.take_with_offload("server0")
    assert header == NO_OFFLOAD
    inside = peel(frame.payload, src=OWN[outer], dst=scene.servers[0].addresses[0],
                  gue_port=6080 if forward == "gue" else None).inner
    assert inside == bytes(scene.request("PA", payload=b"odd"))
    assert flaws(inside) == []


@ALL_WAYS
def test_wrong_checksum_within_stays_wrong(forward, inner, outer):
    scene = tunnelled(forward, inner, outer)
    sent = scene.request(payload=b"x")
    sent[TCP].chksum = 0x1234
    scene.client.send(sent)
    assert scene.arrived() == [bytes(sent)]


@ALL_WAYS
def test_what_fills_a_short_frame_up_stays_behind(forward, inner, outer):
    scene = tunnelled(forward, inner, outer)
    scene.net.send("client", bytes(scene.client.frame(scene.request())) + bytes(20))
    assert scene.arrived() == [bytes(scene.request())]


@ALL_WAYS
def test_super_frame_is_cut_and_each_piece_has_outer_headers_of_its_own(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    payload = bytes(n % 251 for n in range(30000))
    sent = partial(scene.request("PA", payload=payload))
    scene.client.send(sent, offload=offload(scene, 1 if inner == 4 else 4, 1300))
    pieces = [type(sent)(piece) for piece in scene.arrived()]
    assert len(pieces) == 24
    assert all(flaws(bytes(piece)) == [] for piece in pieces)
    assert b"".join(bytes(piece.payload.payload) for piece in pieces) == payload
    first = sent.payload.seq
    assert [piece.payload.seq for piece in pieces] == [first + n * 1300 for n in range(24)]
    assert [str(piece.payload.flags) for piece in pieces] == ["A"] * 23 + ["PA"]


@ALL_WAYS
def test_a_priority_tag_stays(forward, inner, outer):
    scene = tunnelled(forward, inner, outer)
    tagged = Ether(src=scene.client.mac, dst=scene.net.mac("outside")) / Dot1Q(vlan=0, prio=5) / scene.request()
    scene.net.send("client", tagged)
    frame = scene.net.take_one("server0")
    assert (frame[Dot1Q].vlan, frame[Dot1Q].prio) == (0, 5)
    assert peel(frame[Dot1Q].payload, src=OWN[outer], dst=scene.servers[0].addresses[0],
                gue_port=6080 if forward == "gue" else None).inner == bytes(scene.request())

"""RFC 2473: a tunnel on a link that has no room for its outer headers carries what every IPv6 link must carry."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, defragment
from scapy.layers.inet6 import IPv6ExtHdrFragment, defragment6
from scapy.packet import Packet

from tests.oracle.pieces import super_frame, wire_frames
from tests.scenarios.tunnelled import OWN, Scene, overhead, peel, tunnelled

from .test_rfc8201 import LEAST, SOME, told


@dataclass(frozen=True)
class Carried:
    """What has left through a tunnel: how long packets were, and what was within once outer ones were put together."""

    lengths: list[int]
    inner: list[bytes]


def carried(scene: Scene) -> Carried:
    frames = scene.net.take("server0")
    lengths = [len(bytes(frame.payload)) for frame in frames]
    together = defragment if scene.outer == 4 else defragments6
    packets = [restored(packet) for packet in together([frame.payload for frame in frames])]
    gue_port = scene.gue_port if scene.forward == "gue" else None
    inner = [peel(packet, src=OWN[scene.outer], dst=scene.servers[0].addresses[0], gue_port=gue_port).inner
             for packet in packets]
    return Carried(lengths, inner)


def defragments6(pieces: list[Packet]) -> list[Packet]:
    """The packets that the pieces make, which may be several."""
    numbers = list(dict.fromkeys(piece[IPv6ExtHdrFragment].id for piece in pieces))
    return [defragment6([piece for piece in pieces if piece[IPv6ExtHdrFragment].id == number]) for number in numbers]


def restored(packet: Packet) -> Packet:
    """The outer packet as it leaves where it is in one piece: over IPv4, with DF and without an id."""
    if isinstance(packet, IP):
        packet.flags, packet.id, packet.chksum = "DF", 0, None
    else:
        packet.plen = None
    return type(packet)(bytes(packet))


TUNNELS = pytest.mark.parametrize(("forward", "outer"), [(f, o) for f in ("ipip", "gue") for o in (4, 6)])


@TUNNELS
@SOME
@given(over=st.integers(1, 20))
def test_section_7_1_what_every_link_must_carry_passes_any_tunnel(forward: str, outer: int, over: int) -> None:
    """A packet of up to 1280 bytes is carried where outer headers find no room: the outer packet is in fragments."""
    scene = tunnelled(forward, 6, outer, mtu={"server0": LEAST}).open()
    sent = scene.sized(LEAST - overhead(forward, outer) + over)
    scene.client.send(sent)
    left = carried(scene)
    assert len(left.lengths) == 2
    assert max(left.lengths) <= LEAST
    assert left.inner == [bytes(sent)]
    assert scene.net.drops() == {}


@TUNNELS
def test_section_7_1_so_does_every_segment_of_a_super_frame(forward: str, outer: int) -> None:
    """Segments of 1280 bytes or less are carried each in an outer packet of its own, under an id of its own."""
    scene = tunnelled(forward, 6, outer, mtu={"server0": LEAST}).open()
    sent = scene.sized(5000)
    offload, frame = super_frame(bytes(scene.client.frame(sent))[:14], sent, LEAST - 60)
    scene.net.send("client", frame, offload=offload)
    left = carried(scene)
    assert left.inner == wire_frames(b"", sent, LEAST - 60)
    assert max(left.lengths) <= LEAST


@TUNNELS
def test_section_7_1_what_is_larger_is_told_to_come_as_that(forward: str, outer: int) -> None:
    """A packet of more than 1280 bytes that does not fit is answered with 1280, which will."""
    scene = tunnelled(forward, 6, outer, mtu={"server0": LEAST}).open()
    sent = scene.sized(LEAST + 1)
    scene.client.send(sent)
    assert told(scene.client, sent) == LEAST
    assert scene.net.take("server0") == []

"""RFC 791: what stands in which fragment, and what is fragmented when a device was still to cut or to complete it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, IPOption_NOP, IPOption_RR, IPOption_Timestamp
from scapy.packet import Packet

from tests.oracle.pieces import super_frame, wire_frames
from tests.scenarios.balanced import Scene

from .test_rfc1812_fragmentation import LINKS, SOME, arrived, request, said, scene_of, together


def send_unfinished(scene: Scene, packet: Packet, segment: int) -> None:
    """The client's kernel has left it to its device to cut the packet, 0: only to complete its checksum."""
    offload, frame = super_frame(bytes(scene.client.frame(packet))[:14], packet, segment)
    scene.net.send("client", frame, offload=offload)


OPTIONS = {"NOP": IPOption_NOP(), "RR": IPOption_RR(routers=["0.0.0.0"]),
           "copied": IPOption_Timestamp(copy_flag=1, flg=0, timestamp=1),
           "not copied": IPOption_Timestamp(flg=0, timestamp=2)}


@SOME
@given(names=st.lists(st.sampled_from(sorted(OPTIONS)), min_size=1, max_size=3), size=st.integers(1600, 5000))
def test_section_3_1_options_are_copied_where_their_type_says_so(names: list[str], size: int) -> None:
    """Every option is in the first fragment, and in later ones just those whose copied flag is set."""
    scene = scene_of(1400)
    options = [OPTIONS[name] for name in names]
    scene.client.send(request(scene, size, options=options))
    first, *later = arrived(scene)
    assert [bytes(option) for option in first.options][:len(options)] == list(map(bytes, options))
    copied = [bytes(option) for option in options if option.copy_flag]
    for piece in later:
        assert [bytes(option) for option in piece.options if option.copy_flag] == copied
    assert together([first, *later])[UDP].sport == 40000


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@SOME
@given(segment=st.integers(1473, 5000), payload=st.integers(1, 30000), mtu=LINKS, number=st.integers(0, 65535))
def test_section_3_2_each_segment_of_a_super_frame_is_a_packet_of_its_own(
    protocol: str, segment: int, payload: int, mtu: int, number: int
) -> None:
    """What a device would have cut into packets arrives as these, each in fragments under an id of its own."""
    scene = scene_of(mtu, protocol)
    sent = request(scene, payload + (40 if protocol == "tcp" else 28), id=number)
    send_unfinished(scene, sent, segment)
    wanted = [IP(raw) for raw in wire_frames(b"", sent, segment)]
    pieces = arrived(scene)
    assert [piece.id for piece in pieces if not piece.frag] == [(number + i) % 65536 for i in range(len(wanted))]
    for packet in wanted:
        assert said(together([piece for piece in pieces if piece.id == packet.id])) == said(packet)


@SOME
@given(size=st.integers(1401, 8000))
def test_section_3_2_a_partial_checksum_is_completed_over_the_whole(size: int) -> None:
    """A checksum that a device was to complete is complete before the packet is in pieces."""
    scene = scene_of(1400)
    sent = request(scene, size, id=3)
    send_unfinished(scene, sent, 0)
    assert said(together(arrived(scene))) == said(sent)

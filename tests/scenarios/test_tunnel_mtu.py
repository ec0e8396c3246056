"""What is too large for a tunnel: told, taken apart, or never sent, with the outer headers counted in."""

import pytest
from scapy.layers.inet import ICMP, IPOption_NOP, IPOption_RR, IPOption_Timestamp, defragment
from scapy.layers.inet6 import ICMPv6PacketTooBig
from scapy.packet import Packet

from tests.oracle.checksum import flaws

from .frames import IP, TCP, IPv6
from .test_offload_nat import partial
from .test_tunnel_headers import offload
from .tunnelled import ALL_WAYS, Scene, overhead, tunnelled

LINK = 1500
FOR_IPV4 = pytest.mark.parametrize(("forward", "outer"), [(f, o) for f in ("ipip", "gue") for o in (4, 6)])


def whole(scene: Scene, size: int) -> Packet:
    """A packet of that size which nobody may take apart."""
    return scene.sized(size, **({"flags": "DF"} if scene.inner == 4 else {}))


def told(scene: Scene, sent: Packet) -> int:
    """The MTU that the one frame which reached the client tells of, as an error about what it sent."""
    error = scene.client.take_one()
    kind = error.payload
    assert isinstance(kind, ICMP if scene.inner == 4 else ICMPv6PacketTooBig)
    assert (kind.type, kind.code) == ((3, 4) if scene.inner == 4 else (2, 0))
    assert error.src == scene.client.own_address(scene.inner)
    assert bytes(sent).startswith(bytes(kind)[8:])
    assert len(bytes(kind)) > 508
    assert flaws(bytes(error)) == []
    return kind.nexthopmtu if scene.inner == 4 else kind.mtu


@ALL_WAYS
def test_what_just_fits_with_its_outer_headers_passes(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, mtu={"client": 9000}).open()
    sent = whole(scene, LINK - overhead(forward, outer))
    scene.client.send(sent)
    assert scene.arrived() == [bytes(sent)]


@ALL_WAYS
def test_what_does_not_is_told_what_would(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, mtu={"client": 9000}).open()
    sent = whole(scene, LINK - overhead(forward, outer) + 1)
    scene.client.send(sent)
    assert told(scene, sent) == LINK - overhead(forward, outer)
    assert scene.arrived() == []
    assert scene.net.drops() == {"too_big": 1}


@ALL_WAYS
def test_it_is_the_servers_link_that_counts(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, n_servers=2).open()
    scene.net.set_port("server0", mtu=1400)
    sent = whole(scene, 1401 - overhead(forward, outer))
    scene.client.send(sent)
    assert told(scene, sent) == 1400 - overhead(forward, outer)


@ALL_WAYS
def test_over_ipv6_nobody_is_told_less_than_every_link_has(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    scene.net.set_port("server0", mtu=1290)
    sent = whole(scene, 1400)
    scene.client.send(sent)
    assert told(scene, sent) == (1280 if inner == 6 else 1290 - overhead(forward, outer))


@ALL_WAYS
@pytest.mark.parametrize(("over", "passes"), [(0, True), (1, False)])
def test_super_frame_is_measured_by_its_segments(forward, inner, outer, over, passes):
    scene = tunnelled(forward, inner, outer).open()
    room = LINK - overhead(forward, outer) - (40 if inner == 4 else 60)
    sent = partial(scene.request("PA", payload=bytes(20000), **({"flags": "DF"} if inner == 4 else {})))
    scene.client.send(sent, offload=offload(scene, 1 if inner == 4 else 4, room + over))
    assert bool(scene.net.take("server0")) == passes
    assert scene.net.drops() == ({} if passes else {"too_big": 1})


@FOR_IPV4
def test_what_may_be_taken_apart_arrives_in_pieces_that_make_the_whole(forward, outer):
    scene = tunnelled(forward, 4, outer, mtu={"client": 9000}).open()
    sent = scene.sized(8900, id=77)
    scene.client.send(sent)
    pieces = [IP(inner) for inner in scene.arrived()]
    assert len(pieces) == 7
    assert all(flaws(bytes(piece)) == [] for piece in pieces)
    assert {len(piece) <= LINK - overhead(forward, outer) for piece in pieces} == {True}
    together, = defragment(pieces)
    del together.chksum
    assert bytes(IP(bytes(together))) == bytes(sent)
    assert scene.net.drops() == {}


@FOR_IPV4
def test_pieces_are_as_large_as_may_be_and_no_larger(forward, outer):
    scene = tunnelled(forward, 4, outer, mtu={"client": 9000}).open()
    room = LINK - overhead(forward, outer)
    scene.client.send(scene.sized(room + 1))
    first, second = (IP(inner) for inner in scene.arrived())
    assert len(first) == 20 + (room - 20) // 8 * 8
    assert (first.frag, second.frag) == (0, (room - 20) // 8)
    assert (str(first.flags), str(second.flags)) == ("MF", "")


@FOR_IPV4
def test_a_partial_checksum_is_completed_before_the_packet_is_taken_apart(forward, outer):
    scene = tunnelled(forward, 4, outer, mtu={"client": 9000}).open()
    sent = scene.sized(3000, id=5)
    scene.client.send(partial(scene.sized(3000, id=5)), offload=offload(scene))
    together, = defragment([IP(inner) for inner in scene.arrived()])
    assert bytes(together)[20:] == bytes(sent)[20:]


@FOR_IPV4
def test_a_piece_is_taken_apart_further(forward, outer):
    scene = tunnelled(forward, 4, outer, mtu={"client": 9000}, protocol="udp")
    sent = scene.request(payload=bytes(range(256)) * 30, id=9)
    scene.client.send(*sent.fragment(4000))
    pieces = [IP(inner) for inner in scene.arrived()]
    assert len(pieces) == 6
    together, = defragment(pieces)
    assert bytes(together)[20:] == bytes(sent)[20:]


@FOR_IPV4
def test_later_pieces_carry_the_options_that_are_to_be_copied(forward, outer):
    scene = tunnelled(forward, 4, outer, mtu={"client": 9000}).open()
    copied = IPOption_Timestamp(copy_flag=1, flg=0, timestamp=1)
    options = [IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"]), copied]
    scene.client.send(scene.sized(3000, id=3, options=options))
    first, second, third = (IP(inner) for inner in scene.arrived())
    assert [option.option for option in first.options if option.option] == [1, 7, 4]
    for later in (second, third):
        assert [option.copy_flag for option in later.options if option.option] == [1]
        assert bytes(later.options[0]) == bytes(copied)
        assert flaws(bytes(later)) == []


@ALL_WAYS
def test_syn_offers_what_fits_through_the_tunnel(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, mss="auto")
    syn = scene.request("S")
    syn[TCP].options = [("MSS", 1460)]
    scene.client.send(type(syn)(bytes(syn)))
    inside, = scene.arrived()
    seen = (IP if inner == 4 else IPv6)(inside)
    assert dict(seen[TCP].options)["MSS"] == LINK - overhead(forward, outer) - (40 if inner == 4 else 60)
    assert flaws(inside) == []


def test_a_syn_that_offers_less_is_left_alone():
    scene = tunnelled(mss="auto")
    syn = scene.request("S")
    syn[TCP].options = [("MSS", 536)]
    scene.client.send(syn)
    assert scene.arrived() == [bytes(syn)]

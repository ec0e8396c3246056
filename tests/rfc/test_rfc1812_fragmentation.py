"""RFC 1812: what a router does with IPv4 that is too large for the next link. Scapy puts the pieces together."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, defragment
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws
from tests.scenarios.balanced import Scene, routed, transparent
from tests.scenarios.frames import NO_OFFLOAD

SOME = settings(max_examples=15, deadline=None)
LINKS = st.sampled_from((1280, 1400, 1492))
SIZES = st.integers(1493, 8900)


def scene_of(mtu: int, protocol: str = "udp") -> Scene:
    """A client on a link of 9000 bytes, a server on one of so many, and a session between them."""
    scene = routed(4, n_servers=1, protocol=protocol)
    scene.net.set_port("client", mtu=9000)
    scene.net.set_port("server0", mtu=mtu)
    scene.call("S")
    return scene


def request(scene: Scene, size: int, **fields: object) -> Packet:
    """A packet of the client's that is so long, and no two bytes of which are where others could be."""
    head = IP(src=scene.client.addresses[0], dst=scene.vip, **fields)
    l4 = scene.l4(40000, 80, "A")
    return IP(bytes(head / l4 / Raw(filling(size - len(head) - len(l4)))))


def filling(n: int) -> bytes:
    return b"".join(struct.pack("!H", i) for i in range(n // 2 + 1))[:n]


def arrived(scene: Scene) -> list[IP]:
    """What has reached the server's link, each packet sound, and nothing left for a device to do."""
    taken = scene.net.take_with_offload("server0")
    assert all(offload == NO_OFFLOAD for offload, _ in taken)
    packets = [frame.payload for _, frame in taken]
    assert all(flaws(bytes(packet)) == [] for packet in packets)
    assert all(packet.len == len(packet) for packet in packets)
    return packets


def together(pieces: list[IP]) -> IP:
    """The one packet that the pieces make, every checksum verified."""
    whole, = defragment(pieces)
    del whole.chksum
    whole = IP(bytes(whole))
    assert flaws(bytes(whole)) == []
    return whole


def said(packet: IP) -> tuple:
    """All that must be as it was sent but for what NAT and a router change."""
    l4 = packet.payload
    return packet.id, packet.tos, packet.proto, l4.sport, bytes(l4.payload)


@SOME
@given(mtu=LINKS, size=SIZES, tos=st.integers(0, 255), number=st.integers(0, 65535))
def test_section_4_2_2_7_fragmentation_is_supported(mtu: int, size: int, tos: int, number: int) -> None:
    """A packet without DF that does not fit the next link leaves in fragments that make it."""
    scene = scene_of(mtu)
    sent = request(scene, size, id=number, tos=tos)
    scene.client.send(sent)
    pieces = arrived(scene)
    assert all(len(piece) <= mtu for piece in pieces)
    whole = together(pieces)
    assert said(whole) == said(sent)
    assert (whole.ttl, whole.dst, whole[UDP].dport) == (sent.ttl - 1, scene.servers[0].addresses[0], 8080)
    assert scene.net.drops() == {}


@SOME
@given(mtu=LINKS, size=SIZES)
def test_section_4_2_2_7_the_number_of_fragments_is_the_least(mtu: int, size: int) -> None:
    """Each fragment but the last is as large as the link and units of 8 bytes allow, and they leave in order."""
    scene = scene_of(mtu)
    scene.client.send(request(scene, size))
    pieces = arrived(scene)
    most = (mtu - 20) // 8 * 8
    assert [piece.frag * 8 for piece in pieces] == list(range(0, size - 20, most))
    assert {len(piece) for piece in pieces[:-1]} == {20 + most}


@pytest.mark.parametrize("mtu", [1280, 1400])
def test_section_5_2_6_nothing_is_put_together_before_it_is_forwarded(mtu: int) -> None:
    """A fragment that fits passes as it is, and one that does not is cut further; the receiver gets the same packet."""
    scene = scene_of(mtu)
    sent = request(scene, 8000, id=9)
    before = sent.fragment(2000)
    for piece in before:
        scene.client.send(piece)
    after = arrived(scene)
    assert len(after) == sum(-(-(len(piece) - 20) // ((mtu - 20) // 8 * 8)) for piece in before)
    assert said(together(after)) == said(sent)


def test_section_5_2_7_1_df_is_obeyed() -> None:
    """A packet with DF is never cut: its sender hears what the next link carries (code 4)."""
    scene = scene_of(1400)
    sent = request(scene, 1401, flags="DF")
    scene.client.send(sent)
    assert arrived(scene) == []
    error = scene.client.take_one()
    assert (error.payload.type, error.payload.code, error.payload.nexthopmtu) == (3, 4, 1400)
    assert bytes(sent).startswith(bytes(error.payload.payload))


@SOME
@given(mtu=LINKS, size=SIZES)
def test_section_4_2_2_7_a_bridge_with_an_address_does_as_much(mtu: int, size: int) -> None:
    """A reply that is bridged to a client behind a narrower link arrives in fragments, as the VIP's."""
    scene = transparent(4, n_servers=1, protocol="udp")
    scene.net.set_port("server0", mtu=9000)
    scene.call()
    scene.net.set_port("client", mtu=mtu)
    head = IP(src=scene.servers[0].addresses[0], dst=scene.client.addresses[0], id=5)
    sent = IP(bytes(head / UDP(sport=8080, dport=40000) / Raw(filling(size - 28))))
    scene.servers[0].send(sent, to=scene.client.mac)
    frames = scene.net.take("client")
    assert {(frame.src, frame.dst) for frame in frames} == {(scene.net.mac("near"), scene.client.mac)}
    assert all(frame.payload.len <= mtu and flaws(bytes(frame.payload)) == [] for frame in frames)
    whole = together([frame.payload for frame in frames])
    assert (whole.src, whole[UDP].sport, bytes(whole[UDP].payload)) == (scene.vip, 80, filling(size - 28))
    assert TCP not in whole

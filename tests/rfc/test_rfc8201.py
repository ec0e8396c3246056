"""RFC 8201: path MTU of IPv6, where only the sender can do anything about it."""


import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws
from tests.scenarios.balanced import Scene, routed, transparent
from tests.scenarios.network import Station

SOME = settings(max_examples=12, deadline=None)
MTUS = st.integers(1280, 8999)
ROUTER = "fd00:9::9"
LEAST = 1280


def scene_of(shape=routed) -> Scene:
    """A TCP session between a client and a server, whose links carry 9000 bytes until a test says otherwise."""
    scene = shape(6, n_servers=1)
    for port in ("client", "server0"):
        scene.net.set_port(port, mtu=9000)
    scene.open()
    return scene


def segment(src: str, dst: str, sport: int, dport: int, size: int) -> Packet:
    return IPv6(bytes(IPv6(src=src, dst=dst) / TCP(sport=sport, dport=dport, flags="A") / Raw(bytes(size - 60))))


def told(station: Station, sent: Packet) -> int:
    """The MTU in the one packet that the station got: an error about what it had sent, byte for byte."""
    error = station.take_one()
    message = error.payload
    assert isinstance(message, ICMPv6PacketTooBig)
    assert message.code == 0
    assert len(bytes(error)) == LEAST
    assert bytes(sent).startswith(bytes(error)[48:])
    assert flaws(bytes(error)) == []
    return message.mtu


@SOME
@given(mtu=MTUS, over=st.integers(1, 500))
def test_section_3_a_router_that_cannot_forward_says_the_mtu_of_the_next_link(mtu: int, over: int) -> None:
    """A request too large for the server's link is answered to the client with what that link carries."""
    scene = scene_of()
    scene.net.set_port("server0", mtu=mtu)
    sent = segment(scene.client.addresses[0], scene.vip, 40000, 80, min(mtu + over, 9000))
    scene.client.send(sent)
    assert told(scene.client, sent) == mtu


@pytest.mark.parametrize("shape", [routed, transparent])
@SOME
@given(mtu=MTUS, over=st.integers(1, 500))
def test_section_3_a_server_hears_of_the_link_to_the_client(shape, mtu: int, over: int) -> None:
    """A reply too large for the client's link, routed or bridged, is answered to the server as it sent it."""
    scene = scene_of(shape)
    scene.net.set_port("client", mtu=mtu)
    sent = segment(scene.servers[0].addresses[0], scene.client.addresses[0], 8080, 40000, min(mtu + over, 9000))
    scene.servers[0].send(sent, to=None if scene.hops_lost else scene.client.mac)
    assert told(scene.servers[0], sent) == mtu
    assert scene.net.take("client") == []


@pytest.mark.parametrize("mtu", [600, 1279])
def test_section_4_nobody_is_told_less_than_every_link_has(mtu: int) -> None:
    """A node never goes below 1280 bytes, so that less is never said."""
    scene = scene_of()
    scene.net.set_port("server0", mtu=mtu)
    sent = segment(scene.client.addresses[0], scene.vip, 40000, 80, 1500)
    scene.client.send(sent)
    assert told(scene.client, sent) == LEAST


def test_section_3_a_router_never_takes_ipv6_apart() -> None:
    """Even a fragment that is too large is answered, not cut."""
    scene = routed(6, n_servers=1, protocol="udp")
    scene.net.set_port("server0", mtu=1400)
    first, *_ = in_fragments(scene, 3000, 1500)
    scene.client.send(first)
    assert told(scene.client, first) == 1400
    assert scene.net.take("server0") == []


def in_fragments(scene: Scene, size: int, most: int) -> list[Packet]:
    """The client's datagram of that many bytes, as its own kernel takes it apart."""
    datagram = UDP(sport=40000, dport=80) / Raw(bytes(n % 251 for n in range(size)))
    whole = IPv6(src=scene.client.addresses[0], dst=scene.vip) / IPv6ExtHdrFragment(id=77) / datagram
    return [IPv6(bytes(piece)) for piece in fragment6(whole, most)]


@pytest.mark.parametrize("mtu", [1280, 1400])
def test_section_5_3_an_error_about_a_fragment_reaches_who_sent_it(mtu: int) -> None:
    """A router behind swlb that quotes a fragment is understood, whose ports lie behind a further header."""
    scene = routed(6, n_servers=1, protocol="udp")
    first, *rest = in_fragments(scene, 3000, 1500)
    for piece in (first, *rest):
        scene.client.send(piece)
    seen, *_ = (frame.payload for frame in scene.net.take("server0"))
    scene.servers[0].send(IPv6(src=ROUTER, dst=scene.client.addresses[0])
                          / ICMPv6PacketTooBig(mtu=mtu) / Raw(bytes(seen)[:1232]))
    error = scene.client.take_one()
    assert (error.src, error.payload.mtu) == (ROUTER, mtu)
    quoted = bytes(error)[48:]
    assert quoted[:7] + quoted[8:] == bytes(first)[:7] + bytes(first)[8:1232]

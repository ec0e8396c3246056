"""RFC 1191: a router tells the MTU of the next link, and who is behind a NAT hears it as of its own packet."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws
from tests.oracle.pieces import super_frame
from tests.scenarios.balanced import Scene, routed, transparent
from tests.scenarios.network import Network, Segment, Station
from tests.scenarios.shapes import service
from tests.scenarios.test_masquerade import Scene as Masquerade

SOME = settings(max_examples=12, deadline=None)
MTUS = st.integers(576, 8999)
ROUTER = "10.0.9.9"


def scene_of(shape=routed, **given: object) -> Scene:
    """A TCP session between a client and a server, whose links carry 9000 bytes until a test says otherwise."""
    scene = shape(4, n_servers=1, **given)
    for port in ("client", "server0"):
        scene.net.set_port(port, mtu=9000)
    scene.open()
    return scene


def unbreakable(src: str, dst: str, sport: int, dport: int, size: int) -> Packet:
    """A segment in a packet of that size with DF."""
    head = IP(src=src, dst=dst, flags="DF", id=7)
    return IP(bytes(head / TCP(sport=sport, dport=dport, flags="A", seq=99) / Raw(bytes(size - 40))))


def request(scene: Scene, size: int) -> Packet:
    return unbreakable(scene.client.addresses[0], scene.vip, 40000, 80, size)


def reply(scene: Scene, size: int) -> Packet:
    return unbreakable(scene.servers[0].addresses[0], scene.client.addresses[0], 8080, 40000, size)


def told(station: Station, sent: Packet) -> int:
    """The MTU in the one packet that the station got: an error about what it had sent, byte for byte."""
    error = station.take_one()
    kind, code, _, unused, mtu = struct.unpack("!BBHHH", bytes(error)[20:28])
    assert (kind, code, unused) == (3, 4, 0)
    assert error.dst == sent.src
    assert bytes(sent).startswith(bytes(error)[28:])
    assert len(bytes(error)) == 576
    assert flaws(bytes(error)) == []
    return mtu


@SOME
@given(mtu=MTUS, over=st.integers(1, 500))
def test_section_4_a_router_that_drops_for_df_says_the_mtu_of_the_next_link(mtu: int, over: int) -> None:
    """The error has the MTU in the lower half of the word that RFC 792 left unused, and zeroes in the upper half."""
    scene = scene_of()
    scene.net.set_port("server0", mtu=mtu)
    sent = request(scene, min(mtu + over, 9000))
    scene.client.send(sent)
    assert told(scene.client, sent) == mtu
    assert scene.net.drops() == {"too_big": 1}


@pytest.mark.parametrize("shape", [routed, transparent])
@SOME
@given(mtu=MTUS, over=st.integers(1, 500))
def test_section_4_a_server_hears_of_the_link_to_the_client(shape, mtu: int, over: int) -> None:
    """A reply that is too large for the client's link is answered to the server, which sees what it sent itself."""
    scene = scene_of(shape)
    scene.net.set_port("client", mtu=mtu)
    sent = reply(scene, min(mtu + over, 9000))
    scene.servers[0].send(sent, to=None if scene.hops_lost else scene.client.mac)
    assert told(scene.servers[0], sent) == mtu
    assert scene.net.take("client") == []


@SOME
@given(mtu=MTUS)
def test_section_4_the_mtu_that_is_told_passes(mtu: int) -> None:
    """A packet of just the size that was told gets to the server."""
    scene = scene_of()
    scene.net.set_port("server0", mtu=mtu)
    scene.client.send(request(scene, mtu))
    assert scene.net.take_one("server0").payload.len == mtu


@pytest.mark.parametrize("segment", [1361, 1460])
def test_section_4_a_super_frame_is_answered_when_its_segments_are_too_large(segment: int) -> None:
    """It is the packets on the wire that count, and the sender's kernel recognises what it gave away in one piece."""
    scene = scene_of()
    scene.net.set_port("server0", mtu=1400)
    sent = request(scene, 20040)
    offload, frame = super_frame(bytes(scene.client.frame(sent))[:14], sent, segment)
    scene.net.send("client", frame, offload=offload)
    error = scene.client.take_one()
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1400)
    # Up to the checksum, which the sender has left to its device.
    assert bytes(error)[28:64] == bytes(sent)[:36]


@SOME
@given(mtu=st.integers(68, 1499), quoted=st.integers(8, 548))
def test_section_4_what_a_router_behind_says_reaches_the_client_about_its_own_packet(mtu: int, quoted: int) -> None:
    """The MTU of a router behind swlb is passed on unchanged, the quoted packet as the client sent it."""
    scene = scene_of()
    sent = request(scene, 1500)
    scene.client.send(sent)
    as_delivered = scene.net.take_one("server0").payload
    scene.servers[0].send(error_of(ROUTER, scene.client.addresses[0], mtu, bytes(as_delivered)[:20 + quoted]))
    error = scene.client.take_one()
    assert (error.src, error[ICMP].nexthopmtu) == (ROUTER, mtu)
    # But for the hop that swlb itself is.
    assert without_hops(bytes(error)[28:]) == without_hops(bytes(sent)[:20 + quoted])


@SOME
@given(mtu=st.integers(68, 1499), quoted=st.integers(8, 548))
def test_section_4_what_a_router_in_front_says_reaches_the_server_about_its_own_packet(mtu: int, quoted: int) -> None:
    """The same towards the server, which never heard of the VIP."""
    scene = scene_of()
    sent = reply(scene, 1500)
    scene.servers[0].send(sent)
    as_delivered = scene.client.take_one()
    scene.client.send(error_of(ROUTER, scene.vip, mtu, bytes(as_delivered)[:20 + quoted]))
    error = scene.servers[0].take_one()
    assert (error.src, error.dst, error[ICMP].nexthopmtu) == (ROUTER, scene.servers[0].addresses[0], mtu)
    assert without_hops(bytes(error)[28:]) == without_hops(bytes(sent)[:20 + quoted])


def error_of(src: str, dst: str, mtu: int, quoted: bytes) -> Packet:
    return IP(src=src, dst=dst) / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(quoted)


def without_hops(packet: bytes) -> bytes:
    """TTL, and the checksum that covers it, left out."""
    return packet[:8] + packet[9:10] + packet[12:]


def between(
    mtu: int, *, addresses: tuple[str, ...] = ("10.0.0.1/24",), host: bool = False
) -> tuple[Network, Station, Station]:
    """Two stations of one segment, who know each other; the second one's link is narrower."""
    net = Network({"lan": Segment(("wide", "narrow"), addresses, host, mtu={"wide": 9000, "narrow": mtu})})
    near, far = net.station("wide", "10.0.0.10"), net.station("narrow", "10.0.0.11")
    if addresses:
        near.greet()
    far.send(UDP(sport=1, dport=2), to=near.mac)
    net.discard()
    return net, near, far


@SOME
@given(mtu=st.integers(576, 1500), over=st.integers(1, 5))
def test_section_4_a_bridge_with_an_address_says_so_in_its_own_name(mtu: int, over: int) -> None:
    """What is merely bridged to a narrower link is no black hole either, not even one byte above."""
    net, near, far = between(mtu)
    sent = unbreakable("10.0.0.10", "10.0.0.11", 1, 2, mtu + over)
    near.send(sent, to=far.mac)
    assert net.take("narrow") == []
    assert told(near, sent) == mtu
    assert net.drops() == {"too_big": 1}


def test_section_4_a_bridge_without_an_address_has_nobody_to_say_it_and_counts() -> None:
    """A plain switch drops what is too large for a link, for a reason of its own."""
    net, near, far = between(1400, addresses=())
    near.send(unbreakable("10.0.0.10", "10.0.0.11", 1, 2, 1405), to=far.mac)
    assert (net.take("narrow"), net.drops()) == ([], {"oversize": 1})


def test_section_4_what_is_for_swlb_itself_counts_by_the_link_of_its_kernel() -> None:
    """A station with a wider link than swlb's kernel is told so as by any other router."""
    net, near, _ = between(1500, host=True)
    sent = unbreakable("10.0.0.10", "10.0.0.1", 1, 2, 1501)
    near.send(sent)
    assert told(near, sent) == 1500
    assert net.take("lan-host") == []


@pytest.mark.parametrize("narrow", ["outside", "inside"])
def test_section_4_behind_a_masquerade_each_side_hears_it_of_its_own_packet(narrow: str) -> None:
    """The host is told of the link outside, the peer of the one inside, both as about what they had sent."""
    scene = Masquerade(4)
    seen = scene.leaves(scene.asks("udp"))
    for port in ("outside", "inside"):
        scene.net.set_port(port, mtu=1400 if port == narrow else 9000)
    sender, sent = scene.inside, IP(src=scene.host, dst=scene.peer, flags="DF") / UDP(sport=5000, dport=53)
    if narrow == "inside":
        sender = scene.outside
        sent = IP(src=scene.peer, dst=scene.own, flags="DF") / UDP(sport=53, dport=seen.payload.sport)
    sent = IP(bytes(sent / Raw(bytes(1373))))
    sender.send(sent)
    assert told(sender, sent) == 1400
    assert scene.net.take(narrow) == []


def test_section_4_who_provokes_other_errors_keeps_nobody_from_hearing() -> None:
    """Errors are limited, but "too big" has an allowance of its own: without it nothing would arrive any more."""
    net = Network({"outside": Segment(("client",), ("10.0.1.1/24",)), "inside": Segment(("web1",), ("10.0.2.1/24",))},
                  services=[service()], icmp_errors=10)
    client, web = net.station("client", "10.0.1.10"), net.station("web1", "10.0.2.11")
    for station in (client, web):
        station.greet()
    net.set_port("web1", mtu=1280)
    for port in range(100):
        client.send(IP(src="10.0.1.10", dst="10.0.1.100") / UDP(sport=port, dport=9))
    assert len(net.take("client")) == 10
    client.send(unbreakable("10.0.1.10", "10.0.2.11", 1, 2, 1400))
    assert client.take_one()[ICMP].nexthopmtu == 1280

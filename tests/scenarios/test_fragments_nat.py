"""Packets in pieces, to a VIP and back: put together again by scapy, they are as if they had come whole."""

from collections.abc import Callable

import pytest
from scapy.layers.inet import defragment
from scapy.layers.inet6 import IPv6ExtHdrFragment, defragment6, fragment6
from scapy.packet import Packet

from tests.oracle.checksum import flaws

from .balanced import Scene, ip, routed, transparent
from .frames import IP, TCP, UDP, IPv6

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])
PAYLOAD = bytes(i % 253 for i in range(3001))


def pieces(packet: Packet, number: int = 77) -> list[Packet]:
    """The packet in three or more fragments with that identification."""
    if isinstance(packet, IP):
        packet.id = number
        return IP(bytes(packet)).fragment(1200)
    whole = IPv6(bytes(packet))
    return fragment6(IPv6(src=whole.src, dst=whole.dst, hlim=whole.hlim) / IPv6ExtHdrFragment(id=number)
                     / whole.payload, 1280)


def together(packets: list[Packet]) -> Packet:
    """What the receiver makes of the fragments."""
    if isinstance(packets[0], IP):
        whole, = defragment(packets)
        return IP(bytes(whole))
    return IPv6(bytes(defragment6(packets)))


def as_one(scene: Scene, packet: Packet, number: int = 77) -> Packet:
    """What a packet with that identification looks like when it has been put together again."""
    if scene.family == 4:
        packet.id = number
    return type(packet)(bytes(packet))


def taken(scene: Scene, port: str) -> list[Packet]:
    """What left by the port, without its frames."""
    return [type(frame.payload)(bytes(frame.payload)) for frame in scene.net.take(port)]


@SHAPES
@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_request_in_pieces_arrives_as_if_whole(shape: Callable, family: int, protocol: str) -> None:
    scene = shape(family, protocol=protocol)
    scene.client.send(*pieces(scene.request("S", payload=PAYLOAD)))
    whole = together(taken(scene, "server0"))
    assert flaws(bytes(whole)) == []
    assert bytes(whole.payload) == bytes(as_one(scene, scene.delivered(0, "S", payload=PAYLOAD)).payload)
    assert (whole.src, whole.dst) == (scene.client.addresses[0], scene.servers[0].addresses[0])


@SHAPES
@BOTH
def test_reply_in_pieces_arrives_as_if_whole_from_the_vip(shape: Callable, family: int) -> None:
    scene = shape(family, protocol="udp")
    scene.call()
    to = None if scene.hops_lost else scene.client.mac
    scene.servers[0].send(*pieces(scene.reply(0, payload=PAYLOAD)), to=to)
    frames = scene.net.take("client")
    assert {(frame.src, frame.dst) for frame in frames} == {(scene.net.mac(scene.client.segment), scene.client.mac)}
    whole = together([frame.payload for frame in frames])
    assert flaws(bytes(whole)) == []
    assert bytes(whole.payload) == bytes(as_one(scene, scene.restored(payload=PAYLOAD)).payload)
    assert whole.src == scene.vip


@SHAPES
@BOTH
def test_every_piece_loses_a_hop_as_a_whole_packet_would(shape: Callable, family: int) -> None:
    scene = shape(family, protocol="udp")
    scene.client.send(*pieces(scene.request(payload=PAYLOAD, hops=9)))
    hops = {packet.ttl if family == 4 else packet.hlim for packet in taken(scene, "server0")}
    assert hops == {9 - scene.hops_lost}


@BOTH
def test_later_pieces_in_any_order_follow_the_first(family: int) -> None:
    scene = routed(family, protocol="udp")
    first, *later = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(first, *reversed(later))
    whole = together(sorted(taken(scene, "server0"), key=offset))
    assert flaws(bytes(whole)) == []


def offset(packet: Packet) -> int:
    return packet.frag if isinstance(packet, IP) else packet[IPv6ExtHdrFragment].offset


@SHAPES
@BOTH
def test_later_pieces_whose_first_does_not_come_in_time_are_dropped_and_counted(shape: Callable, family: int) -> None:
    scene = shape(family, protocol="udp", limits={"fragment_ns": 5 * 10**9})
    first, *later = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(*later)
    scene.net.wait(4.9)
    scene.net.expect_silence()
    assert scene.net.drops() == {}
    scene.net.wait(0.2)
    assert scene.net.drops() == {"fragment": len(later)}
    scene.client.send(first)
    assert len(taken(scene, "server0")) == 1


@BOTH
def test_pieces_of_a_server_that_are_no_reply_are_bridged_as_they_are_behind_their_first(family: int) -> None:
    scene = transparent(family, protocol="udp")
    packet = ip(scene.servers[0].addresses[0], scene.client.addresses[0]) / UDP(sport=2049, dport=700) / PAYLOAD
    first, *later = [scene.servers[0].frame(piece, to=scene.client.mac) for piece in pieces(packet)]
    scene.net.send("server0", *later)
    scene.net.expect("client")
    scene.net.send("server0", first)
    scene.net.expect("client", first, *later)


@BOTH
def test_pieces_not_for_a_vip_are_bridged_as_they_are(family: int) -> None:
    scene = transparent(family)
    packet = ip(scene.client.addresses[0], scene.servers[1].addresses[0]) / UDP(sport=5, dport=8080) / PAYLOAD
    frames = [scene.client.frame(piece, to=scene.servers[1].mac) for piece in pieces(packet)]
    scene.net.send("client", *frames)
    scene.net.expect("server1", *frames)


@BOTH
def test_two_clients_with_one_identification_are_kept_apart(family: int) -> None:
    scene = routed(family, protocol="udp")
    other = scene.net.station("client", {4: "10.0.1.11", 6: "fd00:1::11"}[family])
    other.greet()
    mine = pieces(scene.request(payload=PAYLOAD))
    theirs = pieces(scene.request(src=other.addresses[0], payload=PAYLOAD[::-1]))
    for one, two in zip(mine, theirs, strict=True):
        scene.client.send(one)
        other.send(two)
    wholes = [together(taken(scene, port)) for port in ("server0", "server1")]
    assert [whole.src for whole in wholes] == [scene.client.addresses[0], other.addresses[0]]
    assert [flaws(bytes(whole)) for whole in wholes] == [[], []]


@BOTH
def test_identification_used_again_for_another_session_follows_the_newer(family: int) -> None:
    scene = routed(family, protocol="udp")
    for number, port in enumerate((1024, 1025, 1026, 1024)):
        scene.client.send(*pieces(scene.request(sport=port, payload=PAYLOAD)))
        assert flaws(bytes(together(taken(scene, f"server{number % 3}")))) == []


@BOTH
def test_pieces_later_than_the_fragment_timeout_are_dropped(family: int) -> None:
    scene = routed(family, protocol="udp", limits={"fragment_ns": 5 * 10**9})
    first, second, *rest = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(first)
    scene.net.now_ns += 4_999_000_000
    scene.client.send(second)
    assert len(taken(scene, "server0")) == 2
    scene.net.now_ns += 1_000_000
    scene.client.send(*rest)
    scene.net.wait(5)
    scene.net.expect_silence()
    assert scene.net.drops() == {"fragment": len(rest)}


@BOTH
def test_pieces_of_a_refused_packet_go_nowhere(family: int) -> None:
    scene = routed(family, protocol="udp", refuse="drop", n_servers=1, ready=(0,))
    all_pieces = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(*all_pieces)
    scene.net.expect_silence()
    assert scene.net.drops() == {"no_server": 1, "fragment": len(all_pieces) - 1}


@BOTH
def test_pieces_count_once_for_their_session(family: int) -> None:
    """Only the first says to which session they belong; it alone is counted and keeps the session."""
    scene = routed(family, protocol="udp")
    scene.client.send(*pieces(scene.request(payload=PAYLOAD)))
    assert scene.session()["packets_in"] == 1


@BOTH
def test_pieces_wait_for_a_server_that_is_not_yet_known_and_leave_in_order(family: int) -> None:
    scene = routed(family, protocol="udp", greet=False)
    scene.client.greet()
    scene.client.send(*pieces(scene.request(payload=PAYLOAD)))
    scene.net.discard()
    scene.net.send("server0", scene.servers[0].question(scene.servers[0].addresses[0]))
    _, *waited = taken(scene, "server0")
    assert waited == sorted(waited, key=offset)
    assert flaws(bytes(together(waited))) == []


def test_udp_without_a_checksum_in_pieces_has_none_afterwards() -> None:
    scene = routed(4, protocol="udp")
    scene.client.send(*pieces(scene.request(payload=PAYLOAD, chksum=0)))
    assert together(taken(scene, "server0"))[UDP].chksum == 0


def test_atomic_ipv6_fragment_is_an_ordinary_packet() -> None:
    scene = routed(6)
    head = ip(scene.client.addresses[0], scene.vip) / IPv6ExtHdrFragment(id=5)
    scene.client.send(head / TCP(sport=1, dport=80, flags="S"))
    scene.servers[0].expect(ip(scene.client.addresses[0], scene.servers[0].addresses[0], 63)
                            / IPv6ExtHdrFragment(id=5) / TCP(sport=1, dport=8080, flags="S"))
    assert scene.state(1) == "SYN_RECV"

"""ICMP errors about sessions: whoever receives one recognises its own packet, in and out, whole quotes and short."""

import struct
from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded
from scapy.packet import Packet, Raw

from tests.oracle.checksum import checksum, flaws, l4_checksum

from .balanced import Scene, ip, routed, transparent
from .cut import pieces_of
from .frames import TCP, UDP

BOTH = pytest.mark.parametrize("family", [4, 6])
KINDS = {
    4: (ICMP(type=3, code=1), ICMP(type=3, code=3), ICMP(type=3, code=4, nexthopmtu=1400), ICMP(type=3, code=13),
        ICMP(type=4, code=0), ICMP(type=11, code=0), ICMP(type=11, code=1), ICMP(type=12, code=0, ptr=20)),
    6: (ICMPv6DestUnreach(code=1), ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1300), ICMPv6TimeExceeded(code=0),
        ICMPv6ParamProblem(code=1, ptr=6)),
}
ROUTER = {4: "10.0.2.254", 6: "fd00:2::254"}
STRANGER = {4: "10.0.1.66", 6: "fd00:1::66"}


def error(src: str, dst: str, kind: Packet, quoted: Packet, room: int = 1000, hops: int = 64) -> Packet:
    """An ICMP error that quotes as much of the packet as there is room for behind its IP header."""
    head = 40 if ":" in src else 20
    return ip(src, dst, hops) / kind / Raw(bytes(quoted)[:head + room])


def kinds(scene: Scene, room: int) -> tuple[Packet, ...]:
    """Every kind of error with the shortest and the longest quote, one with the others."""
    return KINDS[scene.family] if room in (8, 1000) else KINDS[scene.family][:1]


# 8 bytes are all that is sure; 19 hold a TCP checksum but not the whole header; odd numbers end in half a word.
ROOMS = pytest.mark.parametrize("room", [8, 9, 16, 18, 19, 20, 27, 1000])


@pytest.fixture(params=[(shape, family, protocol) for shape in (routed, transparent)
                        for family, protocol in ((4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp"))],
                ids=lambda p: f"{p[0].__name__}-{p[2]}-v{p[1]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    """A session whose request and reply, with payload, have passed."""
    shape, family, protocol = request.param
    scene = shape(family, protocol=protocol)
    scene.call("S", payload=b"question")
    scene.answer(0, "SA", payload=b"the answer")
    return scene


def from_inside(scene: Scene, packet: Packet, by: int = 0) -> None:
    """The packet to the client has left the server."""
    scene.servers[by].send(packet, to=None if scene.hops_lost else scene.client.mac)


@ROOMS
def test_error_of_the_server_reaches_the_client_as_the_vips_about_its_own_packet(scene: Scene, room: int) -> None:
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    for kind in kinds(scene, room):
        from_inside(scene, error(theirs, mine, kind, scene.delivered(0, payload=b"question"), room))
        sent = scene.request(payload=b"question", hops=64 - scene.hops_lost)
        scene.client.expect(error(scene.vip, mine, kind, sent, room, 64 - scene.hops_lost))


@ROOMS
def test_error_of_the_client_reaches_the_server_about_its_own_packet(scene: Scene, room: int) -> None:
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    for kind in kinds(scene, room):
        scene.client.send(error(mine, scene.vip, kind, scene.restored(payload=b"the answer"), room))
        sent = scene.reply(0, payload=b"the answer", hops=64 - scene.hops_lost)
        scene.servers[0].expect(error(mine, theirs, kind, sent, room, 64 - scene.hops_lost))


def test_whole_quotes_are_sound_after_translation(scene: Scene) -> None:
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    kind = KINDS[scene.family][0]
    from_inside(scene, error(theirs, mine, kind, scene.delivered(0, payload=b"question")))
    assert flaws(bytes(scene.client.take_one())) == []
    scene.client.send(error(mine, scene.vip, kind, scene.restored(payload=b"the answer")))
    assert flaws(bytes(scene.servers[0].take_one())) == []


def test_error_of_a_router_before_the_server_keeps_its_sender(scene: Scene) -> None:
    mine, router = scene.client.addresses[0], ROUTER[scene.family]
    kind = KINDS[scene.family][2]
    from_inside(scene, error(router, mine, kind, scene.delivered(0, payload=b"question"), 8), by=2)
    sent = scene.request(payload=b"question", hops=64 - scene.hops_lost)
    scene.client.expect(error(router, mine, kind, sent, 8, 64 - scene.hops_lost))


def test_error_of_a_router_before_the_client_keeps_its_sender(scene: Scene) -> None:
    router = STRANGER[scene.family]
    kind = KINDS[scene.family][2]
    scene.client.send(error(router, scene.vip, kind, scene.restored(payload=b"the answer"), 8))
    sent = scene.reply(0, payload=b"the answer", hops=64 - scene.hops_lost)
    scene.servers[0].expect(error(router, scene.servers[0].addresses[0], kind, sent, 8, 64 - scene.hops_lost))


def test_errors_neither_refresh_nor_end_nor_count_for_a_session(scene: Scene) -> None:
    before = scene.session()
    scene.net.now_ns += 5 * 10**9
    for kind in KINDS[scene.family]:
        mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
        from_inside(scene, error(theirs, mine, kind, scene.delivered(0)))
        scene.client.send(error(mine, scene.vip, kind, scene.restored()))
    after = scene.session()
    assert after == {**before, "age_ms": before["age_ms"] + 5000, "idle_ms": 5000, "left_ms": before["left_ms"] - 5000}


def test_error_about_an_expired_session_is_about_none(scene: Scene) -> None:
    # Not even swept yet: the frame comes before the turn's upkeep.
    scene.net.now_ns += 300 * 10**9
    scene.client.send(error(scene.client.addresses[0], scene.vip, KINDS[scene.family][0], scene.restored()))
    assert scene.net.drops() == {"icmp_no_session": 1}


@pytest.mark.parametrize("shape", [routed, transparent])
@BOTH
@pytest.mark.parametrize("field", ["port", "server port", "client", "protocol"])
def test_forged_error_to_the_vip_about_no_session_is_dropped(shape: Callable, family: int, field: str) -> None:
    scene = shape(family)
    scene.open()
    client = STRANGER[family] if field == "client" else scene.client.addresses[0]
    ports = {"sport": 81 if field == "server port" else 80, "dport": 40001 if field == "port" else 40000}
    quoted = ip(scene.vip, client) / (UDP(**ports) if field == "protocol" else TCP(**ports))
    scene.client.send(error(scene.client.addresses[0], scene.vip, KINDS[family][0], quoted))
    scene.net.expect_silence()
    assert scene.net.drops() == {"icmp_no_session": 1}


@BOTH
def test_error_to_the_vip_that_quotes_another_sender_is_dropped(family: int) -> None:
    scene = routed(family)
    scene.open()
    quoted = ip(STRANGER[family], scene.client.addresses[0]) / TCP(sport=80, dport=40000)
    scene.client.send(error(scene.client.addresses[0], scene.vip, KINDS[family][0], quoted))
    scene.net.expect_silence()
    assert scene.net.drops() == {"bad_icmp": 1}


@BOTH
def test_error_to_the_vip_that_quotes_too_little_is_dropped(family: int) -> None:
    scene = routed(family)
    scene.open()
    enough = 28 if family == 4 else 48
    for length in range(enough):
        scene.client.send(ip(scene.client.addresses[0], scene.vip) / KINDS[family][0]
                          / Raw(bytes(scene.restored())[:length]))
    scene.net.expect_silence()
    assert scene.net.drops() == {"bad_icmp": enough}


@BOTH
@pytest.mark.parametrize("to_vip", [True, False])
def test_routed_error_of_no_session_that_quotes_what_is_balanced_is_dropped(family: int, to_vip: bool) -> None:
    scene = routed(family)
    mine = scene.client.addresses[0]
    quoted = ip(mine, scene.vip if to_vip else scene.servers[1].addresses[0]) / TCP(sport=9, dport=8080)
    scene.servers[1].send(error(scene.servers[1].addresses[0], mine, KINDS[family][1], quoted))
    scene.net.expect_silence()
    assert scene.net.drops() == {"icmp_no_session": 1}


@BOTH
def test_routed_error_about_another_port_of_a_server_is_routed(family: int) -> None:
    scene = routed(family)
    mine, theirs = scene.client.addresses[0], scene.servers[1].addresses[0]
    quoted = ip(mine, theirs) / TCP(sport=9, dport=22)
    scene.servers[1].send(error(theirs, mine, KINDS[family][1], quoted))
    scene.client.expect(error(theirs, mine, KINDS[family][1], quoted, hops=63))


@BOTH
def test_bridged_error_of_no_session_passes_as_it_is(family: int) -> None:
    scene = transparent(family)
    mine, theirs = scene.client.addresses[0], scene.servers[1].addresses[0]
    frame = scene.servers[1].frame(error(theirs, mine, KINDS[family][1], ip(mine, theirs) / TCP(sport=9, dport=8080)),
                                   to=scene.client.mac)
    scene.net.send("server1", frame)
    scene.net.expect("client", frame)


@BOTH
def test_error_with_its_last_hop_is_dropped_without_an_error_about_it(family: int) -> None:
    scene = routed(family)
    scene.open()
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    scene.servers[0].send(error(theirs, mine, KINDS[family][1], scene.delivered(0), hops=1))
    scene.client.send(error(mine, scene.vip, KINDS[family][1], scene.restored(), hops=1))
    scene.net.expect_silence()
    assert scene.net.drops() == {"ttl_expired": 2}


def test_quoted_udp_without_a_checksum_keeps_none() -> None:
    scene = routed(4, protocol="udp")
    scene.call(chksum=0)
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    scene.servers[0].send(error(theirs, mine, KINDS[4][1], scene.delivered(0, chksum=0)))
    scene.client.expect(error(scene.vip, mine, KINDS[4][1], scene.request(chksum=0, hops=63), hops=63))


def test_quoted_packet_with_ipv4_options_is_recognised() -> None:
    scene = routed(4)
    options = b"\x94\x04\x00\x00"
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    scene.call("S")
    quoted = ip(mine, theirs, 63, options=options) / TCP(sport=40000, dport=8080)
    wanted = ip(mine, scene.vip, 63, options=options) / TCP(sport=40000, dport=80)
    scene.servers[0].send(error(theirs, mine, KINDS[4][1], quoted, 12))
    scene.client.expect(error(scene.vip, mine, KINDS[4][1], wanted, 12, 63))



@BOTH
def test_quoted_udp_checksum_that_comes_out_as_zero_is_all_ones_again(family: int) -> None:
    scene = routed(family, protocol="udp")
    payload = struct.pack("!H", l4_checksum(bytes(scene.request(payload=b"\0\0"))))
    assert l4_checksum(bytes(scene.request(payload=payload))) == 0xFFFF
    scene.call(payload=payload)
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    scene.servers[0].send(error(theirs, mine, KINDS[family][1], scene.delivered(0, payload=payload)))
    scene.client.expect(error(scene.vip, mine, KINDS[family][1], scene.request(payload=payload, hops=63), hops=63))


@BOTH
def test_an_error_about_the_first_fragment_of_a_reply_is_about_the_server_s_own(family: int) -> None:
    """Of a datagram that the server cut itself, and that is too big further on: its identification, too."""
    scene = routed(family, protocol="udp")
    scene.call()
    src = scene.servers[0].addresses[0]
    datagram = bytes(UDP(sport=8080, dport=40000, len=3008, chksum=7) / bytes(3000))
    first = pieces_of(src, scene.client.addresses[0], 9, datagram, 1400)[0]
    from_inside(scene, first)
    quoted = scene.client.take_one()
    scene.client.send(error(STRANGER[family], scene.vip, KINDS[family][2], quoted))
    told = bytes(scene.servers[0].take_one())
    assert flaws(told) == []
    sent = bytearray(bytes(first))
    sent[8 if family == 4 else 7] -= 1
    if family == 4:
        sent[10:12] = bytes(2)
        sent[10:12] = checksum(bytes(sent[:20])).to_bytes(2, "big")
    assert told[28 if family == 4 else 48:] == bytes(sent)[:len(told) - (28 if family == 4 else 48)]
    assert scene.net.drops() == {}

"""What swlb says no to, and how: by reset, by port unreachable, by silence."""

from collections.abc import Callable

import pytest
from scapy.layers.inet6 import IPv6ExtHdrDestOpt
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws

from .balanced import Scene, ip, routed, transparent
from .frames import TCP, UDP

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])


def to_closed_port(scene: Scene, **fields: object) -> None:
    """A TCP segment to a port of the VIP that no service has."""
    payload = fields.pop("payload", b"")
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / TCP(sport=40000, dport=81, **fields)
                      / Raw(payload))


# RFC 9293 3.5.2: without ACK the reset has sequence 0 and acknowledges what came; with ACK it has that as sequence.
@BOTH
@pytest.mark.parametrize(("segment", "reset"), [
    ({"flags": "S", "seq": 100}, {"flags": "RA", "seq": 0, "ack": 101}),
    ({"flags": "S", "seq": 0xFFFFFFFF}, {"flags": "RA", "seq": 0, "ack": 0}),
    ({"flags": "S", "seq": 5, "payload": b"fast open"}, {"flags": "RA", "seq": 0, "ack": 15}),
    ({"flags": "SF", "seq": 5}, {"flags": "RA", "seq": 0, "ack": 7}),
    ({"flags": "F", "seq": 9, "payload": b"abc"}, {"flags": "RA", "seq": 0, "ack": 13}),
    ({"flags": "", "seq": 9}, {"flags": "RA", "seq": 0, "ack": 9}),
    ({"flags": "P", "seq": 9, "payload": b"xyz"}, {"flags": "RA", "seq": 0, "ack": 12}),
    ({"flags": "A", "seq": 9, "ack": 1234}, {"flags": "R", "seq": 1234, "ack": 0}),
    ({"flags": "PA", "seq": 9, "ack": 77, "payload": b"xyz"}, {"flags": "R", "seq": 77, "ack": 0}),
    ({"flags": "FA", "seq": 9, "ack": 0xFFFFFFFF}, {"flags": "R", "seq": 0xFFFFFFFF, "ack": 0}),
    ({"flags": "SA", "seq": 9, "ack": 50}, {"flags": "R", "seq": 50, "ack": 0}),
    ({"flags": "S", "seq": 1, "options": [("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]},
     {"flags": "RA", "seq": 0, "ack": 2}),
], ids=str)
def test_reset_takes_its_numbers_from_the_segment(family: int, segment: dict, reset: dict) -> None:
    scene = routed(family)
    to_closed_port(scene, **segment)
    scene.client.expect(scene.reset(sport=81, **reset))
    assert scene.net.drops() == {"no_service": 1}


@BOTH
@pytest.mark.parametrize("flags", ["R", "RA", "RS", "RF"])
def test_reset_is_never_answered(family: int, flags: str) -> None:
    scene = routed(family)
    to_closed_port(scene, flags=flags, ack=5)
    scene.client.send(scene.request(flags))
    scene.net.expect_silence()
    assert scene.net.drops() == {"no_service": 1, "orphan": 1}


@SHAPES
@BOTH
@pytest.mark.parametrize("answer", ["reset", "drop"])
def test_port_without_service_is_always_refused_and_never_sent_on(family: int, shape: Callable, answer: str) -> None:
    scene = shape(family, refuse=answer, orphans=answer)
    to_closed_port(scene, flags="S", seq=1)
    scene.client.expect(scene.reset(sport=81, flags="RA", seq=0, ack=2))
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / UDP(sport=5, dport=80) / b"x")
    error = scene.client.take_one()
    assert (error.payload.type, error.payload.code) == ((3, 3) if family == 4 else (1, 4))
    assert bytes(error.payload)[8:] == bytes(ip(scene.client.addresses[0], scene.vip) / UDP(sport=5, dport=80) / b"x")
    scene.net.expect_silence()
    assert scene.net.drops() == {"no_service": 2}


@SHAPES
@BOTH
def test_last_hop_to_a_port_without_service_is_refused_by_its_owner(family: int, shape: Callable) -> None:
    scene = shape(family)
    scene.client.send(ip(scene.client.addresses[0], scene.vip, 1) / UDP(sport=5, dport=33434) / b"traceroute")
    error = scene.client.take_one()
    assert (error.payload.type, error.payload.code) == ((3, 3) if family == 4 else (1, 4))
    assert flaws(bytes(error)) == []


@BOTH
@pytest.mark.parametrize("protocol", [2, 41, 47, 50, 59, 89, 132, 136, 253])
def test_other_protocols_to_a_vip_are_dropped_and_counted(family: int, protocol: int) -> None:
    scene = transparent(family)
    packet = ip(scene.client.addresses[0], scene.vip, **{"proto" if family == 4 else "nh": protocol})
    scene.client.send(packet / Raw(bytes(40)))
    scene.net.expect_silence()
    assert scene.net.drops() == {"vip_protocol": 1}


@BOTH
def test_icmp_other_than_echo_and_errors_to_a_vip_is_dropped_and_counted(family: int) -> None:
    scene = routed(family)
    number = 1 if family == 4 else 58
    kind = 13 if family == 4 else 144
    packet = ip(scene.client.addresses[0], scene.vip, **{"proto" if family == 4 else "nh": number})
    scene.client.send(packet / Raw(bytes([kind]) + bytes(19)))
    scene.net.expect_silence()
    assert scene.net.drops() == {"vip_protocol": 1}


@BOTH
@pytest.mark.parametrize("flags", ["A", "PA", "FA", "F", "SA", "", "SF"])
def test_mid_stream_segment_of_no_session_is_reset(family: int, flags: str) -> None:
    scene = routed(family)
    scene.client.send(scene.request(flags, seq=10, ack=20))
    answer = scene.client.take_one()
    assert "R" in str(answer[TCP].flags)
    assert flaws(bytes(answer)) == []
    assert scene.net.drops() == {"orphan": 1}
    assert scene.sessions() == []


@BOTH
@pytest.mark.parametrize("flags", ["A", "PA", "FA", "SA"])
def test_mid_stream_segment_of_no_session_is_dropped_when_the_service_says_so(family: int, flags: str) -> None:
    scene = routed(family, orphans="drop")
    assert scene.call(flags) is None
    scene.net.expect_silence()
    assert scene.net.drops() == {"orphan": 1}


@BOTH
def test_syn_with_congestion_bits_begins_a_session(family: int) -> None:
    scene = routed(family)
    assert scene.call("SEC") == 0


def test_reset_to_a_packet_with_ipv4_options_has_none() -> None:
    scene = routed(4)
    packet = ip(scene.client.addresses[0], scene.vip, options=b"\x94\x04\x00\x00") / TCP(sport=7, dport=81, seq=3)
    scene.client.send(packet)
    scene.client.expect(scene.reset(sport=81, dport=7, flags="RA", seq=0, ack=4))


def test_reset_to_a_packet_with_an_ipv6_extension_has_none() -> None:
    scene = routed(6)
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / IPv6ExtHdrDestOpt() / TCP(sport=7, dport=81, seq=3))
    scene.client.expect(scene.reset(sport=81, dport=7, flags="RA", seq=0, ack=4))


@BOTH
def test_unknown_sender_addresses_are_dropped_before_anything_is_answered(family: int) -> None:
    scene = routed(family)
    bad = ("0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255") if family == 4 else ("::", "::1", "ff02::1")
    for src in bad:
        scene.client.send(scene.request(src=src))
    scene.net.expect_silence()
    assert scene.net.drops() == {"bad_address": len(bad)}


def nobody_left(family: int, shape: Callable = routed, **service: object) -> Scene:
    """A scene whose servers are all down."""
    scene = shape(family, n_servers=2, **service)
    for number in range(2):
        scene.net.set_server(number, ready=0)
    return scene


def is_port_unreachable(scene: Scene, error: Packet, about: Packet) -> bool:
    """Whether it is that and nothing else: sound, from swlb's own address, quoting the whole packet."""
    own = scene.client.own_address(scene.family)
    kind = (3, 3) if scene.family == 4 else (1, 4)
    assert flaws(bytes(error)) == []
    assert (error.src, error.dst) == (own, scene.client.addresses[0])
    return (error.payload.type, error.payload.code) == kind and bytes(error.payload)[8:] == bytes(about)


@SHAPES
@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_where_nobody_is_left_a_service_answers_unreachable_if_it_is_to(
    family: int, shape: Callable, protocol: str
) -> None:
    scene = nobody_left(family, shape, protocol=protocol, refuse="unreachable")
    about = scene.request("S", payload=b"hello" if protocol == "udp" else b"")
    scene.client.send(about)
    assert is_port_unreachable(scene, scene.client.take_one(), about)
    scene.net.expect_silence()
    assert (scene.net.drops(), scene.sessions()) == ({"no_server": 1}, [])


@BOTH
def test_fast_open_s_data_is_quoted_with_the_syn(family: int) -> None:
    scene = nobody_left(family, refuse="unreachable")
    about = scene.request("S", seq=77, payload=b"fast open", options=[("MSS", 1460)])
    scene.client.send(about)
    assert is_port_unreachable(scene, scene.client.take_one(), about)


@BOTH
def test_a_service_that_answers_unreachable_still_resets_what_is_in_mid_stream(family: int) -> None:
    scene = nobody_left(family, refuse="unreachable")
    scene.client.send(scene.request("A", seq=5, ack=9))
    scene.client.expect(scene.reset(flags="R", seq=9, ack=0))
    assert scene.net.drops() == {"orphan": 1}


@BOTH
def test_a_port_without_a_service_is_reset_beside_a_service_that_answers_unreachable(family: int) -> None:
    scene = routed(family, refuse="unreachable")
    to_closed_port(scene, flags="S", seq=1)
    scene.client.expect(scene.reset(sport=81, flags="RA", seq=0, ack=2))


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_unreachable_keeps_to_the_rate_of_icmp_errors(protocol: str) -> None:
    scene = nobody_left(4, protocol=protocol, refuse="unreachable", limits={"icmp_errors": 3})
    for port in range(10):
        scene.client.send(scene.request("S", sport=1024 + port))
    assert len(scene.net.take("client")) == 3
    assert scene.net.drops() == {"no_server": 10}


@BOTH
@pytest.mark.parametrize("answer", ["reset", "drop", "unreachable"])
def test_what_a_service_refuses_is_counted_as_its_own(family: int, answer: str) -> None:
    scene = nobody_left(family, refuse=answer)
    assert scene.net.worker.service(0)["refused"] == 0
    for port in (1024, 1025):
        scene.client.send(scene.request("S", sport=port))
    to_closed_port(scene, flags="S")
    assert scene.net.worker.service(0)["refused"] == 2


def test_port_unreachable_keeps_to_the_rate_of_icmp_errors() -> None:
    scene = routed(4, protocol="udp", limits={"icmp_errors": 3})
    for port in range(10):
        scene.client.send(ip(scene.client.addresses[0], scene.vip) / UDP(sport=port, dport=81))
    assert len(scene.net.take("client")) == 3
    assert scene.net.drops() == {"no_service": 10}

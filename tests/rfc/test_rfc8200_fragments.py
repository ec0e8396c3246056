"""RFC 8200 4.5, RFC 791 3.2, RFC 6946, RFC 7112, RFC 1858: fragments that no packet has, and what is none."""

import pytest
from scapy.layers.inet6 import ICMPv6ParamProblem, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.packet import Raw

from tests.scenarios.balanced import Scene, ip, routed
from tests.scenarios.cut import payloads, piece
from tests.scenarios.frames import TCP, UDP

BOTH = pytest.mark.parametrize("family", [4, 6])


def scene_of(family: int, protocol: str = "udp") -> Scene:
    return routed(family, protocol=protocol, n_servers=1)


def send(scene: Scene, at: int, data: bytes, more: bool, *, protocol: int = 17) -> None:
    scene.client.send(piece(scene.client.addresses[0], scene.vip, 5, at, data, more, protocol=protocol))


@BOTH
@pytest.mark.parametrize("length", [63, 1, 0])
def test_section_4_5_a_length_that_is_no_whole_number_of_units_is_refused(family: int, length: int) -> None:
    """Only the last may have one; over IPv6 its sender hears so (payload length). Empty ones are dropped."""
    scene = scene_of(family)
    send(scene, 64, bytes(length), True)
    assert scene.net.drops() == {"fragment_place": 1}
    assert_problem(scene, family == 6 and length > 0, 4)


@BOTH
def test_section_4_5_an_end_beyond_the_longest_packet_is_refused(family: int) -> None:
    """The ping of death; over IPv6 its sender hears so, pointed at the fragment offset."""
    scene = scene_of(family)
    send(scene, 65_528, bytes(16), False)
    assert scene.net.drops() == {"fragment_place": 1}
    assert_problem(scene, family == 6, 42)


def assert_problem(scene: Scene, due: bool, pointer: int) -> None:
    """The client has heard of a parameter problem there, if one is due, and nothing else."""
    frames = scene.net.take("client")
    assert len(frames) == due
    for frame in frames:
        problem = frame.payload[ICMPv6ParamProblem]
        assert (problem.code, problem.ptr) == (0, pointer)
    scene.net.expect_silence()


def test_rfc_6946_section_4_an_atomic_fragment_is_a_packet_of_its_own() -> None:
    """It is handled apart from fragments that have its addresses and identification, before and behind their first."""
    scene = scene_of(6)
    src = scene.client.addresses[0]
    datagram = UDP(sport=1, dport=80) / bytes(80)
    whole = bytes(ip(src, scene.vip) / datagram)[40:]
    atomic = ip(src, scene.vip) / IPv6ExtHdrFragment(id=5) / datagram
    scene.client.send(atomic, piece(src, scene.vip, 5, 0, whole[:64], True), atomic,
                      piece(src, scene.vip, 5, 64, whole[64:], False), atomic)
    got = [(at, len(data), more) for _, at, data, more in payloads(scene.net.take("server0"))]
    assert got == [(0, 88, False), (0, 64, True), (0, 88, False), (64, 24, False), (0, 88, False)]
    assert scene.net.drops() == {}


@pytest.mark.parametrize(("first", "reason"), [
    (bytes(IPv6ExtHdrDestOpt(nh=17, len=3)), "bad_ipv6_extension"),
    (bytes(IPv6ExtHdrDestOpt(nh=6)) + bytes(8), "bad_l4"),
    (bytes(IPv6ExtHdrFragment(nh=17, id=6, m=1)) + bytes(8), "bad_ipv6_extension"),
])
def test_rfc_7112_section_5_a_first_fragment_has_all_headers(first: bytes, reason: str) -> None:
    """What cuts the chain of headers, or the TCP header behind it, goes nowhere; nor does a fragment of a fragment."""
    scene = scene_of(6)
    kind = 44 if reason == "bad_ipv6_extension" and first[0] == 17 and len(first) == 16 and first[3] == 1 else 60
    send(scene, 0, first, True, protocol=kind)
    assert scene.net.take("server0") == []
    assert scene.net.drops() == {reason: 1}


@BOTH
@pytest.mark.parametrize("length", [8, 16, 24])
def test_rfc_1858_section_3_a_first_fragment_that_cuts_the_tcp_header_is_refused(family: int, length: int) -> None:
    """A filter behind that looks at flags always finds them in the first fragment."""
    scene = scene_of(family, "tcp")
    options = [("MSS", 1460), ("WScale", 7), ("NOP", None)]
    head = bytes(TCP(sport=1, dport=80, flags="S", options=options) / Raw(bytes(40)))
    send(scene, 0, head[:length], True, protocol=6)
    assert scene.net.take("server0") == []
    assert scene.net.drops() == {"bad_l4": 1}


@BOTH
def test_rfc_791_section_3_2_an_identification_may_be_used_again_when_all_has_come(family: int) -> None:
    """What is whole is done with: the next packet of its identification is another one, cut in other places."""
    scene = scene_of(family)
    whole = bytes(UDP(sport=1, dport=80, len=136, chksum=7) / bytes(128))
    for cut in (64, 32, 128):
        send(scene, cut, whole[cut:], False)
        send(scene, 0, whole[:cut], True)
        assert [at for _, at, _, _ in payloads(scene.net.take("server0"))] == [0, cut]
    assert scene.net.drops() == {}


def test_rfc_791_section_3_2_packets_of_two_protocols_may_share_an_identification() -> None:
    """IPv4 identifies a packet by its protocol, too."""
    scene = scene_of(4)
    whole = bytes(UDP(sport=1, dport=80, len=136, chksum=7) / bytes(128))
    send(scene, 64, bytes(72), False, protocol=6)
    send(scene, 64, whole[64:], False)
    send(scene, 0, whole[:64], True)
    assert [at for _, at, _, _ in payloads(scene.net.take("server0"))] == [0, 64]
    assert scene.net.drops() == {}

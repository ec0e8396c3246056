"""RFC 5508: what a NAT does with ICMP. Echo through masquerade, and errors where swlb translates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb.config.service_models import Timeouts
from tests.scenarios.balanced import routed
from tests.scenarios.test_masquerade import Scene
from tests.scenarios.test_source_nat import Scene as SourceNat
from tests.scenarios.tunnelled import OWN, tunnelled

from .common import FAMILIES, PAYLOADS, TCP, UDP, WORDS, Packet, Raw, assert_error, echo, examples, flaws, icmp_message
from .common import ip as head_of

BOTH = pytest.mark.parametrize("family", FAMILIES)
SECOND = 10**9
UNREACHABLE = {4: (3, 1), 6: (1, 3)}
PROHIBITED = {4: (3, 13), 6: (1, 1)}
TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}


def pinged(scene: Scene, number: int, sequence: int = 0, payload: bytes = b"") -> Packet:
    """The host's echo request; as it left."""
    scene.inside.send(head_of(scene.host, scene.peer) / echo(scene.family, id=number, seq=sequence) / Raw(payload))
    return echoes(scene, "outside")[0]


def echoes(scene: Scene, port: str) -> list[Packet]:
    return [frame.payload for frame in scene.net.take(port) if frame.payload.payload.name.startswith("ICMP")
            and hasattr(frame.payload.payload, "seq")]


def ponged(scene: Scene, request: Packet, *, by: str | None = None) -> list[Packet]:
    """The reply to that; what of it reached the host."""
    asked = request.payload
    reply = echo(scene.family, reply=True, id=asked.id, seq=asked.seq)
    scene.outside.send(head_of(by or scene.peer, request.src) / reply / Raw(payload_of(asked)))
    return echoes(scene, "inside")


def payload_of(message: Packet) -> bytes:
    return bytes(message)[8:]


def later(scene: Scene, seconds: float) -> None:
    scene.net.now_ns += int(seconds * SECOND)
    scene.net.worker.turn(scene.net.now_ns)
    scene.outside.greet()
    scene.inside.greet()
    scene.net.discard()


@BOTH
@examples(30)
@given(number=WORDS, sequence=WORDS, payload=PAYLOADS)
def test_section_3_1_req_1_echo_goes_out_and_its_reply_comes_back(family: int, number: int, sequence: int,
                                                                 payload: bytes) -> None:
    """Any echo request of a host leaves in swlb's name, and its reply reaches the host with its own identifier."""
    scene = Scene(family)
    request = pinged(scene, number, sequence, payload)
    assert (request.src, request.payload.seq, payload_of(request.payload)) == (scene.own, sequence, payload)
    assert flaws(bytes(request)) == []
    reply, = ponged(scene, request)
    assert (reply.src, reply.dst) == (scene.peer, scene.host)
    assert (reply.payload.id, reply.payload.seq, payload_of(reply.payload)) == (number, sequence, payload)
    assert flaws(bytes(reply)) == []


@BOTH
def test_section_3_1_req_1_only_who_was_asked_may_answer(family: int) -> None:
    """A reply of anybody else is not let in."""
    scene = Scene(family)
    request = pinged(scene, 7)
    assert ponged(scene, request, by="10.0.1.66" if family == 4 else "fd00:1::66") == []
    assert len(ponged(scene, request)) == 1


@BOTH
@examples(10)
@given(quiet=st.floats(0, 59.9))
def test_section_3_2_req_2_an_echo_may_be_answered_for_a_minute(family: int, quiet: float) -> None:
    """The mapping of an echo lasts at least 60 seconds, which can be set; then it is gone."""
    assert Timeouts().icmp >= 60
    assert Timeouts(icmp=90.0).icmp == 90.0
    scene = Scene(family)
    request = pinged(scene, 7)
    later(scene, quiet)
    assert len(ponged(scene, request)) == 1
    later(scene, 60)
    assert ponged(scene, request) == []


def broken(error: Packet, flip: int) -> Packet:
    """The ICMP error with another checksum."""
    raw = bytearray(bytes(error))
    at = 22 if error.version == 4 else 42
    raw[at:at + 2] = (int.from_bytes(raw[at:at + 2], "big") ^ flip).to_bytes(2, "big")
    return type(error)(bytes(raw))


@BOTH
@examples(10)
@given(flip=st.integers(1, 0xFFFE))
def test_section_4_2_req_3_an_error_with_a_wrong_checksum_says_nothing(family: int, flip: int) -> None:
    """It is dropped and counted wherever swlb would have to translate it or act on it, and right ones still pass."""
    kind, code = UNREACHABLE[family]
    for scene, station, error, out in translated(family, kind, code):
        station.send(broken(error, flip))
        assert [frame for port in out for frame in scene.net.take(port)] == []
        assert scene.net.drops() == {"bad_icmp": 1}
        station.send(error)
        assert len(scene.net.take(out[0])) == 1


def translated(family: int, kind: int, code: int) -> list[tuple]:
    """Networks with a session, an error about it and its sender, and the ports by which it would leave."""
    found = []
    scene = routed(family, n_servers=1)
    scene.call("S")
    client, server = scene.client.addresses[0], scene.servers[0].addresses[0]
    error = icmp_message(head_of(server, client), kind, code, body=bytes(scene.delivered(0)))
    found.append((scene, scene.servers[0], error, ("client",)))
    scene = routed(family, n_servers=1)
    scene.open()
    error = icmp_message(head_of(client, scene.vip), kind, code, body=bytes(scene.restored()))
    found.append((scene, scene.client, error, ("server0",)))
    nat = SourceNat(family, n_servers=1)
    request = nat.call()
    error = icmp_message(head_of(request.dst, request.src), kind, code, body=bytes(request))
    found.append((nat, nat.servers[0], error, ("switch",)))
    inside = Scene(family)
    seen = inside.leaves(inside.asks("udp"))
    error = icmp_message(head_of(inside.peer, inside.own), kind, code, body=bytes(seen))
    found.append((inside, inside.outside, error, ("inside",)))
    inside = Scene(family)
    seen = inside.leaves(inside.asks("udp"))
    answer = head_of(inside.peer, inside.own) / UDP(sport=53, dport=seen.payload.sport)
    inside.outside.send(answer)
    got = inside.inside.take_one()
    error = icmp_message(head_of(inside.host, inside.peer), kind, code, body=bytes(got))
    found.append((inside, inside.inside, error, ("outside",)))
    tunnel = tunnelled("ipip", 4, family)
    tunnel.client.send(tunnel.request("S"))
    outer = tunnel.net.take_one("server0").payload
    error = icmp_message(head_of(tunnel.servers[0].addresses[0], OWN[family]), kind, code, body=bytes(outer))
    found.append((tunnel, tunnel.servers[0], error, ("client",)))
    return found


@BOTH
def test_section_4_2_req_4_an_error_about_no_mapping_does_not_get_in(family: int) -> None:
    """What is quoted must be what a mapping could have sent: to that peer, from that port, of that protocol."""
    scene = Scene(family)
    seen = scene.leaves(scene.asks("udp"))
    kind, code = UNREACHABLE[family]
    near = (UDP(sport=seen.payload.sport + 1, dport=53), UDP(sport=seen.payload.sport, dport=54),
            TCP(sport=seen.payload.sport, dport=53))
    for l4 in near:
        quoted = bytes(head_of(scene.own, scene.peer) / l4)
        scene.outside.send(icmp_message(head_of(scene.peer, scene.own), kind, code, body=quoted))
    quoted = bytes(head_of(scene.own, "10.0.1.66" if family == 4 else "fd00:1::66") / seen.payload)
    scene.outside.send(icmp_message(head_of(scene.peer, scene.own), kind, code, body=quoted))
    assert scene.net.take("inside") == []


@BOTH
@examples(10)
@given(number=WORDS, kinds=st.lists(st.sampled_from([(3, 0), (3, 1), (3, 13), (11, 0), (11, 1), (12, 0), (4, 0)]),
                                    min_size=1, max_size=6))
def test_section_4_3_req_6_no_error_refreshes_or_ends_an_echo(family: int, number: int,
                                                             kinds: list[tuple[int, int]]) -> None:
    """Errors about an echo reach the host and change neither the mapping nor how long it has to live."""
    scene = Scene(family)
    request = pinged(scene, number)
    scene.net.now_ns += 7 * SECOND
    for kind, code in kinds:
        kind = kind if family == 4 else 1 + kind % 4
        scene.outside.send(icmp_message(head_of(scene.peer, scene.own), kind, code, body=bytes(request)))
        assert scene.inside.take_one().dst == scene.host
    row, = scene.net.worker.flows(now_ns=scene.net.now_ns)
    assert (row[2], row[7], row[14]) == (number, 7000, request.payload.id)
    assert len(ponged(scene, request)) == 1


@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_section_5_req_8_a_host_hears_when_there_is_no_mapping_left(family: int, protocol: str) -> None:
    """A new flow for which there is no port is answered with "administratively prohibited" about its own packet."""
    scene = Scene(family, ports=(2000, 2000))
    scene.leaves(scene.asks(protocol, 1))
    scene.inside.send(scene.asks(protocol, 2))
    assert scene.net.take("outside") == []
    assert_error(scene.inside.take_one(), PROHIBITED[family], bytes(scene.asks(protocol, 2)))
    assert scene.net.drops() == {"source_ports": 1}


@examples(20)
@given(protocol=st.integers(2, 254).filter(lambda number: number not in (1, 6, 17, 58)), payload=PAYLOADS)
def test_section_5_req_8_a_host_hears_that_a_protocol_does_not_leave(protocol: int, payload: bytes) -> None:
    """So is a packet of a protocol that has no ports by which flows could be told apart."""
    scene = Scene()
    packet = head_of(scene.host, scene.peer, proto=protocol) / Raw(payload)
    scene.inside.send(packet)
    assert scene.net.take("outside") == []
    assert_error(scene.inside.take_one(), PROHIBITED[4], bytes(packet))


@BOTH
@examples(10)
@given(hops=st.integers(0, 1), payload=PAYLOADS)
def test_section_7_2_req_10_time_exceeded_is_said_about_the_hosts_own_packet(family: int, hops: int,
                                                                            payload: bytes) -> None:
    """A traceroute from inside sees swlb as its first hop, by the address inside, and recognises its own packet."""
    scene = Scene(family)
    packet = head_of(scene.host, scene.peer, hops) / UDP(sport=5000, dport=33434) / Raw(payload)
    scene.inside.send(packet)
    error = scene.inside.take_one()
    assert error.src == scene.inside.own_address(family)
    assert_error(error, TIME_EXCEEDED[family], bytes(packet))

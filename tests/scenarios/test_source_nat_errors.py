"""ICMP errors about sessions in which an address of swlb's own stands for the client: restored for both sides."""

from scapy.layers.inet import ICMP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig

from tests.oracle.checksum import flaws

from .balanced import ip
from .test_source_nat import BOTH, PROTOCOLS, Scene


@BOTH
@PROTOCOLS
def test_error_about_a_request_reaches_the_client_about_its_own_packet(family: int, protocol: str) -> None:
    scene = Scene(family, protocol)
    sent = ip(scene.client.addresses[0], scene.vip) / scene.l4(40000, 80) / b"abc"
    request = scene.call()
    kind = ICMP(type=3, code=4, nexthopmtu=1400) if family == 4 else ICMPv6PacketTooBig(mtu=1400)
    scene.servers[0].send(ip(request.dst, request.src) / kind / bytes(request))
    error = scene.client.take_one()
    assert (error.src, error.dst) == (scene.vip, scene.client.addresses[0])
    assert flaws(bytes(error)) == []
    head = 28 if family == 4 else 48
    assert bytes(error)[head:] == bytes(sent)


@BOTH
@PROTOCOLS
def test_error_about_an_answer_reaches_the_server_about_its_own_packet(family: int, protocol: str) -> None:
    scene = Scene(family, protocol)
    request = scene.call()
    answer = ip(request.dst, request.src) / scene.l4(8080, request.sport, "SA") / b"xyz"
    scene.answer(request)
    seen = scene.client.take_one()
    kind = ICMP(type=3, code=3) if family == 4 else ICMPv6DestUnreach(code=4)
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / kind / bytes(seen))
    error = scene.delivered()
    assert (error.src, error.dst) == (request.src, request.dst)
    head = 28 if family == 4 else 48
    assert bytes(error)[head:] == bytes(answer)


@BOTH
def test_error_about_no_session_is_dropped(family: int) -> None:
    scene = Scene(family)
    kind = ICMP(type=3, code=3) if family == 4 else ICMPv6DestUnreach(code=4)
    quoted = ip(scene.sources[0], scene.at(11)) / TCP(sport=7, dport=8080)
    scene.servers[0].send(ip(scene.at(11), scene.sources[0]) / kind / bytes(quoted))
    scene.net.expect_silence()
    assert scene.net.drops() == {"icmp_no_session": 1}

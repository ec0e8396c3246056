"""Packets that do not fit the next link: the sender hears of it, in words about the packet that it sent."""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6PacketTooBig
from scapy.packet import Packet

from tests.oracle.checksum import flaws

from .balanced import Scene, ip, routed
from .frames import TCP
from .test_offload_nat import TCPV4, TCPV6, offload_for, partial

BOTH = pytest.mark.parametrize("family", [4, 6])
NARROW = 1400


def narrow(family: int, port: str) -> Scene:
    """A scene with a TCP session and a narrow link behind that port."""
    scene = routed(family, n_servers=1)
    scene.open()
    scene.net.set_port(port, mtu=NARROW)
    return scene


def unbreakable(scene: Scene, src: str, dst: str, sport: int, dport: int, size: int) -> Packet:
    """A TCP segment in a packet of that size which nobody may take apart."""
    head = ip(src, dst, **({"flags": "DF"} if scene.family == 4 else {}))
    return head / TCP(sport=sport, dport=dport, flags="A") / bytes(size - len(head) - 20)


def assert_too_big(error: Packet, scene: Scene, sent: Packet) -> None:
    kind = error.payload
    assert isinstance(kind, ICMP if scene.family == 4 else ICMPv6PacketTooBig)
    assert (kind.type, kind.code) == ((3, 4) if scene.family == 4 else (2, 0))
    assert (kind.nexthopmtu if scene.family == 4 else kind.mtu) == NARROW
    quoted = bytes(kind)[8:]
    assert len(quoted) > 500
    assert bytes(sent).startswith(quoted)
    assert flaws(bytes(error)) == []


@BOTH
def test_request_too_big_for_the_server_is_quoted_to_the_client_as_it_was_sent_to_the_vip(family: int) -> None:
    scene = narrow(family, "server0")
    sent = unbreakable(scene, scene.client.addresses[0], scene.vip, 40000, 80, NARROW + 1)
    scene.client.send(sent)
    assert_too_big(scene.client.take_one(), scene, sent)
    assert scene.net.drops() == {"too_big": 1}


@BOTH
def test_reply_too_big_for_the_client_is_quoted_to_the_server_as_it_sent_it(family: int) -> None:
    scene = narrow(family, "client")
    sent = unbreakable(scene, scene.servers[0].addresses[0], scene.client.addresses[0], 8080, 40000, NARROW + 1)
    scene.servers[0].send(sent)
    assert_too_big(scene.servers[0].take_one(), scene, sent)


@BOTH
def test_packet_of_exactly_the_mtu_passes(family: int) -> None:
    scene = narrow(family, "server0")
    scene.client.send(unbreakable(scene, scene.client.addresses[0], scene.vip, 40000, 80, NARROW))
    assert len(scene.net.take_one("server0")) == 14 + NARROW


@BOTH
@pytest.mark.parametrize(("over", "passes"), [(0, True), (1, False)])
def test_super_frame_is_measured_by_its_segments(family: int, over: int, passes: bool) -> None:
    scene = narrow(family, "server0")
    headers = 40 if family == 4 else 60
    offload = offload_for(scene, TCPV4 if family == 4 else TCPV6, NARROW - headers + over)
    sent = unbreakable(scene, scene.client.addresses[0], scene.vip, 40000, 80, 20000 + headers)
    scene.client.send(partial(sent), offload=bytes(offload))
    assert len(scene.net.take("server0")) == passes
    assert scene.net.drops() == ({} if passes else {"too_big": 1})

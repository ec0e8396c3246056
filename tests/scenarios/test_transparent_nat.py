"""NAT within one segment: swlb is a bridge, the client talks to the VIP's MAC, servers answer past any gateway."""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach
from scapy.packet import Packet

from tests.oracle.checksum import flaws

from .balanced import Scene, ip, transparent
from .frames import TCP, UDP, Ether
from .layout import Segment, Server, Service
from .network import Network

BOTH = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(params=[(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")], ids=lambda p: f"{p[1]}-v{p[0]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    family, protocol = request.param
    return transparent(family, protocol=protocol)


def test_request_to_the_segment_mac_reaches_the_server_with_its_ttl(scene: Scene) -> None:
    scene.client.send(scene.request("S", payload=b"abc", hops=1))
    scene.servers[0].expect(scene.delivered(0, "S", payload=b"abc", hops=1))


def test_reply_bridged_to_the_client_is_restored_to_the_vip_and_the_segment_mac(scene: Scene) -> None:
    scene.call()
    scene.servers[0].send(scene.reply(0, payload=b"abc", hops=1), to=scene.client.mac)
    scene.client.expect(scene.restored(payload=b"abc", hops=1))


def test_reply_to_swlb_as_gateway_reaches_the_client_with_its_ttl(scene: Scene) -> None:
    scene.call()
    scene.servers[0].send(scene.reply(0, hops=1))
    scene.client.expect(scene.restored(hops=1))


def test_request_sent_to_another_mac_than_the_segments_is_balanced_all_the_same(scene: Scene) -> None:
    scene.client.send(scene.request(), to="02:ff:00:00:00:01")
    scene.servers[0].expect(scene.delivered(0))


@BOTH
def test_client_behind_a_router_is_answered_through_the_router_past_swlb_as_gateway(family: int) -> None:
    far, gateway = {4: ("192.0.2.7", "10.0.0.254"), 6: ("2001:db8::7", "fd00::254")}[family]
    scene = transparent(family)
    router = scene.net.station("router", gateway)
    router.greet()
    router.send(scene.request(src=far, hops=33))
    scene.servers[0].expect(scene.delivered(0, src=far, hops=33))
    # The server has a gateway of its own, which is the router.
    scene.servers[0].send(scene.reply(0, dst=far, hops=44), to=router.mac)
    router.expect(scene.restored(dst=far, hops=44))


@BOTH
def test_error_of_a_server_bridged_to_the_client_is_restored_to_the_vip(family: int) -> None:
    scene = transparent(family, protocol="udp")
    scene.call(payload=b"anyone?")
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    received = bytes(scene.delivered(0, payload=b"anyone?"))
    scene.servers[0].send(port_unreachable(theirs, mine, received), to=scene.client.mac)
    error = scene.client.take_one()
    assert bytes(error) == bytes(port_unreachable(scene.vip, mine, bytes(scene.request(payload=b"anyone?"))))
    assert flaws(bytes(error)) == []


def port_unreachable(src: str, dst: str, quoted: bytes) -> Packet:
    head = ip(src, dst)
    return head / (ICMP(type=3, code=3) if head.name == "IP" else ICMPv6DestUnreach(code=4)) / quoted


def untouched(family: int, mine: str, theirs: str) -> list[bytes]:
    """IP payloads that a bridge has no business with, right and wrong."""
    good = [ip(mine, theirs, 1) / TCP(sport=40000, dport=8080), ip(mine, theirs) / UDP(sport=53, dport=53) / b"dns",
            ip(mine, theirs) / UDP(sport=1, dport=8080, chksum=0), ip(mine, theirs) / TCP(chksum=0xBAD)]
    cut = [bytes(good[0])[:n] for n in (1, 19, 20, 39, 40, 50)]
    return [bytes(packet) for packet in good] + cut + [b"", b"\x45", b"\x60" + bytes(39), b"\xff" * 60]


@BOTH
def test_frames_not_for_a_vip_are_bridged_byte_for_byte(family: int) -> None:
    scene = transparent(family)
    scene.call("S")
    server = scene.servers[0]
    for payload in untouched(family, scene.client.addresses[0], server.addresses[0]):
        frame = Ether(src=scene.client.mac, dst=server.mac, type=0x0800 if family == 4 else 0x86DD) / payload
        scene.net.send("client", frame)
        scene.net.expect("server0", frame)
        back = Ether(src=server.mac, dst=scene.client.mac, type=frame.type) / payload
        scene.net.send("server0", back)
        scene.net.expect("client", back)
    assert scene.net.drops() == {}


@BOTH
def test_server_speaking_to_the_client_of_a_session_from_another_port_is_not_translated(family: int) -> None:
    scene = transparent(family)
    scene.call("S")
    frame = scene.servers[0].frame(ip(scene.servers[0].addresses[0], scene.client.addresses[0])
                                   / TCP(sport=8081, dport=40000, flags="SA"), to=scene.client.mac)
    scene.net.send("server0", frame)
    scene.net.expect("client", frame)


@BOTH
def test_another_server_answering_for_the_session_is_not_translated(family: int) -> None:
    scene = transparent(family)
    assert scene.call("S") == 0
    frame = scene.servers[1].frame(scene.reply(1), to=scene.client.mac)
    scene.net.send("server1", frame)
    scene.net.expect("client", frame)


@BOTH
def test_expired_session_no_longer_translates_what_the_server_sends(family: int) -> None:
    scene = transparent(family, timeouts={"tcp_syn": 5.0})
    scene.call("S")
    scene.net.now_ns += 5 * 10**9
    frame = scene.servers[0].frame(scene.reply(0), to=scene.client.mac)
    scene.net.send("server0", frame)
    assert [bytes(out) for out in scene.net.take("client")] == [bytes(frame)]


@BOTH
def test_mid_stream_packet_to_the_vip_is_not_bridged(family: int) -> None:
    scene = transparent(family, orphans="drop")
    assert scene.call("A") is None
    scene.net.expect_silence()
    assert scene.net.drops() == {"orphan": 1}


def test_one_port_that_carries_client_and_servers_gets_its_frames_back() -> None:
    net = Network({"lan": Segment(("trunk",), ("10.0.0.1/24",))},
                  services=[Service(("10.0.0.100",), (Server("10.0.0.11", 8080),))])
    client, server = net.station("trunk", "10.0.0.10"), net.station("trunk", "10.0.0.11")
    client.greet()
    server.greet()
    client.send(ip("10.0.0.10", "10.0.0.100") / TCP(sport=9, dport=80, flags="S"))
    server.expect(ip("10.0.0.10", "10.0.0.11") / TCP(sport=9, dport=8080, flags="S"))
    server.send(ip("10.0.0.11", "10.0.0.10") / TCP(sport=8080, dport=9, flags="SA"))
    client.expect(ip("10.0.0.100", "10.0.0.10") / TCP(sport=80, dport=9, flags="SA"))

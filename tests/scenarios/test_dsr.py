"""Direct server return: the request in a frame to the server's MAC, as it was; the reply goes past, or by untouched."""

import struct
from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, Scene, ip, routed, transparent
from .frames import IP, TCP, Ether, IPv6
from .layout import Segment, Server, Service
from .network import Network
from .shapes import V4, V6
from .test_fragments_nat import PAYLOAD, pieces

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])


def dsr(shape: Callable, family: int, **given: object) -> Scene:
    """The scene with servers that have the VIP themselves; n_servers and the like as given."""
    return shape(family, server_port=0, forward="dsr", **given)


def to_server(scene: Scene, packet: Packet | bytes, server: int = 0) -> bytes:
    """The packet in a frame of swlb's to that server."""
    station = scene.servers[server]
    return bytes(Ether(src=scene.net.mac(station.segment), dst=station.mac,
                       type=0x0800 if scene.family == 4 else 0x86DD) / Raw(bytes(packet)))


def call(scene: Scene, packet: Packet, server: int = 0, **fields: object) -> None:
    """The client's packet has reached that server, and there is no byte of it that differs."""
    scene.client.send(packet, **fields)
    assert [bytes(frame) for frame in scene.net.take(scene.servers[server].port)] == [to_server(scene, packet, server)]


def own_reply(scene: Scene, flags: str = "SA", **fields: object) -> Packet:
    """What the server answers as the VIP."""
    return ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, 40000, flags, **fields)


def replies(scene: Scene, packet: Packet) -> list[Packet]:
    """What reaches the client of the server's answer, past swlb's services."""
    scene.servers[0].send(packet, to=None if scene.hops_lost else scene.client.mac)
    return scene.net.take("client")


@SHAPES
@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_behind_the_macs_not_a_byte_differs(shape, family, protocol):
    scene = dsr(shape, family, protocol=protocol)
    call(scene, scene.request("S", payload=b"question"))
    assert scene.net.drops() == {}


@SHAPES
@BOTH
@pytest.mark.parametrize("hops", [1, 2, 255])
def test_hops_are_not_counted(shape, family, hops):
    scene = dsr(shape, family)
    call(scene, scene.request("S", hops=hops))


@SHAPES
def test_odd_packets_stay_odd(shape):
    scene = dsr(shape, 4)
    head = {"tos": 0xBB, "id": 0xBEEF, "options": [IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"])]}
    call(scene, ip(scene.client.addresses[0], scene.vip, **head)
         / TCP(sport=40000, dport=80, flags="S", chksum=0x1234, urgptr=7, reserved=5, options=[("MSS", 1460)]))


@SHAPES
@BOTH
def test_offloads_are_left_to_the_server_s_side(shape, family):
    scene = dsr(shape, family)
    call(scene, scene.request("S"))
    start = 14 + (20 if family == 4 else 40)
    for offload in (struct.pack("<BBHHHH", 1, 0, 0, 0, start, 16),
                    struct.pack("<BBHHHH", 1, 1 if family == 4 else 4, start + 20, 1400, start, 16)):
        sent = scene.request("PA", payload=bytes(4000))
        scene.net.set_port("server0", mtu=9000)
        scene.client.send(sent, offload=offload)
        assert scene.net.take_raw("server0") == [(offload, to_server(scene, sent))]


@SHAPES
@BOTH
def test_what_fills_a_short_frame_up_goes_with_it(shape, family):
    scene = dsr(shape, family)
    scene.net.send("client", bytes(scene.client.frame(scene.request("S"))) + b"padding")
    assert bytes(scene.net.take_one("server0")) == to_server(scene, scene.request("S")) + b"padding"


@SHAPES
@BOTH
def test_sessions_stay_with_their_server(shape, family):
    scene = dsr(shape, family, n_servers=3)
    for server, sport in enumerate((1, 2, 3)):
        for flags in ("S", "A", "PA", "FA"):
            call(scene, scene.request(flags, sport=sport), server)


@SHAPES
@BOTH
def test_too_large_for_the_server_s_link_is_told(shape, family):
    scene = dsr(shape, family)
    call(scene, scene.request("S"))
    scene.net.set_port("server0", mtu=1400)
    fields = {"flags": "DF"} if family == 4 else {}
    sent = ip(scene.client.addresses[0], scene.vip, **fields) / TCP(sport=40000, dport=80, flags="A") / bytes(1400)
    scene.client.send(sent)
    error = scene.client.take_one()
    assert isinstance(error.payload, ICMP if family == 4 else ICMPv6PacketTooBig)
    assert (error.payload.nexthopmtu if family == 4 else error.payload.mtu) == 1400
    assert bytes(sent).startswith(bytes(error.payload)[8:])
    assert flaws(bytes(error)) == []
    assert scene.net.drops() == {"too_big": 1}


@SHAPES
@BOTH
def test_client_of_a_silent_server_hears_that_it_is_not_reached(shape, family):
    scene = dsr(shape, family, greet=False)
    scene.client.greet()
    scene.client.send(scene.request("S", hops=7))
    scene.net.wait(4.0)
    # In one network, the client hears the questions for the server's MAC as well.
    frame = scene.net.take("client")[-1]
    assert isinstance(frame.payload.payload, ICMP if family == 4 else ICMPv6DestUnreach)
    assert bytes(frame.payload.payload)[8:] == bytes(scene.request("S", hops=7))


def test_server_behind_a_router_is_not_reached_by_its_mac():
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("router",), INSIDE)},
                  routes=[("192.0.2.0/24", "10.0.2.254")],
                  services=[Service((VIP[4],), (Server("192.0.2.11"),), forward="dsr")])
    client = net.station("client", CLIENT[4])
    client.greet()
    client.send(ip(CLIENT[4], VIP[4]) / TCP(sport=1, dport=80, flags="S"))
    assert (client.take_one().payload.type, net.drops()) == (3, {"no_route": 1})


@BOTH
def test_reply_over_the_bridge_passes_as_it_is(family):
    scene = dsr(transparent, family)
    call(scene, scene.request("S"))
    frame = scene.servers[0].frame(own_reply(scene), to=scene.client.mac)
    scene.net.send("server0", frame)
    scene.net.expect("client", frame)
    assert (scene.net.events(), scene.net.drops()) == ([], {})
    assert scene.session()["packets_out"] == 1


@BOTH
def test_reply_through_swlb_as_a_gateway_is_routed_as_it_is(family):
    scene = dsr(routed, family)
    call(scene, scene.request("S"))
    reply = own_reply(scene)
    scene.servers[0].send(reply)
    wanted = type(reply)(bytes(reply))
    if family == 4:
        wanted.ttl -= 1
        del wanted.chksum
    else:
        wanted.hlim -= 1
    scene.client.expect(wanted)
    assert scene.net.drops() == {}


@SHAPES
@BOTH
def test_a_connection_to_the_server_s_own_address_is_none_of_the_service_s(shape, family):
    scene = dsr(shape, family)
    call(scene, scene.request("S"))
    own = ip(scene.servers[0].addresses[0], scene.client.addresses[0]) / TCP(sport=80, dport=40000, flags="SA")
    frame, = replies(scene, own)
    assert frame.payload.src == scene.servers[0].addresses[0]
    assert scene.session()["packets_out"] == 0


@SHAPES
@BOTH
def test_one_port_of_a_client_may_call_two_vips_at_one_server(shape, family):
    scene = dsr(shape, family, n_servers=1, port=(80, 81))
    for dport in (80, 81):
        call(scene, scene.request("S", dport=dport))
    assert sorted(row["vip_port"] for row in scene.sessions()) == [80, 81]


@SHAPES
@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_request_in_pieces_goes_to_one_server_as_it_is(shape, family, protocol):
    scene = dsr(shape, family, protocol=protocol, n_servers=2)
    sent = pieces(scene.request("S", payload=PAYLOAD))
    scene.client.send(*sent)
    assert [bytes(frame) for frame in scene.net.take("server0")] == [to_server(scene, piece) for piece in sent]
    assert scene.net.take("server1") == []


@SHAPES
@BOTH
def test_error_to_the_vip_about_a_reply_goes_to_the_server_as_it_is(shape, family):
    scene = dsr(shape, family)
    call(scene, scene.request("S"))
    kind = ICMP(type=3, code=4, nexthopmtu=1300) if family == 4 else ICMPv6PacketTooBig(mtu=1300)
    error = ip(scene.client.addresses[0], scene.vip) / kind / Raw(bytes(own_reply(scene)))
    call(scene, error)


@SHAPES
@BOTH
def test_error_about_a_request_reaches_the_client_as_it_is(shape, family):
    scene = dsr(shape, family)
    call(scene, scene.request("S"))
    kind = ICMP(type=3, code=3) if family == 4 else ICMPv6DestUnreach(code=4)
    frame, = replies(scene, ip(scene.vip, scene.client.addresses[0]) / kind / Raw(bytes(scene.request("S"))))
    assert bytes(frame.payload.payload)[8:] == bytes(scene.request("S"))
    assert scene.net.drops() == {}


@BOTH
def test_echo_to_the_vip_is_answered_by_swlb(family):
    scene = dsr(routed, family)
    scene.client.send((V4 if family == 4 else V6).echo(scene.client.addresses[0], scene.vip))
    assert scene.client.take_one().src == scene.vip
    scene.net.expect_silence()


@SHAPES
@BOTH
def test_without_a_server_the_client_is_refused(shape, family):
    scene = dsr(shape, family, n_servers=1, ready=(0,))
    scene.client.send(scene.request("S"))
    assert scene.client.take_one()[TCP].flags == "RA"
    assert scene.net.drops() == {"no_server": 1}


@BOTH
@pytest.mark.parametrize("mss", [1400, "auto"])
def test_mss_of_a_syn_is_lowered_when_the_service_says_so(family, mss):
    scene = dsr(routed, family, mss=mss)
    scene.net.set_port("server0", mtu=1440)
    syn = scene.request("S")
    syn[TCP].options = [("MSS", 1460)]
    scene.client.send((IP if family == 4 else IPv6)(bytes(syn)))
    seen = scene.net.take_one("server0").payload
    assert dict(seen[TCP].options)["MSS"] == (1400 if mss == 1400 else 1400 if family == 4 else 1380)
    assert flaws(bytes(seen)) == []


def test_datagrams_are_not_put_together():
    scene = dsr(routed, 4, protocol="udp", merges=True)
    sent = [scene.request(payload=bytes([n]) * 30) for n in range(10)]
    for packet in sent:
        packet.flags = "DF"
        scene.net.worker.put(scene.net.ports["client"], bytes(scene.client.frame(packet)))
    scene.net.send("client")
    scene.net.wait(0.1)
    assert [bytes(frame) for frame in scene.net.take("server0")] == [to_server(scene, packet) for packet in sent]


@SHAPES
def test_a_client_that_asks_again_is_no_sign_of_replies_that_pass_by(shape):
    scene = dsr(shape, 4)
    for _ in range(3):
        call(scene, scene.request("S"))
    assert scene.net.events() == []


@BOTH
def test_reply_through_a_gateway_that_masquerades_is_still_the_vips(family):
    net = Network({"outside": Segment(("client",), OUTSIDE, exit_ports=(1024, 2000)),
                   "inside": Segment(("server",), INSIDE, masquerade=True)},
                  services=[Service((VIP[family],), (Server(SERVER[family].format(11)),), forward="dsr")])
    client, server = net.station("client", CLIENT[family]), net.station("server", SERVER[family].format(11))
    client.greet()
    server.greet()
    client.send(ip(CLIENT[family], VIP[family]) / TCP(sport=9, dport=80, flags="S"))
    server.send(ip(VIP[family], CLIENT[family]) / TCP(sport=80, dport=9, flags="SA"))
    reply = client.take_one()
    assert (reply.src, reply[TCP].sport, reply[TCP].dport) == (VIP[family], 80, 9)
    assert net.drops() == {}

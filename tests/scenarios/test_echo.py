"""Echo to a VIP: answered by swlb while something behind the VIP can serve. RFC 1122 3.2.2.6, RFC 4443 4.2."""

import pytest
from scapy.layers.inet import ICMP, IP, IPOption_RR, defragment, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    defragment6,
    fragment6,
)
from scapy.packet import Packet

from .layout import DRAIN, MAINT, UP
from .network import Network, Segment, Server, Service
from .shapes import FAMILIES, INSIDE, OUTSIDE, V4, V6, Family, router

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)


def reply(family: Family, payload: bytes = b"hello", hops: int = 64) -> Packet:
    message = ICMP(type=0, id=7, seq=9) if family.version == 4 else ICMPv6EchoReply(id=7, seq=9)
    return family.ip(family.vip, family.client, hops) / message / payload


@each_family
def test_an_echo_to_an_active_vip_is_answered_and_reaches_nobody_else(family):
    net = router(outside=("client", "other"), host=True)
    client = net.station("client", family.client)
    client.send(family.echo(family.client, family.vip))
    client.expect(reply(family))
    net.expect_silence()
    assert net.drops() == {}


@pytest.mark.parametrize("hops", [1, 3, 255])
@each_family
def test_the_answer_has_a_hop_count_of_its_own(family, hops):
    net = router()
    client = net.station("client", family.client)
    client.send(family.echo(family.client, family.vip, hops=hops))
    client.expect(reply(family))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 1452])
@each_family
def test_any_payload_comes_back(family, size):
    payload = bytes(i & 255 for i in range(size))
    net = router()
    client = net.station("client", family.client)
    request = family.echo(family.client, family.vip)
    layer = ICMP if family.version == 4 else ICMPv6EchoRequest
    request[layer].remove_payload()
    if family.version == 6:
        request[layer].data = payload
    else:
        request /= payload
    client.send(request)
    client.expect(reply(family, payload))


@each_family
def test_a_wrong_checksum_stays_wrong(family):
    net = router()
    client = net.station("client", family.client)
    request = family.echo(family.client, family.vip)
    if family.version == 4:
        right = ICMP(bytes(request[ICMP])).chksum
        request[ICMP].chksum = right ^ 0x0101
    else:
        right = ICMPv6EchoRequest(bytes(request[ICMPv6EchoRequest])).cksum
        request[ICMPv6EchoRequest].cksum = right ^ 0x0101
    client.send(request)
    assert bytes(client.take_one()) != bytes(reply(family))


def test_options_come_back_and_extension_headers_do_not():
    net = router()
    client = net.station("client", V4.client, V6.client)
    client.send(IP(src=V4.client, dst=V4.vip, options=[IPOption_RR()]) / ICMP(id=7, seq=9) / b"hello")
    client.expect(IP(src=V4.vip, dst=V4.client, options=[IPOption_RR()]) / ICMP(type=0, id=7, seq=9) / b"hello")
    client.send(IPv6(src=V6.client, dst=V6.vip) / IPv6ExtHdrDestOpt() / ICMPv6EchoRequest(id=7, seq=9))
    client.expect(IPv6(src=V6.vip, dst=V6.client) / ICMPv6EchoReply(id=7, seq=9))


@each_family
def test_an_echo_from_behind_a_gateway_goes_back_by_it(family):
    net = router()
    gateway = net.station("client", family.client)
    gateway.send(family.echo(family.far, family.vip))
    answer = gateway.take_one()
    assert (answer.src, answer.dst) == (family.vip, family.far)


@each_family
def test_an_echo_from_a_server_is_answered_too(family):
    net = router()
    web = net.station("web1", family.server)
    web.send(family.echo(family.server, family.vip))
    answer = web.take_one()
    assert (answer.src, answer.dst) == (family.vip, family.server)


@pytest.mark.parametrize("ready", [0, UP | MAINT])
@each_family
def test_a_vip_whose_servers_are_down_is_silent(family, ready):
    net = router(ready=ready)
    net.station("client", family.client).send(family.echo(family.client, family.vip))
    net.expect_silence()
    assert net.drops() == {"echo_silent": 1}


@each_family
def test_a_vip_whose_server_drains_still_answers(family):
    net = router(ready=UP | DRAIN)
    client = net.station("client", family.client)
    client.send(family.echo(family.client, family.vip))
    client.expect(reply(family))


def test_the_families_of_a_service_are_active_one_by_one():
    net = router()
    net.set_server(0, ready=0)
    client = net.station("client", V4.client, V6.client)
    client.send(V4.echo(V4.client, V4.vip))
    net.expect_silence()
    client.send(V6.echo(V6.client, V6.vip))
    client.expect(reply(V6))


def test_one_service_that_can_serve_is_enough():
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE)},
                  services=[Service((V4.vip,), (Server(V4.server, ready=0),), port=80),
                            Service((V4.vip,), (Server(V4.server),), port=53, protocol="udp")])
    client = net.station("client", V4.client)
    client.send(V4.echo(V4.client, V4.vip))
    client.expect(reply(V4))


@each_family
def test_an_echo_in_a_group_frame_is_not_answered(family):
    net = router()
    net.station("client", family.client).send(family.echo(family.client, family.vip), to="ff:ff:ff:ff:ff:ff")
    net.expect("client")
    assert net.drops() == {"bad_address": 1}


def test_other_icmp_to_a_vip_is_dropped():
    net = router()
    client = net.station("client", V4.client)
    client.send(IP(src=V4.client, dst=V4.vip) / ICMP(type=13), IP(src=V4.client, dst=V4.vip) / ICMP(type=0))
    net.expect_silence()
    assert net.drops() == {"vip_protocol": 2}


@pytest.mark.parametrize("protocol", [0, 41, 47, 132, 255])
def test_other_protocols_to_a_vip_are_dropped(protocol):
    net = router()
    net.station("client", V4.client).send(IP(src=V4.client, dst=V4.vip, proto=protocol) / bytes(40))
    net.expect_silence()
    assert net.drops() == {"vip_protocol": 1}


@pytest.mark.parametrize("order", [1, -1])
def test_an_echo_in_pieces_is_answered_in_pieces_in_any_order(order):
    data = bytes(i % 251 for i in range(4000))
    net = router()
    client = net.station("client", V4.client)
    client.send(*fragment(IP(src=V4.client, dst=V4.vip, id=9) / ICMP(id=7, seq=9) / data)[::order])
    whole, = defragment(sorted((frame.payload for frame in net.take("client")), key=lambda piece: piece.frag))
    assert bytes(IP(bytes(whole))) == bytes(IP(src=V4.vip, dst=V4.client, id=9) / ICMP(type=0, id=7, seq=9) / data)
    assert net.drops() == {}


@pytest.mark.parametrize("order", [1, -1])
def test_an_ipv6_echo_in_pieces_is_answered_in_pieces_in_any_order(order):
    data = bytes(i % 251 for i in range(4000))
    net = router()
    client = net.station("client", V6.client)
    whole = IPv6(src=V6.client, dst=V6.vip) / IPv6ExtHdrFragment(id=9)
    request = IPv6(bytes(whole / ICMPv6EchoRequest(id=7, seq=9, data=data)))
    client.send(*fragment6(request, 1280)[::order])
    seen = IPv6(bytes(defragment6([frame.payload for frame in net.take("client")])))
    wanted = IPv6(src=V6.vip, dst=V6.client) / ICMPv6EchoReply(id=7, seq=9, data=data)
    assert bytes(seen.payload) == bytes(IPv6(bytes(wanted)).payload)
    assert (seen.src, seen.dst) == (V6.vip, V6.client)
    assert net.drops() == {}


def test_an_echo_whose_reply_is_nothing_but_zeros_has_the_checksum_of_zeros():
    net = router()
    client = net.station("client", V4.client)
    client.send(IP(src=V4.client, dst=V4.vip) / ICMP(type=8, id=0, seq=0))
    client.expect(IP(src=V4.vip, dst=V4.client) / ICMP(type=0, id=0, seq=0))

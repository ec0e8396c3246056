"""ICMP errors about packets that swlb itself sent through a tunnel: what the client hears, and what is remembered."""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, ip
from .frames import IP, TCP, IPv6
from .layout import Segment, Server, Service
from .network import Network
from .test_tunnel_mtu import told, whole
from .tunnelled import ALL_WAYS, OWN, Scene, overhead, tunnelled

ROUTER = {4: "10.0.2.254", 6: "fd00:2::254"}
NARROW = 1400
UNREACHED = {
    4: (ICMP(type=3, code=0), ICMP(type=3, code=1), ICMP(type=3, code=2), ICMP(type=3, code=3), ICMP(type=3, code=13),
        ICMP(type=11, code=0)),
    6: (ICMPv6DestUnreach(code=0), ICMPv6DestUnreach(code=3), ICMPv6DestUnreach(code=4), ICMPv6TimeExceeded(code=0)),
}
UNREAD = {4: (ICMP(type=4), ICMP(type=12), ICMP(type=5, gw="10.0.2.254")), 6: (ICMPv6ParamProblem(code=1, ptr=6),)}


def too_big(outer: int, mtu: int) -> Packet:
    return ICMP(type=3, code=4, nexthopmtu=mtu) if outer == 4 else ICMPv6PacketTooBig(mtu=mtu)


def went(scene: Scene, sent: Packet) -> Packet:
    """The outer packet in which the client's went to the server."""
    scene.client.send(sent)
    return scene.net.take_one("server0").payload


def answer(scene: Scene, kind: Packet, quoted: Packet, room: int = 1200) -> None:
    """A router before the server has sent an error about the outer packet, of which it quotes so much."""
    scene.servers[0].send(ip(ROUTER[scene.outer], OWN[scene.outer]) / kind / Raw(bytes(quoted)[:room]))


@ALL_WAYS
def test_too_big_tells_the_client_what_is_left_without_the_outer_headers(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    sent = whole(scene, 1440)
    answer(scene, too_big(outer, NARROW), went(scene, sent))
    assert told(scene, sent) == NARROW - overhead(forward, outer)
    assert scene.net.drops() == {}


@ALL_WAYS
def test_and_from_then_on_it_is_known(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    answer(scene, too_big(outer, NARROW), went(scene, whole(scene, 1440)))
    scene.net.discard()
    sent = whole(scene, NARROW - overhead(forward, outer) + 1)
    scene.client.send(sent)
    assert told(scene, sent) == NARROW - overhead(forward, outer)
    fitting = whole(scene, NARROW - overhead(forward, outer))
    scene.client.send(fitting)
    assert scene.arrived() == [bytes(fitting)]


@pytest.mark.parametrize("outer", [4, 6])
def test_for_ten_minutes(outer):
    scene = tunnelled("ipip", 4, outer).open()
    sent = whole(scene, 1440)
    answer(scene, too_big(outer, NARROW), went(scene, sent))
    scene.net.wait(599.0, step=1.0)
    scene.net.discard()
    scene.client.send(sent)
    assert told(scene, sent) == NARROW - overhead("ipip", outer)
    scene.net.wait(1.1)
    scene.servers[0].greet()
    scene.client.send(sent)
    assert scene.arrived() == [bytes(sent)]


def test_a_wider_path_is_not_believed_before_a_narrower_one_is_forgotten():
    scene = tunnelled().open()
    quoted = went(scene, whole(scene, 1440))
    answer(scene, too_big(4, 1300), quoted)
    answer(scene, too_big(4, 1450), quoted)
    scene.net.discard()
    sent = whole(scene, 1400)
    scene.client.send(sent)
    assert told(scene, sent) == 1280


@pytest.mark.parametrize(("says", "believed"), [(0, 576), (68, 552), (551, 552), (553, 553)])
def test_less_than_any_path_has_is_not_believed_over_ipv4(says, believed):
    scene = tunnelled().open()
    sent = whole(scene, 1440)
    answer(scene, too_big(4, says), went(scene, sent))
    assert told(scene, sent) == believed - 20


@pytest.mark.parametrize("says", [0, 68, 1279])
def test_less_than_any_path_has_is_not_believed_over_ipv6(says):
    scene = tunnelled("gue", 4, 6).open()
    sent = whole(scene, 1440)
    answer(scene, too_big(6, says), went(scene, sent))
    assert told(scene, sent) == 1280 - 52


@pytest.mark.parametrize("forward", ["ipip", "gue"])
@pytest.mark.parametrize("outer", [4, 6])
def test_a_client_whose_packets_may_be_taken_apart_need_not_hear_of_it(forward, outer):
    scene = tunnelled(forward, 4, outer).open()
    sent = scene.sized(1440)
    answer(scene, too_big(outer, NARROW), went(scene, sent))
    assert scene.net.take("client") == []
    assert scene.net.drops() == {"tunnel_error": 1}
    scene.client.send(sent)
    first, second = scene.arrived()
    assert max(len(first), len(second)) <= NARROW - overhead(forward, outer)


@ALL_WAYS
def test_unreachable_for_whatever_reason_is_host_unreachable_to_the_client(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    for kind in UNREACHED[outer]:
        sent = scene.request("A", payload=b"lost")
        answer(scene, kind, went(scene, sent))
        error = scene.client.take_one()
        assert error.src == scene.client.own_address(inner)
        assert (error.payload.type, error.payload.code) == ((3, 1) if inner == 4 else (1, 3))
        assert bytes(error.payload)[8:] == bytes(sent)
        assert (error.ttl if inner == 4 else error.hlim) == 64
        assert flaws(bytes(error)) == []


@ALL_WAYS
def test_as_little_as_eight_bytes_of_the_inner_transport_are_enough(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    sent = whole(scene, 1440)
    enough = overhead(forward, outer) + (28 if inner == 4 else 48)
    quoted = went(scene, sent)
    answer(scene, too_big(outer, NARROW), quoted, enough)
    error = scene.client.take_one()
    assert bytes(error.payload)[8:] == bytes(sent)[:28 if inner == 4 else 48]
    answer(scene, too_big(outer, NARROW), quoted, enough - 1)
    assert scene.net.drops() == {"bad_icmp": 1}


@ALL_WAYS
def test_what_follows_the_quoted_packet_is_not_quoted_again(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    sent = scene.request("A", payload=b"short")
    quoted = went(scene, sent)
    answer(scene, UNREACHED[outer][0], Raw(bytes(quoted) + bytes(64)))
    assert bytes(scene.client.take_one().payload)[8:] == bytes(sent)


def forged(scene: Scene, case: str) -> Packet:
    """An outer packet that swlb did not send, or not of a session that it knows."""
    inside = scene.request("A", sport=40001 if case == "session" else 40000, payload=bytes(100))
    quoted = went(scene.open(sport=40000), scene.request("A", payload=bytes(100)))
    raw, at = bytes(quoted), overhead(scene.forward, scene.outer)
    if case == "server":
        last = 19 if scene.outer == 4 else 39
        raw = raw[:last] + (b"\x0c" if scene.outer == 4 else b"\x12") + raw[last + 1:]
    return Raw(raw[:at] + bytes(inside))


@ALL_WAYS
@pytest.mark.parametrize("case", ["session", "server"])
def test_an_error_about_what_was_never_sent_changes_nothing(forward, inner, outer, case):
    scene = tunnelled(forward, inner, outer, n_servers=2)
    answer(scene, too_big(outer, NARROW), forged(scene, case))
    assert scene.net.drops() == {"icmp_no_session": 1}
    sent = whole(scene, 1440)
    scene.client.send(sent)
    assert scene.arrived() == [bytes(sent)]


def test_errors_of_other_kinds_are_for_the_kernel():
    for outer in (4, 6):
        scene = tunnelled("ipip", 4, outer).open()
        for kind in UNREAD[outer]:
            answer(scene, kind, went(scene, scene.request("A")))
        assert scene.net.take("client") == []
        # There is no twin in this network.
        assert scene.net.drops() == {"no_route": len(UNREAD[outer])}


def test_errors_are_as_rare_as_the_limit_says():
    scene = tunnelled(limits={"icmp_errors": 3}).open()
    quoted = went(scene, scene.request("A"))
    for _ in range(10):
        answer(scene, UNREACHED[4][0], quoted)
    assert len(scene.net.take("client")) == 3
    assert scene.net.drops() == {"tunnel_error": 7}


@ALL_WAYS
def test_error_to_the_vip_about_a_reply_goes_through_the_tunnel_as_it_is(forward, inner, outer):
    scene = tunnelled(forward, inner, outer).open()
    reply = ip(scene.vip, scene.client.addresses[0]) / TCP(sport=80, dport=40000) / Raw(bytes(600))
    error = ip("10.0.1.77" if inner == 4 else "fd00:1::77", scene.vip) / too_big(inner, 1300) / Raw(bytes(reply)[:548])
    scene.client.send(error)
    scene.client.send(scene.request("A"))
    in_error, in_request = scene.peeled()
    assert in_error.inner == bytes((IP if inner == 4 else IPv6)(bytes(error)))
    assert in_error.flow == in_request.flow


@ALL_WAYS
def test_where_swlb_s_address_stands_for_clients_too_errors_about_tunnels_are_still_told(forward, inner, outer):
    services = [Service((VIP[inner],), (Server(SERVER[outer].format(11)),), forward=forward),
                Service(({4: "10.0.1.101", 6: "fd00:1::101"}[outer],), (Server(SERVER[outer].format(11)),),
                        source_nat="auto", source_pool=(OWN[outer],))]
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("server0",), INSIDE)},
                  services=services)
    client, server = net.station("client", CLIENT[inner]), net.station("server0", SERVER[outer].format(11))
    client.greet()
    server.greet()
    sent = ip(CLIENT[inner], VIP[inner]) / TCP(sport=1, dport=80, flags="S")
    client.send(sent)
    quoted = net.take_one("server0").payload
    server.send(ip(ROUTER[outer], OWN[outer]) / UNREACHED[outer][0] / Raw(bytes(quoted)))
    assert bytes(client.take_one().payload)[8:] == bytes(sent)


def test_a_client_behind_a_router_hears_by_way_of_it():
    scene = tunnelled(routes=[("192.0.2.0/24", "10.0.1.254")]).open()
    net: Network = scene.net
    router = net.station("client", "10.0.1.254")
    router.greet()
    sent = ip("192.0.2.9", scene.vip) / TCP(sport=1, dport=80, flags="S")
    router.send(sent)
    quoted = net.take_one("server0").payload
    answer(scene, UNREACHED[4][0], quoted)
    error = router.take_one()
    assert (error.src, error.dst) == ("10.0.1.1", "192.0.2.9")

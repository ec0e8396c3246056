"""Tunnels end to end: servers behind routers, unknown or silent; both families; pieces; and who may not use them."""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6ExtHdrFragment, defragment6
from scapy.packet import Raw

from tests.oracle.checksum import flaws

from .balanced import CLIENT, INSIDE, OUTSIDE, VIP, ip
from .frames import IP, TCP, UDP, IPv6
from .layout import DRAIN, UP, Segment, Server, Service
from .network import Network
from .test_fragments_nat import pieces
from .tunnelled import ALL_WAYS, OWN, peel, tunnelled

PAYLOAD = bytes(i % 253 for i in range(3001))
BOTH = pytest.mark.parametrize("family", [4, 6])
FAR = {4: "192.0.2.11", 6: "2001:db8::11"}
ROUTES = [("192.0.2.0/24", "10.0.2.254"), ("2001:db8::/32", "fd00:2::254")]
GATEWAY = {4: "10.0.2.254", 6: "fd00:2::254"}


@ALL_WAYS
def test_server_behind_a_router_is_reached_by_way_of_it(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, addresses=[FAR[outer]], routes=ROUTES, greet=False)
    router = scene.net.station("server0", GATEWAY[outer])
    scene.client.greet()
    router.greet()
    scene.client.send(scene.request())
    frame = scene.net.take_one("server0")
    assert (frame.src, frame.dst) == (scene.net.mac("inside"), router.mac)
    assert peel(frame.payload, src=OWN[outer], dst=FAR[outer],
                gue_port=6080 if forward == "gue" else None).inner == bytes(scene.request())


@ALL_WAYS
def test_packets_wait_for_a_server_that_is_not_yet_known(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, greet=False)
    scene.client.greet()
    scene.client.send(scene.request("S"), scene.request("A", payload=b"and more"))
    assert len(scene.net.take("server0")) == 1       # the question
    scene.net.send("server0", scene.servers[0].question(scene.servers[0].addresses[0]))
    _, *frames = scene.net.take("server0")
    inside = [peel(f.payload, src=OWN[outer], dst=scene.servers[0].addresses[0],
                   gue_port=6080 if forward == "gue" else None).inner for f in frames]
    assert inside == [bytes(scene.request("S")), bytes(scene.request("A", payload=b"and more"))]


@ALL_WAYS
def test_client_of_a_silent_server_hears_that_it_is_not_reached(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, greet=False)
    scene.client.greet()
    scene.client.send(scene.request())
    scene.net.wait(4.0)
    error = scene.client.take_one()
    assert isinstance(error.payload, ICMP if inner == 4 else ICMPv6DestUnreach)
    assert bytes(error.payload)[8:] == bytes(scene.request())
    assert flaws(bytes(error)) == []
    assert scene.net.drops() == {"neighbour_failed": 1}
    lost, = scene.net.events()
    assert (lost["kind"], lost["ip"]) == ("neighbour_lost", scene.servers[0].addresses[0])


@ALL_WAYS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_request_in_pieces_arrives_whole_by_one_tunnel_of_one_flow(forward, inner, outer, protocol):
    scene = tunnelled(forward, inner, outer, protocol=protocol, n_servers=2)
    sent = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(*sent)
    seen = scene.peeled()
    assert [peeled.inner for peeled in seen] == [bytes(piece) for piece in sent]
    assert len({(peeled.flow, peeled.label) for peeled in seen}) == 1
    assert scene.peeled(1) == []


@ALL_WAYS
def test_later_piece_whose_first_does_not_come_is_dropped_and_counted(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, protocol="udp")
    scene.client.send(*pieces(scene.request(payload=PAYLOAD))[1:])
    scene.net.wait(31)
    scene.net.expect_silence()
    assert set(scene.net.drops()) == {"fragment"}


def test_atomic_fragment_is_an_ordinary_packet():
    scene = tunnelled("gue", 6, 4)
    sent = ip(CLIENT[6], VIP[6]) / IPv6ExtHdrFragment(id=5) / TCP(sport=40000, dport=80, flags="S")
    scene.client.send(sent)
    assert scene.arrived() == [bytes(sent)]
    assert bytes(defragment6([IPv6(bytes(sent))]).payload) == bytes(sent[TCP])


def crossed() -> Network:
    """One service at a VIP of each family, with a server of each."""
    servers = (Server("10.0.2.11"), Server("fd00:2::12"))
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("v4", "v6"), INSIDE)},
                  services=[Service((VIP[4], VIP[6]), servers, forward="ipip")])
    for port, addresses in (("client", tuple(CLIENT.values())), ("v4", ("10.0.2.11",)), ("v6", ("fd00:2::12",))):
        net.station(port, *addresses).greet()
    net.discard()
    return net


def receivers(net: Network, family: int, sport: int) -> list[str]:
    net.station("client", CLIENT[family]).send(ip(CLIENT[family], VIP[family]) / TCP(sport=sport, dport=80, flags="S"))
    return [port for port in ("v4", "v6") if net.take(port)]


@BOTH
def test_every_server_serves_clients_of_both_families(family):
    net = crossed()
    assert [receivers(net, family, sport) for sport in (1, 2, 3, 4)] == [["v4"], ["v6"]] * 2


def test_a_server_counts_the_sessions_of_both_families():
    net = crossed()
    for family in (4, 6):
        for sport in (1, 2, 3, 4):
            receivers(net, family, sport)
    assert [net.worker.server(index)["sessions_total"] for index in net.servers] == [4, 4]


@BOTH
@pytest.mark.parametrize("ready", [0, UP | DRAIN])
def test_a_server_that_takes_nothing_takes_nothing_of_either(family, ready):
    net = crossed()
    net.set_server(1, ready=ready)
    assert [receivers(net, family, sport) for sport in (1, 2)] == [["v4"], ["v4"]]
    net.set_server(0, ready=ready)
    assert receivers(net, family, 3) == []
    assert net.drops() == {"no_server": 1}
    net.set_server(1)
    assert receivers(net, family, 4) == ["v6"]


@BOTH
def test_a_tunnels_packet_sent_to_the_vip_itself_is_dropped_and_counted(family):
    scene = tunnelled("ipip", family, 4)
    inside = bytes(ip("10.9.9.9", "10.0.2.11") / UDP(sport=1, dport=2))
    for protocol in (4, 41, 47):
        scene.client.send(ip(scene.client.addresses[0], scene.vip, **{"proto" if family == 4 else "nh": protocol})
                          / Raw(inside))
    scene.net.expect_silence()
    assert scene.net.drops() == {"vip_protocol": 3}


@BOTH
def test_gue_sent_to_the_vip_itself_is_to_a_port_without_a_service(family):
    scene = tunnelled("gue", family, 4)
    inside = bytes(ip("10.9.9.9", "10.0.2.11") / UDP(sport=1, dport=2))
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / UDP(sport=50000, dport=6080)
                      / Raw(bytes((0, 4, 0, 0)) + inside))
    error = scene.client.take_one()
    assert (error.payload.type, error.payload.code) == ((3, 3) if family == 4 else (1, 4))
    assert scene.net.drops() == {"no_service": 1}


@pytest.mark.parametrize("outer", [4, 6])
def test_a_tunnels_packet_to_swlb_s_own_address_is_for_its_kernel(outer):
    net = Network({"outside": Segment(("client",), OUTSIDE, host=True)})
    client = net.station("client", CLIENT[outer])
    packet = (ip(CLIENT[outer], {4: "10.0.1.1", 6: "fd00:1::1"}[outer], **{"proto" if outer == 4 else "nh": 4})
              / Raw(bytes(IP(src="10.9.9.9", dst="10.0.2.11"))))
    client.send(packet)
    assert bytes(net.take_one("outside-host").payload) == bytes(packet)

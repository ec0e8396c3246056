"""Probes of swlb's own that are sent to a VIP and are for one server: forwarded to it as a client's packets are."""

import pytest
from scapy.layers.inet import ICMP, IPerror
from scapy.layers.inet6 import ICMPv6DestUnreach
from scapy.packet import Packet, Raw

from .balanced import INSIDE, OUTSIDE, SERVER, VIP, Scene, ip, routed, transparent
from .frames import TCP, Ether
from .layout import DRAIN, MAINT, UP, Segment, Server, Service
from .network import Network, address16
from .tunnelled import GUE_PORT, WAYS, peel

BOTH = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
OWN = {4: "10.0.2.1", 6: "fd00:2::1"}
PORT, IDLE_S = 50000, 3.0
ALL_DOWN = (0, 0, 0)


def probed(family: int, *, protocol: str = "tcp", **given: object) -> Scene:
    """Three servers that can be probed through the VIP, all of them down unless told."""
    return routed(family, host=True, protocol=protocol, probe_idle=IDLE_S, **{"ready": ALL_DOWN, **given})


def from_twin(net: Network, packet: Packet, segment: str = "inside") -> None:
    """The kernel twin of the segment has sent it to the VIP, whose MAC it holds to be its own."""
    net.send(f"{segment}-host", Ether(src=net.mac(segment), dst=net.mac(segment)) / packet)


def probe(scene: Scene, flags: str = "S", *, sport: int = PORT, **fields: object) -> None:
    from_twin(scene.net, ip(OWN[scene.family], scene.vip) / scene.l4(sport, scene.port, flags, **fields))


def reached(scene: Scene, flags: str = "S", *, sport: int = PORT, **fields: object) -> int | None:
    """The server that has got the probe, as it had to; within one segment TTL is not counted."""
    return scene.receiver(flags, src=OWN[scene.family], sport=sport, hops=64 + scene.hops_lost, **fields)


def told(net: Network, segment: str = "inside") -> list[Packet]:
    """What the kernel twin has been sent."""
    return [frame.payload for frame in net.take(f"{segment}-host")]


@BOTH
@PROTOCOLS
@pytest.mark.parametrize("server", [0, 1, 2])
def test_a_probe_reaches_its_server_though_all_are_down(family, protocol, server):
    scene = probed(family, protocol=protocol)
    scene.net.pin(PORT, server, protocol=protocol)
    probe(scene)
    assert reached(scene) == server
    assert scene.net.drops() == {}


@BOTH
@pytest.mark.parametrize(("ready", "weight"), [(UP, 1), (UP, 0), (UP | DRAIN, 1), (UP | MAINT, 1), (0, 0)])
def test_a_probe_reaches_its_server_in_every_state(family, ready, weight):
    scene = probed(family, ready=(UP, ready, UP), weights=(1, weight, 1))
    scene.net.pin(PORT, 1)
    probe(scene)
    assert reached(scene) == 1


@BOTH
def test_without_a_pin_the_twin_is_a_client_like_others(family):
    scene = probed(family, ready=(UP, UP, UP))
    scene.net.pin(PORT, 2)
    for n in range(3):
        probe(scene, sport=PORT + 1 + n)
        assert reached(scene, sport=PORT + 1 + n) == n
    scene = probed(family)
    scene.net.pin(PORT, None)
    probe(scene)
    assert reached(scene) is None
    assert scene.net.drops() == {"no_server": 1}


@BOTH
@PROTOCOLS
def test_a_client_with_the_port_of_a_pin_takes_its_turn(family, protocol):
    scene = probed(family, protocol=protocol, ready=(UP, UP, UP))
    scene.net.pin(PORT, 2, protocol=protocol)
    assert [scene.call(sport=PORT), scene.call(sport=PORT + 1)] == [0, 1]


@BOTH
def test_a_pin_of_tcp_is_none_of_udp(family):
    scene = probed(family, protocol="udp", ready=(UP, UP, UP))
    scene.net.pin(PORT, 2, protocol="tcp")
    probe(scene)
    assert reached(scene) == 0


def test_a_pin_is_for_its_own_service_only():
    servers = tuple(Server(SERVER[4].format(11 + n), 8080) for n in range(2))
    services = [Service((VIP[4],), servers, port, probe_idle=IDLE_S) for port in (80, 81)]
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web",), INSIDE, host=True)},
                  services=services)
    web = net.station("web", *(server.address for server in servers))
    web.greet()
    net.pin(PORT, 1)
    for port in (80, 81):
        from_twin(net, ip(OWN[4], VIP[4]) / TCP(sport=PORT, dport=port, flags="S"))
    assert [frame.payload.dst for frame in net.take("web")] == ["10.0.2.12", "10.0.2.11"]


def test_a_pin_that_names_nobody_or_the_wrong_family_is_none():
    servers = (Server(SERVER[4].format(11), 8080), Server(SERVER[6].format(11), 8080))
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web",), INSIDE, host=True)},
                  services=[Service((VIP[4], VIP[6]), servers, probe_idle=IDLE_S)])
    web = net.station("web", *(server.address for server in servers))
    web.greet()
    for n, index in enumerate((net.doubles[1], net.servers[1], 4, 65535)):
        net.pins.set(6, PORT + n, index)
        from_twin(net, ip(OWN[4], VIP[4]) / TCP(sport=PORT + n, dport=80, flags="S"))
        web.expect(ip(OWN[4], servers[0].address) / TCP(sport=PORT + n, dport=8080, flags="S"))


@BOTH
def test_the_answer_is_the_vip_s_and_the_connection_ends_without_the_pin(family):
    scene = probed(family)
    scene.net.pin(PORT, 1)
    probe(scene)
    assert reached(scene) == 1
    scene.net.pin(PORT, None)
    for flags, answer in (("S", "SA"), ("A", "A"), ("FA", "FA")):
        scene.servers[1].send(scene.reply(1, answer, dst=OWN[family], dport=PORT))
        (packet,) = told(scene.net)
        assert bytes(packet) == bytes(ip(scene.vip, OWN[family]) / scene.l4(scene.port, PORT, answer))
        probe(scene, flags)
        assert reached(scene, flags) == 1
    assert scene.net.drops() == {}


@BOTH
@pytest.mark.parametrize("on_down", ["default", "keep", "reschedule", "reset", "drop"])
def test_a_server_that_goes_down_does_not_end_its_probe(family, on_down):
    scene = probed(family, ready=(UP, UP, UP), on_down=on_down)
    scene.net.pin(PORT, 1)
    for flags in ("S", "A", "PA"):
        probe(scene, flags)
        assert reached(scene, flags) == 1
        scene.net.set_server(1, ready=0)


@BOTH
def test_probes_are_in_no_figure_of_the_service(family):
    scene = probed(family, ready=(UP, UP, UP))
    scene.net.pin(PORT, 1)
    probe(scene)
    assert reached(scene) == 1
    scene.servers[1].send(scene.reply(1, dst=OWN[family], dport=PORT))
    assert {value for n in range(3) for value in scene.counters(n).values()} == {0}
    double = scene.net.worker.server(scene.net.doubles[1])
    assert (double["sessions_total"], double["packets_in"], double["packets_out"]) == (1, 1, 1)
    assert scene.call() == 0


@BOTH
@PROTOCOLS
def test_a_probe_s_session_ends_soon(family, protocol):
    scene = probed(family, protocol=protocol)
    scene.net.pin(PORT, 1, protocol=protocol)
    for flags in ("S", "A"):
        probe(scene, flags)
    scene.net.wait(IDLE_S - 0.1)
    assert len(scene.sessions()) == 1
    scene.net.wait(1.2)
    assert scene.net.worker.counters()["sessions"] == 0


@BOTH
def test_probes_and_clients_have_room_beside_each_other(family):
    scene = probed(family, ready=(UP, UP, UP), limits={"sessions": 5})
    for n in range(4):
        scene.net.pin(PORT + n, n % 3)
        probe(scene, sport=PORT + n)
        assert reached(scene, sport=PORT + n) == n % 3
    for n in range(5):
        scene.open(sport=40000 + n)
    assert scene.call(sport=40005) is None
    scene.net.pin(PORT + 4, 2)
    probe(scene, sport=PORT + 4)
    assert reached(scene, sport=PORT + 4) == 2
    # Also when probes have gone.
    scene.net.wait(IDLE_S + 1.1)
    assert scene.call(sport=41000) is None


@BOTH
def test_a_probe_that_asks_again_is_no_reply_that_bypasses(family):
    scene = probed(family, ready=(UP, UP, UP))
    scene.net.pin(PORT, 1)
    for _ in range(2):
        probe(scene)
    assert scene.net.events() == []
    for _ in range(2):
        scene.client.send(scene.request())
    assert [event["kind"] for event in scene.net.events()] == ["reply_bypasses"]


@BOTH
def test_a_source_stands_for_a_probe_where_it_would_for_a_client(family):
    scene = probed(family, source_nat="always", source_pool=(OWN[family],), source_ports=(2000, 2000))
    scene.net.pin(PORT, 1)
    probe(scene)
    assert reached(scene, sport=2000) == 1
    scene.servers[1].send(scene.reply(1, dst=OWN[family], dport=2000))
    (packet,) = told(scene.net)
    assert bytes(packet) == bytes(ip(scene.vip, OWN[family]) / scene.l4(scene.port, PORT, "SA"))


@BOTH
@PROTOCOLS
@pytest.mark.parametrize("shape", [routed, transparent])
def test_with_dsr_not_a_byte_differs_and_the_vip_s_own_answer_is_heard(family, protocol, shape):
    scene = shape(family, host=True, protocol=protocol, probe_idle=IDLE_S, ready=ALL_DOWN, server_port=0, forward="dsr")
    segment = scene.servers[1].segment
    own = scene.servers[1].own_address(family)
    scene.net.pin(PORT, 1, protocol=protocol)
    request = ip(own, scene.vip) / scene.l4(PORT, 80, payload=b"question")
    from_twin(scene.net, request, segment)
    scene.servers[1].expect(request)
    reply = ip(scene.vip, own) / scene.l4(80, PORT, "SA", payload=b"answer")
    scene.servers[1].send(reply)
    assert [bytes(packet) for packet in told(scene.net, segment)] == [bytes(reply)]
    assert (scene.net.drops(), scene.net.events()) == ({}, [])


def tunnelled(forward: str, inner: int, outer: int) -> Network:
    """A service whose two servers, which are down, are at the end of tunnels."""
    servers = tuple(Server(SERVER[outer].format(11 + n), ready=0) for n in range(2))
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web",), INSIDE, host=True)},
                  services=[Service((VIP[inner],), servers, forward=forward, gue_port=GUE_PORT, probe_idle=IDLE_S)])
    net.station("web", *(server.address for server in servers)).greet()
    return net


@pytest.mark.parametrize(("forward", "inner", "outer"), WAYS)
def test_through_a_tunnel_it_goes_in_an_outer_packet(forward, inner, outer):
    net = tunnelled(forward, inner, outer)
    net.pin(PORT, 1)
    request = ip(OWN[inner], VIP[inner]) / TCP(sport=PORT, dport=80, flags="S")
    from_twin(net, request)
    packet = net.take_one("web").payload
    gue = GUE_PORT if forward == "gue" else None
    assert peel(packet, src=OWN[outer], dst=SERVER[outer].format(12), gue_port=gue).inner == bytes(request)


@pytest.mark.parametrize(("forward", "inner", "outer"), WAYS)
def test_a_server_that_does_not_unpack_is_told_to_the_prober_in_the_vip_s_name(forward, inner, outer):
    net = tunnelled(forward, inner, outer)
    net.pin(PORT, 1)
    request = ip(OWN[inner], VIP[inner]) / TCP(sport=PORT, dport=80, flags="S")
    from_twin(net, request)
    sent = net.take_one("web").payload
    error = ICMP(type=3, code=2) if outer == 4 else ICMPv6DestUnreach(code=4)
    net.station("web", SERVER[outer].format(12)).send(
        ip(SERVER[outer].format(12), OWN[outer]) / error / Raw(bytes(sent)))
    (packet,) = told(net)
    assert (packet.src, packet.dst) == (VIP[inner], OWN[inner])
    assert_about(packet, inner)


def assert_about(packet: Packet, family: int) -> None:
    """The packet is "host unreachable", and quotes the probe as the kernel sent it."""
    assert bytes(packet) == bytes(packet.__class__(bytes(packet)))
    error = packet.payload
    assert (error.type, error.code) == ((3, 1) if family == 4 else (1, 3))
    quoted = error.payload
    assert (quoted.src, quoted.dst) == (OWN[family], VIP[family])
    assert quoted.payload.sport == PORT


@BOTH
@pytest.mark.parametrize("forward", ["nat", "dsr"])
def test_a_server_that_is_not_there_is_told_to_the_prober_in_the_vip_s_name(family, forward):
    scene = probed(family, forward=forward, greet=False, **({"server_port": 0} if forward == "dsr" else {}))
    scene.net.pin(PORT, 1)
    hop = scene.net.segments["inside"], address16(scene.servers[1].addresses[0])
    assert scene.net.worker.neighbour_state(*hop) == "FREE"
    probe(scene)
    assert scene.net.worker.neighbour_state(*hop) == "INCOMPLETE"
    scene.net.wait(4.0)
    assert scene.net.worker.neighbour_state(*hop) == "FAILED"
    packets = [packet for packet in told(scene.net) if packet.haslayer(IPerror if family == 4 else ICMPv6DestUnreach)]
    assert [(packet.src, packet.dst) for packet in packets] == [(scene.vip, OWN[family])]
    assert_about(packets[0], family)


def test_a_probe_may_leave_by_any_twin():
    scene = probed(4)
    scene.net.pin(PORT, 2)
    from_twin(scene.net, ip("10.0.1.1", VIP[4]) / TCP(sport=PORT, dport=80, flags="S"), "outside")
    assert scene.receiver(src="10.0.1.1", sport=PORT) == 2


def test_a_port_that_has_rested_is_for_the_server_of_its_latest_pin():
    """Nothing is left of the session before, not even before the sweep has come by, and the tables are sound."""
    from swlb._testing_sessions import Services, Sessions

    scene = probed(4)
    for turn in range(4):
        for n in range(100):
            scene.net.pin(PORT + n, (n + turn) % 3)
            probe(scene, sport=PORT + n)
            assert reached(scene, sport=PORT + n) == (n + turn) % 3
        assert (Sessions(scene.net.worker, 4).audit(), Services(scene.net.worker).audit()) == (None, None)
        scene.net.now_ns += int(IDLE_S * 10**9)

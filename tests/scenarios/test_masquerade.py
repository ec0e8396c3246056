"""Closed segments, and what their hosts begin: routed in the name of an address of swlb's own, and back."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.packet import Packet, Raw

from tests.oracle.checksum import flaws

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, ip
from .layout import Segment, Server, Service
from .network import Network, address16, address_text
from .test_fragments_nat import PAYLOAD, pieces, together

BOTH = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
OWN = {4: "10.0.1.1", 6: "fd00:1::1"}
POOL = {4: "10.0.1.200", 6: "fd00:1::200"}
HOST = {4: "10.0.2.11", 6: "fd00:2::11"}


class Scene:
    """A peer outside, a host inside, and a service whose servers are inside, too."""

    def __init__(self, family: int = 4, *, private: bool = False, masquerade: bool = True,
                 pool: tuple[str, ...] = (), ports: tuple[int, int] = (1024, 65535)) -> None:
        self.family, self.own, self.peer, self.host = family, OWN[family], CLIENT[family], HOST[family]
        service = Service((VIP[family],), (Server(SERVER[family].format(12), 8080),))
        inside = Segment(("inside",), INSIDE, private=private, masquerade=masquerade,
                         pool=pool)
        self.net = Network({"outside": Segment(("outside",), OUTSIDE, host=True, exit_ports=ports), "inside": inside},
                           services=[service])
        self.outside = self.net.station("outside", self.peer)
        self.inside = self.net.station("inside", self.host)
        self.server = self.net.station("inside", SERVER[family].format(12))
        for station in (self.outside, self.inside, self.server):
            station.greet()
        self.net.discard()

    def asks(self, protocol: str, port: int = 5000) -> Packet:
        """What the host sends the peer."""
        return ip(self.host, self.peer) / self.l4(protocol, port, asking=True) / b"question"

    def l4(self, protocol: str, port: int, *, asking: bool) -> Packet:
        """Of the host's port (or identifier), towards the peer or back."""
        if protocol == "icmp" and self.family == 4:
            return ICMP(type=8 if asking else 0, id=port)
        if protocol == "icmp":
            return ICMPv6EchoRequest(id=port) if asking else ICMPv6EchoReply(id=port)
        kind = TCP if protocol == "tcp" else UDP
        flags = {"flags": "S" if asking else "SA"} if protocol == "tcp" else {}
        return kind(sport=port if asking else 53, dport=53 if asking else port, **flags)

    def leaves(self, packet: Packet) -> Packet:
        """The host has sent it; as it reached the peer, soundly summed."""
        self.inside.send(packet)
        seen = self.outside.take_one()
        assert flaws(bytes(seen)) == []
        return seen


def port_of(packet: Packet) -> int:
    return packet.payload.id if packet.payload.name.startswith("ICMP") else packet.payload.sport


@BOTH
@PROTOCOLS
def test_host_speaks_outside_in_swlbs_name(family: int, protocol: str) -> None:
    scene = Scene(family)
    seen = scene.leaves(scene.asks(protocol))
    assert seen.src == scene.own
    wanted = ip(scene.own, scene.peer, 63) / scene.l4(protocol, port_of(seen), asking=True) / b"question"
    assert bytes(seen) == bytes(wanted)


@BOTH
@PROTOCOLS
def test_answer_reaches_the_host_as_its_own(family: int, protocol: str) -> None:
    scene = Scene(family)
    seen = scene.leaves(scene.asks(protocol))
    scene.outside.send(ip(scene.peer, scene.own) / scene.l4(protocol, port_of(seen), asking=False) / b"answer")
    scene.inside.expect(ip(scene.peer, scene.host, 63) / scene.l4(protocol, 5000, asking=False) / b"answer")


@BOTH
@PROTOCOLS
def test_private_segment_still_gets_its_answers(family: int, protocol: str) -> None:
    scene = Scene(family, private=True)
    seen = scene.leaves(scene.asks(protocol))
    scene.outside.send(ip(scene.peer, scene.own) / scene.l4(protocol, port_of(seen), asking=False))
    scene.inside.expect(ip(scene.peer, scene.host, 63) / scene.l4(protocol, 5000, asking=False))


@BOTH
def test_pool_addresses_are_used_when_given(family: int) -> None:
    scene = Scene(family, pool=tuple(POOL.values()))
    assert scene.leaves(scene.asks("udp")).src == POOL[family]


@BOTH
def test_private_segment_is_reached_by_services_only(family: int) -> None:
    scene = Scene(family, private=True, masquerade=False)
    scene.outside.send(ip(scene.peer, scene.host) / UDP(sport=1, dport=2))
    error = scene.outside.take_one()
    assert (error.payload.type, error.payload.code) == ((3, 13) if family == 4 else (1, 1))
    assert scene.net.drops() == {"access_private": 1}
    scene.outside.send(ip(scene.peer, VIP[family]) / TCP(sport=1, dport=80, flags="S"))
    scene.server.expect(ip(scene.peer, SERVER[family].format(12), 63) / TCP(sport=1, dport=8080, flags="S"))
    scene.server.send(ip(SERVER[family].format(12), scene.peer) / TCP(sport=8080, dport=1, flags="SA"))
    scene.outside.expect(ip(VIP[family], scene.peer, 63) / TCP(sport=80, dport=1, flags="SA"))


@BOTH
def test_hosts_of_a_private_segment_that_does_not_masquerade_send_as_themselves(family: int) -> None:
    scene = Scene(family, private=True, masquerade=False)
    assert scene.leaves(scene.asks("udp")).src == scene.host


@BOTH
def test_error_of_a_server_passes_out_of_a_private_segment(family: int) -> None:
    scene = Scene(family, private=True, masquerade=False)
    sent = ip(scene.peer, VIP[family]) / TCP(sport=1, dport=80, flags="S")
    scene.outside.send(sent)
    seen = scene.server.take_one()
    kind = ICMP(type=3, code=3) if family == 4 else ICMPv6DestUnreach(code=4)
    scene.server.send(ip(seen.dst, scene.peer) / kind / bytes(seen))
    assert scene.outside.take_one().src == VIP[family]


@BOTH
def test_what_others_begin_with_an_open_host_is_answered_as_it_is(family: int) -> None:
    scene = Scene(family)
    for protocol in ("udp", "tcp"):
        kind = UDP if protocol == "udp" else TCP
        scene.outside.send(ip(scene.peer, scene.host) / kind(sport=7, dport=8))
        scene.inside.expect(ip(scene.peer, scene.host, 63) / kind(sport=7, dport=8))
        scene.inside.send(ip(scene.host, scene.peer) / kind(sport=8, dport=7))
        scene.outside.expect(ip(scene.host, scene.peer, 63) / kind(sport=8, dport=7))


@BOTH
def test_nobody_else_can_use_a_hosts_port(family: int) -> None:
    scene = Scene(family)
    seen = scene.leaves(scene.asks("udp"))
    scene.outside.send(ip(scene.peer, scene.own) / UDP(sport=54, dport=port_of(seen)))
    assert scene.net.take("inside") == []
    # The address is swlb's own, so it is the kernel's to say that nobody is there.
    assert len(scene.net.take("outside-host")) == 1


def test_flows_are_told_apart_by_both_ends_and_share_no_port() -> None:
    scene = Scene(ports=(2000, 2003))
    ports = [port_of(scene.leaves(scene.asks("udp", port))) for port in (1, 2, 3, 4)]
    assert sorted(ports) == [2000, 2001, 2002, 2003]
    scene.inside.send(scene.asks("udp", 5))
    assert scene.net.drops() == {"source_ports": 1}
    assert [event["kind"] for event in scene.net.events()] == ["table_full"]


def test_port_is_free_again_when_its_flow_has_expired() -> None:
    scene = Scene(ports=(2000, 2000))
    assert port_of(scene.leaves(scene.asks("icmp", 1))) == 2000
    scene.net.wait(61)
    scene.inside.greet()
    scene.outside.greet()
    scene.net.discard()
    assert port_of(scene.leaves(scene.asks("icmp", 2))) == 2000
    assert [row[2] for row in scene.net.worker.flows(now_ns=scene.net.now_ns)] == [2]


@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_error_about_a_masqueraded_packet_reaches_the_host_about_its_own(family: int, protocol: str) -> None:
    scene = Scene(family)
    sent = scene.asks(protocol)
    seen = scene.leaves(sent)
    kind = ICMP(type=3, code=4, nexthopmtu=1400) if family == 4 else ICMPv6PacketTooBig(mtu=1400)
    scene.outside.send(ip(scene.peer, scene.own) / kind / bytes(seen))
    error = scene.inside.take_one()
    assert (error.src, error.dst) == (scene.peer, scene.host)
    assert flaws(bytes(error)) == []
    quoted = type(sent)(bytes(sent))
    quoted = bytes(quoted)[:8] + bytes([63]) + bytes(quoted)[9:] if family == 4 else bytes(quoted)
    head = 28 if family == 4 else 48
    assert strip_lifetime(bytes(error)[head:], family) == strip_lifetime(quoted, family)


def strip_lifetime(packet: bytes, family: int) -> bytes:
    """The packet without what each router changes."""
    return packet[:8] + packet[9:10] + packet[12:] if family == 4 else packet[:7] + packet[8:]


@BOTH
def test_error_of_a_host_about_an_answer_reaches_the_peer_about_its_own(family: int) -> None:
    scene = Scene(family)
    seen = scene.leaves(scene.asks("udp"))
    answer = ip(scene.peer, scene.own) / UDP(sport=53, dport=port_of(seen)) / b"late"
    scene.outside.send(answer)
    got = scene.inside.take_one()
    kind = ICMP(type=3, code=3) if family == 4 else ICMPv6DestUnreach(code=4)
    scene.inside.send(ip(scene.host, scene.peer) / kind / bytes(got))
    error = scene.outside.take_one()
    assert (error.src, error.dst) == (scene.own, scene.peer)
    assert flaws(bytes(error)) == []
    head = 28 if family == 4 else 48
    assert strip_lifetime(bytes(error)[head:], family) == strip_lifetime(bytes(answer), family)


@BOTH
def test_pieces_are_masqueraded_as_one_and_so_is_their_answer(family: int) -> None:
    scene = Scene(family)
    kind = IP if family == 4 else IPv6
    for piece in pieces(ip(scene.host, scene.peer) / UDP(sport=5000, dport=53) / PAYLOAD):
        scene.inside.send(piece)
    request = together([kind(bytes(frame.payload)) for frame in scene.net.take("outside")])
    assert (request.src, bytes(request[UDP].payload), flaws(bytes(request))) == (scene.own, PAYLOAD, [])
    for piece in pieces(ip(scene.peer, scene.own) / UDP(sport=53, dport=request[UDP].sport) / PAYLOAD):
        scene.outside.send(piece)
    answer = together([kind(bytes(frame.payload)) for frame in scene.net.take("inside")])
    assert (answer.dst, answer[UDP].dport, bytes(answer[UDP].payload)) == (scene.host, 5000, PAYLOAD)


def test_protocol_without_ports_does_not_leave_and_its_sender_is_told() -> None:
    scene = Scene()
    scene.inside.send(IP(src=scene.host, dst=scene.peer, proto=47) / Raw(bytes(20)))
    error = scene.inside.take_one()
    assert (error.payload.type, error.payload.code) == (3, 13)
    scene.net.expect_silence()
    assert scene.net.drops() == {"unmasqueradable": 1}


def test_connection_in_mid_stream_is_told_that_it_is_none() -> None:
    scene = Scene()
    scene.inside.send(ip(scene.host, scene.peer) / TCP(sport=5000, dport=53, seq=1, ack=9, flags="A"))
    reset = scene.inside.take_one()
    assert (reset.src, reset[TCP].flags, reset[TCP].seq) == (scene.peer, "R", 9)
    assert scene.net.drops() == {"orphan": 1}


def test_flow_shows_both_ends_its_source_and_its_packets() -> None:
    scene = Scene()
    seen = scene.leaves(scene.asks("udp"))
    row, = scene.net.worker.flows(now_ns=scene.net.now_ns)
    assert (row[0], address_text(row[1]), row[2], address_text(row[3]), row[4], row[5]) == (
        17, scene.host, 5000, scene.peer, 53, "ONE_WAY")
    assert (row[9], row[10], row[11]) == (1, 0, 20 + 8 + len("question"))
    assert (address_text(row[13]), row[14]) == (scene.own, port_of(seen))


@BOTH
@pytest.mark.parametrize(("asked", "ports"), [
    ({}, [53, 53, 0, 53, 53]),
    ({"protocol": 17}, [53, 53]), ({"protocol": 6}, [53, 53]), ({"protocol": 1}, [0]),
    ({"state": "SYN_RECV"}, [53, 53]), ({"state": "TWO_WAY"}, []),
    ({"service": 0}, []), ({"server": 0}, []),
], ids=str)
def test_flows_can_be_asked_for_by_what_they_have(family: int, asked: dict, ports: list[int]) -> None:
    scene = Scene(family)
    for protocol, n in (("udp", 2), ("icmp", 1), ("tcp", 2)):
        for port in range(5000, 5000 + n):
            scene.leaves(scene.asks(protocol, port))
    rows = [row for rows in scene.net.worker.flow_slices(**asked, now_ns=scene.net.now_ns) for row in rows]
    assert [row[4] for row in rows] == ports


def test_the_client_of_a_flow_is_who_began_it() -> None:
    scene = Scene()
    scene.leaves(scene.asks("udp"))
    for client, n in ((scene.host, 1), (scene.peer, 0), ("fd00:2::11", 0)):
        rows = scene.net.worker.flow_slices(client=(address16(client), 128), now_ns=scene.net.now_ns)
        assert sum(map(len, rows)) == n


def test_many_flows_are_told_in_slices_each_once() -> None:
    scene = Scene()
    ports = range(2000, 2700)
    scene.inside.send(*[ip(scene.host, scene.peer) / UDP(sport=port, dport=53) for port in ports])
    slices = list(scene.net.worker.flow_slices(now_ns=scene.net.now_ns))
    assert sorted(row[2] for rows in slices for row in rows) == list(ports)
    assert max(map(len, slices)) <= 192


def test_flush_of_all_sessions_ends_flows_too() -> None:
    scene = Scene()
    scene.leaves(scene.asks("udp"))
    scene.net.worker.flush_sessions()
    assert scene.net.worker.flows(now_ns=scene.net.now_ns) == []


def test_echo_reply_of_nothing_but_zeros_has_the_checksum_of_zeros() -> None:
    scene = Scene()
    seen = scene.leaves(ip(scene.host, scene.peer) / ICMP(type=8, id=0, seq=0))
    scene.outside.send(ip(scene.peer, scene.own) / ICMP(type=0, id=port_of(seen), seq=0))
    scene.inside.expect(ip(scene.peer, scene.host, 63) / ICMP(type=0, id=0, seq=0))

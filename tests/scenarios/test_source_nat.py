"""Source NAT: where an address of swlb's own stands for the client, what each side sees then, and where it does not."""

from dataclasses import dataclass

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP
from scapy.packet import Packet

from tests.oracle.checksum import flaws

from .balanced import NEAR, ip
from .layout import Segment, Server, Service
from .network import Network, Station, address_text
from .test_fragments_nat import PAYLOAD, pieces, together

BOTH = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
HOST = {4: "10.0.0.{}", 6: "fd00::{}"}
L4 = {"tcp": TCP, "udp": UDP}


@dataclass
class Scene:
    """One network in which swlb has the VIP .100 and may call servers as .101: everybody behind the ports named."""

    family: int = 4
    protocol: str = "tcp"
    client_port: str = "switch"
    server_port: str = "switch"
    source_nat: str = "auto"
    pool: tuple[int, ...] = (101,)
    ports: tuple[int, int] = (1024, 65535)
    n_servers: int = 2
    refuse: str = "reset"
    spare: tuple[int, int] | None = None
    requests: int = 0
    responses: int = 0

    def __post_init__(self) -> None:
        self.vip, self.sources = self.at(100), [self.at(host) for host in self.pool]
        servers = tuple(Server(self.at(11 + i), 8080) for i in range(self.n_servers))
        service = Service((self.vip,), servers, protocol=self.protocol, refuse=self.refuse, source_nat=self.source_nat,
                          source_pool=tuple(self.sources), source_ports=self.ports, source_spare=self.spare,
                          requests=self.requests, responses=self.responses)
        names = dict.fromkeys((self.client_port, self.server_port))
        self.net = Network({"lan": Segment(tuple(names), NEAR, host=True)}, services=[service])
        self.client = self.net.station(self.client_port, self.at(10))
        self.servers = [self.net.station(self.server_port, server.address) for server in servers]
        for station in (self.client, *self.servers):
            station.greet()
        self.net.discard()

    def at(self, host: int) -> str:
        return HOST[self.family].format(host)

    def l4(self, sport: int, dport: int, flags: str = "S", **fields) -> Packet:
        return TCP(sport=sport, dport=dport, flags=flags, **fields) if self.protocol == "tcp" else UDP(
            sport=sport, dport=dport)

    def call(self, sport: int = 40000, flags: str = "S", *, by: Station | None = None) -> Packet:
        """The client's packet to the VIP; as it reached a server."""
        caller = by or self.client
        caller.send(ip(caller.addresses[0], self.vip) / self.l4(sport, 80, flags) / b"abc")
        return self.delivered()

    def delivered(self) -> Packet:
        """The one packet that left towards a server, by its station's MAC and as soundly summed as it came."""
        frame = self.net.take_one(self.server_port)
        server = next(station for station in self.servers if station.addresses[0] == frame.payload.dst)
        assert (frame.src, frame.dst) == (self.net.mac("lan"), server.mac)
        assert flaws(bytes(frame.payload)) == []
        return frame.payload

    def open(self, sport: int) -> Packet:
        """The client's connection is established; its SYN as it reached a server."""
        request = self.call(sport)
        self.answer(request)
        self.net.discard()
        self.call(sport, "A")
        self.net.discard()
        return request

    def answer(self, request: Packet, flags: str = "SA", *, to: str | None = None) -> None:
        """The server's answer to what it received, to swlb's MAC or that one."""
        server = next(station for station in self.servers if station.addresses[0] == request.dst)
        server.send(ip(request.dst, request.src) / self.l4(request.dport, request.sport, flags) / b"xyz", to=to)

    def pass_time(self, seconds: float) -> None:
        """So much later, everybody has been heard of again."""
        self.net.wait(seconds)
        for station in (self.client, *self.servers):
            station.greet()
        self.net.discard()

    def sources_of_sessions(self) -> set[tuple[str, int]]:
        rows = self.net.worker.sessions(now_ns=self.net.now_ns)
        return {(row[14], row[15]) for row in rows}


@BOTH
@PROTOCOLS
def test_client_behind_the_servers_port_is_stood_for(family: int, protocol: str) -> None:
    scene = Scene(family, protocol)
    request = scene.call()
    assert request.src == scene.sources[0]
    assert 1024 <= request.sport <= 65535
    wanted = ip(request.src, request.dst) / scene.l4(request.sport, 8080) / b"abc"
    assert bytes(request) == bytes(wanted)


@BOTH
@PROTOCOLS
def test_answer_reaches_the_client_as_the_vips_to_its_own_port(family: int, protocol: str) -> None:
    scene = Scene(family, protocol)
    scene.answer(scene.call(sport=41234))
    scene.client.expect(ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, 41234, "SA") / b"xyz")


@BOTH
def test_later_packets_come_from_the_same_address_and_port(family: int) -> None:
    scene = Scene(family)
    first = scene.call()
    scene.answer(first)
    scene.net.discard()
    again = scene.call(flags="A")
    assert (again.src, again.sport, again.dst) == (first.src, first.sport, first.dst)


@BOTH
def test_client_behind_another_port_keeps_its_address(family: int) -> None:
    scene = Scene(family, client_port="uplink", server_port="servers")
    request = scene.call()
    assert (request.src, request.sport) == (scene.client.addresses[0], 40000)
    scene.answer(request, to=scene.client.mac)
    scene.client.expect(ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, 40000, "SA") / b"xyz")


@BOTH
def test_of_two_clients_only_the_one_behind_the_servers_port_is_stood_for(family: int) -> None:
    scene = Scene(family, client_port="uplink", server_port="servers")
    neighbour = scene.net.station("servers", scene.at(20))
    neighbour.greet()
    assert scene.call(by=neighbour).src == scene.sources[0]
    assert scene.call().src == scene.client.addresses[0]


@BOTH
def test_server_that_is_chosen_for_its_own_call_is_answered_by_swlb(family: int) -> None:
    scene = Scene(family, client_port="uplink", server_port="servers", n_servers=1)
    server = scene.servers[0]
    request = scene.call(by=server)
    assert (request.src, request.dst) == (scene.sources[0], server.addresses[0])
    scene.answer(request)
    server.expect(ip(scene.vip, server.addresses[0]) / scene.l4(80, 40000, "SA") / b"xyz")


@BOTH
def test_source_nat_never_leaves_the_client_where_it_is(family: int) -> None:
    request = Scene(family, source_nat="never").call()
    assert (request.src, request.sport) == (HOST[family].format(10), 40000)


@BOTH
def test_source_nat_always_stands_for_everybody(family: int) -> None:
    scene = Scene(family, client_port="uplink", server_port="servers", source_nat="always")
    request = scene.call()
    assert request.src == scene.sources[0]
    scene.answer(request)
    scene.client.expect(ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, 40000, "SA") / b"xyz")


@BOTH
def test_every_session_has_a_port_of_its_own(family: int) -> None:
    scene = Scene(family, ports=(2000, 2031))
    ports = [scene.call(sport=3000 + i).sport for i in range(32)]
    assert sorted(ports) == list(range(2000, 2032))


@BOTH
def test_several_addresses_share_the_sessions(family: int) -> None:
    scene = Scene(family, pool=(101, 102), ports=(2000, 2001))
    seen = {(request.src, request.sport) for request in (scene.call(sport=3000 + i) for i in range(4))}
    assert seen == {(source, port) for source in scene.sources for port in (2000, 2001)}


@BOTH
def test_without_a_port_left_a_client_is_refused_and_counted(family: int) -> None:
    scene = Scene(family, ports=(2000, 2003))
    taken = {scene.open(3000 + i).sport for i in range(4)}
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / TCP(sport=3999, dport=80, seq=7, flags="S"))
    reset = scene.client.take_one()
    assert (reset.src, reset[TCP].flags, reset[TCP].ack) == (scene.vip, "RA", 8)
    assert scene.net.drops() == {"source_ports": 1}
    assert [event["kind"] for event in scene.net.events()] == ["table_full"]
    assert {port for _, port in scene.sources_of_sessions()} == taken


def test_refuse_drop_is_silent_without_a_port_left() -> None:
    scene = Scene(ports=(2000, 2000), refuse="drop")
    scene.open(3000)
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / TCP(sport=3999, dport=80, flags="S"))
    scene.net.expect_silence()
    assert scene.net.drops() == {"source_ports": 1}


@BOTH
def test_port_of_a_session_that_ended_is_given_again(family: int) -> None:
    scene = Scene(family, ports=(2000, 2000))
    scene.call(sport=3000)
    scene.pass_time(61)
    assert scene.call(sport=3001).sport == 2000


def test_port_rests_as_long_as_others_are_free() -> None:
    scene = Scene(ports=(2000, 2009))
    given = []
    for i in range(10):
        request = scene.call(sport=3000 + i)
        given.append(request.sport)
        scene.answer(request, "RA")
        scene.pass_time(11)
    assert sorted(given) == list(range(2000, 2010))


def test_closed_session_gives_up_its_port_when_all_are_taken() -> None:
    scene = Scene(ports=(2000, 2001))
    first, second = scene.call(sport=3000), scene.open(3001)
    scene.answer(first, "RA")
    scene.net.discard()
    third = scene.open(3002)
    assert (third.sport, third.sport != second.sport) == (first.sport, True)
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / TCP(sport=3003, dport=80, flags="S"))
    assert scene.net.drops() == {"source_ports": 1}


@BOTH
def test_answer_of_a_stranger_to_a_port_in_use_does_not_reach_the_client(family: int) -> None:
    scene = Scene(family)
    request = scene.call()
    scene.servers[1].send(ip(scene.at(12), request.src) / TCP(sport=8080, dport=request.sport, seq=5, flags="A"))
    frames = scene.net.take("switch")
    assert [(frame.dst, frame[TCP].flags) for frame in frames] == [(scene.servers[1].mac, "R")]
    assert scene.net.drops() == {"orphan": 1}


@BOTH
def test_what_comes_too_late_for_a_session_is_refused(family: int) -> None:
    scene = Scene(family)
    request = scene.call()
    scene.net.wait(61)
    scene.net.discard()
    scene.answer(request)
    assert scene.net.drops() == {"orphan": 1}


@BOTH
def test_own_address_may_stand_for_clients_and_still_be_the_kernels(family: int) -> None:
    scene = Scene(family, pool=(1,))
    request = scene.call()
    assert request.src == scene.at(1)
    scene.answer(request)
    scene.client.expect(ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, 40000, "SA") / b"xyz")
    other = ip(scene.at(11), scene.at(1)) / TCP(sport=8080, dport=request.sport ^ 1, flags="SA")
    scene.servers[0].send(other)
    scene.net.expect("lan-host", scene.servers[0].frame(other))
    echo = ICMP() if family == 4 else ICMPv6EchoRequest()
    scene.client.send(ip(scene.at(10), scene.at(1)) / echo)
    assert len(scene.net.take("lan-host")) == 1


def test_arp_for_an_address_that_stands_for_clients_is_answered() -> None:
    scene = Scene()
    scene.net.send("switch", scene.servers[0].question(scene.at(11), scene.sources[0]))
    reply = scene.net.take_one("switch")[ARP]
    assert (reply.psrc, reply.hwsrc, reply.op) == (scene.sources[0], scene.net.mac("lan"), 2)


@BOTH
def test_address_that_stands_for_clients_answers_echo(family: int) -> None:
    scene = Scene(family)
    echo = ICMP(id=5) if family == 4 else ICMPv6EchoRequest(id=5)
    scene.servers[0].send(ip(scene.at(11), scene.sources[0]) / echo / b"ping")
    reply = scene.net.take_one("switch").payload
    assert (reply.src, reply.dst) == (scene.sources[0], scene.at(11))
    assert reply.payload.type == (0 if family == 4 else ICMPv6EchoReply().type)
    assert flaws(bytes(reply)) == []


@BOTH
def test_pieces_of_a_request_and_of_its_answer_arrive_as_one(family: int) -> None:
    scene = Scene(family, "udp")
    for piece in pieces(ip(scene.client.addresses[0], scene.vip) / UDP(sport=40000, dport=80) / PAYLOAD):
        scene.client.send(piece)
    kind = IP if family == 4 else IPv6
    request = together([kind(bytes(frame.payload)) for frame in scene.net.take("switch")])
    assert (request.src, bytes(request[UDP].payload)) == (scene.sources[0], PAYLOAD)
    assert flaws(bytes(request)) == []
    for piece in pieces(ip(request.dst, request.src) / UDP(sport=8080, dport=request[UDP].sport) / PAYLOAD):
        scene.servers[0].send(piece)
    answer = together([kind(bytes(frame.payload)) for frame in scene.net.take("switch")])
    assert (answer.src, answer.dst, bytes(answer[UDP].payload)) == (scene.vip, scene.client.addresses[0], PAYLOAD)
    assert flaws(bytes(answer)) == []


@BOTH
def test_two_clients_with_one_port_number_are_told_apart(family: int) -> None:
    scene = Scene(family, n_servers=1)
    other = scene.net.station("switch", scene.at(20))
    other.greet()
    mine, theirs = scene.call(), scene.call(by=other)
    assert mine.sport != theirs.sport
    scene.answer(theirs)
    other.expect(ip(scene.vip, scene.at(20)) / scene.l4(80, 40000, "SA") / b"xyz")


def test_client_behind_a_router_is_not_stood_for_without_a_way_back_to_it() -> None:
    scene = Scene()
    scene.client.send(ip("192.0.2.7", scene.vip) / TCP(sport=9, dport=80, flags="S"))
    assert scene.delivered().src == "192.0.2.7"


@BOTH
def test_source_nat_always_refuses_a_client_to_whom_there_is_no_way_back(family: int) -> None:
    scene = Scene(family, source_nat="always")
    scene.client.send(ip("192.0.2.7" if family == 4 else "2001:db8::7", scene.vip) / TCP(sport=9, dport=80, flags="S"))
    error = scene.client.take_one()
    assert (error.payload.type, error.payload.code) == ((3, 0) if family == 4 else (1, 0))
    assert scene.net.drops() == {"no_route": 1}


@BOTH
def test_client_that_asks_again_unanswered_is_reported_with_its_server(family: int) -> None:
    scene = Scene(family, source_nat="never")
    scene.call()
    assert scene.net.events() == []
    scene.call()
    event, = scene.net.worker.events()
    assert (event["kind"], address_text(event["ip"]), event["port"]) == ("reply_bypasses", scene.client.addresses[0], 0)
    scene.call()
    assert scene.net.worker.events() == []
    scene.net.wait(1)
    scene.net.discard()
    scene.call()
    assert len(scene.net.worker.events()) == 1


def test_client_that_was_answered_is_not_reported_when_it_asks_again() -> None:
    scene = Scene(client_port="uplink", server_port="servers")
    scene.answer(scene.call(), to=scene.client.mac)
    scene.call()
    assert scene.net.worker.events() == []


def test_ports_that_are_the_kernels_are_not_given_of_its_own_address() -> None:
    scene = Scene(pool=(1,), ports=(2000, 2009), spare=(2003, 2007))
    ports = {scene.call(sport=3000 + i).sport for i in range(5)}
    assert ports == {2000, 2001, 2002, 2008, 2009}


def test_ports_that_are_the_kernels_are_given_of_other_addresses() -> None:
    scene = Scene(pool=(101,), ports=(2000, 2009), spare=(2000, 2009))
    assert 2000 <= scene.call().sport <= 2009

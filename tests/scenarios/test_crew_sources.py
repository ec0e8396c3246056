"""Several workers and addresses that stand for others: a port is given only by the worker to which its answers come."""

import pytest
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach
from scapy.packet import Packet

from swlb._worker import link
from swlb.steering import owner

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, ip
from .layout import Segment, Server, Service
from .network import Network, address16

KEY = 0x123456789ABCDEF1
FAMILIES = pytest.mark.parametrize("family", [4, 6])
OWN_OUTSIDE = {4: "10.0.1.1", 6: "fd00:1::1"}
OWN_INSIDE = {4: "10.0.2.1", 6: "fd00:2::1"}
HERE, THERE = 0, 1


class Crew:
    """Two linked workers that stand for every client towards the server, and for what the server begins outside."""

    def __init__(self) -> None:
        servers = tuple(Server(SERVER[family].format(11), 8080) for family in (4, 6))
        service = Service((VIP[4], VIP[6]), servers, source_nat="always", source_pool=tuple(OWN_INSIDE.values()))
        segments = {"outside": Segment(("client",), OUTSIDE, host=True, exit_ports=(1024, 65535)),
                    "inside": Segment(("server",), INSIDE, host=True, masquerade=True)}
        self.nets = [Network(segments, services=[service], sealed=False) for _ in range(2)]
        link([net.worker for net in self.nets], key=KEY)
        for net in self.nets:
            net.seal(quiet=False)
        self.clients = [net.station("client", *CLIENT.values()) for net in self.nets]
        self.servers = [net.station("server", *(SERVER[f].format(11) for f in (4, 6))) for net in self.nets]
        for station in (self.clients[HERE], self.servers[HERE]):
            station.greet()
        for _ in range(40):
            self.wait()
        for net in self.nets:
            net.discard()

    def wait(self) -> None:
        """100 ms pass for both, and both have read their letters."""
        for net in self.nets:
            net.wait(0.1)
        for net in self.nets:
            net.wait(0)
            while net.worker.turn(net.now_ns):
                pass

    def left(self, port: str) -> tuple[int, Packet]:
        """By which worker the one packet left by the port, and the packet."""
        self.wait()
        found = [(n, frame.payload) for n, net in enumerate(self.nets) for frame in net.take(port)]
        assert len(found) == 1, found
        return found[0]


def owner_of(address: str, port: int) -> int:
    return owner(address16(address), port, KEY, 2)


@FAMILIES
def test_ports_that_stand_for_clients_are_those_whose_answers_come_to_the_session(family: int) -> None:
    crew, workers = Crew(), set()
    for sport in range(2000, 2020):
        crew.clients[HERE].send(ip(CLIENT[family], VIP[family]) / TCP(sport=sport, dport=80, flags="S"))
        worker, request = crew.left("server")
        assert request.src == OWN_INSIDE[family]
        assert owner_of(request.src, request.sport) == worker == owner_of(CLIENT[family], sport)
        workers.add(worker)
    assert workers == {HERE, THERE}


@FAMILIES
@pytest.mark.parametrize("worker", [HERE, THERE])
@pytest.mark.parametrize("came_to", [HERE, THERE])
def test_answer_reaches_the_client_whichever_worker_it_comes_to(family: int, worker: int, came_to: int) -> None:
    crew = Crew()
    sport = next(port for port in range(2000, 3000) if owner_of(CLIENT[family], port) == worker)
    crew.clients[HERE].send(ip(CLIENT[family], VIP[family]) / TCP(sport=sport, dport=80, flags="S"))
    _, request = crew.left("server")
    crew.servers[came_to].send(ip(request.dst, request.src) / TCP(sport=8080, dport=request.sport, flags="SA"))
    by, answer = crew.left("client")
    assert (by, answer.src, answer.dst, answer.sport, answer.dport) == (worker, VIP[family], CLIENT[family], 80, sport)


@FAMILIES
@pytest.mark.parametrize("came_to", [HERE, THERE])
def test_error_about_a_request_reaches_the_client_whichever_worker_it_comes_to(family: int, came_to: int) -> None:
    crew = Crew()
    crew.clients[HERE].send(ip(CLIENT[family], VIP[family]) / TCP(sport=2000, dport=80, flags="S"))
    _, request = crew.left("server")
    kind = ICMP(type=3, code=3) if family == 4 else ICMPv6DestUnreach(code=4)
    crew.servers[came_to].send(ip(request.dst, request.src) / kind / bytes(request))
    _, error = crew.left("client")
    assert (error.src, error.dst) == (VIP[family], CLIENT[family])


@FAMILIES
@pytest.mark.parametrize("came_to", [HERE, THERE])
def test_what_a_host_begins_is_answered_whichever_worker_the_answer_comes_to(family: int, came_to: int) -> None:
    crew = Crew()
    for sport in range(5000, 5004):
        crew.servers[HERE].send(ip(SERVER[family].format(11), CLIENT[family]) / UDP(sport=sport, dport=53) / b"ask")
        _, asked = crew.left("client")
        assert asked.src == OWN_OUTSIDE[family]
        crew.clients[came_to].send(ip(CLIENT[family], asked.src) / UDP(sport=53, dport=asked.sport) / b"answer")
        _, answer = crew.left("server")
        assert (answer.dst, answer.dport) == (SERVER[family].format(11), sport)

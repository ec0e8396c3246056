"""Tunnels of a swlb with two workers, turned by hand: what is of another worker's session reaches that one."""

import pytest
from scapy.layers.inet import ICMP
from scapy.packet import Raw

from swlb._worker import link
from swlb.steering import owner

from .balanced import CLIENT, INSIDE, OUTSIDE, VIP, ip
from .frames import IP, TCP, UDP
from .layout import Segment, Server, Service
from .network import Network, address16
from .test_fragments_nat import pieces

KEY = 0x123456789ABCDEF1
HERE, THERE = 0, 1


class Crew:
    """Two linked workers, the first of which hears everything; a client and a server known to both."""

    def __init__(self) -> None:
        services = [Service((VIP[4],), (Server("10.0.2.11"),), protocol=protocol, forward="gue")
                    for protocol in ("tcp", "udp")]
        # swlb's own address, from which its tunnels come, stands for clients of another service as well.
        services.append(Service(("10.0.1.101",), (Server("10.0.2.11"),), source_nat="auto", source_pool=("10.0.2.1",)))
        self.nets = [Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("server",), INSIDE)},
                             services=services, sealed=False) for _ in range(2)]
        link([net.worker for net in self.nets], key=KEY)
        for net in self.nets:
            net.seal(quiet=False)
        for _ in range(40):
            self.wait()
        self.client = self.nets[HERE].station("client", CLIENT[4])
        self.server = self.nets[HERE].station("server", "10.0.2.11")
        for station in (self.client, self.server):
            station.greet()
        self.wait()
        for net in self.nets:
            net.discard()

    def wait(self) -> None:
        for net in self.nets:
            net.wait(0.1)
        for net in self.nets:
            net.wait(0)

    def take(self, port: str) -> list[list]:
        self.wait()
        return [net.take(port) for net in self.nets]


@pytest.fixture
def crew() -> Crew:
    return Crew()


@pytest.fixture
def sport() -> int:
    """A port of the client's whose sessions the second worker has."""
    return next(port for port in range(2000, 3000) if owner(address16(CLIENT[4]), port, KEY, 2) == THERE)


def test_request_leaves_by_its_owner(crew, sport):
    crew.client.send(ip(CLIENT[4], VIP[4]) / TCP(sport=sport, dport=80, flags="S"))
    assert [len(frames) for frames in crew.take("server")] == [0, 1]


def test_its_pieces_leave_with_it(crew, sport):
    sent = pieces(ip(CLIENT[4], VIP[4]) / UDP(sport=sport, dport=80) / Raw(bytes(3000)))
    crew.client.send(*sent)
    here, there = crew.take("server")
    assert (here, len(there)) == ([], len(sent))
    assert len({frame[UDP].sport for frame in there}) == 1


def test_error_about_its_packet_is_told_and_remembered_by_its_owner(crew, sport):
    request = ip(CLIENT[4], VIP[4], flags="DF") / TCP(sport=sport, dport=80, flags="S") / Raw(bytes(1400))
    crew.client.send(request)
    _, (frame,) = crew.take("server")
    error = ip("10.0.2.254", "10.0.2.1") / ICMP(type=3, code=4, nexthopmtu=1300) / Raw(bytes(frame[IP])[:576])
    crew.server.send(error)
    here, there = crew.take("client")
    assert (here, [told[ICMP].nexthopmtu for told in there]) == ([], [1300 - 32])
    crew.client.send(request)
    _, (told,) = crew.take("client")
    assert told[ICMP].nexthopmtu == 1300 - 32

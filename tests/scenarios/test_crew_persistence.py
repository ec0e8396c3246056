"""Workers of a crew remember a client's server together: its ports are shared out among them, its server is one."""

import pytest
from scapy.packet import Packet

from swlb._worker import link
from swlb.steering import owner

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, ip
from .frames import TCP
from .layout import Segment, Server, Service
from .network import Network, Station, address16

FAMILIES = pytest.mark.parametrize("family", [4, 6])
KEY = 0x0FEDCBA987654321
OTHER = {4: "10.0.1.77", 6: "fd00:1::77"}
TIMEOUT_S = 100.0


class Crew:
    """Two linked workers with one table of persistence, three servers behind a port, and a client known to both."""

    def __init__(self, family: int) -> None:
        self.family = family
        addresses = [SERVER[family].format(11 + n) for n in range(3)]
        service = Service((VIP[family],), tuple(Server(address, 8080) for address in addresses), persistence=TIMEOUT_S)
        segments = {"outside": Segment(("client",), OUTSIDE), "inside": Segment(("servers",), INSIDE)}
        self.nets = [Network(segments, services=[service], sealed=False) for _ in range(2)]
        for net in self.nets:
            net.worker.use_persists(self.nets[0].persists)
        link([net.worker for net in self.nets], key=KEY)
        for net in self.nets:
            net.seal(quiet=False)
        for _ in range(40):
            self.wait(0.1)
        self.clients: list[Station] = [net.station("client", CLIENT[family]) for net in self.nets]
        self.addresses = addresses
        self.clients[0].greet()
        self.nets[0].station("servers", *addresses).greet()
        self.wait(0.1)
        for net in self.nets:
            net.discard()

    def wait(self, seconds: float) -> None:
        """Time passes for both, and both have read their letters."""
        for net in self.nets:
            net.wait(seconds)
        for net in self.nets:
            while net.worker.turn(net.now_ns):
                pass

    def ports(self, worker: int, address: str, n: int) -> list[int]:
        """Ports of the client at that address whose sessions the worker has."""
        return [p for p in range(2000, 3000) if owner(address16(address), p, KEY, 2) == worker][:n]

    def call(self, worker: int, address: str, sport: int, flags: str = "S") -> int:
        """The server that the client's packet reaches by way of that worker."""
        packet: Packet = ip(address, VIP[self.family]) / TCP(sport=sport, dport=80, flags=flags)
        self.clients[worker].send(packet)
        return self.addresses.index(self.nets[worker].take_one("servers").payload.dst)

    def rows(self) -> list[tuple[int, int]]:
        """(server, sessions) of all who are remembered, as each worker tells it, which is the same."""
        told = [[row for rows in net.worker.persistence_slices(now_ns=net.now_ns) for row in rows] for net in self.nets]
        assert told[0] == told[1]
        return [(self.nets[0].servers.index(row[2]), row[5]) for row in told[0]]


@FAMILIES
def test_a_client_has_one_server_whichever_worker_its_sessions_come_to(family):
    crew = Crew(family)
    # The first worker is one server ahead of the second.
    other = OTHER[family]
    assert crew.call(0, other, crew.ports(0, other, 1)[0]) == 0
    client = CLIENT[family]
    mine = {worker: crew.ports(worker, client, 3) for worker in (0, 1)}
    assert [crew.call(worker, client, mine[worker][n]) for n in range(3) for worker in (0, 1)] == [1] * 6
    assert sorted(crew.rows()) == [(0, 1), (1, 6)]
    assert crew.call(1, other, crew.ports(1, other, 1)[0]) == 0


@FAMILIES
def test_a_session_that_one_worker_has_keeps_its_client_for_the_other(family):
    crew = Crew(family)
    client = CLIENT[family]
    crew.call(0, OTHER[family], crew.ports(0, OTHER[family], 1)[0])
    (long,), (short, later) = crew.ports(0, client, 1), crew.ports(1, client, 2)
    assert [crew.call(0, client, long), crew.call(0, client, long, "A"), crew.call(1, client, short)] == [1, 1, 1]
    crew.call(1, client, short, "A")
    crew.call(1, client, short, "R")
    crew.wait(2 * TIMEOUT_S)
    assert crew.rows() == [(1, 1)]
    crew.nets[0].station("servers", *crew.addresses).greet()
    crew.wait(0.1)
    for net in crew.nets:
        net.discard()
    assert crew.call(1, client, later) == 1


@FAMILIES
def test_a_server_that_was_down_is_come_back_to_by_neither(family):
    crew = Crew(family)
    client = CLIENT[family]
    mine = {worker: crew.ports(worker, client, 2) for worker in (0, 1)}
    assert [crew.call(worker, client, mine[worker][0]) for worker in (0, 1)] == [0, 0]
    for ready in (0, 1):
        for net in crew.nets:
            net.set_server(0, ready=ready)
    assert crew.rows() == []
    got = [crew.call(worker, client, mine[worker][1]) for worker in (1, 0)]
    assert got[0] == got[1]
    assert crew.rows() == [(got[0], 4)]

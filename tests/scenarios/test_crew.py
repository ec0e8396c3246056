"""Two workers that share one swlb, turned by hand: what comes to the wrong one goes to the right one.

Which one is right is computed by the Python twin of the steering function; frames are put in where a scenario wants
them, as a kernel that does not steer would.
"""

import pytest
from scapy.layers.inet import ICMP, IPerror, TCPerror, fragment
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from swlb._worker import link
from swlb.steering import owner

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, ip
from .frames import IP, TCP, UDP
from .layout import UP, Segment, Server, Service
from .network import Network, Station, address16

KEY = 0x123456789ABCDEF1
FAMILIES = pytest.mark.parametrize("family", [4, 6])
HERE, THERE = 0, 1


class Crew:
    """Two linked workers, a client and a server known to both, and a service for each protocol."""

    def __init__(self, *, greeted: bool = True, ready: int = UP, servers: tuple[Server, ...] = (),
                 **limits: int) -> None:
        servers = servers or tuple(Server(SERVER[family].format(11), 8080, ready=ready) for family in (4, 6))
        services = [Service((VIP[4], VIP[6]), servers, protocol=protocol, probe_idle=3.0)
                    for protocol in ("tcp", "udp")]
        inside = Segment(("server",), INSIDE, host=True)
        self.nets = [Network({"outside": Segment(("client",), OUTSIDE), "inside": inside},
                             services=services, sealed=False, **limits) for _ in range(2)]
        for net in self.nets:
            net.worker.use_pins(self.nets[HERE].pins)
        link([net.worker for net in self.nets], key=KEY)
        self.announced = []
        for net in self.nets:
            net.seal(quiet=False)
        for _ in range(40):
            self.wait()
        self.announced = [net.take("client") for net in self.nets]
        self.clients = [net.station("client", *CLIENT.values()) for net in self.nets]
        self.servers = [net.station("server", *(server.address for server in servers)) for net in self.nets]
        if greeted:
            for station in (self.clients[HERE], self.servers[HERE]):
                station.greet()
            self.wait()
            for net in self.nets:
                net.discard()
                net.drops()

    def wait(self) -> None:
        """100 ms pass for both, and both have read their letters."""
        for net in self.nets:
            net.wait(0.1)
        for net in self.nets:
            net.wait(0)
            while net.worker.turn(net.now_ns):
                pass

    def port_of(self, worker: int, family: int) -> int:
        """A port of the client whose sessions that worker has."""
        return next(port for port in range(2000, 3000) if owner(address16(CLIENT[family]), port, KEY, 2) == worker)

    def take(self, port: str) -> list[list]:
        """What left by the port, by worker."""
        self.wait()
        return [net.take(port) for net in self.nets]


def call(crew: Crew, family: int, sport: int, l4=TCP, **fields) -> None:
    """The client's packet to the VIP comes to the first worker."""
    crew.clients[HERE].send(ip(CLIENT[family], VIP[family]) / l4(sport=sport, dport=80, **fields))


def establish(crew: Crew, sport: int) -> None:
    """Client and server have said what they would say to make an IPv4 connection."""
    call(crew, 4, sport, flags="S")
    crew.wait()
    crew.servers[HERE].send(ip(SERVER[4].format(11), CLIENT[4]) / TCP(sport=8080, dport=sport, flags="SA"))
    crew.wait()
    call(crew, 4, sport, flags="A")
    crew.wait()


@FAMILIES
@pytest.mark.parametrize("worker", [HERE, THERE])
def test_a_session_is_its_owner_s_wherever_its_first_packet_comes(family, worker):
    crew = Crew()
    call(crew, family, crew.port_of(worker, family), flags="S")
    left = crew.take("server")
    assert [len(frames) for frames in left] == [worker == HERE, worker == THERE]
    assert left[worker][0].payload.dst == SERVER[family].format(11)
    assert [len(net.worker.sessions(now_ns=net.now_ns)) for net in crew.nets] == [worker == HERE, worker == THERE]


@FAMILIES
def test_a_reply_that_comes_to_another_worker_is_restored_by_the_owner(family):
    crew = Crew()
    sport = crew.port_of(THERE, family)
    call(crew, family, sport, flags="S")
    crew.take("server")
    crew.servers[HERE].send(ip(SERVER[family].format(11), CLIENT[family]) / TCP(sport=8080, dport=sport, flags="SA"))
    left = crew.take("client")
    assert [len(frames) for frames in left] == [0, 1]
    assert (left[THERE][0].payload.src, left[THERE][0].payload.payload.sport) == (VIP[family], 80)


def test_what_servers_send_to_others_is_handed_to_one_worker_and_routed_by_it():
    crew = Crew()
    sport = crew.port_of(THERE, 4)
    crew.servers[HERE].send(ip(SERVER[4].format(11), CLIENT[4]) / UDP(sport=9999, dport=sport))
    assert [len(frames) for frames in crew.take("client")] == [0, 1]


@pytest.mark.parametrize("order", [1, -1])
def test_fragments_follow_their_first_to_the_owner(order):
    crew = Crew()
    sport = crew.port_of(THERE, 4)
    whole = IP(src=CLIENT[4], dst=VIP[4], id=77) / UDP(sport=sport, dport=80) / Raw(bytes(range(256)) * 8)
    for piece in fragment(whole, 800)[::order]:
        crew.clients[HERE].send(piece)
    left = crew.take("server")
    assert [len(frames) for frames in left] == [0, 3]
    assert {frame.payload.dst for frame in left[THERE]} == {SERVER[4].format(11)}


def test_an_error_about_another_worker_s_session_reaches_the_server():
    crew = Crew()
    sport = crew.port_of(THERE, 4)
    call(crew, 4, sport, flags="S")
    crew.take("server")
    quoted = IPerror(src=VIP[4], dst=CLIENT[4]) / TCPerror(sport=80, dport=sport)
    crew.clients[HERE].send(IP(src=CLIENT[4], dst=VIP[4]) / ICMP(type=3, code=1) / quoted)
    left = crew.take("server")
    assert [len(frames) for frames in left] == [0, 1]
    assert left[THERE][0][IPerror].src == SERVER[4].format(11)


def test_an_arp_request_is_answered_once_and_its_sender_known_to_all():
    crew = Crew(greeted=False)
    client = crew.clients[HERE]
    crew.nets[HERE].send("client", Ether(src=client.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=client.mac, psrc=CLIENT[4], pdst=OUTSIDE[0].partition("/")[0]))
    replies = [frame for frames in crew.take("client") for frame in frames if ARP in frame and frame[ARP].op == 2]
    assert len(replies) == 1
    for net in crew.nets:
        known = {row[1]: row[2].hex(":") for row in net.worker.neighbours(now_ns=net.now_ns)}
        assert known[address16(CLIENT[4])] == client.mac


def test_a_station_that_one_worker_heard_is_known_to_all_at_its_port():
    crew = Crew(greeted=False)
    net = crew.nets[HERE]
    stranger = net.station("client", "10.0.1.77")
    net.send("client", Ether(src=stranger.mac, dst="02:bb:00:00:00:09") / Raw(bytes(50)))
    crew.wait()
    for net in crew.nets:
        stations = {row[0].hex(":"): row[2] for row in net.worker.fdb(net.segments["outside"], now_ns=net.now_ns)}
        assert stations[stranger.mac] == net.ports["client"]


def test_a_rival_for_a_vip_is_told_of_once():
    crew = Crew()
    rival: Station = crew.nets[THERE].station("client", VIP[4])
    rival.net.send("client", Ether(src=rival.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=rival.mac, psrc=VIP[4], pdst=VIP[4]))
    crew.wait()
    kinds = [[event["kind"] for event in net.worker.events()] for net in crew.nets]
    assert [kind.count("vip_conflict") for kind in kinds] == [0, 1]


def test_only_the_first_worker_announces():
    crew = Crew()
    assert len(crew.announced[HERE]) > 0
    assert crew.announced[THERE] == []


def test_the_limit_of_sessions_holds_for_all_workers_together():
    crew = Crew(sessions=5)
    for worker in (HERE, THERE):
        ports = [port for port in range(2000, 3000) if owner(address16(CLIENT[4]), port, KEY, 2) == worker][:4]
        for port in ports:
            establish(crew, port)
    assert [len(net.worker.sessions(now_ns=net.now_ns)) for net in crew.nets] == [4, 1]
    assert [net.drops().get("session_full", 0) for net in crew.nets] == [0, 3]
    assert crew.nets[HERE].worker.flush_sessions() == 4
    call(crew, 4, crew.port_of(THERE, 4), flags="S")
    call(crew, 4, next(p for p in range(3000, 4000) if owner(address16(CLIENT[4]), p, KEY, 2) == THERE), flags="S")
    crew.wait()
    assert len(crew.nets[THERE].worker.sessions(now_ns=crew.nets[THERE].now_ns)) == 2


def test_a_worker_that_does_not_read_its_letters_costs_frames_that_are_counted_not_memory():
    crew = Crew()
    sport = crew.port_of(THERE, 4)
    datagram = ip(CLIENT[4], VIP[4]) / UDP(sport=sport, dport=80) / Raw(bytes(1400))
    n = 1000
    for _ in range(n):
        crew.clients[HERE].send(datagram)
    dropped = crew.nets[HERE].drops()
    assert set(dropped) == {"handover_full"}
    assert 0 < dropped["handover_full"] < n
    arrived = 0
    for _ in range(20):
        arrived += len(crew.take("server")[THERE])
    assert arrived == n - dropped["handover_full"]


@FAMILIES
@pytest.mark.parametrize("worker", [HERE, THERE])
def test_a_probe_is_its_owner_s_wherever_it_and_the_answer_come(family, worker):
    crew = Crew(ready=0)
    own = {4: "10.0.2.1", 6: "fd00:2::1"}[family]
    sport = next(port for port in range(50000, 51000) if owner(address16(own), port, KEY, 2) == worker)
    crew.nets[HERE].pin(sport, {4: 0, 6: 1}[family])
    net = crew.nets[HERE]
    mac = net.mac("inside")
    net.send("inside-host", Ether(src=mac, dst=mac) / ip(own, VIP[family]) / TCP(sport=sport, dport=80, flags="S"))
    left = crew.take("server")
    assert [len(frames) for frames in left] == [worker == HERE, worker == THERE]
    assert left[worker][0].payload.dst == SERVER[family].format(11)
    crew.servers[HERE].send(ip(SERVER[family].format(11), own) / TCP(sport=8080, dport=sport, flags="SA"))
    (answer,) = [frame for frames in crew.take("inside-host") for frame in frames]
    assert (answer.payload.src, answer.payload.payload.sport) == (VIP[family], 80)

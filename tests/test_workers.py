"""Several workers answer as one. They are real ones over ports of memory, each spoken to by itself."""

from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from swlb._worker import Worker
from swlb.addresses import packed
from swlb.workers import Workers

SECOND = 10**9
START = 1000 * SECOND
QUIET = START + 5 * SECOND  # what new workers announce is over
OWN_MAC, OWN_IP, VIP = "02:00:00:00:00:01", "10.0.0.1", "10.0.0.100"
CLIENT, CLIENT_IP = "02:aa:00:00:00:01", "10.0.0.10"
SERVER, SERVER_IP = "02:aa:00:00:00:02", "10.0.0.11"
EVERYONE = "ff:ff:ff:ff:ff:ff"
TIMEOUTS = [60 * SECOND] * 12


def ip16(text: str) -> bytes:
    return packed(ip_address(text))


def worker() -> Worker:
    """One segment with ports 0 and 1, a service with one server."""
    made = Worker(sessions=100, neighbours=100, n_segments=1, n_addresses=1, n_services=1, n_servers=1)
    segment = made.add_segment(mac=bytes.fromhex(OWN_MAC.replace(":", "")))
    made.add_port(segment)
    made.add_port(segment)
    made.add_address(segment, ip16(OWN_IP), 120)
    made.add_service(vips=[(ip16(VIP), segment)], protocol=6, l4_first=80, l4_last=80, refuse=0, orphans=0,
                     on_down=0, timeouts_ns=TIMEOUTS)  # fmt: skip
    made.add_server(0, ip=ip16(SERVER_IP), l4_port=8080, weight=1, ready=1)
    made.seal(now_ns=START)
    for second in range(5):
        made.turn(START + second * SECOND)
    for port in (0, 1):
        made.take(port)
    return made


class Together:
    """Workers, by number and as one, at a time of their own."""

    def __init__(self, n: int) -> None:
        self.each = [worker() for _ in range(n)]
        self.all = Workers(self.each)
        self.now = QUIET

    def send(self, number: int, port: int, frame: Packet) -> None:
        """That worker has judged the frame."""
        assert self.each[number].put(port, bytes(frame))
        while self.each[number].turn(self.now):
            pass

    def hear(self, number: int, port: int = 0, mac: str = CLIENT) -> None:
        """That worker has heard the station behind the port."""
        self.send(number, port, Ether(src=mac, dst=EVERYONE, type=0x88B5) / bytes(46))

    def meet(self, number: int, mac: str, ip: str, port: int = 0) -> None:
        """That worker knows the neighbour."""
        question = ARP(op=1, hwsrc=mac, psrc=ip, hwdst="00:00:00:00:00:00", pdst=OWN_IP)
        self.send(number, port, Ether(src=mac, dst=EVERYONE) / question)

    def open_session(self, number: int, l4_port: int) -> None:
        """That worker has a session more."""
        self.meet(number, SERVER, SERVER_IP, port=1)
        syn = IP(src=CLIENT_IP, dst=VIP) / TCP(sport=l4_port, dport=80, flags="S")
        self.send(number, 0, Ether(src=CLIENT, dst=OWN_MAC) / syn)

    def move(self, number: int) -> None:
        """The station has changed its port, as that worker sees it."""
        self.hear(number, port=0)
        self.now += 2 * SECOND
        self.hear(number, port=1)

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.all.events()]


@pytest.fixture
def two() -> Together:
    return Together(2)


def test_a_station_is_known_when_one_worker_has_heard_it(two):
    two.hear(1)
    assert [(mac.hex(":"), port) for mac, _, port, _ in two.all.fdb(0, now_ns=two.now)] == [(CLIENT, 0)]


def test_a_station_that_both_have_heard_is_one_row_as_the_later_knows_it(two):
    two.hear(0, port=0)
    two.now += 3 * SECOND
    two.hear(1, port=1)
    assert [row[2:] for row in two.all.fdb(0, now_ns=two.now)] == [(1, 0)]


def test_stations_of_both_workers_are_rows(two):
    two.hear(0, mac=CLIENT)
    two.hear(1, mac=SERVER)
    assert {row[0].hex(":") for row in two.all.fdb(0, now_ns=two.now)} == {CLIENT, SERVER}


def test_flushing_stations_counts_each_once_and_empties_all(two):
    two.hear(0, mac=CLIENT)
    two.hear(1, mac=CLIENT)
    two.hear(1, mac=SERVER)
    assert two.all.flush_fdb(0) == 2
    assert [worker.fdb(0) for worker in two.each] == [[], []]


def test_a_neighbour_with_a_mac_wins_over_a_question_that_is_younger(two):
    two.meet(0, SERVER, SERVER_IP)
    two.now += 3 * SECOND
    syn = IP(src=CLIENT_IP, dst=VIP) / TCP(sport=1024, dport=80, flags="S")
    two.send(1, 0, Ether(src=CLIENT, dst=OWN_MAC) / syn)
    states = [worker.neighbours(now_ns=two.now)[0][3] for worker in two.each]
    assert states == ["REACHABLE", "INCOMPLETE"]
    assert [row[3] for row in two.all.neighbours(now_ns=two.now)] == ["REACHABLE"]


def test_of_two_macs_of_a_neighbour_the_younger_wins(two):
    two.meet(0, CLIENT, SERVER_IP)
    two.now += 3 * SECOND
    two.meet(1, SERVER, SERVER_IP)
    assert [row[2].hex(":") for row in two.all.neighbours(now_ns=two.now)] == [SERVER]


def test_flushing_neighbours_counts_each_once_and_empties_all(two):
    two.meet(0, CLIENT, CLIENT_IP)
    two.meet(1, CLIENT, CLIENT_IP)
    two.meet(1, SERVER, SERVER_IP)
    assert two.all.flush_neighbours(0) == 2
    assert [worker.neighbours() for worker in two.each] == [[], []]


def test_sessions_of_all_workers_are_shown_counted_and_flushed(two):
    for number, l4_port in ((0, 1024), (1, 1025), (1, 1026)):
        two.open_session(number, l4_port)
    assert {row[2] for row in two.all.sessions(now_ns=two.now)} == {1024, 1025, 1026}
    assert two.all.server(0)["sessions_total"] == two.all.counters()["sessions"] == 3
    assert two.all.server(0)["packets_in"] == 3
    assert two.all.flush_sessions(server=0) == 3
    assert two.all.sessions(now_ns=two.now) == []


def test_decisions_of_all_workers_are_told_in_the_order_of_time(two):
    two.open_session(1, 1024)
    for number, l4_port in ((0, 1025), (1, 1026), (0, 1027)):
        two.now += SECOND
        two.open_session(number, l4_port)
    assert [row["client_port"] for row in two.all.decisions()] == [1024, 1025, 1026, 1027]


def test_a_port_s_counters_are_sums_and_its_state_is_one(two):
    two.hear(0)
    two.hear(1)
    port = two.all.port(0)
    assert (port["rx_frames"], port["rx_bytes"], port["up"], port["mtu"], port["lost"]) == (2, 120, True, 1500, False)


def test_drops_are_sums(two):
    for number in (0, 1):
        two.send(number, 0, Ether(src=EVERYONE, dst=EVERYONE, type=0x88B5) / bytes(46))
    assert sum(two.all.drops()) == sum(sum(worker.drops()) for worker in two.each) == 2
    assert max(two.all.drops()) == 2


def test_a_server_changes_in_all_workers(two):
    two.all.set_server(0, ready=0, weight=1, now_ns=two.now)
    for number in (0, 1):
        two.open_session(number, 1024)
    assert two.all.sessions(now_ns=two.now) == []


def test_a_port_changes_in_all_workers(two):
    two.all.set_port(0, up=False, mtu=1400)
    assert [(row["up"], row["mtu"]) for row in (worker.port(0) for worker in two.each)] == [(False, 1400)] * 2


def test_only_the_first_worker_announces(two):
    two.all.announce(0, now_ns=two.now)
    for worker in two.each:
        worker.turn(two.now + SECOND)
    assert [bool(worker.take(0)) for worker in two.each] == [True, False]


def test_what_two_workers_notice_within_a_second_is_told_once(two):
    two.hear(1, port=0)
    two.move(0)
    two.now += SECOND
    two.hear(1, port=1)
    assert [len(worker.fdb(0)) for worker in two.each] == [1, 1]
    assert two.kinds() == ["mac_moved"]


def test_the_echo_may_come_with_a_later_call(two):
    two.hear(1, port=0)
    two.move(0)
    assert two.kinds() == ["mac_moved"]
    two.now += SECOND
    two.hear(1, port=1)
    assert two.kinds() == []


def test_what_another_worker_notices_later_than_a_second_is_told(two):
    two.hear(1, port=0)
    two.move(0)
    two.now += SECOND + 1
    two.hear(1, port=1)
    assert two.kinds() == ["mac_moved"] * 2


def test_what_differs_is_told_of_both(two):
    two.move(0)
    two.hear(1, port=1)
    two.now += 2 * SECOND
    two.hear(1, port=0)
    assert [event["port"] for event in two.all.events()] == [1, 0]


def test_events_of_all_workers_are_in_order_of_time(two):
    for number in (1, 0, 1, 0):
        two.move(number)
        two.now += 2 * SECOND
    times = [event["at_ns"] for event in two.all.events()]
    assert times == sorted(times)
    assert len(times) >= 4


def test_one_worker_tells_all_it_has_to_tell():
    alone = Together(1)
    alone.hear(0, port=0)
    for port in (1, 0, 1):
        alone.now += 2 * SECOND
        alone.hear(0, port=port)
    assert [event["port"] for event in alone.all.events()] == [1, 0, 1]


@pytest.mark.parametrize("n", [1, 4])
def test_every_worker_runs_in_a_thread_of_its_own_and_ends(n):
    made = Together(n)
    with made.all.running():
        made.all.set_port(0, up=False, mtu=1500)  # a door answers only if the loop runs
    assert made.all.port(0)["up"] is False
    assert made.all.counters()["turns"] > 0
    made.each[-1].turn(made.now)  # refused while it runs


def test_of_a_neighbour_the_worker_that_knows_most_is_believed():
    at = Together(3)
    assert at.all.neighbour_state(0, ip16(SERVER_IP)) == "FREE"
    # A client's packet to a server that nobody has heard of: the worker that has it asks.
    at.send(1, 0, Ether(src=CLIENT, dst=OWN_MAC) / IP(src=CLIENT_IP, dst=VIP) / TCP(sport=2000, dport=80, flags="S"))
    assert at.all.neighbour_state(0, ip16(SERVER_IP)) == "INCOMPLETE"
    asked = ARP(op=1, hwsrc=SERVER, psrc=SERVER_IP, pdst=OWN_IP)
    at.send(2, 1, Ether(src=SERVER, dst=EVERYONE) / asked)
    assert at.all.neighbour_state(0, ip16(SERVER_IP)) == "REACHABLE"

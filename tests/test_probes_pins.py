"""Ports by which probes through VIPs leave: pinned before anything is sent, given back when the socket is closed."""

import asyncio
import socket
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from swlb._worker import Pins as Table
from swlb.build import probe_ports
from swlb.config import Check
from swlb.config.check_models import PROBE_PORTS, PROBE_SWEEP_S
from swlb.config.values import PortRange
from swlb.probes import Outcome, Target, Way, probe_of, worse
from swlb.probes.pins import Pin, Pins
from swlb.probes.reach import connected, opened
from tests.probing import probed

TCP, UDP = 6, 17
LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}
PORTS = range(20000, 20008)  # which the kernel gives to nobody of its own accord
FAMILIES = pytest.mark.parametrize("family", [4, 6])
KINDS = pytest.mark.parametrize(("kind", "protocol"), [(socket.SOCK_STREAM, TCP), (socket.SOCK_DGRAM, UDP)])


@dataclass
class Bench:
    """Ports that are pinned in a worker's table, time that stands still, and the way of probes that take them."""

    table: Table = field(default_factory=Table)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.pins = Pins(self.table, PORTS, now=lambda: self.now)

    def way(self, family: int, double: int = 7) -> Way:
        pin = Pin(self.pins, double, idle_s=3.0, lost_hop=lambda: None)
        return Way(source=LOOPBACK[family], pin=pin)

    def pinned(self, protocol: int = TCP) -> dict[int, int]:
        return {port: index for port in PORTS if (index := self.table[protocol, port]) is not None}


@FAMILIES
@KINDS
def test_the_port_of_an_open_socket_is_pinned_and_free_once_it_is_closed(family, kind, protocol):
    bench = Bench()
    with opened(LOOPBACK[family], kind, way=bench.way(family)) as sock:
        assert bench.pinned(protocol) == {sock.getsockname()[1]: 7}
        assert bench.pinned(TCP + UDP - protocol) == {}
    assert bench.pinned(protocol) == {}
    sock.close()
    assert len([bench.pins.take(protocol) for _ in range(len(PORTS) - 1)]) == len(PORTS) - 1


def test_a_socket_that_is_handed_on_keeps_no_pin():
    bench = Bench()
    sock = opened(LOOPBACK[4], socket.SOCK_STREAM, way=bench.way(4))
    with socket.socket(fileno=sock.detach()) as other:
        assert bench.pinned() == {}
        assert other.getsockname()[1] in PORTS
    sock.close()
    assert len({bench.pins.take(TCP) for _ in range(len(PORTS) - 1)}) == len(PORTS) - 1


def test_every_socket_has_a_port_of_its_own():
    bench = Bench()
    socks = [opened(LOOPBACK[4], socket.SOCK_STREAM, way=bench.way(4, double)) for double in range(len(PORTS))]
    assert sorted(bench.pinned().values()) == list(range(len(PORTS)))
    server = Target(LOOPBACK[4], 9)
    outcome = probed(probe_of("tcp")(Check(), server, bench.way(4)))
    assert (outcome.ok, outcome.status) == (False, "SOCKERR")
    assert "ports for probes through VIPs are in use or rest" in outcome.detail
    for sock in socks:
        sock.close()


def test_a_port_rests_until_its_session_is_forgotten():
    bench = Bench()
    for _ in PORTS:
        opened(LOOPBACK[4], socket.SOCK_DGRAM, way=bench.way(4)).close()
    bench.now += 3.0 + PROBE_SWEEP_S - 0.1
    with pytest.raises(OSError, match="rest"):
        bench.pins.take(UDP)
    bench.now += 0.1
    assert bench.pins.take(UDP) in PORTS


def test_one_check_s_long_rest_is_not_another_s():
    bench = Bench()
    for rest_s in (60.0, 1.0):
        port = bench.pins.take(TCP)
        bench.pins.give_back(TCP, port, rest_s=rest_s)
    others = [bench.pins.take(TCP) for _ in range(len(PORTS) - 2)]
    bench.now += 1.0
    assert bench.pins.take(TCP) == port
    assert port not in others


@KINDS
def test_a_port_that_another_program_has_is_passed_over(kind, protocol):
    bench = Bench()
    with closing(socket.socket(socket.AF_INET, kind)) as other:
        if kind == socket.SOCK_STREAM:
            # An earlier test's connection may not be forgotten.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((str(LOOPBACK[4]), PORTS[0]))
        if kind == socket.SOCK_STREAM:
            other.listen()
        with opened(LOOPBACK[4], kind, way=bench.way(4)) as sock:
            assert sock.getsockname()[1] == PORTS[1]
        assert bench.pinned(protocol) == {}


def test_an_address_that_this_host_does_not_have_takes_no_port():
    bench = Bench()
    way = bench.way(4)
    with pytest.raises(OSError, match="assign"):
        opened(LOOPBACK[4], socket.SOCK_STREAM, way=Way(source=ip_address("192.0.2.1"), pin=way.pin))
    assert bench.pinned() == {}
    assert sorted(bench.pins.take(TCP) for _ in PORTS) == list(PORTS)


@FAMILIES
def test_connections_come_from_pinned_ports_again_and_again(family):
    """Although the kernel has not forgotten the first ones: it knows by their timestamps what is old."""
    bench = Bench()
    with closing(socket.create_server((str(LOOPBACK[family]), 0), family=socket.AF_INET6 if family == 6 else
                                      socket.AF_INET)) as server:
        target = Target(LOOPBACK[family], server.getsockname()[1])

        async def connect() -> None:
            with await connected(target, bench.way(family)) as sock:
                assert bench.pinned() == {sock.getsockname()[1]: 7}
                peer, _ = server.accept()
            await asyncio.sleep(0.01)
            peer.close()
            bench.now += 60.0

        for _ in range(3 * len(PORTS)):
            asyncio.run(connect())
    assert bench.pinned() == {}


@FAMILIES
def test_a_probe_that_is_refused_or_cancelled_keeps_no_pin(family):
    bench = Bench()
    with closing(socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)) as taken:
        taken.bind((str(LOOPBACK[family]), 0))
        target = Target(LOOPBACK[family], taken.getsockname()[1])
        outcome = probed(probe_of("tcp")(Check(), target, bench.way(family)))
        assert (outcome.ok, outcome.status) == (False, "L4CON")
    assert bench.pinned() == {}

    async def cancelled() -> None:
        task = asyncio.create_task(probe_of("tcp")(Check(response=30.0), Target(ip_address("127.0.0.1"), 9), silent))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    silent = bench.way(4)
    asyncio.run(cancelled())
    assert bench.pinned() == {}


@contextmanager
def deaf_server():
    """The port of one whose queue is full, so that it answers nobody."""
    with ExitStack() as stack:
        server = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_a_silent_server_is_said_to_be_one_of_the_vip_with_what_to_look_at():
    with deaf_server() as port:
        target = Target(LOOPBACK[4], port, forced_to=ip_address("10.0.2.11"), advice="; look there")
        outcome = probed(probe_of("tcp")(Check(response=0.2), target, Bench().way(4)))
    assert outcome.status == "L4TOUT"
    assert outcome.detail.startswith(f"no answer from 127.0.0.1:{port} on server 10.0.2.11 within 2")
    assert outcome.detail.endswith(" ms; look there")


def test_a_server_that_does_not_answer_swlb_is_named():
    lost = ip_address("10.0.2.11")
    pin = Pin(Bench().pins, 7, idle_s=3.0, lost_hop=lambda: lost)
    with deaf_server() as port:
        way = Way(source=LOOPBACK[4], pin=pin)
        outcome = probed(probe_of("tcp")(Check(response=0.2), Target(LOOPBACK[4], port, forced_to=lost), way))
    assert outcome.status == "L2TOUT"
    assert outcome.detail.startswith("10.0.2.11 did not answer ARP")


GOOD, SLOW, BAD = (Outcome(True, "L4OK", "", 1.0), Outcome(True, "L4OK", "", 9.0), Outcome(False, "L4CON", "", 2.0))


@pytest.mark.parametrize(("one", "other", "wanted"), [(GOOD, SLOW, SLOW), (SLOW, BAD, BAD), (BAD, GOOD, BAD)])
def test_of_two_vips_the_worse_decides(one, other, wanted):
    assert worse(one, other) == wanted


def test_both_vips_are_asked_and_both_must_answer():
    bench = Bench()
    with closing(socket.create_server(("127.0.0.1", 0))) as server, closing(socket.socket(socket.AF_INET6)) as taken:
        taken.bind(("::1", 0))
        open_, shut = Target(LOOPBACK[4], server.getsockname()[1]), Target(LOOPBACK[6], taken.getsockname()[1])
        for first, second, family in ((open_, shut, 6), (shut, open_, 4)):
            way = bench.way(10 - family)
            also = Way(way.device, way.source, way.pin, also=(second, bench.way(family)))
            outcome = probed(probe_of("tcp")(Check(), first, also))
            assert (outcome.ok, outcome.status) == (False, "L4CON")
            assert str(shut) in outcome.detail
        assert server.accept()


@pytest.mark.parametrize(("kernel", "wanted"), [
    (PortRange(32768, 60999), range(61000 - PROBE_PORTS, 61000)),
    (PortRange(60000, 60999), range(60000, 61000)),
])  # fmt: skip
def test_they_are_the_last_of_the_ports_that_the_kernel_gives(kernel, wanted):
    assert probe_ports(kernel) == wanted

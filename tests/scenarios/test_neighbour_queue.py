"""Frames that wait until their next hop's MAC is known: none lost, none out of order, never too many."""

import ipaddress
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils6 import in6_getnsma, in6_getnsmac

from .network import Network, Station
from .shapes import FAMILIES, V4, Family, router

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)
WEB_MAC = "02:bb:00:00:00:11"


def request(net: Network, family: Family, target: str | None = None) -> Packet:
    """What swlb asks on the inside to learn a MAC."""
    target, mac = target or family.server, net.mac("inside")
    if family.version == 4:
        return (Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
                / ARP(op=1, hwsrc=mac, psrc=family.inside, hwdst="00:00:00:00:00:00", pdst=target))
    group = in6_getnsma(ipaddress.ip_address(target).packed)
    return (Ether(src=mac, dst=in6_getnsmac(group))
            / IPv6(src=family.inside, dst=str(ipaddress.IPv6Address(group)), hlim=255)
            / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac))


def client_of(net: Network, family: Family) -> Station:
    client = net.station("client", family.client)
    client.greet()
    return client


def numbered(family: Family, i: int, *, hops: int = 64, dst: str | None = None) -> Packet:
    return family.udp(family.client, dst or family.server, hops, payload=i.to_bytes(4, "big"))


@each_family
def test_the_first_packet_waits_while_swlb_asks_and_is_not_lost(family):
    net = router(inside=("web1", "web2"), host=True)
    client = client_of(net, family)
    client.send(numbered(family, 1))
    net.expect("web1", request(net, family))
    net.expect("web2", request(net, family))
    net.expect_silence()
    web = net.station("web1", family.server, mac=WEB_MAC)
    net.send("web1", web.question(family.server))
    _, waited = net.take("web1")
    assert bytes(waited) == bytes(Ether(src=net.mac("inside"), dst=WEB_MAC) / numbered(family, 1, hops=63))
    assert net.drops() == {}


@each_family
def test_frames_that_waited_leave_in_their_order(family):
    net = router()
    client = client_of(net, family)
    client.send(*(numbered(family, i) for i in range(40)))
    net.expect("web1", request(net, family))
    web = net.station("web1", family.server)
    net.send("web1", web.question(family.server))
    _, *waited = net.take("web1")
    assert [bytes(frame.payload) for frame in waited] == [bytes(numbered(family, i, hops=63)) for i in range(40)]
    assert {(frame.src, frame.dst) for frame in waited} == {(net.mac("inside"), web.mac)}
    assert net.drops() == {}


def test_a_super_frame_waits_whole_with_its_offload_header():
    net = router()
    client = client_of(net, V4)
    packet = IP(src=V4.client, dst=V4.server) / TCP(sport=1, dport=2, flags="A", chksum=0x4242) / (b"\x5a\xa5" * 30000)
    offload = struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16)
    client.send(packet, offload=offload)
    net.take("web1")
    net.send("web1", net.station("web1", V4.server, mac=WEB_MAC).question(V4.server))
    packet.ttl = 63
    assert net.take_raw("web1")[1] == (offload, bytes(Ether(src=net.mac("inside"), dst=WEB_MAC) / packet))


@each_family
def test_64_frames_wait_for_a_neighbour_and_the_oldest_beyond_are_dropped(family):
    net = router()
    client = client_of(net, family)
    client.send(*(numbered(family, i) for i in range(70)))
    assert net.drops() == {"neighbour_queue": 6}
    net.take("web1")
    net.send("web1", net.station("web1", family.server).question(family.server))
    _, *waited = net.take("web1")
    assert [bytes(frame.payload) for frame in waited] == [bytes(numbered(family, i, hops=63)) for i in range(6, 70)]


def test_1024_frames_wait_in_all_and_the_oldest_beyond_are_dropped():
    net = router()
    client = client_of(net, V4)
    targets = [f"10.0.2.{20 + i}" for i in range(17)]
    for target in targets:                               # 16 x 64 fill all places; the 17th pushes out the first's
        client.send(*(numbered(V4, i, dst=target) for i in range(64)))
    assert net.drops() == {"neighbour_queue": 64}
    net.take("web1")
    for target in targets:
        net.send("web1", net.station("web1", target).question(target))
    packets = [frame.payload for frame in net.take("web1") if frame.type == 0x0800]
    assert len(packets) == 1024
    assert {packet.dst for packet in packets} == set(targets[1:])


@each_family
def test_swlb_asks_three_times_a_second_apart_and_then_tells_the_sender(family):
    net = router()
    client = client_of(net, family)
    client.send(numbered(family, 1))
    asked = [0] * len(net.take("web1"))
    for tenth in range(1, 60):
        net.wait(0.1)
        asked += [tenth] * len(net.take("web1"))
        if net.drops():
            break
    assert asked == [0, 10, 20]
    assert tenth == 30
    error = client.take_one()
    kind = (3, 1) if family.version == 4 else (1, 3)
    message = error[ICMP] if family.version == 4 else error[ICMPv6DestUnreach]
    assert (message.type, message.code) == kind
    assert bytes(message.payload) == bytes(numbered(family, 1))


@each_family
def test_every_frame_that_waited_in_vain_is_dropped_and_answered_once(family):
    net = router()
    client = client_of(net, family)
    client.send(*(numbered(family, i) for i in range(5)))
    net.wait(4.0)
    assert net.drops() == {"neighbour_failed": 5}
    assert len(net.take("client")) == 5


@each_family
def test_for_three_seconds_after_that_frames_are_refused_without_asking(family):
    net = router()
    client = client_of(net, family)
    client.send(numbered(family, 1))
    net.wait(3.1)
    net.discard()
    for _ in range(28):
        client.send(numbered(family, 2))
        net.wait(0.1)
    net.expect("web1")
    assert net.drops() == {"neighbour_failed": 28}
    net.wait(0.2)
    client.send(numbered(family, 3))
    net.expect("web1", request(net, family))


@each_family
def test_one_that_speaks_up_during_the_pause_is_reached_at_once(family):
    net = router()
    client = client_of(net, family)
    client.send(numbered(family, 1))
    net.wait(3.5)
    web = net.station("web1", family.server)
    web.greet()
    client.send(numbered(family, 2))
    web.expect(numbered(family, 2, hops=63))


def test_a_frame_beyond_the_last_neighbour_that_can_be_remembered_is_dropped():
    net = router(neighbours=3)
    client = client_of(net, V4)
    # The client, which answers, is the third.
    client.send(*(numbered(V4, i, dst=f"10.0.2.{20 + i}") for i in range(2)))
    assert net.drops() == {}
    client.send(numbered(V4, 9, dst="10.0.2.99"))
    assert net.drops() == {"neighbour_full": 1}


def test_when_full_the_neighbour_silent_longest_is_given_up():
    net = router(neighbours=3)
    for i in range(3):
        net.station("web1", f"10.0.2.{20 + i}").greet()
        net.wait(1.0)
    net.station("web1", "10.0.2.20").greet()
    net.station("web1", "10.0.2.50").greet()
    assert set(net.neighbours()) == {"10.0.2.20", "10.0.2.22", "10.0.2.50"}


@each_family
def test_frames_that_wait_when_neighbours_are_flushed_are_not_lost(family):
    net = router()
    client = client_of(net, family)
    client.send(numbered(family, 1), numbered(family, 2))
    net.take("web1")
    assert net.worker.flush_neighbours(net.segments["inside"]) == 1
    net.wait(0.1)
    net.expect("web1", request(net, family))
    net.send("web1", net.station("web1", family.server).question(family.server))
    _, *waited = net.take("web1")
    assert [bytes(frame.payload) for frame in waited] == [bytes(numbered(family, i, hops=63)) for i in (1, 2)]


def test_a_flush_names_how_many_it_forgot_on_that_segment():
    net = router()
    net.station("client", V4.client).greet()
    net.station("web1", V4.server).greet()
    assert net.worker.flush_neighbours(net.segments["outside"]) == 1
    assert set(net.neighbours()) == {V4.server}

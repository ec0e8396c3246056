"""The kernel twin of a segment: what reaches it, and what it sends."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6MLReport2, IPv6
from scapy.layers.l2 import Ether

from .network import Network, Segment
from .shapes import FAMILIES, INSIDE, OUTSIDE, V4, V6, router

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)


def lan(**options) -> Network:
    return router(outside=("client", "other"), host=True, **options)


@each_family
def test_a_packet_to_the_segments_address_reaches_the_kernel_twin_untouched(family):
    net = lan()
    frame = net.station("client", family.client).frame(family.udp(family.client, family.outside, 1))
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect_silence()
    assert net.drops() == {}


@each_family
def test_an_echo_to_the_segments_address_is_the_kernels_to_answer(family):
    net = lan()
    frame = net.station("client", family.client).frame(family.echo(family.client, family.outside))
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect_silence()


@each_family
def test_a_packet_to_the_address_of_another_segment_reaches_the_twin_of_the_segment_it_came_in_on(family):
    net = lan()
    frame = net.station("client", family.client).frame(family.udp(family.client, family.inside, 1))
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect_silence()


@each_family
def test_what_the_twin_sends_to_a_station_is_bridged_untouched(family):
    net = lan()
    client = net.station("client", family.client)
    client.greet()
    frame = Ether(src=net.mac("outside"), dst=client.mac) / family.udp(family.outside, family.client)
    net.send("outside-host", frame)
    net.expect("client", frame)
    net.expect_silence()
    assert net.drops() == {}


@each_family
def test_what_the_twin_sends_to_all_reaches_every_port(family):
    net = lan()
    frame = Ether(src=net.mac("outside"), dst="ff:ff:ff:ff:ff:ff") / family.udp(family.outside, "255.255.255.255"
                                                                             if family.version == 4 else "ff02::1")
    net.send("outside-host", frame)
    net.expect("client", frame)
    net.expect("other", frame)
    net.expect_silence()


def test_other_protocols_to_the_segments_mac_reach_the_twin():
    net = lan()
    frame = Ether(src="02:aa:00:00:00:01", dst=net.mac("outside"), type=0x88CC) / bytes(46)
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect_silence()


def test_multicast_of_stations_reaches_the_twin():
    net = lan()
    frame = Ether(src="02:aa:00:00:00:01", dst="33:33:00:00:00:16") / IPv6(src="fe80::1", dst="ff02::16", hlim=1) / (
        ICMPv6MLReport2())
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect("other", frame)


@each_family
def test_the_twin_reaches_a_server_through_the_vip_and_gets_the_answer(family):
    net = lan()
    web = net.station("web1", family.server)
    web.greet()
    syn = TCP(sport=1024, dport=80, flags="S")
    net.send("outside-host", Ether(src=net.mac("outside"), dst=net.mac("outside"))
             / family.ip(family.outside, family.vip) / syn)
    web.expect(family.ip(family.outside, family.server, 63) / TCP(sport=1024, dport=8080, flags="S"))
    web.send(family.ip(family.server, family.outside) / TCP(sport=8080, dport=1024, flags="SA"))
    [(_, raw)] = net.take_raw("inside-host")
    layer = IP if family.version == 4 else IPv6
    wanted = family.ip(family.vip, family.outside) / TCP(sport=80, dport=1024, flags="SA")
    assert bytes(Ether(raw)[layer]) == bytes(wanted)


@each_family
def test_the_twin_may_ping_a_vip(family):
    net = lan()
    mac = net.mac("outside")
    net.send("outside-host", Ether(src=mac, dst=mac) / family.echo(family.outside, family.vip))
    answer = net.take_one("outside-host")
    assert (answer.payload.src, answer.payload.dst, answer.src, answer.dst) == (family.vip, family.outside, mac, mac)


def test_a_twin_that_is_down_costs_only_what_is_meant_for_it():
    net = lan()
    net.set_port("outside-host", up=False)
    client = net.station("client", V4.client)
    client.send(V4.udp(V4.client, V4.outside))
    assert net.drops() == {"port_down": 1}
    client.send(V4.echo(V4.client, V4.vip))
    assert client.take_one()[ICMP].type == 0


@each_family
def test_without_a_twin_what_is_meant_for_it_is_dropped_and_counted(family):
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE)})
    client = net.station("client", family.client)
    client.send(family.udp(family.client, family.outside))
    assert net.drops() == {"no_route": 1}
    net.send("client", Ether(src=client.mac, dst=net.mac("outside"), type=0x88CC) / bytes(46))
    assert net.drops() == {"nowhere": 1}


@each_family
def test_a_packet_to_the_twins_address_but_another_mac_is_bridged(family):
    net = lan()
    client = net.station("client", family.client)
    client.send(family.udp(family.client, family.outside), to="02:99:00:00:00:01")
    net.expect("other", client.frame(family.udp(family.client, family.outside), to="02:99:00:00:00:01"))
    net.expect_silence()


def test_a_broadcast_of_a_client_reaches_the_twin_once():
    net = lan()
    frame = Ether(src="02:aa:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / V4.udp(V4.client, "10.0.1.255")
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect("other", frame)
    net.expect_silence()


def test_a_packet_from_the_twin_to_its_own_mac_goes_nowhere():
    net = lan()
    mac = net.mac("outside")
    net.send("outside-host", Ether(src=mac, dst=mac) / V6.udp(V6.outside, V6.far))
    net.expect_silence()
    assert net.drops() == {"same_port": 1}

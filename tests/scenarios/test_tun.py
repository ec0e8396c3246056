"""A segment without Ethernet: one made-up station is everybody there, and nobody is asked for his MAC."""

import dataclasses
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6TimeExceeded
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from .network import Network, Segment
from .shapes import FAMILIES, INSIDE, OUTSIDE, V4, V6, router, service

STATION = "02:74:75:6e:00:01"
BOTH = pytest.mark.parametrize("family", FAMILIES, ids=str)


def pointed(**options) -> Network:
    """Clients on Ethernet, servers behind a TUN."""
    return Network({"outside": Segment(("client",), OUTSIDE, host=True),
                    "inside": Segment(("web1",), INSIDE, host=True, tun=True, **options)}, services=[service()])


def known(net: Network, family):
    client = net.station("client", family.client)
    client.greet()
    return client, net.station("web1", family.server, mac=STATION)


@BOTH
def test_a_packet_is_routed_to_the_station_without_a_question(family):
    net = pointed()
    client, web = known(net, family)
    client.send(family.udp(family.client, family.server))
    web.expect(family.udp(family.client, family.server, 63))
    assert net.neighbours().keys().isdisjoint({family.server})


def test_nobody_is_asked_where_a_server_is():
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE, host=True, tun=True)},
                  services=[dataclasses.replace(service(), source_nat="auto")], quiet=False)
    net.wait(5)
    net.expect("web1")
    assert net.neighbours() == {}


@BOTH
def test_a_packet_from_the_station_is_routed(family):
    net = pointed()
    client, web = known(net, family)
    web.send(family.udp(family.server, family.client))
    client.expect(family.udp(family.server, family.client, 63))


@BOTH
def test_a_server_behind_a_tun_is_balanced_to_and_its_reply_restored(family):
    net = pointed()
    client, web = known(net, family)
    client.send(family.ip(family.client, family.vip) / TCP(sport=4000, dport=80, flags="S"))
    web.expect(family.ip(family.client, family.server, 63) / TCP(sport=4000, dport=8080, flags="S"))
    web.send(family.ip(family.server, family.client) / TCP(sport=8080, dport=4000, flags="SA"))
    client.expect(family.ip(family.vip, family.client, 63) / TCP(sport=80, dport=4000, flags="SA"))


@BOTH
def test_the_kernel_twin_reaches_the_station_and_is_reached(family):
    net = pointed()
    _, web = known(net, family)
    mac = net.mac("inside")
    # A device without ARP sends to its own MAC.
    net.send("inside-host", Ether(src=mac, dst=mac) / family.echo(family.inside, family.server))
    web.expect(family.echo(family.inside, family.server))
    web.send(family.echo(family.server, family.inside))
    net.expect("inside-host", Ether(src=STATION, dst=mac) / family.echo(family.server, family.inside))


def test_the_twin_is_told_when_its_packet_is_too_long():
    net = pointed(mtu={"web1": 1280})
    mac = net.mac("inside")
    net.send("inside-host", Ether(src=mac, dst=mac) / V6.udp(V6.inside, V6.server, payload=bytes(1400)))
    assert net.take_one("inside-host")[ICMPv6PacketTooBig].mtu == 1280
    net.expect("web1")


@BOTH
def test_an_icmp_error_reaches_the_station(family):
    net = pointed()
    _, web = known(net, family)
    web.send(family.udp(family.server, family.client, 1))
    error = web.take_one()
    assert (ICMP if family.version == 4 else ICMPv6TimeExceeded) in error
    assert error.src == family.inside


@BOTH
def test_the_vip_is_not_announced_where_nobody_listens(family):
    net = Network({"outside": Segment(("client",), OUTSIDE, tun=True), "inside": Segment(("web1",), INSIDE)},
                  services=[service()], quiet=False)
    net.wait(5)
    net.expect("client")


@BOTH
def test_a_client_behind_a_tun_reaches_the_vip(family):
    net = Network({"outside": Segment(("client",), OUTSIDE, tun=True), "inside": Segment(("web1",), INSIDE)},
                  services=[service()])
    client, web = net.station("client", family.client, mac=STATION), net.station("web1", family.server)
    web.greet()
    client.send(family.ip(family.client, family.vip) / TCP(sport=4000, dport=80, flags="S"))
    web.expect(family.ip(family.client, family.server, 63) / TCP(sport=4000, dport=8080, flags="S"))
    web.send(family.ip(family.server, family.client) / TCP(sport=8080, dport=4000, flags="SA"))
    client.expect(family.ip(family.vip, family.client, 63) / TCP(sport=80, dport=4000, flags="SA"))


def test_what_is_sent_to_a_group_reaches_the_twin():
    net = pointed()
    group = IP(src=V4.server, dst="224.0.0.5", ttl=1, proto=89) / Raw(b"hello")
    net.send("web1", Ether(src=STATION, dst="01:00:5e:00:00:05") / group)
    net.expect("inside-host", Ether(src=STATION, dst="01:00:5e:00:00:05") / group)


def test_on_ethernet_a_twin_that_sends_to_itself_is_not_heard():
    net = router(host=True)
    mac = net.mac("inside")
    net.send("inside-host", Ether(src=mac, dst=mac) / V4.echo(V4.inside, V4.server))
    net.expect_silence()
    assert net.drops() == {"same_port": 1}


def test_a_super_frame_passes_whole():
    net = pointed()
    client, _ = known(net, V4)
    offload = struct.pack("<BBHHHH", 1, 5, 42, 1000, 34, 6)
    packet = IP(src=V4.client, dst=V4.server, flags="DF") / UDP(sport=1, dport=2) / Raw(bytes(5000))
    client.send(packet, offload=offload)
    ((got, frame),) = net.take_with_offload("web1")
    assert (got, frame.dst) == (offload, STATION)

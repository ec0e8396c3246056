"""A UDP checksum of 0: over IPv4 there is none, and it stays so; over IPv6 the datagram is dropped (RFC 8200 8.1)."""

import struct

import pytest

from tests.oracle.checksum import flaws

from .balanced import ip, routed
from .frames import UDP
from .test_dsr import dsr
from .test_source_nat import Scene as SourceNat
from .tunnelled import tunnelled

WAYS = {
    "dsr": lambda family: dsr(routed, family, protocol="udp"),
    "source-nat": lambda family: SourceNat(family, protocol="udp", source_nat="always"),
    "ipip": lambda family: tunnelled("ipip", family, 4, protocol="udp"),
    "gue-in-ipv6": lambda family: tunnelled("gue", family, 6, protocol="udp"),
}
EACH_WAY = pytest.mark.parametrize("make", WAYS.values(), ids=WAYS)


@EACH_WAY
def test_over_ipv4_it_stays_zero_on_its_way_to_the_server(make) -> None:
    scene = make(4)
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / UDP(sport=40000, dport=80, chksum=0) / b"question")
    outermost = bytes(scene.net.take_one(scene.servers[0].port).payload)
    # What the client sent ends the packet in every way; the ports may be others.
    assert outermost[-16:][4:] == struct.pack("!HH", 16, 0) + b"question"
    assert flaws(outermost) == []


@EACH_WAY
def test_over_ipv6_the_datagram_is_dropped_and_counted(make) -> None:
    scene = make(6)
    scene.net.drops()
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / UDP(sport=40000, dport=80, chksum=0) / b"question")
    assert scene.net.take(scene.servers[0].port) == []
    assert scene.net.drops() == {"zero_udp_checksum": 1}

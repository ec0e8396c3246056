"""The MSS that SYNs offer through NAT, both ways, as the service's `mss` says."""

import pytest
from scapy.packet import Packet

from tests.oracle.checksum import flaws

from .balanced import Scene, routed, transparent
from .frames import IP, TCP, IPv6

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])


def offering(packet: Packet, mss: int) -> Packet:
    packet[TCP].options = [("MSS", mss), ("SAckOK", b"")]
    return (IP if isinstance(packet, IP) else IPv6)(bytes(packet))


def offered(scene: Scene, packet: Packet, *, reply: bool = False) -> int:
    """What is offered on the other side when the packet offers 1460."""
    if reply:
        scene.servers[0].send(offering(packet, 1460), to=None if scene.hops_lost else scene.client.mac)
    else:
        scene.client.send(offering(packet, 1460))
    seen = scene.net.take_one("client" if reply else "server0").payload
    assert flaws(bytes(seen)) == []
    return dict(seen[TCP].options)["MSS"]


@SHAPES
@BOTH
def test_a_number_bounds_both_sides(shape, family):
    scene = shape(family, mss=1300)
    assert offered(scene, scene.request("S")) == 1300
    assert offered(scene, scene.reply(0, "SA"), reply=True) == 1300


@SHAPES
@BOTH
def test_auto_bounds_both_sides_by_the_servers_link(shape, family):
    scene = shape(family, mss="auto")
    scene.net.set_port("server1", mtu=1400)
    fits = 1400 - (40 if family == 4 else 60)
    assert offered(scene, scene.request("S")) == fits
    assert offered(scene, scene.reply(0, "SA"), reply=True) == fits


@SHAPES
@BOTH
def test_off_bounds_nothing(shape, family):
    scene = shape(family)
    scene.net.set_port("server1", mtu=1400)
    assert offered(scene, scene.request("S")) == 1460
    assert offered(scene, scene.reply(0, "SA"), reply=True) == 1460


def test_of_other_segments_nothing_changes():
    scene = routed(4, mss=1000)
    scene.open()
    assert offered(scene, scene.request("PA")) == 1460


def test_of_datagrams_nothing_changes():
    scene = routed(4, protocol="udp", mss=88)
    payload = b"\x02\x04\x05\xb4" * 20
    scene.client.send(scene.request(payload=payload))
    assert bytes(scene.net.take_one("server0").payload.payload.payload) == payload


def test_auto_does_not_lower_it_below_what_linux_takes():
    scene = routed(4, mss="auto")
    scene.net.set_port("server1", mtu=68)
    assert offered(scene, scene.request("S")) == 88

"""Ports: up and down, full, and what they count."""

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from .network import Network
from .shapes import FAMILIES, V4, V6, router, switch

A, B = "02:aa:00:00:00:01", "02:aa:00:00:00:02"
EVERYONE = "ff:ff:ff:ff:ff:ff"
each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)


def frame(src: str, dst: str, size: int = 50) -> Packet:
    return Ether(src=src, dst=dst, type=0x88B5) / bytes(size)


def figures(net: Network, port: str) -> dict[str, int]:
    return net.worker.port(net.ports[port])


def test_a_port_counts_frames_and_bytes_both_ways():
    net = switch("p1", "p2")
    net.send("p1", frame(A, B), frame(A, B, 100))
    assert {name: figures(net, "p1")[name] for name in ("rx_frames", "rx_bytes", "rx_dropped", "tx_frames")} == {
        "rx_frames": 2, "rx_bytes": 64 + 114, "rx_dropped": 0, "tx_frames": 0}
    assert {name: figures(net, "p2")[name] for name in ("rx_frames", "tx_frames", "tx_bytes", "tx_dropped")} == {
        "rx_frames": 0, "tx_frames": 2, "tx_bytes": 64 + 114, "tx_dropped": 0}


def test_a_frame_that_is_dropped_counts_where_it_came_in():
    net = switch("p1", "p2")
    net.send("p1", frame(EVERYONE, B))
    assert figures(net, "p1")["rx_dropped"] == 1


def test_a_frame_too_long_for_a_port_counts_there_as_not_sent():
    net = switch("p1", "p2")
    net.send("p1", frame(A, B, 2000))
    assert figures(net, "p2")["tx_dropped"] == 1


def test_a_port_shows_its_mtu_and_whether_it_is_up():
    net = switch("p1", "p2")
    net.set_port("p1", up=False, mtu=9000)
    shown = figures(net, "p1")
    assert (shown["up"], shown["lost"], shown["mtu"]) == (False, False, 9000)


def test_a_full_port_drops_and_counts():
    net = switch("p1", "p2")
    long_frame = frame(A, B, 1486)
    for _ in range(60):
        net.send("p1", *[long_frame] * 100)
    out = len(net.take_raw("p2"))
    assert 0 < out < 6000
    assert net.drops() == {"tx_failed": 6000 - out}
    assert figures(net, "p2")["tx_dropped"] == 6000 - out


def test_a_port_that_was_full_takes_frames_again():
    net = switch("p1", "p2")
    for _ in range(60):
        net.send("p1", *[frame(A, B, 1486)] * 100)
    net.discard()
    net.send("p1", frame(A, B))
    net.expect("p2", frame(A, B))


@each_family
def test_a_routed_packet_follows_its_next_hop_to_another_port(family):
    net = router(inside=("web1", "web2"))
    client, web = net.station("client", family.client), net.station("web1", family.server)
    client.greet()
    web.greet()
    net.set_port("web1", up=False)
    net.send("web2", Ether(src=web.mac, dst=EVERYONE, type=0x88B5) / bytes(46))
    net.discard()
    client.send(family.udp(family.client, family.server))
    net.expect("web2", Ether(src=net.mac("inside"), dst=web.mac) / family.udp(family.client, family.server, 63))


def test_when_every_port_of_the_next_segment_is_down_the_packet_goes_nowhere():
    net = router()
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    client.greet()
    web.greet()
    net.set_port("web1", up=False)
    client.send(V4.udp(V4.client, V4.server), V6.udp(V6.client, V6.server))
    net.expect_silence()
    assert net.drops() == {"nowhere": 2}


def test_a_neighbour_is_known_again_at_once_when_its_port_comes_back():
    net = router()
    client, web = net.station("client", V4.client), net.station("web1", V4.server)
    client.greet()
    web.greet()
    net.set_port("web1", up=False)
    net.set_port("web1", up=True)
    client.send(V4.udp(V4.client, V4.server))
    web.expect(V4.udp(V4.client, V4.server, 63))

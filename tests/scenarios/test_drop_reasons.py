"""Every reason to drop a frame: the scenario that provokes it, and that it counts exactly once.

The reasons that are about services have theirs in the NAT scenarios; SERVICE_REASONS names them, so that the two
lists together are the whole of ext/verdict.h.
"""

import struct
from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_LSRR
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from swlb._worker import drop_reasons

from .network import Network
from .shapes import V4, V6, router, switch

A, B, EVERYONE = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "ff:ff:ff:ff:ff:ff"

SERVICE_REASONS = {"fragment", "no_server", "orphan", "server_down", "session_full", "session_crowded",
                   "icmp_no_session", "bad_icmp", "source_ports", "source_limit", "access_private",
                   "unmasqueradable", "fragment_place", "fragment_overlap", "fragment_again", "fragment_queue"}
# Of forged errors: tests/rfc/test_rfc5927.py.
FORGED_REASONS = {"forged_icmp"}


def switched(frame: object, **fields: object) -> Network:
    """The frame has come in by the first port of a plain switch that knows no station."""
    net = switch("p1", "p2", **fields)
    net.send("p1", frame)
    return net


def routed(packet: object, *, offload: bytes = bytes(10), seconds: float = 0, **options: object) -> Network:
    """The packet was sent by a known client to the MAC of the outside segment, and so much time has passed."""
    net = router(host=True, **options)
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    client.greet()
    web.greet()
    net.discard()
    client.send(packet, offload=offload)
    net.wait(seconds)
    return net


def same_port() -> Network:
    net = switched(Ether(src=B, dst=EVERYONE, type=0x88B5))
    net.send("p1", Ether(src=A, dst=B, type=0x88B5))
    return net


def port_down() -> Network:
    net = routed(V4.udp(V4.client, V4.server))
    net.set_port("outside-host", up=False)
    net.station("client", V4.client).send(V4.udp(V4.client, V4.outside))
    return net


def tx_failed() -> Network:
    net = switch("p1", "p2", mtu={"p1": 65535, "p2": 65535})
    while not net.worker.port(net.ports["p2"])["tx_dropped"]:
        net.send("p1", Ether(src=A, dst=B, type=0x88B5) / bytes(60000))
    return net


def neighbour_queue() -> Network:
    net = routed(V4.udp(V4.client, "10.0.2.99"))
    client = net.station("client", V4.client)
    client.send(*[V4.udp(V4.client, "10.0.2.99")] * 64)
    return net


def neighbour_full() -> Network:
    net = routed(V4.udp(V4.client, "10.0.2.98"), neighbours=2)
    client = net.station("client", V4.client)
    client.send(V4.udp(V4.client, "10.0.2.99"))
    return net


PROVOKED: dict[str, Callable[[], Network]] = {
    "runt": lambda: switched(bytes(13)),
    "bad_offload": lambda: routed(IP(src=V4.client, dst=V4.server) / TCP(),
                                  offload=struct.pack("<BBHHHH", 1, 0, 0, 0, 9, 16)),
    "bad_source_mac": lambda: switched(Ether(src=EVERYONE, dst=B, type=0x88B5)),
    "own_source_mac": lambda: routed_frame(Ether(src="02:00:00:00:00:01", dst=EVERYONE, type=0x88B5)),
    "reserved_mac": lambda: switched(Ether(src=A, dst="01:80:c2:00:00:00", type=0x88B5)),
    "same_port": same_port,
    "nowhere": lambda: routed_frame(Ether(src=A, dst=B, type=0x88B5)),
    "oversize": lambda: switched(Ether(src=A, dst=B, type=0x88B5) / bytes(1505)),
    "port_down": port_down,
    "tx_failed": tx_failed,
    "tagged_for_us": lambda: routed_frame(Ether(src=A, dst="02:00:00:00:00:01") / Dot1Q(vlan=7) / IP() / UDP()),
    "bad_arp": lambda: routed_frame(Ether(src=A, dst=EVERYONE) / ARP(hwsrc=EVERYONE, psrc=V4.client, pdst=V4.vip)),
    "bad_nd": lambda: routed_frame(Ether(src=A, dst="33:33:ff:00:01:00")
                                   / IPv6(src=V6.client, dst="ff02::1:ff00:100", hlim=1)
                                   / ICMPv6ND_NS(tgt=V6.vip)),
    "bad_ipv4": lambda: routed(IP(src=V4.client, dst=V4.server, version=6)),
    "bad_ipv4_checksum": lambda: routed(IP(src=V4.client, dst=V4.server, chksum=1)),
    "source_route": lambda: routed(IP(src=V4.client, dst=V4.server, options=[IPOption_LSRR()])),
    "bad_ipv6": lambda: routed(IPv6(src=V6.client, dst=V6.server, plen=9)),
    "bad_ipv6_extension": lambda: routed(IPv6(src=V6.client, dst=V6.server, nh=0)),
    "bad_l4": lambda: routed(IP(src=V4.client, dst=V4.server, proto=6)),
    "zero_udp_checksum": lambda: routed(IPv6(src=V6.client, dst=V6.server) / UDP(chksum=0)),
    "bad_address": lambda: routed(V4.udp("127.0.0.1", V4.server)),
    "ttl_expired": lambda: routed(V4.udp(V4.client, V4.server, 1)),
    "no_route": lambda: routed(V4.udp(V4.client, V4.far)),
    "too_big": lambda: routed(V6.udp(V6.client, V6.server, payload=bytes(1400)), mtu={"web1": 1280}),
    "neighbour_queue": neighbour_queue,
    "neighbour_failed": lambda: routed(V4.udp(V4.client, "10.0.2.99"), seconds=4.0),
    "neighbour_full": neighbour_full,
    "vip_protocol": lambda: routed(IP(src=V4.client, dst=V4.vip, proto=47) / bytes(40)),
    "no_service": lambda: routed(V4.udp(V4.client, V4.vip)),
    "echo_silent": lambda: routed(V4.echo(V4.client, V4.vip), ready=0),
}


def routed_frame(frame: object) -> Network:
    """The frame has come in on the outside segment, which has a twin but no other port."""
    net = router(host=True)
    net.send("client", frame)
    return net


@pytest.mark.parametrize("reason", PROVOKED)
def test_a_frame_dropped_counts_once_and_for_this_reason_only(reason):
    assert PROVOKED[reason]().drops() == {reason: 1}


# Of several workers: tests/scenarios/test_crew.py.
CREW_REASONS = {"handover_full"}
# Of direct server return: test_vip_guard.py, test_tunnel_errors.py.
DIRECT_REASONS = {"vip_guarded", "tunnel_error"}
# Of ports that tell VLANs apart: test_vlan.py.
VLAN_REASONS = {"not_member"}
# Of devices: tests/netns/test_packet_device.py.
DEVICE_REASONS = {"unread"}


def test_no_reason_is_without_a_scenario():
    names = {name for name, _ in drop_reasons()}
    elsewhere = SERVICE_REASONS | FORGED_REASONS | CREW_REASONS | DIRECT_REASONS | VLAN_REASONS | DEVICE_REASONS
    assert set(PROVOKED) | elsewhere == names
    assert not set(PROVOKED) & SERVICE_REASONS


def test_every_reason_has_a_meaning_of_its_own():
    meanings = [meaning for _, meaning in drop_reasons()]
    assert len(set(meanings)) == len(meanings)
    assert all(meanings)

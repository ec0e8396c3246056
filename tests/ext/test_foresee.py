"""What is known of a frame before anything is decided: its VIP, and the hash by which its session is found."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from swlb._testing_sessions import Sessions, foresee
from swlb._worker import Worker
from tests.ext.values import TIMEOUTS_MS, ip, mac

BOTH = pytest.mark.parametrize("family", [4, 6])
L4 = pytest.mark.parametrize(("l4", "protocol"), [(TCP, 6), (UDP, 17)], ids=["tcp", "udp"])
CLIENT = {4: "192.0.2.7", 6: "2001:db8::7"}
SERVER = {4: "10.0.1.1", 6: "fd00:1::1"}
VIPS = {4: ("10.0.0.100", "10.0.0.101"), 6: ("fd00::100", "fd00::101")}
STALE = 0xDEAD
ROUTED, PLAIN = 0, 1     # segments
NO_VIP = 0xFFFF


@pytest.fixture(scope="module")
def worker():
    """A service for each VIP of each family on a segment with addresses; a second segment is a plain switch."""
    made = Worker(sessions=100, n_segments=2, n_services=2, n_servers=4, n_addresses=2)
    segment = made.add_segment(mac=mac("02:00:00:00:00:01"))
    made.add_segment(mac=mac("02:00:00:00:00:02"))
    made.add_address(segment, ip("10.0.0.1"), 120)
    made.add_address(segment, ip("fd00::1"), 64)
    for pair in zip(VIPS[4], VIPS[6], strict=True):
        service = made.add_service(vips=[(ip(vip), segment) for vip in pair], protocol=6, l4_first=80, l4_last=80,
                                   refuse=0, orphans=0, on_down=0, timeouts_ns=[ms * 10**6 for ms in TIMEOUTS_MS])
        for server in SERVER.values():
            made.add_server(service, ip=ip(server), l4_port=8080, weight=1, ready=1)
    made.seal(now_ns=0)
    return made


def seen(worker, packet: Packet, *, segment: int = ROUTED) -> dict:
    return foresee(worker, segment, bytes(Ether(src="02:aa:00:00:00:01", dst="02:00:00:00:00:01") / packet), STALE)


def head(src: str, dst: str) -> Packet:
    return IPv6(src=src, dst=dst) if ":" in src else IP(src=src, dst=dst)


@BOTH
@L4
def test_the_hash_of_a_request_is_that_of_its_source(worker, family, l4, protocol):
    packet = head(CLIENT[family], VIPS[family][0]) / l4(sport=1234, dport=80)
    assert seen(worker, packet)["hash"] == Sessions(worker, family).session_hash(ip(CLIENT[family]), 1234, protocol)


@BOTH
@L4
def test_the_hash_of_a_reply_is_that_of_its_destination(worker, family, l4, protocol):
    packet = head(SERVER[family], CLIENT[family]) / l4(sport=8080, dport=1234)
    assert seen(worker, packet)["hash"] == Sessions(worker, family).session_hash(ip(CLIENT[family]), 1234, protocol)


@BOTH
def test_the_hash_differs_with_address_port_and_protocol(worker, family):
    table, client = Sessions(worker, family), ip(CLIENT[family])
    other = client[:-1] + bytes([client[-1] ^ 1])
    ends = [(client, 1234, 6), (client, 1235, 6), (client, 1234, 17), (other, 1234, 6), (client, 1234 + 256, 6)]
    assert len({table.session_hash(*end) for end in ends}) == len(ends)


@BOTH
def test_clients_of_one_network_are_spread_over_all_buckets(worker, family):
    table, client = Sessions(worker, family), ip(CLIENT[family])
    buckets = [0] * 16
    for port in range(1024, 1024 + 1600):
        buckets[table.session_hash(client, port, 6) % 16] += 1
    assert max(buckets) < 160          # 100 each on average; six standard deviations
    assert min(buckets) > 40


@BOTH
def test_the_vip_is_the_one_of_the_destination(worker, family):
    places = {seen(worker, head(CLIENT[family], vip) / TCP())["vip"] for vip in VIPS[family]}
    assert len(places) == 2
    assert NO_VIP not in places


@BOTH
def test_a_packet_to_another_address_has_no_vip(worker, family):
    assert seen(worker, head(CLIENT[family], SERVER[family]) / TCP())["vip"] == NO_VIP


@BOTH
def test_a_packet_without_ports_has_a_vip_and_no_hash(worker, family):
    echo = ICMP() if family == 4 else ICMPv6EchoRequest()
    found = seen(worker, head(CLIENT[family], VIPS[family][1]) / echo)
    assert found["vip"] not in (NO_VIP, STALE)
    assert found["hash"] == STALE


def test_a_later_fragment_has_a_vip_and_no_hash(worker):
    first, second = fragment(head(CLIENT[4], VIPS[4][0]) / UDP(sport=1, dport=80) / bytes(900), 500)
    assert seen(worker, first)["hash"] != STALE
    assert seen(worker, second)["hash"] == STALE
    assert seen(worker, second)["vip"] == seen(worker, first)["vip"]


@pytest.mark.parametrize("packet", [Dot1Q(vlan=10) / IP(dst=VIPS[4][0]) / TCP(), ARP(),
                                    Dot1Q(vlan=0) / Dot1Q(vlan=0) / IP(dst=VIPS[4][0]) / TCP()],
                         ids=["tagged", "arp", "tagged twice"])
def test_of_what_is_bridged_at_any_rate_nothing_is_asked(worker, packet):
    assert seen(worker, packet) == {"vip": STALE, "hash": STALE, "found": 0, "runt": False}


@BOTH
def test_on_a_segment_without_addresses_nothing_is_asked(worker, family):
    packet = head(CLIENT[family], VIPS[family][0]) / TCP()
    assert seen(worker, packet, segment=PLAIN) == {"vip": STALE, "hash": STALE, "found": 0, "runt": False}


@pytest.mark.parametrize("n", [0, 13])
def test_a_frame_without_an_ethernet_header_is_a_runt(worker, n):
    assert foresee(worker, ROUTED, bytes(n))["runt"]

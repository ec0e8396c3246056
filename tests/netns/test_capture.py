"""The judge of checksums, on trial itself: frames built by scapy, right and wrong. Needs no root."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.utils import checksum

from netns.capture import Captured, wrong_checksums

V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")
PACKETS = [
    V4 / TCP(sport=1, dport=2) / b"odd",
    V4 / UDP(sport=1, dport=2) / b"even",
    V4 / ICMP() / b"ping",
    V6 / TCP(sport=1, dport=2) / b"odd",
    V6 / UDP(sport=1, dport=2) / b"even",
    V6 / ICMPv6EchoRequest(data=b"ping"),
]
NAMES = [packet.summary() for packet in PACKETS]


def captured(packet, *, pending: bool = False) -> Captured:
    return Captured(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet), False, pending, None)


@pytest.mark.parametrize("packet", PACKETS, ids=NAMES)
def test_a_right_checksum_is_right(packet):
    assert wrong_checksums([captured(packet)]) == []


@pytest.mark.parametrize("packet", PACKETS, ids=NAMES)
def test_a_flipped_bit_is_found(packet):
    frame = captured(packet)
    flipped = frame.data[:-1] + bytes([frame.data[-1] ^ 4])
    assert len(wrong_checksums([Captured(flipped, False, False, None)])) == 1


def test_a_wrong_ipv4_header_checksum_is_found():
    (wrong,) = wrong_checksums([captured(IP(src="10.0.0.1", dst="10.0.0.2", chksum=7) / TCP())])
    assert wrong.startswith("IPv4 header")


@pytest.mark.parametrize(("right", "n_wrong"), [(True, 0), (False, 1)])
def test_a_pending_checksum_must_be_the_pseudo_header_s_sum(right, n_wrong):
    # 10.0.0.1 to 10.0.0.2, protocol 6, 23 bytes: the sum by hand, RFC 9293 3.1.
    pseudo = bytes.fromhex("0a000001" "0a000002" "0006" "0017")
    partial = ~checksum(pseudo) & 0xFFFF
    frame = captured(V4 / TCP(chksum=partial if right else partial ^ 1) / b"odd", pending=True)
    assert len(wrong_checksums([frame])) == n_wrong

"""What a local socket sends arrives with a checksum that is only begun.

With TUN_F_CSUM set the kernel leaves the sum over the segment to whoever puts the frame on a real wire: the
virtio-net header says NEEDS_CSUM, csum_start (the TCP header, counted from the Ethernet header) and csum_offset,
and the checksum field holds the sum of the pseudo-header, folded to 16 bits and not inverted. A rewrite of an
address therefore adds to that field without inverting, and a rewrite of a port does not touch it at all.
"""

import socket
import struct

import pytest

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

VNET_HDR = struct.Struct("<BBHHHH")
NEEDS_CSUM = 1
TCP_OFF = 14 + 20
TCP_CHECKSUM_OFF = 16


def pseudo_header_sum(source: str, destination: str, protocol: int, length: int) -> int:
    header = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", protocol, length)
    total = sum(struct.unpack("!6H", header))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


def test_a_syn_of_a_local_socket_carries_the_folded_uninverted_pseudo_header_sum(tap):
    with namespace(tap.netns), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        client.connect_ex(("10.99.0.2", 80))
        received = tap.read()
    flags, _, _, _, csum_start, csum_offset = VNET_HDR.unpack_from(received)
    frame = received[VNET_HDR.size :]
    assert (flags, csum_start, csum_offset) == (NEEDS_CSUM, TCP_OFF, TCP_CHECKSUM_OFF)
    (checksum,) = struct.unpack_from("!H", frame, TCP_OFF + TCP_CHECKSUM_OFF)
    assert checksum == pseudo_header_sum("10.99.0.1", "10.99.0.2", socket.IPPROTO_TCP, len(frame) - TCP_OFF)

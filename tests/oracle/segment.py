"""UDP segmentation, said once more and slowly: the datagrams that a super-frame stands for, each built by scapy.

What the kernel refuses, or would send with a wrong checksum, is an AssertionError here.
Spec: virtio 1.2 section 5.1.6 (GSO_UDP_L4); linux/net/ipv4/udp_offload.c: __udp_gso_segment.
"""

import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from tests.oracle.checksum import flaws

VNET = struct.Struct("<BBHHHH")
NEEDS_CSUM, UDP_L4 = 1, 5
ETHER_LEN, UDP_LEN, UDP_CHECKSUM_OFF = 14, 8, 6
MOST_SEGMENTS, MOST_LEN = 64, 65535


def is_super(offload: bytes) -> bool:
    """Whether the frame behind that offload header stands for several datagrams."""
    return offload[1] == UDP_L4


def cut(offload: bytes, frame: bytes) -> list[bytes]:
    """The frames that the kernel makes of a super-frame; any other frame as it is."""
    if not is_super(offload):
        return [frame]
    flags, _, hdr_len, size, start, offset = VNET.unpack(offload)
    packet = frame[ETHER_LEN:]
    assert (flags, offset, hdr_len) == (NEEDS_CSUM, UDP_CHECKSUM_OFF, start + UDP_LEN)
    assert start == ETHER_LEN + (20 if packet[0] >> 4 == 4 else 40), "a super-frame has no options and no tag"
    assert flaws(packet, partial=True) == []
    assert len(packet) <= MOST_LEN
    udp_len, = struct.unpack_from("!H", frame, start + 4)
    total_len, = struct.unpack_from("!H", packet, 2 if packet[0] >> 4 == 4 else 4)
    assert udp_len == len(frame) - start, "the UDP header tells another length"
    assert total_len == (len(packet) if packet[0] >> 4 == 4 else udp_len), "the IP header tells another length"
    payload = frame[hdr_len:]
    pieces = [payload[at:at + size] for at in range(0, len(payload), size)]
    assert 2 <= len(pieces) <= MOST_SEGMENTS
    return [datagram(frame, start, number, piece) for number, piece in enumerate(pieces)]


def datagram(frame: bytes, start: int, number: int, payload: bytes) -> bytes:
    """A frame with the super-frame's headers and that piece of its payload, lengths and checksums filled in."""
    if frame[ETHER_LEN] >> 4 == 4:
        ip = IP(frame[ETHER_LEN:start])
        ip.id = (ip.id + number) & 0xFFFF
        del ip.len, ip.chksum
    else:
        ip = IPv6(frame[ETHER_LEN:start])
        del ip.plen
    udp = UDP(frame[start:start + UDP_LEN])
    del udp.len, udp.chksum
    return bytes(Ether(frame[:ETHER_LEN]) / ip / udp / payload)

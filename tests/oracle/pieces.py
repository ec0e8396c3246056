"""Segmentation in software, said once more and slowly: every frame that a super-frame stands for, built by scapy.

TCP and UDP over IPv4 and IPv6, with VLAN tags, options and extension headers, in a tunnel or not. Unlike segment.py,
which judges super-frames that swlb has put together, this takes them as kernels hand them over.
Spec: virtio 1.2 section 5.1.6; linux/net/ipv4/tcp_offload.c: tcp_gso_segment, udp_offload.c: __udp_gso_segment.
"""

import struct

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.oracle.checksum import l4_of, partial_checksum

VNET = struct.Struct("<BBHHHH")
NEEDS_CSUM, TCPV4, TCPV6, UDP_L4, ECN = 1, 1, 4, 5, 0x80
FIN_AND_PSH, CWR = 0x09, 0x80
CHECK_OFF = {TCP: 16, UDP: 6}


def super_frame(head: Packet | bytes, packet: Packet, size: int, *, ecn: bool = False,
                outer: bytes = b"") -> tuple[bytes, bytes]:
    """Offload header and frame of the packet with a partial checksum, to be cut at `size`; 0: only to be completed.

    `head` is what lies in front of it: Ethernet and tags, then the outer headers of a tunnel.
    """
    l4 = UDP if UDP in packet else TCP
    at, _, _ = l4_of(bytes(packet))
    raw = bytearray(bytes(packet))
    struct.pack_into("!H", raw, at + CHECK_OFF[l4], partial_checksum(bytes(raw)))
    start = len(head) + len(outer) + at
    kind = 0 if not size else UDP_L4 if l4 is UDP else TCPV4 if raw[0] >> 4 == 4 else TCPV6
    header_len = 8 if l4 is UDP else packet[TCP].dataofs * 4 if packet[TCP].dataofs else (raw[at + 12] >> 4) * 4
    offload = VNET.pack(NEEDS_CSUM, kind | (ECN if ecn else 0), start + header_len, size, start, CHECK_OFF[l4])
    return offload, bytes(head) + outer + bytes(raw)


def wire_frames(head: Packet | bytes, packet: Packet, size: int, *, outer: Packet | None = None) -> list[bytes]:
    """What is on the wire for it: each with lengths and checksums as scapy computes them, the tunnel's too."""
    raw = bytes(packet)
    packet = type(packet)(raw)
    l4 = packet[UDP] if UDP in packet else packet[TCP]
    payload = bytes(l4.payload)
    step = size or max(1, len(payload))
    starts = range(0, len(payload), step) if payload else [0]
    return [bytes(head) + within(outer, piece(packet, payload, number, at, step)) for number, at in enumerate(starts)]


def piece(packet: Packet, payload: bytes, number: int, at: int, step: int) -> bytes:
    """The packet with that part of its payload."""
    last = at + step >= len(payload)
    made = packet.copy()
    l4 = made[UDP] if UDP in made else made[TCP]
    l4.remove_payload()
    del l4.chksum
    if UDP in made:
        del l4.len
    else:
        l4.seq = (l4.seq + at) % 2**32
        l4.flags = int(l4.flags) & ~(0 if last else FIN_AND_PSH) & ~(CWR if number else 0)
    if IP in made:
        made.id = (made.id + number) & 0xFFFF
        del made.len, made.chksum
    else:
        del made.plen
    return bytes(made / payload[at:at + step])


def within(outer: Packet | None, packet: bytes) -> bytes:
    """The packet behind the headers of a tunnel, if it is in one."""
    return packet if outer is None else bytes(outer.copy() / packet)


__all__ = ["Ether", "IPv6", "super_frame", "wire_frames"]

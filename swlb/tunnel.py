"""What a packet of a tunnel carries, and whether that may go on to this host. No I/O.

Read first: RFC 2003 and 2473 (IP in IP), draft-ietf-intarea-gue-09 section 3 (GUE), RFC 6040 section 4.2 (congestion
marks). What is outside has been checked by the kernel: it was sent here, is whole, and its UDP checksum is right
(where it is not, that is counted in UdpInCsumErrors and Udp6InCsumErrors of `nstat`).
"""

import struct
from collections.abc import Iterable

from swlb.addresses import Address

# Why a packet did not go on.
DROPS = {
    "outer_destination": "sent to a group, to a VIP, or to an address this host no longer has",
    "gue_short": "GUE header cut short",
    "gue_variant": "GUE of a variant other than 0",
    "gue_control": "GUE control message",
    "gue_flags": "GUE with flags whose meaning is not known",
    "gue_protocol": "GUE that carries neither IPv4 nor IPv6",
    "bad_ipv4": "IPv4 inside: version, length or total length impossible",
    "bad_ipv4_checksum": "IPv4 inside: header checksum wrong",
    "bad_ipv6": "IPv6 inside: version or length impossible",
    "not_vip": "for another address than the VIPs",
    "bad_source": "from a VIP, from this host itself, or from an address that nobody can have",
    "ecn": "congestion was marked outside, and the packet inside cannot carry the mark (RFC 6040)",
    "device": "the TUN device did not take it",
}

IPV4, IPV6 = 4, 41  # protocol numbers of what is carried
Outer = tuple[bytes, int]  # destination and traffic class of what arrived
Span = tuple[int, int]  # where a packet begins and ends in a buffer

IPV4_HDR = struct.Struct("!BBH8x4s4s")  # version and length, TOS, total length, addresses
IPV6_HDR = struct.Struct("!BB2xH2x16s16s")
GUE_HDR = struct.Struct("!BBH")
GUE_CONTROL, GUE_WORDS = 0x20, 0x1F

# RFC 6040 figure 4, by the mark outside and then by the one inside: 0 not capable, 1 ECT(1), 2 ECT(0), 3 congestion.
MARKS = ((0, 1, 2, 3), (0, 1, 1, 3), (0, 1, 2, 3), (None, 3, 3, 3))

# linux/virtio_net.h: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
VNET_HDR = struct.Struct("=BBHHHH")
NEEDS_CSUM = 1
COMPLETE = VNET_HDR.pack(0, 0, 0, 0, 0, 0)
CHECKSUM_OFF = {6: 16, 17: 6}  # of TCP and UDP
FRAGMENT = 0x3FFF  # more fragments, or not the first

ONES = 0xFFFF  # a one's complement sum of 16-bit words is the remainder of a division by this (RFC 1071 2)


def carried_by_gue(buffer: bytearray, start: int, end: int) -> tuple[int, int] | str:
    """Where what GUE carries begins, and its protocol; or why it goes no further.

    Private data is skipped. No flag is known here, and an unknown one may change what follows.
    """
    if end - start < GUE_HDR.size:
        return "gue_short"
    first, protocol, flags = GUE_HDR.unpack_from(buffer, start)
    inner = start + GUE_HDR.size + 4 * (first & GUE_WORDS)
    if first >> 6:
        return "gue_variant"
    if first & GUE_CONTROL:
        return "gue_control"
    if flags:
        return "gue_flags"
    if protocol not in (IPV4, IPV6):
        return "gue_protocol"
    return (inner, protocol) if inner <= end else "gue_short"


class Gate:
    """Which packets go on: those to a VIP, sound, from somebody else, that came to an address of this host."""

    def __init__(self, vips: Iterable[Address]) -> None:
        self._vips = frozenset(vip.packed for vip in vips)
        self._own: frozenset[bytes] = frozenset()
        self._tunnel_ends: frozenset[bytes] = frozenset()

    def learn_own(self, addresses: Iterable[Address]) -> None:
        """These are the addresses of the host now."""
        own = frozenset(address.packed for address in addresses)
        self._own, self._tunnel_ends = own | self._vips, own - self._vips

    def judge(self, buffer: bytearray, span: Span, protocol: int, outer: Outer) -> Span | str:
        """Where the packet is that goes on, its congestion mark brought up to date; or why it does not."""
        destination, traffic_class = outer
        if destination not in self._tunnel_ends:
            return "outer_destination"
        judge = self._judge_ipv4 if protocol == IPV4 else self._judge_ipv6
        return judge(buffer, *span, traffic_class & 3)

    def _judge_ipv4(self, buffer: bytearray, start: int, end: int, outer_mark: int) -> Span | str:
        if end - start < 20:
            return "bad_ipv4"
        first, tos, total_len, source, destination = IPV4_HDR.unpack_from(buffer, start)
        header_len = 4 * (first & 15)
        if first >> 4 != 4 or not 20 <= header_len <= total_len <= end - start:
            return "bad_ipv4"
        # Zero only as 0xFFFF: the first byte is not zero.
        if int.from_bytes(buffer[start : start + header_len]) % ONES:
            return "bad_ipv4_checksum"
        if destination not in self._vips:
            return "not_vip"
        if source in self._own or source[0] in (0, 127) or source[0] >= 224:
            return "bad_source"
        mark = MARKS[outer_mark][tos & 3]
        if mark is None:
            return "ecn"
        if mark != tos & 3:
            _mark_ipv4(buffer, start, mark)
        return start, start + total_len

    def _judge_ipv6(self, buffer: bytearray, start: int, end: int, outer_mark: int) -> Span | str:
        if end - start < 40:
            return "bad_ipv6"
        first, second, payload_len, source, destination = IPV6_HDR.unpack_from(buffer, start)
        if first >> 4 != 6 or 40 + payload_len > end - start:
            return "bad_ipv6"
        if destination not in self._vips:
            return "not_vip"
        if source in self._own or _is_nobodys_ipv6(source):
            return "bad_source"
        mark = MARKS[outer_mark][second >> 4 & 3]
        if mark is None:
            return "ecn"
        buffer[start + 1] = second & 0xCF | mark << 4
        return start, start + 40 + payload_len


def offload_header(buffer: bytearray, start: int, end: int) -> bytes:
    """The virtio-net header for a sound packet: it says so when the checksum is yet to be completed.

    The kernel leaves it incomplete where it merged packets on their way in (GRO), and where the sender is on the same
    machine; a raw socket is not told. A checksum is incomplete when it is the sum of the pseudo-header.
    """
    if buffer[start] >> 4 == 4:
        protocol, addresses, l4 = buffer[start + 9], start + 12, start + 4 * (buffer[start] & 15)
        if int.from_bytes(buffer[start + 6 : start + 8]) & FRAGMENT:
            return COMPLETE
    else:
        protocol, addresses, l4 = buffer[start + 6], start + 8, start + 40
    checksum_off = CHECKSUM_OFF.get(protocol)
    if checksum_off is None or l4 + checksum_off + 2 > end:
        return COMPLETE
    to = addresses + (8 if buffer[start] >> 4 == 4 else 32)
    pseudo = int.from_bytes(buffer[addresses:to]) + protocol + end - l4
    check = l4 + checksum_off
    if (pseudo - int.from_bytes(buffer[check : check + 2])) % ONES:
        return COMPLETE
    return VNET_HDR.pack(NEEDS_CSUM, 0, 0, 0, l4 - start, checksum_off)


def _mark_ipv4(buffer: bytearray, start: int, mark: int) -> None:
    """The congestion mark is `mark`, and the header's checksum is as right or wrong as before."""
    was = buffer[start + 1]
    buffer[start + 1] = was & 0xFC | mark
    check = int.from_bytes(buffer[start + 10 : start + 12])
    # RFC 1624 equation 3; the words differ in their lower bytes only.
    total = (~check & ONES) + (~was & ONES) + buffer[start + 1]
    total = (total & ONES) + (total >> 16)
    total = (total & ONES) + (total >> 16)
    buffer[start + 10 : start + 12] = (~total & ONES).to_bytes(2)


def _is_nobodys_ipv6(source: bytes) -> bool:
    """A group, link-local (no way back through a tunnel), or of ::/64: unspecified, loopback, IPv4-mapped."""
    return source[0] == 0xFF or (source[0] == 0xFE and source[1] >> 6 == 2) or not any(source[:8])

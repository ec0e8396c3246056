"""The Internet checksum, said once more and slowly; and a frame's checksums, all recomputed over all their bytes.

Nothing here adjusts anything: every sum is taken anew, 16 bits at a time, as RFC 1071 section 1 puts it.
"""

import struct

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
CHECK_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}
EXTENSIONS = {0, 43, 60, 135}
FRAGMENT = 44


def ones_sum(data: bytes) -> int:
    """The one's complement sum of the bytes as 16-bit words, an odd one filled up with zero."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data: bytes) -> int:
    """What stands in a header whose bytes, the checksum taken as 0, are data."""
    return ~ones_sum(data) & 0xFFFF


def pseudo(packet: bytes, protocol: int, length: int) -> bytes:
    """The pseudo-header of an IPv4 or IPv6 packet (RFC 9293 3.1, RFC 8200 8.1)."""
    if packet[0] >> 4 == 4:
        return packet[12:20] + struct.pack("!BBH", 0, protocol, length)
    return packet[8:40] + struct.pack("!IHBB", length, 0, 0, protocol)


def l4_of(packet: bytes) -> tuple[int, int, bool]:
    """Offset of what IP carries, its protocol, and whether it is there from its beginning to its end."""
    if packet[0] >> 4 == 4:
        whole = not struct.unpack("!H", packet[6:8])[0] & 0x3FFF
        return (packet[0] & 15) * 4, packet[9], whole
    at, protocol, whole = 40, packet[6], True
    while protocol in EXTENSIONS or protocol == FRAGMENT:
        if protocol == FRAGMENT:
            whole = not struct.unpack("!H", packet[at + 2:at + 4])[0] & 0xFFF9
        protocol, at = packet[at], at + (8 if protocol == FRAGMENT else (packet[at + 1] + 1) * 8)
        if not whole:
            break
    return at, protocol, whole


def packet_len(packet: bytes) -> int:
    """How long IP says that the packet is."""
    if packet[0] >> 4 == 4:
        return struct.unpack("!H", packet[2:4])[0]
    return 40 + struct.unpack("!H", packet[4:6])[0]


def l4_checksum(packet: bytes) -> int:
    """What the checksum of the packet's TCP, UDP or ICMP has to be."""
    at, protocol, _ = l4_of(packet)
    l4 = bytearray(packet[at:])
    check_at = CHECK_AT[protocol]
    l4[check_at:check_at + 2] = b"\0\0"
    covered = b"" if protocol == ICMP else pseudo(packet, protocol, len(l4))
    value = checksum(covered + bytes(l4))
    return 0xFFFF if protocol == UDP and value == 0 else value


def partial_checksum(packet: bytes) -> int:
    """What stands there instead while it is partial: the pseudo-header's sum, not inverted."""
    at, protocol, _ = l4_of(packet)
    return ones_sum(pseudo(packet, protocol, len(packet) - at))


def flaws(packet: bytes, *, partial: bool = False) -> list[str]:
    """Every checksum in the IP packet, and in a packet that it quotes, that is not what it has to be."""
    found = []
    if packet[0] >> 4 == 4:
        header = packet[:(packet[0] & 15) * 4]
        if ones_sum(header) != 0xFFFF:
            found.append(f"IPv4 header checksum of {header.hex()}")
    at, protocol, whole = l4_of(packet)
    foreign = protocol == (ICMPV6 if packet[0] >> 4 == 4 else ICMP)
    if protocol not in CHECK_AT or foreign or not whole or packet_len(packet) > len(packet):
        return found
    packet = packet[:packet_len(packet)]
    check_at = at + CHECK_AT[protocol]
    stands, = struct.unpack("!H", packet[check_at:check_at + 2])
    wanted = partial_checksum(packet) if partial else l4_checksum(packet)
    none = protocol == UDP and stands == 0 and packet[0] >> 4 == 4
    if stands != wanted and not none:
        found.append(f"checksum of protocol {protocol} is {stands:#06x}, not {wanted:#06x}")
    if is_error(packet, at, protocol):
        found += [f"quoted: {flaw}" for flaw in flaws(packet[at + 8:])]
    return found


def is_error(packet: bytes, at: int, protocol: int) -> bool:
    """Whether the ICMP message quotes a packet."""
    return packet[at] in (3, 4, 5, 11, 12) if protocol == ICMP else protocol == ICMPV6 and packet[at] < 128

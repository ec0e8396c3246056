"""What an ICMP error says it is about: the quoted packet read, and whether it is to be believed.

Read first: RFC 792, RFC 4443 2.4, RFC 5927 4.1. Only 8 bytes of the quoted transport header are sure to be there.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.address cimport ip_load, ip_of_v4, ip_t
from ext.frame cimport FOUND_PARTIAL, frame_t
from ext.order cimport be16, load16, ntohs
from ext.tables.sequence cimport was_sent
from ext.wire.checksum cimport checksum_of, sum_pseudo
from ext.wire.icmp cimport ECHO_ID_OFF, ICMP_ECHO, ICMP_ECHO_REPLY, ICMP_LEN, ICMPV6_ECHO, ICMPV6_ECHO_REPLY
from ext.wire.ipv4 cimport IPV4_LEN, IPV4_OFFSET, PROTO_ICMP, PROTO_TCP, PROTO_UDP, ipv4_hdr
from ext.wire.ipv6 cimport IPV6_LEN, PROTO_ICMPV6, ipv6_hdr, ipv6_l4_off

cdef struct quote_t:
    uint8_t *l3            # the quoted packet
    uint8_t *l4            # its transport header, of which 8 bytes are there
    uint32_t l4_room       # how much of it is there
    ip_t src
    ip_t dst
    be16 sport             # of an echo, its identifier
    be16 dport             # of an echo, 0
    uint8_t protocol


cdef inline bint quote_read(const frame_t *frame, quote_t *quote) noexcept nogil:
    """Whether the error quotes TCP or UDP with its ports; then quote says what."""
    return quote_read_any(frame, quote) and (quote.protocol == PROTO_TCP or quote.protocol == PROTO_UDP)


cdef inline bint quote_read_any(const frame_t *frame, quote_t *quote) noexcept nogil:
    """The same, or an echo with its identifier."""
    cdef uint32_t room = min(frame.l4_len, frame.len - frame.l4_off)
    cdef ipv4_hdr *ip
    cdef uint32_t header_len
    if room < ICMP_LEN:
        return False
    room -= ICMP_LEN
    quote.l3 = frame.data + frame.l4_off + ICMP_LEN
    if frame.family == 4:
        ip = <ipv4_hdr *>quote.l3
        if room < IPV4_LEN or (ip.ver_ihl >> 4) != 4 or ntohs(ip.frag) & IPV4_OFFSET:
            return False
        header_len = (ip.ver_ihl & 0x0F) * 4
        quote.src = ip_of_v4(ip.src)
        quote.dst = ip_of_v4(ip.dst)
        quote.protocol = ip.protocol
    else:
        if room < IPV6_LEN or (quote.l3[0] >> 4) != 6:
            return False
        quote.src = ip_load((<ipv6_hdr *>quote.l3).src)
        quote.dst = ip_load((<ipv6_hdr *>quote.l3).dst)
        header_len = ipv6_l4_off(quote.l3, room, &quote.protocol)
    if header_len < IPV4_LEN or room < header_len + 8:
        return False
    quote.l4 = quote.l3 + header_len
    quote.l4_room = room - header_len
    if quote.protocol == PROTO_TCP or quote.protocol == PROTO_UDP:
        quote.sport = load16(quote.l4)
        quote.dport = load16(quote.l4 + 2)
        return True
    quote.sport = load16(quote.l4 + ECHO_ID_OFF)
    quote.dport = 0
    if quote.protocol == PROTO_ICMP and frame.family == 4:
        return quote.l4[0] == ICMP_ECHO or quote.l4[0] == ICMP_ECHO_REPLY
    return (quote.protocol == PROTO_ICMPV6 and frame.family == 6
            and (quote.l4[0] == ICMPV6_ECHO or quote.l4[0] == ICMPV6_ECHO_REPLY))


cdef inline bint quote_is_forged(const quote_t *quote, const uint64_t *words, int direction) noexcept nogil:
    """Whether who is said to have sent the quoted segment cannot have; words as in ext/tables/sequence.pxd."""
    return quote.protocol == PROTO_TCP and not was_sent(words[direction], quote.l4)


cdef inline bint error_is_sound(const frame_t *frame) noexcept nogil:
    """Whether the error's own checksum is right, or yet to be completed (RFC 5508 4.2, REQ-3)."""
    cdef uint64_t pseudo = 0
    if frame.family == 6:
        pseudo = sum_pseudo(frame.src, frame.dst, PROTO_ICMPV6, frame.l4_len)
    return frame.found & FOUND_PARTIAL or checksum_of(frame.data + frame.l4_off, frame.l4_len, pseudo) == 0

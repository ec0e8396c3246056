"""IPv6 and its extension headers. Spec: RFC 8200; RFC 5095 (routing header type 0); RFC 4302 (AH length)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from ext.address cimport ip_store, ip_t
from ext.order cimport be16, be32, htons, ntohs

cdef enum:
    IPV6_LEN = 40
    IPV6_NEXT_OFF = 6
    IPV6_LEAST_MTU = 1280      # of every link (RFC 8200 5)
    PROTO_IPV6 = 41            # a whole IPv6 packet (RFC 2473)
    PROTO_ICMPV6 = 58
    PROTO_NONE = 59            # nothing follows (RFC 8200 4.7)
    EXT_HOP_BY_HOP = 0
    EXT_ROUTING = 43
    EXT_FRAGMENT = 44
    EXT_AUTH = 51
    EXT_DESTINATION = 60
    EXT_MOBILITY = 135
    MAX_EXTENSIONS = 8         # a longer chain is refused: nobody sends one in earnest (RFC 7112, RFC 9098)

cdef packed struct ipv6_hdr:
    be32 ver_class_flow
    be16 payload_len
    uint8_t next_header
    uint8_t hop_limit
    uint8_t src[16]
    uint8_t dst[16]

cdef packed struct ipv6_frag_hdr:
    uint8_t next_header
    uint8_t reserved
    be16 offset_more           # offset in the upper 13 bits, "more" in the lowest
    be32 id


cdef inline bint ipv6_is_extension(uint8_t next_header) noexcept nogil:
    return (next_header == EXT_HOP_BY_HOP or next_header == EXT_ROUTING or next_header == EXT_FRAGMENT
            or next_header == EXT_AUTH or next_header == EXT_DESTINATION or next_header == EXT_MOBILITY)


cdef inline uint32_t ipv6_extension_len(uint8_t kind, const uint8_t *extension) noexcept nogil:
    """How long the extension header of that kind says that it is; its first two bytes must be there."""
    if kind == EXT_FRAGMENT:
        return 8
    if kind == EXT_AUTH:
        return (<uint32_t>extension[1] + 2) * 4
    return (<uint32_t>extension[1] + 1) * 8


cdef inline void ipv6_build(uint8_t *p, ip_t src, ip_t dst, uint8_t next_header, uint16_t payload_len,
                            uint8_t hop_limit) noexcept nogil:
    """A header at p, class and flow label 0."""
    cdef ipv6_hdr *ip = <ipv6_hdr *>p
    memset(p, 0, IPV6_LEN)
    p[0] = 0x60
    ip.payload_len = htons(payload_len)
    ip.next_header = next_header
    ip.hop_limit = hop_limit
    ip_store(ip.src, src)
    ip_store(ip.dst, dst)


cdef inline uint32_t ipv6_l4_off(const uint8_t *packet, uint32_t room, uint8_t *protocol) noexcept nogil:
    """Where what is carried begins, behind extension headers, and its protocol; 0 when the packet's `room` bytes end before.

    Of a fragment, the first only.
    """
    cdef uint32_t off = IPV6_LEN, n = 0, ext_len
    protocol[0] = (<const ipv6_hdr *>packet).next_header
    while ipv6_is_extension(protocol[0]):
        if off + 8 > room or n == MAX_EXTENSIONS:
            return 0
        n += 1
        if protocol[0] == EXT_FRAGMENT and ntohs((<const ipv6_frag_hdr *>(packet + off)).offset_more) & 0xFFF8:
            return 0
        ext_len = ipv6_extension_len(protocol[0], packet + off)
        protocol[0] = packet[off]
        off += ext_len
    return off

"""IPv4. Spec: RFC 791; options RFC 791 3.1 and RFC 7126."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from ext.address cimport ip_t, ip_v4
from ext.order cimport be16, be32, htons
from ext.wire.checksum cimport checksum_of

cdef enum:
    IPV4_LEN = 20
    IPV4_MORE = 0x2000         # of the host-order flags and offset word
    IPV4_DONT = 0x4000
    IPV4_OFFSET = 0x1FFF
    OPT_END = 0
    OPT_NOP = 1
    OPT_COPIED = 0x80          # of an option type: it stands in every fragment
    OPT_LSRR = 131
    OPT_SSRR = 137
    PROTO_ICMP = 1
    PROTO_IPV4 = 4             # a whole IPv4 packet (RFC 2003)
    PROTO_TCP = 6
    PROTO_UDP = 17
    OWN_TTL = 64               # of packets swlb makes itself (RFC 1700's recommendation)

cdef packed struct ipv4_hdr:
    uint8_t ver_ihl
    uint8_t tos
    be16 total_len
    be16 id
    be16 frag
    uint8_t ttl
    uint8_t protocol
    be16 checksum
    be32 src
    be32 dst


cdef inline bint ipv4_options_route(const uint8_t *options, uint32_t options_len) noexcept nogil:
    """Whether the options hold a source route, or cannot be walked to their end."""
    cdef uint32_t at = 0
    while at < options_len:
        if options[at] == OPT_END:
            return False
        if options[at] == OPT_NOP:
            at += 1
            continue
        if options[at] == OPT_LSRR or options[at] == OPT_SSRR:
            return True
        if at + 1 >= options_len or options[at + 1] < 2:
            return True
        at += options[at + 1]
    return at > options_len


cdef inline void ipv4_build(uint8_t *p, ip_t src, ip_t dst, uint8_t protocol, uint8_t tos,
                            uint16_t payload_len) noexcept nogil:
    """A header without options at p, checksum included. DF is set, so that id 0 says nothing (RFC 6864 4.1)."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>p
    memset(p, 0, IPV4_LEN)
    ip.ver_ihl = 0x45
    ip.tos = tos
    ip.total_len = htons(IPV4_LEN + payload_len)
    ip.frag = htons(IPV4_DONT)
    ip.ttl = OWN_TTL
    ip.protocol = protocol
    ip.src = ip_v4(src)
    ip.dst = ip_v4(dst)
    ip.checksum = checksum_of(p, IPV4_LEN, 0)

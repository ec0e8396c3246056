"""An IP packet in fragments: IPv4 that may be taken apart, or the outer packet of a tunnel, which swlb itself sends.

Spec: RFC 791 3.2 (fragmentation) and 3.1 (which options later pieces carry), RFC 8200 4.5. A packet that is a piece
itself already may be cut further. IPv4 in a tunnel is cut itself, and each piece has outer headers of its own.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from ext.frame cimport frame_t, frame_vnet
from ext.order cimport htonl, htons, ntohs
from ext.wire.checksum cimport checksum_of
from ext.wire.ipv4 cimport (IPV4_DONT, IPV4_LEN, IPV4_MORE, IPV4_OFFSET, OPT_COPIED, OPT_END, OPT_NOP, ipv4_hdr)
from ext.wire.ipv6 cimport EXT_FRAGMENT, IPV6_LEN, ipv6_frag_hdr, ipv6_hdr
from ext.wire.outer cimport outer_checksum, outer_lengths
from ext.wire.vnet cimport vnet_clear

cdef enum:
    UNIT = 8                   # in which offsets count
    LEAST_FIRST = 64           # of payload: the longest TCP header, as who sees only half of one suspects an attack (RFC 1858)
    LEAST_CUT = 128            # of an outer packet: headers and some payload
    FRAGMENT_LEN = 8           # the IPv6 fragment header


cdef inline bint may_cut(const frame_t *frame, uint32_t most) noexcept nogil:
    """Whether the frame's packet, or each segment of it, may leave in pieces of at most that many bytes: IPv4 without DF."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(frame.data + frame.l3_off)
    cdef uint32_t ip_len = frame.l4_off - frame.l3_off
    return frame.family == 4 and not ntohs(ip.frag) & IPV4_DONT and most >= ip_len + LEAST_FIRST


cdef inline void outer_alone(frame_t *frame, uint32_t id) noexcept nogil:
    """The frame, with a packet in a tunnel, is seen as one with the outer packet: that is what is cut, under that id."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(frame.data + frame.l3_off)
    frame.l4_off = frame.l3_off + (IPV4_LEN if ip.ver_ihl >> 4 == 4 else IPV6_LEN)
    frame.l4_len = frame.len - frame.l4_off
    frame.outer_len = 0
    frame.fragment_id = id
    if ip.ver_ihl >> 4 == 4:
        ip.id = htons(<uint16_t>id)
        ip.frag = 0


cdef inline uint32_t fragment_make(const frame_t *whole, frame_t *piece, uint32_t at) noexcept nogil:
    """The piece, in its own slot, is the one that begins with byte `at` of the IP payload; where the next one begins.

    No piece of the packet is longer than whole.cut_len. After the last one that is whole.l4_len.
    """
    cdef uint32_t ip_off = whole.l3_off + whole.outer_len
    cdef uint32_t ip_len, n
    cdef uint8_t *slot = piece.data
    piece[0] = whole[0]
    piece.data = slot
    memcpy(piece.data, whole.data, whole.l4_off)
    vnet_clear(frame_vnet(piece))
    if whole.data[ip_off] >> 4 == 6:
        ip_len = IPV6_LEN + FRAGMENT_LEN
    elif at:
        ip_len = IPV4_LEN + options_later(piece.data + ip_off + IPV4_LEN, whole.data + ip_off + IPV4_LEN,
                                          whole.l4_off - ip_off - IPV4_LEN)
    else:
        ip_len = whole.l4_off - ip_off
    n = (whole.cut_len - ip_len) // UNIT * UNIT
    if n >= whole.l4_len - at:
        n = whole.l4_len - at
    memcpy(piece.data + ip_off + ip_len, whole.data + whole.l4_off + at, n)
    piece.l4_off = <uint16_t>(ip_off + ip_len)
    piece.l4_len = n
    piece.len = piece.l4_off + n
    if whole.data[ip_off] >> 4 == 6:
        fragment_number_v6(piece, at, at + n < whole.l4_len)
    else:
        fragment_number(piece, at, at + n < whole.l4_len)
    if whole.outer_len:
        outer_lengths(piece.data + whole.l3_off, whole.outer_len, ip_len + n)
        outer_checksum(piece.data + whole.l3_off, whole.outer_len, ip_len + n)
    return at + n


cdef inline void fragment_number(frame_t *piece, uint32_t at, bint more) noexcept nogil:
    """The piece's IPv4 header, a copy of the whole's, says its own length and place."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(piece.data + piece.l3_off + piece.outer_len)
    cdef uint32_t ip_len = piece.l4_off - piece.l3_off - piece.outer_len
    cdef uint16_t frag = ntohs(ip.frag)
    ip.ver_ihl = 0x40 | <uint8_t>(ip_len // 4)
    ip.total_len = htons(<uint16_t>(ip_len + piece.l4_len))
    frag = (frag & ~IPV4_OFFSET) | <uint16_t>((frag & IPV4_OFFSET) + at // UNIT)
    ip.frag = htons(frag | IPV4_MORE if more else frag)
    ip.checksum = 0
    ip.checksum = checksum_of(<uint8_t *>ip, ip_len, 0)


cdef inline void fragment_number_v6(frame_t *piece, uint32_t at, bint more) noexcept nogil:
    """The same of IPv6, whose header is followed by one that says the place."""
    cdef ipv6_hdr *ip = <ipv6_hdr *>(piece.data + piece.l3_off)
    cdef ipv6_frag_hdr *fragment = <ipv6_frag_hdr *>(piece.data + piece.l3_off + IPV6_LEN)
    fragment.next_header = ip.next_header
    fragment.reserved = 0
    fragment.offset_more = htons(<uint16_t>at | 1 if more else <uint16_t>at)
    fragment.id = htonl(piece.fragment_id)
    ip.next_header = EXT_FRAGMENT
    ip.payload_len = htons(<uint16_t>(FRAGMENT_LEN + piece.l4_len))


cdef inline uint32_t options_later(uint8_t *to, const uint8_t *options, uint32_t n) noexcept nogil:
    """The options that later pieces carry, at `to`, filled up to whole words; how many bytes. Parse has walked them."""
    cdef uint32_t at = 0, kept = 0, option_len
    while at < n and options[at] != OPT_END:
        option_len = 1 if options[at] == OPT_NOP else options[at + 1]
        if options[at] & OPT_COPIED:
            memcpy(to + kept, options + at, option_len)
            kept += option_len
        at += option_len
    while kept % 4:
        to[kept] = OPT_END
        kept += 1
    return kept

"""An IPv4 packet in fragments, each behind the outer headers of the tunnel that it goes through, if it goes through one.

Spec: RFC 791 3.2 (fragmentation) and 3.1 (which options later pieces carry). A packet that is a piece itself already
may be cut further.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from ext.frame cimport VNET_LEN, frame_t, frame_vnet
from ext.order cimport htons, ntohs
from ext.wire.checksum cimport checksum_of
from ext.wire.ipv4 cimport (IPV4_DONT, IPV4_LEN, IPV4_MORE, IPV4_OFFSET, OPT_COPIED, OPT_END, OPT_NOP, ipv4_hdr)
from ext.wire.outer cimport outer_checksum, outer_lengths
from ext.wire.vnet cimport GSO_NONE, vnet_hdr

cdef enum:
    UNIT = 8                   # in which offsets count
    LEAST_FIRST = 64           # of payload: the longest TCP header, as who sees only half of one suspects an attack (RFC 1858)


cdef inline bint may_cut(const frame_t *frame, uint32_t most) noexcept nogil:
    """Whether the frame's packet may leave in pieces of at most that many bytes: IPv4 without DF, and no super-frame."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(frame.data + frame.l3_off)
    cdef uint32_t ip_len = frame.l4_off - frame.l3_off
    return (frame.family == 4 and not ntohs(ip.frag) & IPV4_DONT
            and most >= ip_len + LEAST_FIRST
            and (<vnet_hdr *>frame_vnet(frame)).gso_type == GSO_NONE)


cdef inline uint32_t fragment_make(const frame_t *whole, frame_t *piece, uint32_t at) noexcept nogil:
    """The piece, in its own slot, is the one that begins with byte `at` of the IPv4 payload; where the next one begins.

    No piece of the packet is longer than whole.cut_len. After the last one that is whole.l4_len.
    """
    cdef uint8_t *slot = piece.data
    cdef uint32_t ip_off = whole.l3_off + whole.outer_len
    cdef uint32_t ip_len = whole.l4_off - ip_off
    cdef const uint8_t *options = whole.data + ip_off + IPV4_LEN
    cdef uint32_t n, whole_ip_len = ip_len
    piece[0] = whole[0]
    piece.data = slot
    memcpy(frame_vnet(piece), frame_vnet(whole), VNET_LEN + ip_off + ip_len)
    if at:
        ip_len = IPV4_LEN + options_later(piece.data + ip_off + IPV4_LEN, options, whole_ip_len - IPV4_LEN)
    n = (whole.cut_len - ip_len) // UNIT * UNIT
    if n >= whole.l4_len - at:
        n = whole.l4_len - at
    memcpy(piece.data + ip_off + ip_len, whole.data + whole.l4_off + at, n)
    piece.l4_off = <uint16_t>(ip_off + ip_len)
    piece.l4_len = n
    piece.len = piece.l4_off + n
    fragment_number(piece, at, at + n < whole.l4_len)
    if whole.outer_len:
        outer_lengths(piece.data + whole.l3_off, whole.outer_len, ip_len + n)
        outer_checksum(piece.data + whole.l3_off, whole.outer_len, ip_len + n)
    return at + n


cdef inline void fragment_number(frame_t *piece, uint32_t at, bint more) noexcept nogil:
    """The piece's header, a copy of the whole's, says its own length and place."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(piece.data + piece.l3_off + piece.outer_len)
    cdef uint32_t ip_len = piece.l4_off - piece.l3_off - piece.outer_len
    cdef uint16_t frag = ntohs(ip.frag)
    ip.ver_ihl = 0x40 | <uint8_t>(ip_len // 4)
    ip.total_len = htons(<uint16_t>(ip_len + piece.l4_len))
    frag = (frag & ~IPV4_OFFSET) | <uint16_t>((frag & IPV4_OFFSET) + at // UNIT)
    ip.frag = htons(frag | IPV4_MORE if more else frag)
    ip.checksum = 0
    ip.checksum = checksum_of(<uint8_t *>ip, ip_len, 0)


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

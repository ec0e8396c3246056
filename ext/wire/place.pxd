"""Where in its packet a fragment lies, and its packet's identification. Spec: RFC 791 3.1 and 3.2, RFC 8200 4.5.

Of frames that parse has found sound and to be fragments.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.frame cimport frame_t
from ext.order cimport be16, htonl, htons, ntohs
from ext.wire.checksum cimport checksum_adjust, sum_change
from ext.wire.ipv4 cimport IPV4_MORE, IPV4_OFFSET, ipv4_hdr
from ext.wire.ipv6 cimport EXT_AUTH, EXT_FRAGMENT, IPV6_LEN, ipv6_frag_hdr, ipv6_hdr

cdef enum:
    MOST_PACKET = 65535        # bytes of an IPv4 packet, and of what follows an IPv6 header
    # place_flaw
    PLACE_SOUND = 0
    PLACE_LEN = 1              # of no packet's fragment: none at all, or in its midst and no whole number of units
    PLACE_END = 2              # it would end behind the end of the longest packet

cdef struct place_t:
    uint32_t at                # bytes of the packet's fragmentable part before it
    uint32_t n                 # bytes of it
    uint32_t before            # bytes in front of that part which count for the packet's length
    bint more                  # it is not the last


cdef inline uint32_t fragment_header_off(const frame_t *frame) noexcept nogil:
    """Where an IPv6 fragment has its fragment header: the one that makes it one, not an atomic one."""
    cdef uint32_t off = frame.l3_off + IPV6_LEN
    cdef uint8_t header = (<ipv6_hdr *>(frame.data + frame.l3_off)).next_header
    cdef const uint8_t *p = frame.data + off
    while header != EXT_FRAGMENT or not ntohs((<const ipv6_frag_hdr *>p).offset_more) & 0xFFF9:
        if header == EXT_AUTH:
            off += (<uint32_t>p[1] + 2) * 4
        elif header == EXT_FRAGMENT:
            off += sizeof(ipv6_frag_hdr)
        else:
            off += (<uint32_t>p[1] + 1) * 8
        header = p[0]
        p = frame.data + off
    return off


cdef inline void place_read(const frame_t *frame, place_t *place) noexcept nogil:
    cdef uint32_t off
    cdef uint16_t frag
    if frame.family == 4:
        frag = ntohs((<ipv4_hdr *>(frame.data + frame.l3_off)).frag)
        place.at = (frag & IPV4_OFFSET) * 8
        place.n = frame.l4_len
        place.before = frame.l4_off - frame.l3_off
        place.more = (frag & IPV4_MORE) != 0
        return
    off = fragment_header_off(frame)
    frag = ntohs((<ipv6_frag_hdr *>(frame.data + off)).offset_more)
    place.at = frag & 0xFFF8
    place.n = frame.l4_off + frame.l4_len - off - sizeof(ipv6_frag_hdr)
    place.before = off - frame.l3_off - IPV6_LEN
    place.more = frag & 1


cdef inline int place_flaw(const place_t *place) noexcept nogil:
    """What is impossible about it, whatever else has come of its packet."""
    if place.n == 0 or (place.more and place.n % 8):
        return PLACE_LEN
    return PLACE_END if place.before + place.at + place.n > <uint32_t>MOST_PACKET else PLACE_SOUND


cdef inline void fragment_renumber(frame_t *frame, uint32_t number) noexcept nogil:
    """The fragment's identification is number, of IPv4 the lower half of it."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(frame.data + frame.l3_off)
    cdef be16 id = htons(<uint16_t>number)
    if frame.family == 4:
        ip.checksum = checksum_adjust(ip.checksum, sum_change(ip.id, id))
        ip.id = id
    else:
        (<ipv6_frag_hdr *>(frame.data + fragment_header_off(frame))).id = htonl(number)

"""A packet too large for the link it is to leave by: taken apart if it may be, else its sender hears what would fit.

Routed, to swlb's own kernel, or on a bridge that has an address to speak with: a bridge without one can only drop it
(DROP_OVERSIZE). Read first: RFC 791 3.2, RFC 1812 4.2.2.7 and 5.2.7.1, RFC 1191 4, RFC 4443 3.2.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.forward.bridge cimport bridge
from ext.forward.icmp cimport TOO_BIG, icmp_error
from ext.frame cimport FOUND_L3, frame_t
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_TOO_BIG, GO_ON, N_DROPS, SEND, verdict_t
from ext.wire.fragment cimport may_cut
from ext.wire.ipv6 cimport IPV6_LEAST_MTU
from ext.wire.parse cimport packet_len
from ext.wire.rewrite cimport checksum_complete


cdef inline verdict_t fit(tables_t *tables, frame_t *frame, uint32_t room, uint32_t now_ms) noexcept nogil:
    """GO_ON: the packet, for which there are `room` bytes, leaves in pieces. Else the verdict on one that may not."""
    if not may_cut(frame, room):
        return icmp_error(tables, frame, TOO_BIG, told_mtu(frame, room), DROP_TOO_BIG, now_ms)
    frame.cut_len = <uint16_t>room
    checksum_complete(frame)
    return GO_ON


cdef inline uint32_t told_mtu(const frame_t *frame, uint32_t room) noexcept nogil:
    """What the sender of a packet hears when that much would have fitted: over IPv6 it would not believe in less."""
    return room if frame.family == 4 else max(room, <uint32_t>IPV6_LEAST_MTU)


cdef inline verdict_t bridge_fit(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """Bridged, on a segment where swlb has addresses, and not tagged: what is too large for its port is made to fit."""
    cdef verdict_t verdict = bridge(tables, segment, frame, now_ms)
    cdef uint32_t mtu
    if unlikely(verdict != SEND):
        return verdict
    mtu = tables.ports[frame.out_port].mtu
    # All but super-frames go by this.
    if likely(frame.len - frame.l3_off <= mtu):
        return SEND
    if not frame.found & FOUND_L3 or frame.flaw != N_DROPS or packet_len(frame) <= mtu:
        return SEND
    verdict = fit(tables, frame, mtu, now_ms)
    return SEND if verdict == GO_ON else verdict

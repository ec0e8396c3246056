"""What the bytes of a packet sum up to: the fuzzer's judge of checksums."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.frame cimport FOUND_FRAGMENT, FOUND_L3, FOUND_PARTIAL, frame_t
from ext.order cimport load16
from ext.verdict cimport N_DROPS
from ext.wire.checksum cimport sum_bytes, sum_fold, sum_pseudo
from ext.wire.ipv4 cimport PROTO_ICMP, PROTO_TCP, PROTO_UDP
from ext.wire.ipv6 cimport PROTO_ICMPV6
from ext.wire.udp cimport UDP_CHECKSUM_OFF

cdef enum:
    UNKNOWN = 0x10000      # no checksum to speak of


cdef inline uint32_t l4_sum(const frame_t *frame) noexcept nogil:
    """The sum that a right checksum makes RIGHT, or UNKNOWN when there is none or it is not finished."""
    cdef const uint8_t *l4 = frame.data + frame.l4_off
    cdef uint64_t pseudo = 0
    if (not frame.found & FOUND_L3 or frame.found & (FOUND_FRAGMENT | FOUND_PARTIAL) or frame.flaw != N_DROPS
            or frame.l4_off + frame.l4_len > frame.len):
        return UNKNOWN
    if frame.protocol == PROTO_UDP and load16(l4 + UDP_CHECKSUM_OFF) == 0:
        return UNKNOWN
    if frame.protocol == PROTO_TCP or frame.protocol == PROTO_UDP or frame.protocol == PROTO_ICMPV6:
        pseudo = sum_pseudo(frame.src, frame.dst, frame.protocol, frame.l4_len)
    elif frame.protocol != PROTO_ICMP:
        return UNKNOWN
    return sum_fold(sum_bytes(l4, frame.l4_len, pseudo))

"""The largest segment that a SYN says its sender takes, made smaller. Spec: RFC 9293 3.7.1 and 3.2 (options).

A larger one is never offered than was, and none where there was none. Options that cannot be walked are left alone.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.frame cimport FOUND_PARTIAL, frame_t
from ext.order cimport htons, load16, ntohs, store16
from ext.wire.checksum cimport checksum_adjust, sum_bytes, sum_change, sum_fold
from ext.wire.tcp cimport TCP_LEN, tcp_hdr

cdef enum:
    TCP_OPT_END = 0
    TCP_OPT_NOP = 1
    TCP_OPT_MSS = 2
    TCP_OPT_MSS_LEN = 4


cdef inline void mss_clamp(frame_t *frame, uint16_t most) noexcept nogil:
    """The segment offers an MSS of at most that, and its checksum is as right or wrong as it was."""
    cdef uint8_t *p = frame.data + frame.l4_off
    cdef uint32_t end = <uint32_t>((<tcp_hdr *>p).data_off >> 4) * 4
    cdef uint32_t at = TCP_LEN
    while at < end and p[at] != TCP_OPT_END:
        if p[at] == TCP_OPT_NOP:
            at += 1
            continue
        if at + 1 >= end or p[at + 1] < 2 or at + p[at + 1] > end:
            return
        if p[at] == TCP_OPT_MSS and p[at + 1] == TCP_OPT_MSS_LEN and ntohs(load16(p + at + 2)) > most:
            mss_write(frame, at + 2, most)
        at += p[at + 1]


cdef inline void mss_write(frame_t *frame, uint32_t at, uint16_t mss) noexcept nogil:
    """The two bytes of the TCP header at `at` are mss. A partial checksum has yet to be summed over them."""
    cdef uint8_t *p = frame.data + frame.l4_off
    # An option may begin anywhere, and then its value is half of each of two words that are summed.
    cdef uint32_t words = at & ~<uint32_t>1, n = 2 + 2 * (at & 1)
    cdef uint16_t before = sum_fold(sum_bytes(p + words, n, 0))
    store16(p + at, htons(mss))
    if not frame.found & FOUND_PARTIAL:
        (<tcp_hdr *>p).checksum = checksum_adjust((<tcp_hdr *>p).checksum,
                                                  sum_change(before, sum_fold(sum_bytes(p + words, n, 0))))

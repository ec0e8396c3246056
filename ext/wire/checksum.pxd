"""The Internet checksum: whole, and adjusted by what changed. Spec: RFC 1071, RFC 1624, RFC 8200 8.1.

Sums are kept unfolded in 64 bits and in wire order, which one's complement addition does not mind
(RFC 1071 2.B), and folded once at the end.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_is_v4, ip_t, ip_v4
from ext.order cimport be16, htonl, htons, load16, load32, load64


cdef inline uint64_t sum_add(uint64_t total, uint64_t word) noexcept nogil:
    """total + word with the carry brought round."""
    total += word
    return total + (total < word)


cdef inline uint16_t sum_fold(uint64_t total) noexcept nogil:
    """total as 16 bits of one's complement."""
    total = (total >> 32) + (total & 0xFFFFFFFFULL)
    total = (total >> 32) + (total & 0xFFFFFFFFULL)
    total = (total >> 16) + (total & 0xFFFF)
    total = (total >> 16) + (total & 0xFFFF)
    total = (total >> 16) + (total & 0xFFFF)
    return <uint16_t>total


cdef inline uint64_t sum_bytes(const uint8_t *p, uint32_t n, uint64_t total) noexcept nogil:
    """total plus the 16-bit words of n bytes; a last odd byte counts as if a zero followed it."""
    while n >= 8:
        total = sum_add(total, load64(p))
        p += 8
        n -= 8
    if n >= 4:
        total = sum_add(total, load32(p))
        p += 4
        n -= 4
    if n >= 2:
        total = sum_add(total, load16(p))
        p += 2
        n -= 2
    if n:
        total = sum_add(total, p[0])
    return total


cdef inline be16 checksum_of(const uint8_t *p, uint32_t n, uint64_t total) noexcept nogil:
    """The checksum of n bytes and of what is already in total (a pseudo-header, or 0)."""
    return <be16>~sum_fold(sum_bytes(p, n, total))


cdef inline uint64_t sum_ip(ip_t ip) noexcept nogil:
    """An address as it counts in pseudo-headers: 4 bytes of an IPv4 address, 16 of an IPv6 one."""
    if ip_is_v4(ip):
        return ip_v4(ip)
    return sum_add(ip.hi, ip.lo)


cdef inline uint64_t sum_pseudo(ip_t src, ip_t dst, uint8_t protocol, uint32_t l4_len) noexcept nogil:
    """The pseudo-header's sum (RFC 9293 3.1, RFC 8200 8.1): the same words for both families."""
    cdef uint64_t total = sum_add(sum_ip(src), sum_ip(dst))
    total = sum_add(total, htons(protocol))
    return sum_add(total, htonl(l4_len))


cdef inline uint16_t sum_change(uint16_t old, uint16_t new) noexcept nogil:
    """What one's complement total gains when a folded part of it goes from old to new."""
    return sum_fold(<uint64_t><uint16_t>~old + new)


cdef inline be16 checksum_adjust(be16 check, uint16_t change) noexcept nogil:
    """A complete checksum after the bytes it covers gained change. Spec: RFC 1624 section 3, equation 3."""
    return <be16>~sum_fold(<uint64_t><uint16_t>~check + change)


cdef inline be16 partial_adjust(be16 check, uint16_t change) noexcept nogil:
    """A partial checksum (the pseudo-header's sum, not inverted) after the pseudo-header gained change."""
    return sum_fold(<uint64_t>check + change)

"""IP addresses of both families as one value of 16 bytes in wire order; IPv4 as ::ffff:a.b.c.d.

One form lets tables, sessions and rewriting serve both families through the same code (RFC 4291 2.5.5.2).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.order cimport be32, load64, ntohl, store64

cdef struct ip_t:
    uint64_t hi
    uint64_t lo


cdef inline ip_t ip_of_v4(be32 address) noexcept nogil:
    cdef ip_t ip
    ip.hi = 0
    ip.lo = 0xFFFF0000ULL | (<uint64_t>address << 32)
    return ip


cdef inline ip_t ip_load(const uint8_t *p) noexcept nogil:
    """The 16 bytes at p."""
    cdef ip_t ip
    ip.hi = load64(p)
    ip.lo = load64(p + 8)
    return ip


cdef inline void ip_store(uint8_t *p, ip_t ip) noexcept nogil:
    store64(p, ip.hi)
    store64(p + 8, ip.lo)


cdef inline bint ip_is_v4(ip_t ip) noexcept nogil:
    return ip.hi == 0 and <uint32_t>ip.lo == 0xFFFF0000UL


cdef inline be32 ip_v4(ip_t ip) noexcept nogil:
    """The IPv4 address within, only for addresses that are IPv4."""
    return <be32>(ip.lo >> 32)


cdef inline bint ip_equal(ip_t a, ip_t b) noexcept nogil:
    return a.hi == b.hi and a.lo == b.lo


cdef inline bint ip_is_zero(ip_t ip) noexcept nogil:
    """0.0.0.0 or ::"""
    return ip.hi == 0 and (ip.lo == 0 or ip.lo == 0xFFFF0000ULL)


cdef inline bint ip_in(ip_t ip, ip_t network, ip_t mask) noexcept nogil:
    return (ip.hi & mask.hi) == network.hi and (ip.lo & mask.lo) == network.lo


cdef inline bint ip_is_group(ip_t ip) noexcept nogil:
    """Multicast, or the limited broadcast address (RFC 5771, RFC 4291 2.7)."""
    cdef uint32_t v4
    if ip_is_v4(ip):
        v4 = ntohl(ip_v4(ip))
        return (v4 >> 28) == 0xE or v4 == 0xFFFFFFFFUL
    return (ip.hi & 0xFF) == 0xFF


cdef inline bint ip_is_loopback(ip_t ip) noexcept nogil:
    if ip_is_v4(ip):
        return (ntohl(ip_v4(ip)) >> 24) == 127
    return ip.hi == 0 and ip.lo == 0x0100000000000000ULL


cdef inline bint ip_is_link_local(ip_t ip) noexcept nogil:
    """169.254/16 (RFC 3927 7: not forwarded) or fe80::/10 (RFC 4291 2.5.6)."""
    if ip_is_v4(ip):
        return (ntohl(ip_v4(ip)) >> 16) == 0xA9FE
    return (ip.hi & 0xC0FF) == 0x80FE


cdef inline bint ip_may_send(ip_t ip) noexcept nogil:
    """Whether a packet may name this as its sender (RFC 1122 3.2.1.3, RFC 1812 5.3.7, class E included)."""
    if ip_is_zero(ip) or ip_is_group(ip) or ip_is_loopback(ip):
        return False
    if ip_is_v4(ip):
        return (ntohl(ip_v4(ip)) >> 24) != 0 and (ntohl(ip_v4(ip)) >> 28) != 0xF
    return True

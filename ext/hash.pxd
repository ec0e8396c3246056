"""A keyed hash of one or two IP addresses and a word, for the tables' buckets.

Folded 64x64-bit multiplication with a secret of the process (the scheme of wyhash): a stranger who does
not know the key cannot aim at one bucket.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.address cimport ip_t

cdef extern from * nogil:
    """
    static inline uint64_t swlb_mix(uint64_t a, uint64_t b) {
        __uint128_t product = (__uint128_t)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t mix "swlb_mix"(uint64_t a, uint64_t b)

cdef struct key_t:
    uint64_t a
    uint64_t b


cdef inline uint32_t hash_ip(key_t key, ip_t ip, uint64_t word) noexcept nogil:
    """32 well-mixed bits of an address and a word."""
    cdef uint64_t h = mix(ip.hi ^ key.a, ip.lo ^ key.b)
    return <uint32_t>(mix(h ^ word, key.a ^ 0xA0761D6478BD642FULL) >> 16)


cdef inline uint32_t hash_word(key_t key, uint64_t word) noexcept nogil:
    return <uint32_t>(mix(word ^ key.a, key.b ^ 0xE7037ED1A0B428DBULL) >> 16)


cdef inline uint32_t power_of_two(uint32_t n) noexcept nogil:
    """The smallest power of two that is at least n."""
    cdef uint32_t size = 1
    while size < n:
        size <<= 1
    return size

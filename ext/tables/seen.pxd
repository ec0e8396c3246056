"""Which 8-byte units of a packet have come, and where fragments begin: 2 KiB, of which as much is touched as the packet is long.

Merged ranges would be shorter, but could not tell a fragment that has come twice from one that overlaps others.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

cdef enum:
    UNITS = 8192
    SEEN_WORDS = 128           # of 64 units
    # seen_add
    SEEN_FRESH = 0             # nothing of it had come
    SEEN_AGAIN = 1             # just this fragment had
    SEEN_OVERLAP = 2           # some of it had

# Of 64 units; the two lie together, as they are looked at together.
cdef struct word_t:
    uint64_t here
    uint64_t begins

cdef struct seen_t:
    word_t *words              # SEEN_WORDS
    uint32_t high              # units; from here on nothing has come

cdef extern from * nogil:
    int popcount64 "__builtin_popcountll"(uint64_t word)


cdef inline void seen_clear(seen_t *seen) noexcept nogil:
    memset(seen.words, 0, (seen.high + 63) // 64 * sizeof(word_t))
    seen.high = 0


cdef inline bint seen_at(const seen_t *seen, uint32_t unit) noexcept nogil:
    return unit < seen.high and (seen.words[unit // 64].here >> (unit % 64)) & 1


cdef inline bint seen_begins(const seen_t *seen, uint32_t unit) noexcept nogil:
    return (seen.words[unit // 64].begins >> (unit % 64)) & 1


cdef inline uint64_t units_mask(uint32_t word, uint32_t first, uint32_t end) noexcept nogil:
    """The units first ... end - 1, as far as they are in that word."""
    cdef uint64_t mask = ~<uint64_t>0
    if word == first // 64:
        mask &= ~<uint64_t>0 << (first % 64)
    if word == end // 64:
        mask &= (<uint64_t>1 << (end % 64)) - 1
    return mask


cdef inline int seen_add(seen_t *seen, uint32_t first, uint32_t end) noexcept nogil:
    """The units first ... end - 1 have come as one fragment; what was known of them before. Only what is fresh is noted."""
    cdef uint32_t i
    cdef uint64_t here = 0
    for i in range(first // 64, (end - 1) // 64 + 1):
        here |= seen.words[i].here & units_mask(i, first, end)
    if here:
        return SEEN_AGAIN if seen_is_fragment(seen, first, end) else SEEN_OVERLAP
    for i in range(first // 64, (end - 1) // 64 + 1):
        seen.words[i].here |= units_mask(i, first, end)
    seen.words[first // 64].begins |= <uint64_t>1 << (first % 64)
    seen.high = max(seen.high, end)
    return SEEN_FRESH


cdef inline bint seen_is_fragment(const seen_t *seen, uint32_t first, uint32_t end) noexcept nogil:
    """Whether one of those that have come is first ... end - 1."""
    cdef uint32_t i
    cdef uint64_t mask, missing = 0, begins = 0
    for i in range(first // 64, (end - 1) // 64 + 1):
        mask = units_mask(i, first, end)
        missing |= ~seen.words[i].here & mask
        if i == first // 64:
            mask &= ~(<uint64_t>1 << (first % 64))
        begins |= seen.words[i].begins & mask
    return (missing == 0 and begins == 0 and seen_begins(seen, first)
            and (not seen_at(seen, end) or seen_begins(seen, end)))


cdef inline uint32_t seen_units(const seen_t *seen) noexcept nogil:
    """How many have come."""
    cdef uint32_t i, n = 0
    for i in range((seen.high + 63) // 64):
        n += popcount64(seen.words[i].here)
    return n

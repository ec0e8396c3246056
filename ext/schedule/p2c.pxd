"""Two random choices: of two servers drawn by weight, independently, the one with less load for its weight.

Of equals the first drawn. As even as the least loaded of all nearly always, without knowing who that is.
Spec: linux/net/netfilter/ipvs/ip_vs_twos.c.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.tables.group cimport connections_of, group_t, group_taker
from ext.tables.server cimport server_t


cdef inline uint32_t p2c_choose(group_t *group, server_t *servers) noexcept nogil:
    """The number of the chosen taker; there is one."""
    cdef uint64_t random = random_next(&group.random)
    cdef uint32_t a = drawn(group, <uint32_t>(random >> 32)), b = drawn(group, <uint32_t>random)
    cdef uint64_t load_a = connections_of(group, group_taker(group, servers, a))
    cdef uint64_t load_b = connections_of(group, group_taker(group, servers, b))
    return a if load_a * group.weights[b] <= load_b * group.weights[a] else b


cdef inline uint32_t drawn(const group_t *group, uint32_t random) noexcept nogil:
    """The taker in whose part of the sum of weights the number falls, when it is stretched to all of it."""
    cdef uint32_t point = <uint32_t>((random * group.total) >> 32)
    cdef uint32_t half, first = 0, n = group.n_takers
    # It is among the n from the first on. No branch, as half of them would be foreseen wrongly.
    while n > 1:
        half = n // 2
        first += half * (group.sums[first + half - 1] <= point)
        n -= half
    return first


cdef inline uint64_t random_next(uint64_t *state) noexcept nogil:
    """64 bits that look random. Spec: SplitMix64 (Steele, Lea, Flood 2014)."""
    cdef uint64_t z
    state[0] += 0x9E3779B97F4A7C15ULL
    z = state[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)

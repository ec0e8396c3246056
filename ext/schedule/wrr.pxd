"""Weighted round robin, smooth: shares by weight, and no bursts of one server.

Each time every taker is given credit for its weight, and who then has most (of equals the earlier in the configuration) is
chosen and pays what all were given. With the weights 5, 1, 1: a a b a c a a.
Spec: nginx/src/http/ngx_http_upstream_round_robin.c. That all are given credit is the definition, so a choice looks at all
takers: three passes over two arrays, which the compiler makes into vector instructions.
Who cannot have what it is named for, as it has sessions that look the same, is owed more and more, up to MOST.
"""

from libc.stdint cimport int32_t, uint32_t

from ext.tables.group cimport group_t

cdef enum:
    MOST = 1 << 30         # credit or debt; what rounds alone add up to stays far below


cdef inline uint32_t wrr_choose(const group_t *group) noexcept nogil:
    """The number of the chosen taker; there is one."""
    cdef const int32_t *credits = group.credits
    cdef const int32_t *weights = <const int32_t *>group.weights
    cdef uint32_t i, n = group.n_takers
    cdef int32_t most = credits[0] + weights[0]
    for i in range(n):
        most = max(most, credits[i] + weights[i])
    i = 0
    while credits[i] + weights[i] != most:
        i += 1
    return i


cdef inline void wrr_chosen(group_t *group, uint32_t chosen) noexcept nogil:
    """The taker of that number was chosen, and has paid."""
    cdef int32_t *credits = group.credits
    cdef const int32_t *weights = <const int32_t *>group.weights
    cdef uint32_t i, n = group.n_takers
    for i in range(n):
        credits[i] += weights[i]
    credits[chosen] -= <int32_t>group.total


cdef inline void wrr_passed(group_t *group) noexcept nogil:
    """A taker was passed over: nobody is owed, or owes, more than MOST."""
    cdef uint32_t i
    for i in range(group.n_takers):
        group.credits[i] = min(max(group.credits[i], -<int32_t>MOST), <int32_t>MOST)

"""Credits: what contestants in turn-taking are owed, kept while those who take part and their weights change.

Whoever stops taking part loses its credit, and has 0 when it returns. When the weights change, the credits of those who stay
are scaled in proportion, as whole numbers cut off towards zero: they mean the same share of a round as before, so that no
server starves or has it all until they have evened out.
"""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t


cdef inline void credits_keep(int32_t *kept, uint32_t n_kept, const int32_t *credits, const uint16_t *places,
                              uint32_t n) noexcept nogil:
    """kept has, by place, the credits of those who take part and have the places, and 0 for all others."""
    cdef uint32_t i
    for i in range(n_kept):
        kept[i] = 0
    for i in range(n):
        kept[places[i]] = credits[i]


cdef inline void credits_return(const int32_t *kept, int32_t *credits, const uint16_t *places, uint32_t n, int64_t round,
                                int64_t round_before) noexcept nogil:
    """credits are those of who takes part now, when a round was worth round_before and now is worth round."""
    cdef int64_t credit
    cdef uint32_t i
    for i in range(n):
        credit = kept[places[i]]
        if round != round_before:
            credit = credit * round // round_before if round_before else 0
        # More than a round cannot be owed to who takes part; it bounds what a long history adds up to.
        credits[i] = <int32_t>min(max(credit, -round), round)

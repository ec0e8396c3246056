"""Round robin: the next server in the order of the configuration that takes new sessions.

Spec: linux/net/netfilter/ipvs/ip_vs_rr.c. Weights do not matter but for 0, which takes nothing. A server whose share is
less than others' is passed over until its shares add up to theirs; a choice looks at every taker once at most.
"""

from libc.stdint cimport int32_t, uint16_t, uint32_t

from ext.tables.group cimport group_t


cdef inline uint32_t rr_choose(group_t *group) noexcept nogil:
    """The number of the chosen taker; there is one. Those that were passed over have been given credit for it."""
    cdef uint32_t i = group.turn if group.turn < group.n_takers else 0
    while group.weights[i] != group.heaviest and group.credits[i] + <int32_t>group.weights[i] < <int32_t>group.heaviest:
        group.credits[i] += <int32_t>group.weights[i]
        i = i + 1 if i + 1 < group.n_takers else 0
    group.turn = <uint16_t>i
    return i


cdef inline void rr_chosen(group_t *group, uint32_t i) noexcept nogil:
    """The taker of that number was chosen: the one behind it is next."""
    group.last = group.takers[i]
    group.turn = <uint16_t>(i + 1)
    if group.weights[i] != group.heaviest:
        group.credits[i] += <int32_t>group.weights[i] - <int32_t>group.heaviest

"""Round robin: the next server in the order of the configuration that takes new sessions.

Spec: linux/net/netfilter/ipvs/ip_vs_rr.c. Weights do not matter but for 0, which takes nothing.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.tables.group cimport group_t


cdef inline uint32_t rr_choose(group_t *group) noexcept nogil:
    """The number of the chosen taker; there is one."""
    cdef uint32_t i = group.turn
    return i if i < group.n_takers else 0


cdef inline void rr_chosen(group_t *group, uint32_t i) noexcept nogil:
    """The taker of that number was chosen: the one behind it is next."""
    group.last = group.takers[i]
    group.turn = <uint16_t>(i + 1)

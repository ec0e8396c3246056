"""From which ports servers of services that hash answer: what comes from another need not be looked at for it."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.order cimport be16, ntohs
from ext.tables.group cimport group_t
from ext.tables.service cimport match_t, services_t


cdef inline void service_note_ports(services_t *table, uint16_t match) noexcept nogil:
    """The ports from which servers of the match's service answer are noted."""
    cdef const match_t *of = &table.matches[match]
    cdef const group_t *group
    cdef uint32_t i, port
    cdef int family
    for port in range(of.l4_first, of.l4_last + <uint32_t>1):
        table.answered_from[port >> 6] |= <uint64_t>1 << (port & 63)
    for family in range(2):
        group = &table.services[of.service].groups[family]
        for i in range(group.n_members):
            port = ntohs(table.servers[group.members[i]].l4_port)
            table.answered_from[port >> 6] |= <uint64_t>1 << (port & 63)


cdef inline bint is_answered_from(const services_t *table, be16 l4_port) noexcept nogil:
    """Whether the port is one of those; it may be all the same that nobody answers from it."""
    cdef uint32_t port = ntohs(l4_port)
    return table.answered_from[port >> 6] >> (port & 63) & 1

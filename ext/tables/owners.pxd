"""Owners: by which numbers and tables a hash, or a turn, names a member of a group.

    sums      by place: weights of the members up to it, so that a number below the last names one
    table     places, as the scheduler's table says: maglev's, or one that the control plane has thought of

Weights are the last that were not 0 (`table_weight`): who is down, drained or quiesced keeps its part, and only what
was its own goes elsewhere meanwhile. Backups have no part while another member takes sessions, and then all of it.
A table is made by who asks for it and swapped in between two turns, by its pointer; all else is made at every refresh.
Structure: flat arrays. Owner: the worker. Only groups whose scheduler needs them have any.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free

from ext.tables.server cimport server_t

cdef enum:
    TABLE_LEN = 65537      # the longest table. A prime, as maglev needs; a table takes 128 KiB

cdef struct owners_t:
    uint32_t *sums
    uint16_t *table        # NULL: none yet
    uint32_t n_places      # of the table
    uint32_t turn          # where in the table the next turn is
    uint32_t n_turns


cdef inline int owners_seal(owners_t *owners, uint16_t n_members) noexcept nogil:
    """There is room for so many members; 0, or -1 when memory is out."""
    owners.sums = <uint32_t *>calloc(n_members + 1, sizeof(uint32_t))
    return 0 if owners.sums is not NULL else -1


cdef inline void owners_free(owners_t *owners) noexcept nogil:
    free(owners.sums)
    free(owners.table)


cdef inline void owners_refresh(owners_t *owners, const uint16_t *members, uint16_t n_members, bint on_backups,
                                const server_t *servers) noexcept nogil:
    """sums are right again."""
    cdef const server_t *server
    cdef uint32_t sum = 0
    cdef uint16_t i
    if owners.sums is NULL:
        return
    for i in range(n_members):
        server = &servers[members[i]]
        # 65,535 servers of 65,535 each stay below 2^32.
        if (server.backup != 0) == on_backups:
            sum += server.table_weight
        owners.sums[i] = sum


cdef inline uint16_t owners_at(const owners_t *owners, uint16_t n_members, uint32_t point) noexcept nogil:
    """The place whose part of the sums has that number, which is below the last of them."""
    cdef uint32_t low = 0, high = n_members - 1, middle
    while low < high:
        middle = (low + high) // 2
        if owners.sums[middle] > point:
            high = middle
        else:
            low = middle + 1
    return <uint16_t>low

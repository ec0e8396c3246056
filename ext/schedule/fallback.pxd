"""Whom a hash names, and who gets the flow when that one takes none: another hash of it names another, and so on.

So who is down, drained or full gives up what was its own, spread over all others, and nobody else's flows move; what it
gave up comes back to it. A server that starts slowly has a part of its own flows, and more of them as its share grows.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.schedule.hash cimport hash_again, hash_owner, is_admitted
from ext.schedule.maglev cimport maglev_owner
from ext.tables.decision cimport BECAUSE_FALLBACK, choice_passes, choice_t
from ext.tables.group cimport SCHEDULE_MAGLEV, group_t
from ext.tables.server cimport NO_PLACE, server_t

cdef enum:
    ATTEMPTS = 16          # with half of the servers down, one flow in 65,536 is still left to the takers


cdef inline uint16_t owner_of(const group_t *group, uint64_t hash) noexcept nogil:
    """The place that the scheduler names for the hash. Backups stand in no table: while they are in use, modulo."""
    if group.kind == SCHEDULE_MAGLEV and not group.on_backups and group.owners.table is not NULL:
        return maglev_owner(group, hash)
    return hash_owner(group, hash)


cdef inline uint32_t hashed_choose(const group_t *group, const server_t *servers, uint64_t hash,
                                   choice_t *choice) noexcept nogil:
    """The number of the taker for a flow of that hash; there are takers."""
    cdef uint64_t other = hash
    cdef uint32_t attempt = 0
    cdef uint16_t place
    if group.on_backups:
        choice.because = BECAUSE_FALLBACK
    while attempt <= ATTEMPTS:
        place = owner_of(group, other)
        if group.numbers[place] != NO_PLACE and is_admitted(other, servers[group.members[place]].share):
            return group.numbers[place]
        choice_passes(choice, BECAUSE_FALLBACK, group.members[place])
        attempt += 1
        other = hash_again(hash, attempt)
    return <uint32_t>(hash % group.n_takers)

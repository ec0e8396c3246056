"""A table of servers that the control plane has thought of: read in turns, or by the hash of a flow.

While there is none, servers take turns as in rr.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.frame cimport frame_t
from ext.hash cimport mix
from ext.schedule.hash cimport K1, K2, frame_hash, is_admitted
from ext.schedule.rr cimport rr_choose, rr_chosen
from ext.tables.decision cimport BECAUSE_FALLBACK, choice_passes, choice_t
from ext.tables.group cimport group_t
from ext.tables.owners cimport owners_t
from ext.tables.server cimport NO_PLACE, server_t
from ext.tables.service cimport KEY_NONE, service_t

cdef enum:
    LOOKED_AT = 64         # entries, before any taker will do
    NO_ENTRY = 0xFFFFFFFF


cdef inline uint32_t table_choose(service_t *service, group_t *group, const frame_t *frame, const server_t *servers,
                                  choice_t *choice) noexcept nogil:
    """The number of the taker that the table has for the packet; there are takers."""
    cdef owners_t *owners = &group.owners
    cdef uint64_t hash
    cdef uint32_t i
    if owners.table is NULL:
        return turn_take(group)
    if service.hash_key != KEY_NONE:
        hash = frame_hash(service.hash_key, frame)
        i = entry_find(group, servers, <uint32_t>(hash % owners.n_places), hash, choice)
        return group.numbers[owners.table[i]] if i != NO_ENTRY else <uint32_t>(hash % group.n_takers)
    owners.n_turns += 1
    i = entry_find(group, servers, owners.turn, mix(owners.n_turns ^ K1, K2), choice)
    if i == NO_ENTRY:
        return turn_take(group)
    owners.turn = i + 1 if i + 1 < owners.n_places else 0
    return group.numbers[owners.table[i]]


cdef inline uint32_t entry_find(const group_t *group, const server_t *servers, uint32_t i, uint64_t hash,
                                choice_t *choice) noexcept nogil:
    """The first entry from i on that names a taker, which has its share by the hash; NO_ENTRY: none near."""
    cdef const owners_t *owners = &group.owners
    cdef uint16_t place
    cdef uint32_t n
    for n in range(<uint32_t>LOOKED_AT):
        place = owners.table[i]
        if group.numbers[place] != NO_PLACE and is_admitted(hash, servers[group.members[place]].share):
            return i
        choice_passes(choice, BECAUSE_FALLBACK, group.members[place])
        i = i + 1 if i + 1 < owners.n_places else 0
    return NO_ENTRY


cdef inline uint32_t turn_take(group_t *group) noexcept nogil:
    """The number of the taker whose turn it is."""
    cdef uint32_t i = rr_choose(group)
    rr_chosen(group, i)
    return i

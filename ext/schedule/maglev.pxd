"""Maglev: a table of places, from which a hash takes one. When servers change, few others' places do.

Spec: Eisenbud et al., Maglev (NSDI 2016), section 3.4; weights as in Katran: a round gives every server its weight as
credit, and who has as much as the heaviest weighs takes its next free place for it.
Each server walks through the table by a permutation of its own, which its address and port decide, and servers take
turns in the order of these: their names and their order in the configuration do not matter, so that two machines with
the same servers have the same table. A server with less than one part in 65537 of the weights may get no place.

    offset = place_hash mod 65537    skip = mix(place_hash ^ K4, K1) mod 65536 + 1    j-th place: (offset + j skip) mod 65537

The time to fill a table grows with the number of rounds, at most 65537, times that of servers: about a millisecond,
unless one server weighs thousands of times as much as many others. It is filled by who asks for it, never by the loop.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy

from ext.address cimport ip_equal, ip_t
from ext.hash cimport mix
from ext.order cimport ntohs
from ext.schedule.hash cimport K1, K3, K4, address_hash
from ext.tables.group cimport SCHEDULE_MAGLEV, group_t
from ext.tables.owners cimport TABLE_LEN
from ext.tables.server cimport NO_PLACE, server_t

cdef struct claim_t:           # of a server to places
    ip_t ip
    uint32_t l4_port
    uint32_t weight
    uint32_t credit
    uint32_t at                # the place it wants next
    uint32_t skip
    uint16_t place             # its own among the members


cdef inline uint16_t maglev_owner(const group_t *group, uint64_t hash) noexcept nogil:
    """The place that the table has for the hash."""
    return group.owners.table[hash % <uint64_t>TABLE_LEN]


cdef inline int maglev_fill(uint16_t **table, const group_t *group, const server_t *servers) noexcept nogil:
    """*table is a new one for the members as they are, the caller's to free; NULL when no member has a part of it.

    0, or -1 when memory is out.
    """
    cdef claim_t *claims = <claim_t *>malloc((<size_t>group.n_members + 1) * sizeof(claim_t))
    cdef uint32_t n
    table[0] = NULL
    if claims is NULL:
        return -1
    n = claims_of(claims, group, servers)
    if n:
        table[0] = <uint16_t *>malloc(<size_t>TABLE_LEN * sizeof(uint16_t))
        if table[0] is not NULL:
            qsort(claims, n, sizeof(claim_t), claim_order)
            places_take(table[0], claims, n)
    free(claims)
    return 0 if n == 0 or table[0] is not NULL else -1


cdef inline bint maglev_copy(uint16_t **table, const group_t *group, const server_t *servers, const group_t *other,
                             const server_t *others) noexcept nogil:
    """Whether *table is a copy of the other's, whose members claim the same in the same places: a hundredth of a filling.

    The caller's to free; NULL where not, and when memory is out.
    """
    cdef size_t size = <size_t>TABLE_LEN * sizeof(uint16_t)
    table[0] = NULL
    if other.owners.table is NULL or not claims_are_alike(group, servers, other, others):
        return False
    table[0] = <uint16_t *>malloc(size)
    if table[0] is NULL:
        return False
    memcpy(table[0], other.owners.table, size)
    return True


cdef inline bint claims_are_alike(const group_t *group, const server_t *servers, const group_t *other,
                                  const server_t *others) noexcept nogil:
    """Whether the tables of both groups are the same."""
    cdef const server_t *a
    cdef const server_t *b
    cdef uint32_t i
    if other.kind != SCHEDULE_MAGLEV or other.n_members != group.n_members:
        return False
    for i in range(group.n_members):
        a, b = &servers[group.members[i]], &others[other.members[i]]
        if (not ip_equal(a.ip, b.ip) or a.l4_port != b.l4_port or a.table_weight != b.table_weight
                or a.backup != b.backup):
            return False
    return True


cdef inline uint32_t claims_of(claim_t *claims, const group_t *group, const server_t *servers) noexcept nogil:
    """Of every member that has a part of the table; how many there are."""
    cdef const server_t *server
    cdef claim_t *claim
    cdef uint64_t hash
    cdef uint32_t i, n = 0
    for i in range(group.n_members):
        server = &servers[group.members[i]]
        if server.backup or not server.table_weight:
            continue
        claim = &claims[n]
        claim.ip, claim.l4_port = server.ip, ntohs(server.l4_port)
        claim.weight, claim.credit = server.table_weight, 0
        claim.place = <uint16_t>i
        hash = mix(address_hash(server.ip) ^ claim.l4_port, K3)
        claim.at = <uint32_t>(hash % <uint64_t>TABLE_LEN)
        claim.skip = <uint32_t>(mix(hash ^ K4, K1) % (<uint64_t>TABLE_LEN - 1)) + 1
        n += 1
    return n


cdef inline int claim_order(const void *one, const void *other) noexcept nogil:
    """By address, then port, whatever order that is."""
    cdef const claim_t *a = <const claim_t *>one
    cdef const claim_t *b = <const claim_t *>other
    if a.ip.hi != b.ip.hi:
        return 1 if a.ip.hi > b.ip.hi else -1
    if a.ip.lo != b.ip.lo:
        return 1 if a.ip.lo > b.ip.lo else -1
    return (a.l4_port > b.l4_port) - (a.l4_port < b.l4_port)


cdef inline void places_take(uint16_t *table, claim_t *claims, uint32_t n) noexcept nogil:
    """Every place of the table is one of the claimants', in rounds."""
    cdef uint32_t i, taken = 0, heaviest = 0
    for i in range(<uint32_t>TABLE_LEN):
        table[i] = NO_PLACE
    for i in range(n):
        heaviest = max(heaviest, claims[i].weight)
    while True:
        for i in range(n):
            claims[i].credit += claims[i].weight
            if claims[i].credit < heaviest:
                continue
            claims[i].credit -= heaviest
            place_take(table, &claims[i])
            taken += 1
            if taken == TABLE_LEN:
                return


cdef inline void place_take(uint16_t *table, claim_t *claim) noexcept nogil:
    """The claimant has the next free place of its permutation; there is a free one."""
    while table[claim.at] != NO_PLACE:
        claim.at = (claim.at + claim.skip) % TABLE_LEN
    table[claim.at] = claim.place

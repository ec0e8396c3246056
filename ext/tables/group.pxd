"""A group: the servers of a service that serve clients of one family, and what the scheduler keeps of them.

    members   all of them, in the order of the configuration; a server's `place` is here
    takers    the places of those that may be given a new session: no backup while another member can take one
    weights   of the takers, for comparison with each other: share and weight multiplied, as small as they go

`group_refresh` makes the last two, and whatever else follows from who takes, whenever that changes: in a step for each
member, so that a choice needs none. What is kept from choice to choice outlives it.
Structure: flat arrays of one allocation each, made at seal; owner: the worker.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from ext.tables.owners cimport owners_free, owners_refresh, owners_seal, owners_t
from ext.tables.server cimport server_serves, server_t, server_takes

cdef enum:
    # service_t.scheduler
    SCHEDULE_RR = 0
    SCHEDULE_WRR = 1
    SCHEDULE_LC = 2
    SCHEDULE_WLC = 3
    SCHEDULE_SED = 4
    SCHEDULE_NQ = 5
    SCHEDULE_HASH = 6
    SCHEDULE_MAGLEV = 7
    SCHEDULE_P2C = 8
    SCHEDULE_FO = 9
    SCHEDULE_OVERFLOW = 10
    SCHEDULE_TABLE = 11    # filled by the control plane
    WEIGHTS_BITS = 30      # all weights together stay below this power of two, so that sums fit 31 bits

cdef struct group_t:
    uint16_t *members      # indices of servers
    uint16_t *takers
    uint32_t *weights      # by place among the takers
    int32_t *credits       # by place among the members: rr, wrr
    uint16_t n_members
    uint16_t n_takers
    uint16_t n_serving     # members that serve at least known sessions
    uint16_t turn          # rr: the place among the takers that is next
    uint16_t last          # rr: the member chosen last
    uint32_t heaviest      # of weights
    uint64_t total         # of weights
    uint8_t kind           # SCHEDULE_RR ...
    bint on_backups        # the takers are backups
    owners_t owners        # for schedulers with a table or a hash


cdef inline int group_add(group_t *group, server_t *servers, uint16_t index, int family) noexcept nogil:
    """The server is the last member; 0, or -1 when memory is out."""
    cdef uint16_t *members = <uint16_t *>realloc(group.members, (group.n_members + 1) * sizeof(uint16_t))
    if members is NULL:
        return -1
    group.members = members
    members[group.n_members] = index
    servers[index].place[family] = group.n_members
    group.n_members += 1
    return 0


cdef inline int group_seal(group_t *group, uint8_t kind) noexcept nogil:
    """There is room for what the scheduler keeps of the members; 0, or -1 when memory is out."""
    group.kind = kind
    if has_owners(kind) and owners_seal(&group.owners, group.n_members) < 0:
        return -1
    group.takers = <uint16_t *>calloc(group.n_members + 1, sizeof(uint16_t))
    group.weights = <uint32_t *>calloc(group.n_members + 1, sizeof(uint32_t))
    group.credits = <int32_t *>calloc(group.n_members + 1, sizeof(int32_t))
    # The choice goes on behind the last, so the first member is the first chosen.
    group.last = <uint16_t>(group.n_members - 1) if group.n_members else 0
    return 0 if group.takers is not NULL and group.weights is not NULL and group.credits is not NULL else -1


cdef inline void group_free(group_t *group) noexcept nogil:
    free(group.members)
    free(group.takers)
    free(group.weights)
    free(group.credits)
    owners_free(&group.owners)


cdef inline server_t *group_taker(const group_t *group, server_t *servers, uint32_t i) noexcept nogil:
    """The taker of that number."""
    return &servers[group.members[group.takers[i]]]


cdef inline void group_refresh(group_t *group, const server_t *servers) noexcept nogil:
    """Who takes and who serves is right again, and what follows from it."""
    cdef uint16_t i
    group.n_serving = 0
    for i in range(group.n_members):
        group.n_serving += server_serves(&servers[group.members[i]])
    group.on_backups = False
    if not takers_find(group, servers, 0) and takers_find(group, servers, 1):
        group.on_backups = True
    weights_find(group, servers)
    owners_refresh(&group.owners, group.members, group.n_members, group.takers, group.n_takers, group.on_backups, servers)
    group.turn = 0
    while group.turn < group.n_takers and group.takers[group.turn] <= group.last:
        group.turn += 1


cdef inline bint takers_find(group_t *group, const server_t *servers, uint8_t backup) noexcept nogil:
    """Members that take sessions and are backups, or are none, are the takers; whether there are any."""
    cdef const server_t *server
    cdef uint16_t i
    group.n_takers = 0
    for i in range(group.n_members):
        server = &servers[group.members[i]]
        if server_takes(server) and server.backup == backup:
            group.takers[group.n_takers] = i
            group.n_takers += 1
    return group.n_takers > 0


cdef inline void weights_find(group_t *group, const server_t *servers) noexcept nogil:
    """Each taker's weight: its share times its weight, or for schedulers that know no weights its share alone."""
    cdef const server_t *server
    cdef uint32_t i, divisor = 0, shift = 0
    cdef uint64_t total = 0
    for i in range(group.n_takers):
        server = &servers[group.members[group.takers[i]]]
        group.weights[i] = server.share * <uint32_t>(1 if is_unweighted(group.kind) else server.weight)
        divisor = common_divisor(group.weights[i], divisor)
    for i in range(group.n_takers):
        group.weights[i] //= divisor
        total += group.weights[i]
    while (total >> shift) >> WEIGHTS_BITS:
        shift += 1
    group.total = group.heaviest = 0
    for i in range(group.n_takers):
        group.weights[i] = max(group.weights[i] >> shift, <uint32_t>1)
        group.total += group.weights[i]
        group.heaviest = max(group.heaviest, group.weights[i])


cdef inline bint is_unweighted(uint8_t kind) noexcept nogil:
    """Whether the scheduler knows no weights but 0."""
    return kind == SCHEDULE_RR or kind == SCHEDULE_LC


cdef inline bint is_hashed(uint8_t kind) noexcept nogil:
    """Whether the scheduler names a server by a hash and nothing else, so that it names it again."""
    return kind == SCHEDULE_HASH or kind == SCHEDULE_MAGLEV


cdef inline bint has_owners(uint8_t kind) noexcept nogil:
    """Whether the scheduler names servers by a number or a table."""
    return is_hashed(kind) or kind == SCHEDULE_TABLE


cdef inline uint32_t common_divisor(uint32_t a, uint32_t b) noexcept nogil:
    """The greatest common divisor; of a and 0, a."""
    cdef uint32_t rest
    while b:
        rest = a % b
        a = b
        b = rest
    return a

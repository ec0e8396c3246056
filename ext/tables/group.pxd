"""A group: the servers of a service that serve clients of one family, and what the scheduler keeps of them.

    members   all of them, in the order of the configuration; a server's `place` is here
    takers    the places of those that may be given a new session: no backup while another member can take one
    weights   of the takers, for comparison with each other: share and weight multiplied, as small as they go
    credits   of the takers, for schedulers that take turns (credit.pxd)
    contest   between the takers, for schedulers that look at load (contest.pxd)

`group_refresh` makes all but the first, and whatever else follows from who takes, whenever that changes: in a step for
each member, so that a choice needs none. What is kept from choice to choice outlives it.
Structure: flat arrays of one allocation each, made at seal; owner: the worker.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from ext.tables.contest cimport contest_again, contest_begin, contest_free, contest_init, contest_t, contest_winner
from ext.tables.credit cimport credits_keep, credits_return
from ext.tables.owners cimport owners_free, owners_refresh, owners_seal, owners_t
from ext.tables.server cimport NO_PLACE, SHARE_FULL, server_serves, server_t, server_takes

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
    WEIGHTS_BITS = 28      # all weights together stay below this power of two: credits of some rounds fit 31 bits

cdef extern from * nogil:
    """
    #define SWLB_NO_ROOM (1ULL << 39)
    """
    const uint64_t NO_ROOM "SWLB_NO_ROOM"    # load of a server that is to take nothing: above all others for any weight

cdef struct group_t:
    uint16_t *members      # indices of servers
    uint16_t *takers
    uint32_t *weights      # by place among the takers
    int32_t *credits       # by place among the takers: rr, wrr
    int32_t *kept          # by place among the members: credits while the takers change
    uint32_t *sums         # of the weights up to each taker: p2c
    uint16_t *numbers      # by place among the members: the place among the takers; NO_PLACE
    contest_t contest
    uint64_t random        # p2c: state of the generator
    uint16_t n_members
    uint16_t n_takers
    uint16_t n_serving     # members that serve at least known sessions
    uint16_t turn          # rr: the place among the takers that is next
    uint16_t last          # rr: the member chosen last
    uint32_t heaviest      # of weights
    uint64_t total         # of weights
    uint8_t kind           # SCHEDULE_RR ...
    bint on_backups        # the takers are backups
    bint all_active        # its sessions are never ESTABLISHED, as UDP's: each counts as active
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
    group.kept = <int32_t *>calloc(group.n_members + 1, sizeof(int32_t))
    group.sums = <uint32_t *>calloc(group.n_members + 1, sizeof(uint32_t))
    group.numbers = <uint16_t *>calloc(group.n_members + 1, sizeof(uint16_t))
    # The choice goes on behind the last, so the first member is the first chosen.
    group.last = <uint16_t>(group.n_members - 1) if group.n_members else 0
    if (group.takers is NULL or group.weights is NULL or group.credits is NULL or group.kept is NULL
            or group.sums is NULL or group.numbers is NULL):
        return -1
    return contest_init(&group.contest, group.n_members)


cdef inline void group_free(group_t *group) noexcept nogil:
    free(group.members)
    free(group.takers)
    free(group.weights)
    free(group.credits)
    free(group.kept)
    free(group.sums)
    free(group.numbers)
    contest_free(&group.contest)
    owners_free(&group.owners)


cdef inline server_t *group_taker(const group_t *group, server_t *servers, uint32_t i) noexcept nogil:
    """The taker of that number."""
    return &servers[group.members[group.takers[i]]]


cdef inline void group_refresh(group_t *group, const server_t *servers) noexcept nogil:
    """Who takes and who serves is right again, and what follows from it."""
    cdef uint16_t i
    cdef uint64_t round_before = group_round(group)
    credits_keep(group.kept, group.n_members, group.credits, group.takers, group.n_takers)
    group.n_serving = 0
    for i in range(group.n_members):
        group.n_serving += server_serves(&servers[group.members[i]])
    group.on_backups = False
    if not takers_find(group, servers, 0) and takers_find(group, servers, 1):
        group.on_backups = True
    weights_find(group, servers)
    credits_return(group.kept, group.credits, group.takers, group.n_takers, group_round(group), round_before)
    loads_find(group, servers)
    owners_refresh(&group.owners, group.members, group.n_members, group.on_backups, servers)
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
        group.numbers[i] = NO_PLACE
        if server_takes(server) and server.backup == backup:
            group.numbers[i] = group.n_takers
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
        group.weights[i] = max(<uint32_t>server.share, <uint32_t>1)
        if not is_unweighted(group.kind):
            group.weights[i] *= server.weight
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
        group.sums[i] = <uint32_t>group.total
        group.heaviest = max(group.heaviest, group.weights[i])


cdef inline uint64_t group_round(const group_t *group) noexcept nogil:
    """What credits are measured by: what is given out until everybody has had its part."""
    return group.heaviest if group.kind == SCHEDULE_RR else group.total


cdef inline void loads_find(group_t *group, const server_t *servers) noexcept nogil:
    """The contest knows every taker's load; for schedulers that have none it is left out."""
    cdef uint32_t i
    if not has_contest(group.kind):
        return
    for i in range(group.n_takers):
        group.contest.loads[i] = load_of(group, &servers[group.members[group.takers[i]]])
    contest_begin(&group.contest, group.weights, group.n_takers)


cdef inline void group_load_changed(group_t *group, const server_t *server, uint32_t place) noexcept nogil:
    """The member at that place has more or fewer sessions; the scheduler looks at load."""
    cdef uint32_t i = group.numbers[place]
    if i != NO_PLACE:
        contest_again(&group.contest, group.weights, i, load_of(group, server))


cdef inline bint looks_at_load(uint8_t kind) noexcept nogil:
    """Whether whom the scheduler names follows from how many sessions the servers have."""
    return SCHEDULE_LC <= kind <= SCHEDULE_NQ or kind == SCHEDULE_OVERFLOW


cdef inline bint has_contest(uint8_t kind) noexcept nogil:
    """Whether a contest finds whom the scheduler names; that of fo is about weights alone."""
    return looks_at_load(kind) or kind == SCHEDULE_FO


cdef inline uint32_t active_of(const group_t *group, const server_t *server) noexcept nogil:
    """How many sessions make the server work."""
    return server.sessions_active + server.sessions_inactive if group.all_active else server.sessions_active


cdef inline uint64_t connections_of(const group_t *group, const server_t *server) noexcept nogil:
    """The server's sessions as lc, wlc and p2c count them. Spec: linux/include/net/ip_vs.h, ip_vs_dest_conn_overhead."""
    return (<uint64_t>active_of(group, server) << 8) + (0 if group.all_active else server.sessions_inactive)


cdef inline uint64_t load_of(const group_t *group, const server_t *server) noexcept nogil:
    """What the scheduler wants least of for a weight: below 2^40.

    nq wants one that is idle before all others, overflow the heaviest that has room, fo the heaviest.
    """
    cdef uint32_t active = active_of(group, server)
    if group.kind == SCHEDULE_SED:
        return <uint64_t>active + 1
    if group.kind == SCHEDULE_NQ:
        return <uint64_t>active + 1 if active else 0
    if group.kind == SCHEDULE_OVERFLOW:
        return 1 if active <= capacity_of(server) else NO_ROOM
    return connections_of(group, server) if group.kind != SCHEDULE_FO else 1


cdef inline uint32_t capacity_of(const server_t *server) noexcept nogil:
    """For overflow a server's weight is also how many sessions it has room for; while it starts slowly, for its share."""
    return (<uint32_t>server.weight * server.share + SHARE_FULL - 1) // SHARE_FULL


cdef inline bint group_has_room(const group_t *group) noexcept nogil:
    """Whether the scheduler has somebody to name."""
    if group.n_takers == 0:
        return False
    return group.kind != SCHEDULE_OVERFLOW or group.contest.loads[contest_winner(&group.contest)] != NO_ROOM


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

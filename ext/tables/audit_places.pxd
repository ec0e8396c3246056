"""Whether everybody is where the tables say: servers in groups, ports and stations on segments. Read first: audit.pxd."""

from libc.stdint cimport uint32_t, uint64_t

from ext.frame cimport NO_SEGMENT
from ext.ports.port cimport PORTS
from ext.tables.contest cimport contest_winner
from ext.tables.group cimport group_t, has_contest, load_of
from ext.tables.neighbour cimport N_FREE
from ext.tables.segment cimport segment_t
from ext.tables.server cimport NO_PLACE, SERVER_FULL, SERVER_GONE, server_t, server_takes
from ext.tables.service cimport services_t
from ext.tables.tables cimport tables_t


cdef inline const char *groups_audit(const services_t *services) noexcept nogil:
    """Every server knows its place in its service's groups; who has left has none."""
    cdef const group_t *group
    cdef const server_t *server
    cdef uint32_t i, j, members = 0, places = 0
    cdef int family
    for i in range(services.n_services):
        for family in range(2):
            group = &services.services[i].groups[family]
            members += group.n_members
            for j in range(group.n_members):
                server = &services.servers[group.members[j]]
                if server.service != i or server.place[family] != j or server.ready & SERVER_GONE:
                    return "groups: a member is not the service's, or has left"
    for i in range(services.n_servers):
        server = &services.servers[i]
        places += (server.place[0] != NO_PLACE) + (server.place[1] != NO_PLACE)
        if not server.ready & SERVER_GONE and services.services[server.service].gone:
            return "servers: one is there, and its service has left"
    if members != places:
        return "groups: a server has a place where it is not"
    return takers_audit(services)


cdef inline const char *takers_audit(const services_t *services) noexcept nogil:
    """Who takes and whom a scheduler that looks at load would name are what the servers say."""
    cdef const group_t *group
    cdef uint32_t i, k, taker
    for i in range(2 * services.n_services):
        group = &services.services[i // 2].groups[i % 2]
        taker = 0
        for k in range(group.n_members):
            if group.on_backups and server_takes(&services.servers[group.members[k]]) and (
                    not services.servers[group.members[k]].backup):
                return "groups: backups are in use, and another member takes sessions"
            if server_takes(&services.servers[group.members[k]]) and (
                    services.servers[group.members[k]].backup == group.on_backups):
                if taker >= group.n_takers or group.takers[taker] != k or group.numbers[k] != taker:
                    return "groups: a server that takes sessions is none of the takers"
                taker += 1
        if taker != group.n_takers:
            return "groups: a server that takes no sessions is one of the takers"
        if has_contest(group.kind) and group.n_takers and not is_won(group, services.servers):
            return "groups: the contest was won by somebody else"
    return NULL


cdef inline const char *limits_audit(const services_t *services, bint is_alone) noexcept nogil:
    """What is open at servers with a limit all workers know, of which this may be the only one. No other is full."""
    cdef const server_t *server
    cdef uint32_t i
    for i in range(services.n_servers):
        server = &services.servers[i]
        if server.opened != (server.sessions_open if server.limit else 0):
            return "servers: what is open is not what all workers know of it"
        if is_alone and services.opened[i] != server.opened:
            return "servers: sessions of nobody are open"
        if server.ready & SERVER_FULL and not server.limit:
            return "servers: one is full, and has no limit"
        if is_alone and server.limit and server.opened >= server.limit and not server.ready & SERVER_FULL:
            return "servers: one is full and does not know it"
    return NULL


cdef inline bint is_won(const group_t *group, const server_t *servers) noexcept nogil:
    """Whether the contest knows every load, and nobody has less for its weight than the winner, nor as little before it."""
    cdef uint32_t i, winner = contest_winner(&group.contest)
    cdef uint64_t load, least = load_of(group, &servers[group.members[group.takers[winner]]])
    for i in range(group.n_takers):
        load = load_of(group, &servers[group.members[group.takers[i]]])
        if group.contest.loads[i] != load or load * group.weights[winner] < least * group.weights[i] + (i < winner):
            return False
    return True


cdef inline const char *segments_audit(const tables_t *tables) noexcept nogil:
    """Every port is in the list of its segment, and nothing else is."""
    cdef const segment_t *segment
    cdef uint32_t i, j, listed = 0, there = 0
    for i in range(tables.n_segments):
        segment = &tables.segments[i]
        listed += segment.n_ports
        for j in range(segment.n_ports):
            if not tables.ports[segment.ports[j]].there or tables.ports[segment.ports[j]].segment != i:
                return "segments: one lists a port that is not its own"
        for j in range(<uint32_t>PORTS):
            if segment.fdb.n_of[j] and (not tables.ports[j].there or tables.ports[j].segment != i):
                return "segments: a station is behind a port of another"
    for i in range(<uint32_t>PORTS):
        there += tables.ports[i].there and tables.ports[i].segment != NO_SEGMENT
    for i in range(tables.neighbours.high):
        if tables.neighbours.entries[i].state != N_FREE and tables.segments[tables.neighbours.entries[i].segment].gone:
            return "neighbours: one is on a segment that has left"
    if listed != there:
        return "segments: a port is in no list"
    return NULL

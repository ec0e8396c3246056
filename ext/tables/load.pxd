"""What follows when a server has more or fewer sessions: who is named next, and whether it has as many as it may.

The limit holds for all workers together: `opened` of services_t counts for them, by server, and only for servers that have
a limit. Each worker adds to it what it has open itself, and keeps in `opened` of server_t what that was. Whether the server
is full each worker finds by itself: at once for what it did itself; for what others did when it is about to choose the
server or finds nobody, and at the next tick. Probes are of doubles, which have no limit.
"""

from libc.stdint cimport uint32_t

from ext.sync cimport add_shared, load_acquire
from ext.tables.group cimport group_load_changed, group_refresh, group_t, looks_at_load
from ext.tables.server cimport NO_PLACE, SERVER_FULL, server_t
from ext.tables.service cimport services_t


cdef inline void server_load_changed(services_t *services, server_t *server) noexcept nogil:
    """Its counts of sessions have changed."""
    if server.watched:
        load_follow(services, server)


cdef inline void load_follow(services_t *services, server_t *server) noexcept nogil:
    """Whom its scheduler names, and whether it is full, follow from its counts."""
    cdef group_t *groups = services.services[server.service].groups
    cdef uint32_t family
    for family in range(<uint32_t>2):
        if server.place[family] != NO_PLACE and looks_at_load(groups[family].kind):
            group_load_changed(&groups[family], server, server.place[family])
    if server.limit:
        opened_follow(services, server)
        full_follow(services, server)


cdef inline void opened_follow(services_t *services, server_t *server) noexcept nogil:
    """What this worker has open there is in the count of all workers; of a server without a limit nothing is."""
    cdef uint32_t wanted = server.sessions_open if server.limit else 0
    if wanted != server.opened:
        add_shared(&services.opened[server - services.servers], wanted - server.opened)
        server.opened = wanted


cdef inline bint full_follow(services_t *services, server_t *server) noexcept nogil:
    """SERVER_FULL is right; whether that is new, and its groups have changed."""
    cdef uint32_t n = load_acquire(&services.opened[server - services.servers])
    cdef bint was = (server.ready & SERVER_FULL) != 0
    cdef bint full = was
    if n >= server.limit:
        full = server.limit != 0
    elif n < (server.lower if server.lower else server.limit):
        full = False
    if full == was:
        return False
    server.ready ^= SERVER_FULL
    groups_refresh(services, server)
    return True


cdef inline void groups_refresh(services_t *services, const server_t *server) noexcept nogil:
    """Its groups know whether it takes. It serves as before, so its VIPs do not care."""
    cdef uint32_t family
    for family in range(<uint32_t>2):
        if server.place[family] != NO_PLACE:
            group_refresh(&services.services[server.service].groups[family], services.servers)


cdef inline void server_watch(services_t *services, server_t *server) noexcept nogil:
    """Whoever changed its limit or its scheduler is done: its counts are followed if they matter now."""
    cdef group_t *groups = services.services[server.service].groups
    server.watched = server.limit != 0 or looks_at_load(groups[0].kind) or looks_at_load(groups[1].kind)
    opened_follow(services, server)


cdef inline void server_limit(services_t *services, server_t *server, uint32_t limit, uint32_t lower) noexcept nogil:
    """The server may have so many sessions open; it is full or not by that alone. Its groups have yet to learn it."""
    cdef bint new = limit != server.limit or lower != server.lower
    server.limit = limit
    server.lower = lower
    server_watch(services, server)
    if new:
        server.ready &= ~SERVER_FULL
    full_follow(services, server)


cdef inline bint server_hold(services_t *services, server_t *server) noexcept nogil:
    """Its one more session is counted already, until opened_follow; False when others have just filled the server."""
    cdef uint32_t *opened = &services.opened[server - services.servers]
    if server.limit == 0:
        return True
    if add_shared(opened, 1) > server.limit:
        add_shared(opened, <uint32_t>-1)
        return False
    server.opened += 1
    return True


cdef inline void group_review(services_t *services, const group_t *group) noexcept nogil:
    """Who was full and is not any more, by what other workers did, takes sessions."""
    cdef server_t *server
    cdef uint32_t i
    for i in range(group.n_members):
        server = &services.servers[group.members[i]]
        if server.ready & SERVER_FULL:
            full_follow(services, server)


cdef inline void limits_review(services_t *services) noexcept nogil:
    """Every server with a limit is full or not, by what all workers did."""
    cdef uint32_t i
    for i in range(services.n_servers):
        if services.servers[i].limit:
            full_follow(services, &services.servers[i])

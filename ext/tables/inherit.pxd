"""A table of services takes the place of another: what the worker has counted and learned goes on in the heir.

    stays    the heir has the same index for it: its figures and what the control plane wants of it go on, and of its
             configuration the heir's holds
    leaves   the heir has no such index: it stays as it was, SERVER_GONE and of no group, for the sessions it has
    comes    the index was never used, or nobody has a session of it any more: it begins as the heir has it

Everything here is done between two turns, in steps for each service, server and VIP. Before it the heir has room for
every index in use.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.address cimport ip_equal
from ext.frame cimport NO_VIP
from ext.tables.credit cimport credits_return
from ext.tables.group cimport SCHEDULE_TABLE, group_round, group_t
from ext.tables.load cimport full_follow, server_watch
from ext.tables.server cimport NO_PLACE, NO_POOL, SERVER_FULL, SERVER_GONE, V4, V6, server_t
from ext.tables.service cimport (NO_SOURCE, SERVICE_NONE, service_recount, service_t, services_t, vip_add, vip_find,
                                 vip_index, vip_t)
from ext.tables.source cimport SOURCES, pool_t, source_t, sources_t


cdef inline void services_inherit(services_t *heir, const services_t *before, uint32_t now_ms) noexcept nogil:
    """The heir goes on where the table before is; which keeps what is its own, to be freed."""
    cdef uint32_t i
    cdef int family
    heir.n_services = max(heir.n_services, before.n_services)
    heir.n_servers = max(heir.n_servers, before.n_servers)
    for i in range(before.n_servers):
        server_inherit(heir, before, i)
    for i in range(before.n_services):
        service_inherit(heir, before, i)
    vips_inherit(heir, before)
    heir.opened = before.opened
    for i in range(heir.n_servers):
        if not heir.servers[i].ready & SERVER_GONE:
            server_watch(heir, &heir.servers[i])
            full_follow(heir, &heir.servers[i])
    for i in range(heir.n_services):
        for family in range(2):
            service_recount(heir, &heir.services[i], family, now_ms)


cdef inline void server_inherit(services_t *heir, const services_t *before, uint32_t i) noexcept nogil:
    """Server i stays, leaves or comes."""
    cdef const server_t *old = &before.servers[i]
    cdef server_t *server = &heir.servers[i]
    cdef server_t made = server[0]
    if made.ready & SERVER_GONE:
        server_leave(server, old)
    elif old.ready & SERVER_GONE and not server_has_sessions(old):
        server.epoch = old.epoch + 1
        return
    else:
        server[0] = old[0]
        server.place = made.place
        server.answers_as = made.answers_as
        server.pool = made.pool
        server.backup = made.backup
        server.limit, server.lower = made.limit, made.lower
        if server.limit != old.limit or server.lower != old.lower:
            server.ready &= <int>~SERVER_FULL
        if old.ready & SERVER_GONE:
            server.ready, server.share = made.ready, made.share
            server.weight, server.table_weight = made.weight, made.table_weight
    heir.evidence[i] = before.evidence[i]


cdef inline void server_leave(server_t *server, const server_t *old) noexcept nogil:
    """It takes no new session, and nobody counts on it."""
    server[0] = old[0]
    if not old.ready & SERVER_GONE:
        server.epoch += 1
    server.ready |= SERVER_GONE
    server.place[V4] = server.place[V6] = NO_PLACE
    server.pool = NO_POOL


cdef inline bint server_has_sessions(const server_t *server) noexcept nogil:
    return server.sessions_active + server.sessions_inactive > 0


cdef inline void service_inherit(services_t *heir, const services_t *before, uint32_t i) noexcept nogil:
    """Service i stays, leaves or comes. Servers have done so already."""
    cdef service_t *old = &before.services[i]
    cdef service_t *service = &heir.services[i]
    cdef group_t groups[2]
    cdef int family
    if service.gone:
        # Sessions ask it for their timeouts, and for the VIP they are of; no packet finds it but through them.
        groups[V4], groups[V6] = service.groups[V4], service.groups[V6]
        service[0] = old[0]
        service.groups[V4], service.groups[V6] = groups[V4], groups[V6]
        service.vip_index[V4] = service.vip_index[V6] = SERVICE_NONE
        service.gone = True
    elif not old.gone:
        service.refused = old.refused
        service.flooded, service.flooded_ms = old.flooded, old.flooded_ms
        service.stateless, service.stateless_before = old.stateless, old.stateless_before
        for family in range(2):
            group_inherit(&service.groups[family], &old.groups[family], heir, before, family)


cdef inline void group_inherit(group_t *group, group_t *old, const services_t *heir, const services_t *before,
                               int family) noexcept nogil:
    """The scheduler goes on with the members that stay. One of another kind begins anew.

    A table that the control plane has filled names members by their places, and is taken over where these are the same.
    """
    cdef uint32_t i
    cdef uint16_t place
    if group.kind != old.kind:
        return
    group.random = old.random
    for i in range(group.n_takers):
        place = place_in(before, group.members[group.takers[i]], family)
        if place != NO_PLACE and old.numbers[place] != NO_PLACE:
            group.kept[group.takers[i]] = old.credits[old.numbers[place]]
    credits_return(group.kept, group.credits, group.takers, group.n_takers, group_round(group), group_round(old))
    if group.kind == SCHEDULE_TABLE and groups_are_alike(group, old):
        group.owners.table, old.owners.table = old.owners.table, group.owners.table
        group.owners.n_places = old.owners.n_places
        group.owners.turn, group.owners.n_turns = old.owners.turn, old.owners.n_turns
    # The turn goes on behind the one chosen last, or, when that has left, behind the next before it that stays.
    i = old.last
    while i < old.n_members:
        place = place_in(heir, old.members[i], family)
        if place != NO_PLACE:
            group.last = place
            return
        i -= 1


cdef inline bint groups_are_alike(const group_t *group, const group_t *other) noexcept nogil:
    """Whether they have the same members in the same places."""
    cdef uint32_t i
    if group.n_members != other.n_members:
        return False
    for i in range(group.n_members):
        if group.members[i] != other.members[i]:
            return False
    return True


cdef inline uint16_t place_in(const services_t *services, uint16_t index, int family) noexcept nogil:
    """The place of a server in its group; NO_PLACE of one that is not in the table."""
    return services.servers[index].place[family] if index < services.n_servers else <uint16_t>NO_PLACE


cdef inline void vips_inherit(services_t *heir, const services_t *before) noexcept nogil:
    """VIPs that stay on their segment are not announced again; a quarrel about one goes on."""
    cdef uint32_t i
    cdef vip_t *vip
    cdef const vip_t *old
    for i in range(heir.n_vips):
        vip = &heir.vips[i]
        old = vip_find(before, vip.ip)
        if old is NULL or old.segment != vip.segment or (old.source == NO_SOURCE) != (vip.source == NO_SOURCE):
            continue
        vip.active = old.active
        vip.announcements, vip.announce_ms = old.announcements, old.announce_ms
        vip.defended, vip.defended_ms = old.defended, old.defended_ms


# ---- addresses that stand for clients ----


cdef inline uint32_t source_place(const sources_t *table, const source_t *source) noexcept nogil:
    """Where the address is in the table, or may come to be; SOURCES when there is no room."""
    cdef uint32_t i
    for i in range(table.n_sources):
        if ip_equal(table.sources[i].ip, source.ip):
            return i
    for i in range(table.n_sources):
        if table.sources[i].left and table.sources[i].n_held == 0:
            return i
    return table.n_sources


cdef inline uint32_t sources_room(const sources_t *table, const sources_t *heir) noexcept nogil:
    """How many addresses too many there would be: those of the heir, and those that left and hold ports."""
    cdef uint32_t i, j, n = heir.n_sources
    for i in range(table.n_sources):
        j = 0
        while j < heir.n_sources and not ip_equal(heir.sources[j].ip, table.sources[i].ip):
            j += 1
        if j == heir.n_sources and not (table.sources[i].left and table.sources[i].n_held == 0):
            n += 1
    return n - <uint32_t>SOURCES if n > <uint32_t>SOURCES else 0


cdef inline void sources_inherit(sources_t *table, sources_t *heir, services_t *services,
                                 const services_t *before) noexcept nogil:
    """The table has the heir's addresses and pools, where each address that stays has its place and its holders.

    The heir keeps what is to be freed. `services` are those that come with it; an address that left is among their VIPs for as
    long as it holds ports, as answers go to it.
    """
    cdef uint16_t place_of[SOURCES]
    cdef source_t *source
    cdef uint32_t i
    for i in range(table.n_sources):
        table.sources[i].left = True
    for i in range(heir.n_sources):
        place_of[i] = source_settle(table, &heir.sources[i])
    for i in range(services.n_vips):
        if services.vips[i].source != NO_SOURCE:
            services.vips[i].source = place_of[services.vips[i].source]
    pools_inherit(table, heir, place_of)
    for i in range(table.n_sources):
        source = &table.sources[i]
        if source.left and source.n_held and vip_index(services, source.ip) == NO_VIP:
            source_linger(services, before, source, <uint16_t>i)


cdef inline uint16_t source_settle(sources_t *table, source_t *made) noexcept nogil:
    """The place of the address in the table, which is not left; `made` has what is to be freed."""
    cdef uint32_t i = source_place(table, made)
    cdef source_t *source = &table.sources[i]
    cdef source_t old = source[0]
    if i < table.n_sources and ip_equal(old.ip, made.ip):
        source.others, made.others = made.others, source.others
        source.left = False
        return <uint16_t>i
    source[0] = made[0]
    source.left = False
    made[0] = old
    if i == table.n_sources:
        made.held = NULL
        made.others = NULL
        table.n_sources += 1
    return <uint16_t>i


cdef inline void source_linger(services_t *services, const services_t *before, const source_t *source,
                               uint16_t place) noexcept nogil:
    """The address is a VIP still, where it was one."""
    cdef const vip_t *old = vip_find(before, source.ip)
    cdef vip_t *vip
    if old is not NULL:
        vip = vip_add(services, source.ip, old.segment)
        vip.source = place


cdef inline void pools_inherit(sources_t *table, sources_t *heir, const uint16_t *place_of) noexcept nogil:
    """The heir's pools are the table's; one that was there before goes on behind the port given last."""
    cdef pool_t *pools = heir.pools
    cdef uint32_t i, j, n = heir.n_pools, room = heir.room
    for i in range(n):
        for j in range(pools[i].n_sources):
            pools[i].sources[j] = place_of[pools[i].sources[j]]
        for j in range(table.n_pools):
            if pools_are_alike(&table.pools[j], &pools[i]):
                pools[i].cursor = table.pools[j].cursor
                break
    heir.pools, heir.n_pools, heir.room = table.pools, table.n_pools, table.room
    table.pools, table.n_pools, table.room = pools, n, room


cdef inline bint pools_are_alike(const pool_t *a, const pool_t *b) noexcept nogil:
    cdef uint32_t i
    if a.first != b.first or a.last != b.last or a.n_sources != b.n_sources:
        return False
    for i in range(a.n_sources):
        if a.sources[i] != b.sources[i]:
            return False
    return True

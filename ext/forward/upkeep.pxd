"""What time brings about: entries that age, requests that are repeated, announcements, sessions that end.

A tick comes at least every 100 ms, also when nothing is received. `upkeep_next` is asked until it has nothing more to
send, each time over the same spare frame.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.address cimport ip_equal, ip_t
from ext.forward.down cimport reset_next
from ext.forward.icmp cimport icmp_fill
from ext.forward.pieces cimport fragments_age
from ext.forward.solicit cimport announce, solicit
from ext.frame cimport NO_PORT, NO_SEGMENT, frame_t
from ext.tables.event cimport EVENT_NEIGHBOUR_LOST, EVENT_SYN_FLOOD_OVER
from ext.tables.fdb cimport fdb_age
from ext.tables.flow cimport flows_sweep
from ext.tables.load cimport limits_review
from ext.tables.neighbour cimport (FAILED, FORGET_MS, INCOMPLETE, LOSSES_A_TICK, LOSS_DUE, LOSS_NONE, LOSS_TOLD,
                                   N_FREE, PAUSE_MS, PROBE, REACHABLE, REQUESTS, REQUESTS_A_TICK, STALE,
                                   neighbour_release, neighbour_remove, neighbour_t, neighbours_t)
from ext.tables.persist_life cimport persists_sweep
from ext.tables.service cimport DEFEND_MS, NO_SOURCE, PATH_MS, service_t, services_t, vip_forget, vip_t
from ext.tables.session_life cimport sessions_sweep
from ext.tables.session_room cimport turns_clear
from ext.tables.source cimport sources_t
from ext.tables.state cimport SYN_RECV
from ext.tables.tables cimport report, tables_t
from ext.tables.waiting cimport waiting_frame
from ext.verdict cimport TAKEN, verdict_t

cdef enum:
    SWEEP_MS = 1000            # every session is looked at once in this time
    ANNOUNCE_GAP_MS = 1000


cdef inline void upkeep_tick(tables_t *tables, uint32_t elapsed_ms, uint32_t now_ms) noexcept nogil:
    """Ageing and expiry as of now; elapsed_ms since the last tick."""
    cdef uint32_t i
    cdef int family
    for i in range(tables.n_segments):
        fdb_age(&tables.segments[i].fdb, now_ms)
    neighbours_tick(tables, now_ms)
    fragments_age(tables, now_ms)
    conflicts_age(tables, now_ms)
    paths_age(&tables.services, now_ms)
    limits_review(&tables.services)
    floods_review(tables, now_ms)
    icmp_fill(tables, now_ms)
    flows_sweep(&tables.flows, sweep_share(tables.flows.high, elapsed_ms), now_ms)
    for family in range(2):
        sessions_sweep(&tables.sessions[family], &tables.services,
                       sweep_share(tables.sessions[family].n_pages, elapsed_ms), now_ms)
    # One sweeper is enough for what all share.
    if tables.persists is not NULL and tables.crew.index == 0:
        persists_sweep(tables.persists, &tables.services, elapsed_ms, now_ms)


cdef inline void conflicts_age(tables_t *tables, uint32_t now_ms) noexcept nogil:
    """A conflict that was told DEFEND_MS ago is one to be told again; what has left and is done with is nobody's."""
    cdef uint32_t i
    for i in range(tables.services.n_vips):
        if is_done_with(&tables.sources, &tables.services.vips[i]):
            vip_forget(&tables.services, &tables.services.vips[i])
        if now_ms - tables.services.vips[i].defended_ms >= DEFEND_MS:
            tables.services.vips[i].defended = False
    for i in range(tables.routes.n_addresses):
        if now_ms - tables.routes.addresses[i].disputed_ms >= DEFEND_MS:
            tables.routes.addresses[i].disputed = False


cdef inline bint is_done_with(const sources_t *sources, const vip_t *vip) noexcept nogil:
    """Whether it is an address that stood for clients, has left, and is needed no longer."""
    return (vip.source != NO_SOURCE and sources.sources[vip.source].left
            and sources.sources[vip.source].n_held == 0)


cdef inline void floods_review(tables_t *tables, uint32_t now_ms) noexcept nogil:
    """Of whose SYNs none was above the quota for as long as one is half open is flooded no more; others are."""
    cdef service_t *service
    cdef ip_t none
    cdef uint32_t i = 0
    none.hi = none.lo = 0
    turns_clear(tables.sessions, &tables.half_open.waiting)
    while i < tables.n_flooded:
        service = &tables.services.services[tables.flooded[i]]
        if service.flooded and now_ms - service.flooded_ms < service.timeout_ms[SYN_RECV]:
            i += 1
            continue
        # Else the index is another service's since.
        if service.flooded:
            report(tables, EVENT_SYN_FLOOD_OVER, 0, tables.flooded[i], service.stateless - service.stateless_before, none)
        service.flooded = False
        tables.n_flooded -= 1
        tables.flooded[i] = tables.flooded[tables.n_flooded]


cdef inline void paths_age(services_t *services, uint32_t now_ms) noexcept nogil:
    """A path MTU that was told PATH_MS ago is not known any more: the way may have become a wider one."""
    cdef uint32_t i
    for i in range(services.n_servers):
        if now_ms - services.servers[i].path_ms >= PATH_MS:
            services.servers[i].path_mtu = 0


cdef inline void neighbours_tick(tables_t *tables, uint32_t now_ms) noexcept nogil:
    """Every neighbour is as old as it is, and a tick's losses are told; a new tick's requests may be sent."""
    cdef neighbours_t *table = &tables.neighbours
    cdef uint32_t i, losses = LOSSES_A_TICK
    for i in range(table.high):
        if table.entries[i].state != N_FREE:
            neighbour_age(table, &table.entries[i], now_ms)
        if losses and table.entries[i].state == FAILED and table.entries[i].loss == LOSS_DUE:
            losses -= 1
            table.entries[i].loss = LOSS_TOLD
            report(tables, EVENT_NEIGHBOUR_LOST, table.entries[i].segment, NO_PORT, table.entries[i].mac,
                   table.entries[i].ip)
    table.unasked = table.high
    table.requests = REQUESTS_A_TICK


cdef inline void neighbour_age(neighbours_t *table, neighbour_t *entry, uint32_t now_ms) noexcept nogil:
    """The entry has the state that time has brought about; it is free when it is of no use any more."""
    if entry.state == REACHABLE and now_ms - entry.alive_ms >= table.silent_ms:
        entry.state = STALE
    elif neighbour_is_due(entry, now_ms) and entry.requests == REQUESTS:
        neighbour_fail(table, entry, now_ms)
    elif entry.state == FAILED and entry.requests and <int>(now_ms - entry.due_ms) >= 0:
        entry.requests = 0
        if entry.loss == LOSS_NONE:
            neighbour_remove(table, entry)
            return
    if not entry.waiting.n and now_ms - entry.alive_ms >= FORGET_MS:
        neighbour_remove(table, entry)


cdef inline bint neighbour_is_due(const neighbour_t *entry, uint32_t now_ms) noexcept nogil:
    """Whether it is time to ask it (again), or to give up."""
    return (entry.state == INCOMPLETE or entry.state == PROBE) and <int>(now_ms - entry.due_ms) >= 0


cdef inline void neighbour_fail(neighbours_t *table, neighbour_t *entry, uint32_t now_ms) noexcept nogil:
    """The neighbour is FAILED, and what waited for it is ready to be refused.

    Its loss is to be told when it has answered before, or when the packet that waits was sent to another address: then
    it is a server or a router, which somebody has configured. Of addresses that only packets name there is no end.
    """
    entry.state = FAILED
    entry.due_ms = now_ms + PAUSE_MS
    if entry.loss == LOSS_NONE and (entry.mac or (
            entry.waiting.n and not ip_equal(waiting_frame(&table.waiting, entry.waiting.first).dst, entry.ip))):
        entry.loss = LOSS_DUE
    neighbour_release(table, entry)


cdef inline uint32_t sweep_share(uint32_t n, uint32_t elapsed_ms) noexcept nogil:
    """How many of n entries are due, rounded up."""
    if elapsed_ms >= SWEEP_MS:
        return n
    return <uint32_t>((<uint64_t>n * elapsed_ms + SWEEP_MS - 1) // SWEEP_MS)


cdef inline verdict_t upkeep_next(tables_t *tables, frame_t *frame, uint32_t *cursor, uint32_t now_ms) noexcept nogil:
    """The next thing swlb has to say of itself, in frame; TAKEN when there is none left. First what servers wait for.

    cursor starts at 0 and counts VIPs; then neighbours are asked, beginning behind the one asked last in an earlier
    tick, so that nobody has to wait for all others to be asked again.
    """
    cdef neighbours_t *neighbours = &tables.neighbours
    cdef neighbour_t *entry
    cdef uint32_t i
    cdef verdict_t verdict = reset_next(tables, frame, now_ms)
    if verdict != TAKEN:
        return verdict
    # Several workers are one station: the first speaks for it.
    while cursor[0] < tables.services.n_vips and tables.crew.index == 0:
        i = cursor[0]
        cursor[0] += 1
        if announcement_due(tables, &tables.services.vips[i], now_ms):
            return announce(tables, frame, tables.services.vips[i].ip, tables.services.vips[i].segment, now_ms)
    while neighbours.unasked and neighbours.requests:
        entry = &neighbours.entries[neighbours.asker]
        neighbours.unasked -= 1
        neighbours.asker = neighbours.asker + 1 if neighbours.asker + 1 < neighbours.high else 0
        if neighbour_is_due(entry, now_ms) and entry.requests < REQUESTS:
            neighbours.requests -= 1
            return solicit(tables, frame, entry, now_ms)
    return TAKEN


cdef inline bint announcement_due(const tables_t *tables, vip_t *vip, uint32_t now_ms) noexcept nogil:
    """Whether the VIP is to be announced now; the next time is set. Without Ethernet there is nothing to announce."""
    if vip.announcements == 0 or <int>(now_ms - vip.announce_ms) < 0:
        return False
    vip.announcements -= 1
    vip.announce_ms = now_ms + ANNOUNCE_GAP_MS
    return vip.segment != NO_SEGMENT and not tables.segments[vip.segment].station

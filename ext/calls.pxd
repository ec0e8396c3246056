"""What the control plane has the loop do between two turns: copy a table, change a server or a port, flush.

Each is a `call_fn` (loop.pxd) that is given a request_t and may leave a figure in it. Nothing here takes longer than
a table is large; a frame that arrives meanwhile waits for no more than that.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from ext.address cimport ip_t
from ext.judge cimport worker_t
from ext.ports.trunk cimport port_state
from ext.sync cimport store_release
from ext.tables.fdb cimport FDB_PORTS, fdb_forget_port
from ext.tables.flow cimport flow_remove, flows_t
from ext.tables.load cimport server_limit
from ext.tables.neighbour cimport N_FREE, neighbour_find, neighbour_remove, neighbour_t
from ext.tables.owners cimport owners_t
from ext.tables.server cimport SERVER_FULL, SERVER_GONE, SERVER_MAINT, SERVER_UP, server_serves, server_t
from ext.tables.service cimport service_recount, services_t, vip_announce
from ext.tables.session cimport IN_BUCKET, session_at, session_t, sessions_t
from ext.tables.session_life cimport session_remove
from ext.tables.state cimport S_NONE

cdef enum:
    ANY = 0xFFFF               # service or server: all of them

# What a call that the loop runs between two turns is given, and what it leaves in n.
cdef struct request_t:
    const uint8_t *source
    uint8_t *target
    size_t n
    uint16_t index
    uint16_t other
    uint16_t flags
    uint16_t share
    uint32_t limit
    uint32_t lower
    uint32_t mtu
    uint32_t now_ms


cdef inline void call_copy(worker_t *worker, void *argument) noexcept nogil:
    """n bytes of a table, as they are between two turns."""
    cdef request_t *request = <request_t *>argument
    memcpy(request.target, request.source, request.n)


cdef inline void call_stop(worker_t *worker, void *argument) noexcept nogil:
    """The loop takes no further turn: from the answer on, the tables are the caller's."""
    store_release(&worker.stopping, 1)


cdef inline void call_set_server(worker_t *worker, void *argument) noexcept nogil:
    """Server `index` is as the request says; SERVER_FULL follows from its limit. One that has left stays as it is."""
    cdef request_t *request = <request_t *>argument
    cdef services_t *services = &worker.tables.services
    cdef server_t *server = &services.servers[request.index]
    cdef int family
    if server.ready & SERVER_GONE:
        return
    if server_serves(server) and (request.flags & (SERVER_UP | SERVER_MAINT)) != SERVER_UP:
        server.epoch += 1
    server.ready = <uint8_t>(request.flags | (server.ready & SERVER_FULL))
    server.weight = request.other
    if server.weight:
        server.table_weight = server.weight
    server.share = request.share
    server_limit(services, server, request.limit, request.lower)
    for family in range(2):
        service_recount(services, &services.services[server.service], family, request.now_ms)


cdef inline void call_set_table(worker_t *worker, void *argument) noexcept nogil:
    """The group of service `index` for clients of family `other` has the table in target, of n places.

    Target is the one it had, the caller's to free. Turns go on where they were.
    """
    cdef request_t *request = <request_t *>argument
    cdef owners_t *owners = &worker.tables.services.services[request.index].groups[request.other].owners
    cdef uint16_t *table = owners.table
    owners.table = <uint16_t *>request.target
    owners.n_places = <uint32_t>request.n
    if owners.turn >= owners.n_places:
        owners.turn = 0
    request.target = <uint8_t *>table


cdef inline void call_set_port(worker_t *worker, void *argument) noexcept nogil:
    """Port `index` is up or not (flags) and has that MTU; stations behind one that went down are forgotten."""
    cdef request_t *request = <request_t *>argument
    port_state(&worker.tables, &worker.tables.ports[request.index], request.flags != 0, request.mtu)


cdef inline void call_announce(worker_t *worker, void *argument) noexcept nogil:
    """The VIPs of segment `index` are announced again."""
    cdef request_t *request = <request_t *>argument
    cdef uint32_t i
    for i in range(worker.tables.services.n_vips):
        if worker.tables.services.vips[i].segment == request.index:
            vip_announce(&worker.tables.services.vips[i], request.now_ms)


cdef inline void call_flush_fdb(worker_t *worker, void *argument) noexcept nogil:
    """No station is known on segment `index`; how many were."""
    cdef request_t *request = <request_t *>argument
    cdef uint32_t port
    request.n = worker.tables.segments[request.index].fdb.n
    for port in range(<uint32_t>FDB_PORTS):
        fdb_forget_port(&worker.tables.segments[request.index].fdb, port)


cdef inline void call_flush_neighbours(worker_t *worker, void *argument) noexcept nogil:
    """No neighbour is known on segment `index`; how many were."""
    cdef request_t *request = <request_t *>argument
    cdef neighbour_t *entry
    cdef uint32_t i
    request.n = 0
    for i in range(worker.tables.neighbours.high):
        entry = &worker.tables.neighbours.entries[i]
        if entry.state != N_FREE and entry.segment == request.index:
            neighbour_remove(&worker.tables.neighbours, entry)
            request.n += 1


cdef inline void call_find_neighbour(worker_t *worker, void *argument) noexcept nogil:
    """The state of the neighbour on segment `index` whose address is source; N_FREE when it is not known."""
    cdef request_t *request = <request_t *>argument
    cdef const neighbour_t *entry = neighbour_find(&worker.tables.neighbours, request.index,
                                                   (<const ip_t *>request.source)[0])
    request.n = entry.state if entry is not NULL else <int>N_FREE


cdef inline void call_flush_sessions(worker_t *worker, void *argument) noexcept nogil:
    """Sessions of service `index` (ANY: of all) with server `other` (ANY: with any) are gone; how many."""
    cdef request_t *request = <request_t *>argument
    cdef services_t *services = &worker.tables.services
    cdef sessions_t *table
    cdef session_t *session
    cdef uint32_t place
    cdef int family
    request.n = 0
    for family in range(2):
        table = &worker.tables.sessions[family]
        for place in range(table.n_buckets * IN_BUCKET):
            session = session_at(table, place)
            if (session.protocol and (request.other == ANY or request.other == session.server)
                    and (request.index == ANY or request.index == services.servers[session.server].service)):
                session_remove(table, services, session, request.now_ms)
                request.n += 1
    if request.index == ANY and request.other == ANY:
        flush_flows(&worker.tables.flows)


cdef inline void flush_flows(flows_t *flows) noexcept nogil:
    """Nothing is masqueraded any more."""
    cdef uint32_t i
    for i in range(flows.high):
        if flows.entries[i].state != S_NONE:
            flow_remove(flows, &flows.entries[i])

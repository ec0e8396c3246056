"""What the control plane has the loop do between two turns: copy a table, change a server or a port, flush.

Each is a `call_fn` (loop.pxd) that is given a request_t and may leave a figure in it. Nothing here takes longer than
a table is large; a frame that arrives meanwhile waits for no more than that.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from ext.judge cimport worker_t
from ext.ports.port cimport port_t
from ext.sync cimport store_release
from ext.tables.fdb cimport FDB_PORTS, fdb_forget_port
from ext.tables.neighbour cimport N_FREE, neighbour_remove, neighbour_t
from ext.tables.segment cimport segment_t
from ext.tables.service cimport server_t, service_recount, services_t, vip_announce
from ext.tables.session cimport session_at, session_remove, session_t
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
    """Server `index` has the ready bits `flags` and the weight `other`."""
    cdef request_t *request = <request_t *>argument
    cdef services_t *services = &worker.tables.services
    cdef server_t *server = &services.servers[request.index]
    server.ready = <uint8_t>request.flags
    server.weight = request.other
    service_recount(services, &services.services[server.service], server.family, request.now_ms)


cdef inline void call_set_port(worker_t *worker, void *argument) noexcept nogil:
    """Port `index` is up or not (flags) and has that MTU; stations behind one that went down are forgotten."""
    cdef request_t *request = <request_t *>argument
    cdef port_t *port = &worker.tables.ports[request.index]
    cdef segment_t *segment = &worker.tables.segments[port.segment]
    cdef uint32_t i
    port.up = request.flags != 0
    port.mtu = request.mtu
    if not port.up:
        fdb_forget_port(&segment.fdb, port.index)
    segment.mtu = port.mtu
    for i in range(segment.n_ports):
        segment.mtu = min(segment.mtu, worker.tables.ports[segment.ports[i]].mtu)


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


cdef inline void call_flush_sessions(worker_t *worker, void *argument) noexcept nogil:
    """Sessions of service `index` (ANY: of all) with server `other` (ANY: with any) are gone; how many."""
    cdef request_t *request = <request_t *>argument
    cdef services_t *services = &worker.tables.services
    cdef session_t *session
    cdef uint32_t i
    cdef int family
    request.n = 0
    for family in range(2):
        for i in range(worker.tables.sessions[family].high):
            session = session_at(&worker.tables.sessions[family], i)
            if (session.state != S_NONE and (request.other == ANY or request.other == session.server)
                    and (request.index == ANY or request.index == services.servers[session.server].service)):
                session_remove(&worker.tables.sessions[family], services, session)
                request.n += 1

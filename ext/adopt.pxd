"""A running worker takes over another's image: its configuration, in which all that stays has the same index.

The image was built as any worker is, sealed, and never runs. Between two turns the tables that say what there is are
exchanged, and what the worker has counted, learned and begun goes on in the new ones: sessions stay where they are.
What was there before lies in the image afterwards, and is freed with it by whoever has it. Nothing is allocated here,
and no step depends on the number of sessions.

What was taken out keeps its index: a segment as one that has no ports, a port as one without a device, a service and
a server as tables/inherit.pxd says. So an index that a frame, a letter or an event still names means what it meant.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.forward.icmp cimport ERROR_COST
from ext.forward.source cimport servers_ask
from ext.judge cimport worker_t
from ext.ports.batch cimport batch_put, batch_settle
from ext.ports.port cimport PORTS, port_t
from ext.tables.crew cimport crew_note_server
from ext.tables.decision cimport DECISIONS, NOBODY, decision_t, decisions_t
from ext.tables.fdb cimport FDB_PORTS, fdb_forget_port, fdb_inherit
from ext.tables.fragment cimport GONE, SERVER, WAYS, fragment_t, fragments_t
from ext.tables.inherit cimport services_inherit, sources_inherit, sources_room
from ext.tables.neighbour cimport N_FREE, neighbour_drop_first, neighbour_remove, neighbours_t
from ext.tables.route cimport address_find, address_t, routes_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport SERVER_GONE
from ext.tables.service cimport services_t
from ext.tables.tables cimport tables_t
from ext.tables.waiting cimport queue_append, queue_t, queue_take, waiting_frame, waiting_free, waitings_t

cdef struct adoption_t:
    worker_t *image
    uint32_t now_ms
    const char *refused        # why it cannot be taken over, or NULL


cdef inline void call_may_adopt(worker_t *worker, void *argument) noexcept nogil:
    """Whether there is room for what stays and what leaves; nothing has changed."""
    cdef adoption_t *adoption = <adoption_t *>argument
    cdef const tables_t *tables = &worker.tables
    cdef const tables_t *made = &adoption.image.tables
    adoption.refused = NULL
    if made.segments_room < tables.n_segments:
        adoption.refused = "the image has no room for the segments that are there"
    elif (made.services.services_room < tables.services.n_services
            or made.services.servers_room < tables.services.n_servers):
        adoption.refused = "the image has no room for the services and servers that are there"
    elif sources_room(&tables.sources, &made.sources):
        adoption.refused = ("too many addresses that stand for clients: sessions still use some that were taken out; "
                            "wait until they have ended, or flush sessions")


cdef inline void call_adopt(worker_t *worker, void *argument) noexcept nogil:
    """The worker is as the image says, and goes on. `call_may_adopt` has found nothing against it."""
    cdef adoption_t *adoption = <adoption_t *>argument
    cdef tables_t *tables = &worker.tables
    cdef tables_t *made = &adoption.image.tables
    batch_settle(&worker.ring)
    ports_adopt(worker, made)
    segments_adopt(tables, made)
    neighbours_adopt(tables, made)
    routes_adopt(&tables.routes, &made.routes)
    sources_inherit(&tables.sources, &made.sources, &made.services, &tables.services)
    services_adopt(tables, made, adoption.now_ms)
    figures_adopt(tables, made)
    servers_ask(tables, adoption.now_ms)


cdef inline void ports_adopt(worker_t *worker, tables_t *made) noexcept nogil:
    """A port that has the device it had goes on; every other is as the image has it."""
    cdef port_t *port
    cdef port_t *other
    cdef uint32_t i
    for i in range(<uint32_t>PORTS):
        port, other = &worker.tables.ports[i], &made.ports[i]
        if port.there and other.there and port.fd == other.fd and port.vid == other.vid:
            port_adopt(port, other)
        elif port.there or other.there:
            port_exchange(worker, port, other)
    worker.tables.n_ports = max(worker.tables.n_ports, made.n_ports)
    for i in range(worker.tables.n_ports):
        port = &worker.tables.ports[i]
        if port.there and port.vid:
            port.up, port.lost = worker.tables.ports[port.trunk].up, worker.tables.ports[port.trunk].lost


cdef inline void port_adopt(port_t *port, port_t *made) noexcept nogil:
    """The same device as before, with another place, other VLANs and other properties perhaps."""
    cdef uint16_t *members = port.members
    port.members, made.members = made.members, members
    port.vlans = made.vlans
    port.trunk = made.trunk
    port.segment = made.segment
    port.segment_mac = made.segment_mac
    port.host = made.host
    port.offloads = made.offloads
    port.merges = made.merges
    port.mtu = made.mtu
    if not port.lost:
        port.up = made.up


cdef inline void port_exchange(worker_t *worker, port_t *port, port_t *made) noexcept nogil:
    """Another device, one where none was, or none. What the port has counted goes on while it is there."""
    cdef port_t old = port[0]
    port[0] = made[0]
    made[0] = old
    if port.there and old.there:
        port.rx_frames, port.rx_bytes, port.rx_dropped = old.rx_frames, old.rx_bytes, old.rx_dropped
        port.tx_frames, port.tx_bytes, port.tx_dropped = old.tx_frames, old.tx_bytes, old.tx_dropped
        port.made = old.made
        port.missed = old.missed
    batch_put(&worker.ring, port)


cdef inline void segments_adopt(tables_t *tables, tables_t *made) noexcept nogil:
    """The segments are the image's; those that stay know their stations, as far as these are behind ports that stay."""
    cdef segment_t *old = tables.segments
    cdef uint32_t i, n = tables.n_segments, room = tables.segments_room
    for i in range(n):
        if not old[i].gone and not made.segments[i].gone:
            made.segments[i].moved_ns = old[i].moved_ns
            fdb_inherit(&made.segments[i].fdb, &old[i].fdb)
    tables.segments, tables.segments_room = made.segments, made.segments_room
    tables.n_segments = max(n, made.n_segments)
    made.segments, made.segments_room, made.n_segments = old, room, n
    for i in range(tables.n_segments):
        stations_check(tables, i)
    tables.guarded = made.guarded


cdef inline void stations_check(tables_t *tables, uint32_t index) noexcept nogil:
    """The segment knows stations behind its own ports only."""
    cdef segment_t *segment = &tables.segments[index]
    cdef const port_t *port
    cdef uint32_t i
    for i in range(<uint32_t>FDB_PORTS):
        port = &tables.ports[i]
        if not port.there or port.segment != index:
            fdb_forget_port(&segment.fdb, <uint16_t>i)
            segment.fdb.moves[i] = 0
        elif port.lost:
            fdb_forget_port(&segment.fdb, <uint16_t>i)


cdef inline void neighbours_adopt(tables_t *tables, const tables_t *made) noexcept nogil:
    """Nobody is known on a segment that has left, and what waited to be sent there is dropped."""
    cdef neighbours_t *table = &tables.neighbours
    cdef uint32_t i
    table.silent_ms = made.neighbours.silent_ms
    for i in range(table.high):
        if table.entries[i].state == N_FREE or not tables.segments[table.entries[i].segment].gone:
            continue
        while table.entries[i].waiting.n:
            neighbour_drop_first(table, &table.entries[i])
        neighbour_remove(table, &table.entries[i])
    ready_check(tables)


cdef inline void ready_check(tables_t *tables) noexcept nogil:
    """No frame is ready to leave for a segment that has left."""
    cdef waitings_t *pool = &tables.neighbours.waiting
    cdef queue_t ready = pool.ready
    cdef uint32_t i = queue_take(pool, &ready)
    memset(&pool.ready, 0, sizeof(queue_t))
    while i:
        if tables.segments[waiting_frame(pool, i).out_segment].gone:
            tables.neighbours.overflows += 1
            waiting_free(pool, i)
        else:
            queue_append(pool, &pool.ready, i)
        i = queue_take(pool, &ready)


cdef inline void routes_adopt(routes_t *routes, routes_t *made) noexcept nogil:
    """Addresses and routes are the image's; a quarrel about an address goes on."""
    cdef routes_t old = routes[0]
    cdef const address_t *own
    cdef uint32_t i
    for i in range(made.n_addresses):
        own = address_find(&old, made.addresses[i].ip)
        if own is not NULL:
            made.addresses[i].disputed = own.disputed
            made.addresses[i].disputed_ms = own.disputed_ms
    routes[0] = made[0]
    made[0] = old


cdef inline void services_adopt(tables_t *tables, tables_t *made, uint32_t now_ms) noexcept nogil:
    """Services, servers and VIPs are the image's, and go on."""
    cdef services_t old
    cdef uint32_t i
    services_inherit(&made.services, &tables.services, now_ms)
    memcpy(&old, &tables.services, sizeof(services_t))
    memcpy(&tables.services, &made.services, sizeof(services_t))
    memcpy(&made.services, &old, sizeof(services_t))
    decisions_forget(&tables.decisions, &made.services, &tables.services)
    fragments_forget(&tables.fragments, &made.services, &tables.services)
    for i in range(tables.services.n_servers):
        if not tables.services.servers[i].ready & SERVER_GONE:
            crew_note_server(&tables.crew, tables.services.servers[i].ip)


cdef inline void decisions_forget(decisions_t *decisions, const services_t *before,
                                  const services_t *services) noexcept nogil:
    """No decision is about a server that had left and whose index another has now."""
    cdef decision_t *decision
    cdef uint32_t i
    for i in range(min(decisions.written, <uint32_t>DECISIONS)):
        decision = &decisions.ring[i]
        if decision.server != NOBODY and has_another(before, services, decision.server):
            decision.server = NOBODY
        if decision.named != NOBODY and has_another(before, services, decision.named):
            decision.named = NOBODY


cdef inline void fragments_forget(fragments_t *table, const services_t *before,
                                  const services_t *services) noexcept nogil:
    """No later fragment goes to a server whose index was another's when the first went."""
    cdef fragment_t *packet
    cdef uint32_t i
    for i in range((table.mask + 1) * WAYS):
        packet = &table.entries[i]
        if packet.state != GONE and packet.ends == SERVER and has_another(before, services,
                                                                          <uint16_t>packet.rewritten[0].lo):
            packet.ends = 0


cdef inline bint has_another(const services_t *before, const services_t *services, uint16_t index) noexcept nogil:
    """Whether somebody else has the server's index."""
    return (before.servers[index].ready & SERVER_GONE) != 0 and not services.servers[index].ready & SERVER_GONE


cdef inline void figures_adopt(tables_t *tables, const tables_t *made) noexcept nogil:
    """Times and rates are the image's."""
    cdef uint32_t i
    for i in range(16):
        tables.flows.timeout_ms[i] = made.flows.timeout_ms[i]
    tables.flows.echo_ms = made.flows.echo_ms
    tables.fragments.timeout_ms = made.fragments.timeout_ms
    tables.icmp_rate = made.icmp_rate
    for i in range(2):
        tables.icmp_tokens[i] = min(tables.icmp_tokens[i], made.icmp_rate * <uint64_t>ERROR_COST)
    if made.pins is not NULL:
        tables.pins = made.pins

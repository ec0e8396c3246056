"""Addresses of swlb's own that stand for clients towards a server (source NAT): when, and which.

A server answers whoever the packet says it is from. Where that answer would go to the client by a way that swlb is not
on, the client gets it from an address it never asked; so swlb asks in its own name there.
What this file does not do: rewrite (nat.pxd), and take the answers (answer.pxd).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.address cimport ip_equal, ip_is_v4, ip_t
from ext.debug cimport likely
from ext.frame cimport NO_PORT, frame_t
from ext.order cimport be16, htons
from ext.tables.fdb cimport fdb_lookup
from ext.tables.neighbour cimport neighbour_create, neighbour_find, neighbour_t
from ext.tables.route cimport route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport SERVER_GONE, V4, server_t
from ext.tables.service cimport SOURCE_ALWAYS, SOURCE_AUTO, service_t, services_t
from ext.tables.session cimport session_at, session_t, sessions_t
from ext.tables.session_life cimport session_remove
from ext.tables.session_room cimport may_give_way
from ext.tables.source cimport FLOW, kind_of, pool_find, pool_t, source_holder
from ext.tables.tables cimport tables_t

cdef enum:
    LOOKED_AT = 64         # ports of which one is given up when all are taken


cdef inline bint needs_source(tables_t *tables, const frame_t *frame, const service_t *service, const server_t *server,
                              uint32_t now_ms) noexcept nogil:
    """Whether a new session of the frame's sender with the server is to come from an address of swlb's own."""
    if likely(service.source_nat != SOURCE_AUTO):
        return service.source_nat == SOURCE_ALWAYS
    # A server that was chosen for its own call would take the packet for one of its own.
    if ip_equal(frame.src, server.ip):
        return True
    return answer_passes_by(tables, frame, server, now_ms)


cdef inline bint answer_passes_by(tables_t *tables, const frame_t *frame, const server_t *server,
                                  uint32_t now_ms) noexcept nogil:
    """Whether client and server are behind one port, so that frames between them do not pass swlb.

    On different segments swlb is the router between them, behind different ports the switch. Where the server is is
    not known before it was heard; then it counts as behind the port that asked if that is the segment's only one.
    """
    cdef segment_t *segment = &tables.segments[frame.segment]
    cdef const route_t *route = route_lookup(&tables.routes, server.ip)
    cdef const neighbour_t *hop
    cdef uint16_t port = NO_PORT
    if route is NULL or route.segment != frame.segment or frame.port == segment.host_port:
        return False
    # Nobody can be stood for to whom there is no way back.
    if route_lookup(&tables.routes, frame.src) is NULL:
        return False
    hop = neighbour_find(&tables.neighbours, frame.segment, server.ip if route.connected else route.via)
    if hop is not NULL and hop.mac:
        port = fdb_lookup(&segment.fdb, hop.mac, 0, now_ms)
    if port == NO_PORT:
        return segment.n_ports - (segment.host_port != NO_PORT) == 1
    return port == frame.port


cdef inline void servers_ask(tables_t *tables, uint32_t now_ms) noexcept nogil:
    """Servers whose whereabouts decide about source NAT are asked for, before a client needs to know."""
    cdef services_t *services = &tables.services
    cdef const route_t *route
    cdef uint32_t i
    cdef ip_t hop
    for i in range(services.n_servers):
        if services.servers[i].ready & SERVER_GONE:
            continue
        route = route_lookup(&tables.routes, services.servers[i].ip)
        if services.services[services.servers[i].service].source_nat != SOURCE_AUTO or route is NULL:
            continue
        # Without Ethernet there is one way, and nobody to ask for it.
        if tables.segments[route.segment].station:
            continue
        hop = services.servers[i].ip if route.connected else route.via
        if neighbour_find(&tables.neighbours, route.segment, hop) is NULL:
            neighbour_create(&tables.neighbours, route.segment, hop, now_ms)


cdef inline bint source_find(tables_t *tables, pool_t *pool, int family, uint8_t protocol, uint16_t *source,
                             be16 *l4_port, uint32_t now_ms) noexcept nogil:
    """An address and port of the pool that may stand for somebody; False: none is left.

    When all are taken, a session of the pool's gives way, if any may.
    """
    if likely(pool_find(&tables.sources, pool, family, kind_of(protocol), source, l4_port)):
        return True
    return (holder_gives_way(tables, pool, family, protocol, now_ms)
            and pool_find(&tables.sources, pool, family, kind_of(protocol), source, l4_port))


cdef inline bint holder_gives_way(tables_t *tables, pool_t *pool, int family, uint8_t protocol,
                                  uint32_t now_ms) noexcept nogil:
    """Of the next ports, given longest ago, one is free: that of a session that is done, or else of one half open."""
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef uint32_t i, n, holder, at = pool.cursor[kind_of(protocol)]
    cdef session_t *session
    cdef session_t *waiting = NULL
    for n in range(<uint32_t>LOOKED_AT):
        at = at + 1 if pool.first <= at < pool.last else pool.first
        for i in range(pool.n_sources):
            holder = source_holder(&tables.sources, pool.sources[i], kind_of(protocol), htons(<uint16_t>at))
            if holder == 0 or holder & FLOW or ip_is_v4(tables.sources.sources[pool.sources[i]].ip) != (family == V4):
                continue
            session = session_at(sessions, holder - 1)
            if may_give_way(sessions, &tables.services, session, False):
                session_remove(sessions, &tables.services, session, now_ms)
                return True
            if waiting is NULL and may_give_way(sessions, &tables.services, session, True):
                waiting = session
    if waiting is NULL:
        pool.cursor[kind_of(protocol)] = <uint16_t>at
        return False
    session_remove(sessions, &tables.services, waiting, now_ms)
    tables.half_open.given_way += 1
    return True

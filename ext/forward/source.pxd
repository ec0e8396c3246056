"""Addresses of swlb's own that stand for clients towards a server (source NAT): when, which, and the way back.

A server answers whoever the packet says it is from. Where that answer would go to the client by a way that swlb is not
on, the client gets it from an address it never asked; so swlb asks in its own name there.
What this file does not do: rewrite (nat.pxd).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.address cimport ip_equal, ip_is_v4, ip_t
from ext.debug cimport likely, unlikely
from ext.forward.handover cimport hand_over, is_reply_of_another
from ext.forward.icmp cimport icmp_echo
from ext.forward.nat cimport nat_later_fragment, nat_reply
from ext.forward.quote cimport quote_of_source
from ext.forward.refuse cimport refuse
from ext.frame cimport FOUND_FRAGMENT, FOUND_L4, FOUND_LATER, NO_PORT, frame_t
from ext.order cimport be16, htons
from ext.tables.fdb cimport fdb_lookup
from ext.tables.neighbour cimport neighbour_create, neighbour_find, neighbour_t
from ext.tables.route cimport address_find, route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.service cimport (ANSWER_RESET, SOURCE_ALWAYS, SOURCE_AUTO, V4, V6, server_t, service_t,
                                 services_t, vip_t)
from ext.tables.session cimport session_at, session_of_source, session_t, sessions_t
from ext.tables.session_life cimport session_expired, session_remove
from ext.tables.source cimport kind_of, pool_find, pool_t, source_holder
from ext.tables.state cimport CLOSED, TIME_WAIT
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_FRAGMENT, DROP_ICMP_NO_SESSION, DROP_ORPHAN, DROP_VIP_PROTOCOL, GO_ON, verdict_t
from ext.wire.icmp cimport ICMP_ECHO, ICMPV6_ECHO, icmp_hdr, icmp_is_error, icmpv6_is_error
from ext.wire.ipv4 cimport PROTO_ICMP
from ext.wire.ipv6 cimport PROTO_ICMPV6

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
        route = route_lookup(&tables.routes, services.servers[i].ip)
        if services.services[services.servers[i].service].source_nat != SOURCE_AUTO or route is NULL:
            continue
        hop = services.servers[i].ip if route.connected else route.via
        if neighbour_find(&tables.neighbours, route.segment, hop) is NULL:
            neighbour_create(&tables.neighbours, route.segment, hop, now_ms)


cdef inline bint source_find(tables_t *tables, const server_t *server, int family, uint8_t protocol, uint16_t *source,
                             be16 *l4_port) noexcept nogil:
    """An address and port that may stand for a client towards the server; False: none is left.

    When all are taken, one of a session that both sides have closed is given up.
    """
    cdef pool_t *pool = &tables.sources.pools[server.pool]
    if likely(pool_find(&tables.sources, pool, family, kind_of(protocol), source, l4_port)):
        return True
    if (source_free_closed(tables, pool, family, protocol)
            and pool_find(&tables.sources, pool, family, kind_of(protocol), source, l4_port)):
        return True
    pool.exhausted += 1
    return False


cdef inline bint source_free_closed(tables_t *tables, pool_t *pool, int family, uint8_t protocol) noexcept nogil:
    """Of the next ports one is free again, as its session is closed; False when they are all in use."""
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef uint32_t i, n, holder, at = pool.cursor[kind_of(protocol)]
    cdef session_t *session
    for n in range(<uint32_t>LOOKED_AT):
        at = at + 1 if pool.first <= at < pool.last else pool.first
        for i in range(pool.n_sources):
            holder = source_holder(&tables.sources, pool.sources[i], kind_of(protocol), htons(<uint16_t>at))
            if holder == 0 or ip_is_v4(tables.sources.sources[pool.sources[i]].ip) != (family == V4):
                continue
            session = session_at(sessions, holder - 1)
            if session.state == TIME_WAIT or session.state == CLOSED:
                session_remove(sessions, &tables.services, session)
                return True
    pool.cursor[kind_of(protocol)] = <uint16_t>at
    return False


cdef inline verdict_t to_source(tables_t *tables, segment_t *segment, frame_t *frame, const vip_t *vip,
                                uint32_t now_ms) noexcept nogil:
    """A packet to an address that stands for clients: the answer of a server, an error, or none of a session.

    GO_ON for the last when the address is one that swlb's kernel has, too.
    """
    cdef int family = V4 if frame.family == 4 else V6
    cdef bint own = address_find(&tables.routes, frame.dst) is not NULL
    cdef session_t *session
    if unlikely(frame.found & FOUND_LATER):
        return nat_later_fragment(tables, segment, frame, GO_ON if own else <int>DROP_FRAGMENT, now_ms)
    if unlikely(not frame.found & FOUND_L4):
        return icmp_to_source(tables, frame, vip.source, own, now_ms)
    session = session_of_source(&tables.sessions[family], &tables.services, vip.source, frame.dport, frame.protocol,
                                frame.src, frame.sport)
    if unlikely(session is NULL) and is_reply_of_another(tables, frame, frame.src, frame.dst, frame.dport):
        return hand_over(tables, frame, now_ms)
    if likely(session is not NULL and not session_expired(&tables.services, session, now_ms)):
        return nat_reply(tables, segment, frame, session, now_ms)
    return GO_ON if own else refuse(tables, frame, ANSWER_RESET, DROP_ORPHAN, now_ms)


cdef inline verdict_t icmp_to_source(tables_t *tables, frame_t *frame, uint16_t source, bint own,
                                     uint32_t now_ms) noexcept nogil:
    """Errors go to the client they are about; echo is answered, as the address is there to be tested."""
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    cdef bint v4 = frame.protocol == PROTO_ICMP and frame.family == 4
    cdef bint v6 = frame.protocol == PROTO_ICMPV6 and frame.family == 6
    cdef verdict_t verdict = GO_ON
    if not frame.found & FOUND_FRAGMENT and ((v4 and icmp_is_error(icmp.type)) or (v6 and icmpv6_is_error(icmp.type))):
        verdict = quote_of_source(tables, frame, source, now_ms)
        return verdict if verdict != GO_ON or own else <verdict_t>DROP_ICMP_NO_SESSION
    if own:
        return GO_ON
    if not frame.found & FOUND_FRAGMENT and ((v4 and icmp.type == ICMP_ECHO) or (v6 and icmp.type == ICMPV6_ECHO)):
        return icmp_echo(tables, frame)
    return DROP_VIP_PROTOCOL

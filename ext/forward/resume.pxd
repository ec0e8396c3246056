"""A server's segment in mid-stream of no session: the other half of balance_midstream (balance.pxd).

When nobody remembers a connection it may be its server that speaks first: in a download always. What comes from the
port of a service on a private segment is that service's, as nothing else leads in there; where its scheduler hashes and
names the sender for the client, the session goes on. From other segments it may as well belong to a connection that a
client has with the server itself, and is routed as that.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from ext.address cimport ip_equal
from ext.debug cimport likely
from ext.frame cimport FOUND_FRAGMENT, frame_t
from ext.order cimport be16, htons, ntohs
from ext.schedule.choose cimport names_again, schedule
from ext.tables.decision cimport choice_begin, choice_t
from ext.tables.group cimport group_taker
from ext.tables.route cimport route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport server_t
from ext.tables.service cimport (FORWARD_NAT, SERVICE_NONE, SOURCE_ALWAYS, is_answered_from, match_t, service_t,
                                 services_t)
from ext.tables.session cimport session_hash, session_of_request, session_t, sessions_t
from ext.tables.session_life cimport session_crowded, session_insert, session_set_state
from ext.tables.state cimport ESTABLISHED
from ext.tables.tables cimport tables_t
from ext.verdict cimport N_DROPS
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.tcp cimport TCP_ACK, TCP_RST, TCP_SYN


cdef inline bint is_midstream(uint8_t flags) noexcept nogil:
    """Whether a segment with these flags neither opens nor ends a connection, and is of one."""
    return (flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK


cdef inline session_t *session_resume(tables_t *tables, const frame_t *frame, int family,
                                      uint32_t now_ms) noexcept nogil:
    """The session that the server's segment belongs to, as if it had been there; NULL when there is none."""
    cdef services_t *services = &tables.services
    cdef session_t *session
    cdef uint32_t i
    if likely(not may_be_resumed(tables, frame)):
        return NULL
    for i in range(services.n_services):
        if names_again(&services.services[i], family) and services.services[i].groups[family].n_takers:
            session = service_resume(tables, &services.services[i], frame, family, now_ms)
            if session is not NULL:
                return session
    return NULL


cdef inline bint may_be_resumed(const tables_t *tables, const frame_t *frame) noexcept nogil:
    """Whether it comes from a private segment, from a port that servers are called at, and goes to another segment."""
    cdef const segment_t *segment = &tables.segments[frame.segment]
    cdef const route_t *route
    if likely(not segment.private) or frame.protocol != PROTO_TCP or not is_midstream(frame.tcp_flags):
        return False
    if not is_answered_from(&tables.services, frame.sport) or frame.port == segment.host_port:
        return False
    if frame.flaw != N_DROPS or frame.found & FOUND_FRAGMENT:
        return False
    route = route_lookup(&tables.routes, frame.dst)
    return route is not NULL and route.segment != frame.segment


cdef inline session_t *service_resume(tables_t *tables, service_t *service, const frame_t *frame, int family,
                                      uint32_t now_ms) noexcept nogil:
    """The same where the service is known: its hash has to name the sender for the client."""
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef server_t *server
    cdef choice_t choice
    cdef frame_t asked
    choice_begin(&choice)
    memset(&asked, 0, sizeof(asked))
    asked.src, asked.sport = frame.dst, frame.dport
    asked.dst = service.vip[family]
    asked.protocol = PROTO_TCP
    if service.protocol != PROTO_TCP or service.forward != FORWARD_NAT or service.source_nat == SOURCE_ALWAYS:
        return NULL
    if service.probes_of or not vip_port_of(&tables.services, service, family, frame.sport, &asked.dport):
        return NULL
    server = group_taker(&service.groups[family], tables.services.servers,
                         schedule(service, family, &asked, tables.services.servers, &choice))
    if not ip_equal(server.ip, frame.src) or (server.l4_port if server.l4_port else asked.dport) != frame.sport:
        return NULL
    asked.hash = session_hash(sessions, asked.src, asked.sport, PROTO_TCP)
    # The client may have one with another server: who takes changes.
    if session_of_request(sessions, &tables.services, asked.hash, asked.src, asked.sport, PROTO_TCP, asked.dst,
                          asked.dport) is not NULL or session_crowded(sessions, asked.hash, asked.src, asked.sport):
        return NULL
    return session_begin(tables, sessions, &asked, <uint16_t>(server - tables.services.servers), now_ms)


cdef inline session_t *session_begin(tables_t *tables, sessions_t *sessions, const frame_t *asked, uint16_t server,
                                     uint32_t now_ms) noexcept nogil:
    """A session of the client that asked, established with the server; NULL when there is no room."""
    cdef session_t *session = session_insert(sessions, &tables.services, asked.hash, asked.src, asked.sport, PROTO_TCP,
                                             asked.dport, server, now_ms)
    if session is not NULL:
        session_set_state(&tables.services, session, ESTABLISHED)
    return session


cdef inline bint vip_port_of(const services_t *services, const service_t *service, int family, be16 server_port,
                             be16 *vip_port) noexcept nogil:
    """Whether it is known which port of the VIP was called: its only one, or the one that the server was called at."""
    cdef const match_t *match
    cdef uint16_t index = <uint16_t>(service - services.services)
    cdef uint16_t i
    if service.vip_index[family] == SERVICE_NONE:
        return False
    i = services.vips[service.vip_index[family]].first_match
    while i != SERVICE_NONE:
        match = &services.matches[i]
        if match.service == index:
            vip_port[0] = htons(match.l4_first) if match.l4_first == match.l4_last else server_port
            return match.l4_first <= ntohs(vip_port[0]) <= match.l4_last
        i = match.next
    return False

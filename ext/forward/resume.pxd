"""A server's segment in mid-stream of no session: the other half of balance_midstream (balance.pxd).

When nobody remembers a connection it may be its server that speaks first: in a download always. What comes from the
port of a service on a private segment is that service's, as nothing else leads in there; where its scheduler hashes and
names the sender for the client, the session goes on. From other segments it may as well belong to a connection that a
client has with the server itself, and is routed as that; unless the service is flooded (stateless.pxd).
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.forward.choice cimport client_hold
from ext.forward.stateless cimport answer_stateless, asked_server, begins_session, sender_of
from ext.frame cimport FOUND_FRAGMENT, frame_t
from ext.schedule.choose cimport names_again
from ext.tables.answered cimport is_answered_from
from ext.tables.persist cimport persist_give, persist_key, persist_t
from ext.tables.route cimport route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport server_t
from ext.tables.service cimport service_t, services_t
from ext.tables.session cimport session_t, sessions_t
from ext.tables.session_life cimport session_crowded, session_insert, session_set_state
from ext.tables.session_room cimport table_make_room
from ext.tables.state cimport ESTABLISHED
from ext.tables.tables cimport tables_t
from ext.verdict cimport GO_ON, N_DROPS, verdict_t
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.tcp cimport is_midstream


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
    cdef frame_t asked
    cdef server_t *server = sender_of(tables, service, frame, family, &asked, now_ms)
    if server is NULL:
        return NULL
    return session_begin(tables, &asked, family, server, now_ms)


cdef inline verdict_t flooded_reply(tables_t *tables, segment_t *segment, frame_t *frame, int family,
                                    session_t **session, uint32_t now_ms) noexcept nogil:
    """GO_ON: it is of a session, which is new, or answers nobody that was forwarded without one. Else it has been."""
    cdef frame_t asked
    cdef server_t *server = asked_server(tables, frame, family, &asked, now_ms)
    if server is NULL:
        return GO_ON
    if begins_session(frame.tcp_flags):
        session[0] = session_begin(tables, &asked, family, server, now_ms)
        if likely(session[0] is not NULL):
            return GO_ON
    return answer_stateless(tables, segment, frame, server, &asked, now_ms)


cdef inline session_t *session_begin(tables_t *tables, const frame_t *asked, int family, server_t *server,
                                     uint32_t now_ms) noexcept nogil:
    """A session of the client that asked, established with the server; NULL when there is no room."""
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef uint16_t index = <uint16_t>(server - tables.services.servers)
    cdef session_t *session
    if session_crowded(sessions, asked.hash, asked.src, asked.sport):
        return NULL
    session = session_insert(sessions, &tables.services, asked.hash, asked.src, asked.sport, PROTO_TCP, asked.dport,
                             index, now_ms)
    if unlikely(session is NULL) and table_make_room(tables.sessions, &tables.services, now_ms):
        session = session_insert(sessions, &tables.services, asked.hash, asked.src, asked.sport, PROTO_TCP, asked.dport,
                                 index, now_ms)
    if session is not NULL:
        session_set_state(sessions, &tables.services, session, ESTABLISHED)
        comes_back(tables, asked, session, family, server, now_ms)
    return session


cdef inline void comes_back(tables_t *tables, const frame_t *asked, const session_t *session, int family,
                            server_t *server, uint32_t now_ms) noexcept nogil:
    """The client of a persistent service comes back to the server, if it has no other."""
    cdef const service_t *service = &tables.services.services[server.service]
    cdef uint32_t hold = 0
    cdef persist_t key
    if likely(not service.persistent):
        return
    key = persist_key(&tables.services, service, family, asked.src)
    if persist_give(tables.persists, &tables.services, &key, server, &hold, now_ms) is server and hold:
        client_hold(tables, asked.src, session, family, hold, now_ms)

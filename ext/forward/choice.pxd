"""Whom a packet that begins a session goes to: the server a probe is for, the one the client had, or the scheduler's.

Whoever that is must be able to tell the session from those it has, and have room for it.
"""

from libc.stdint cimport uint32_t

from ext.address cimport ip_t
from ext.debug cimport likely, unlikely
from ext.forward.source cimport needs_source
from ext.frame cimport frame_t
from ext.schedule.choose cimport schedule, schedule_next, scheduled
from ext.tables.datagrams cimport session_is_spent
from ext.tables.decision cimport BECAUSE_PERSISTENCE, BECAUSE_PROBE, choice_t
from ext.tables.event cimport EVENT_UNREMEMBERED
from ext.tables.group cimport group_has_room, group_t, group_taker
from ext.tables.load cimport full_follow, group_review, opened_follow, server_hold
from ext.tables.persist cimport persist_find, persist_give, persist_hold, persist_key, persist_t
from ext.tables.pin cimport server_pinned
from ext.tables.server cimport NO_PLACE, server_t
from ext.tables.service cimport FORWARD_NAT, service_t
from ext.tables.session cimport session_of_reply, session_t
from ext.tables.session_life cimport session_expired, session_give_way, session_hold
from ext.tables.state cimport is_closing
from ext.tables.tables cimport is_time_to_report, report, tables_t


cdef inline bint has_room(tables_t *tables, const group_t *group) noexcept nogil:
    """Whether there is somebody to be named, by what all workers know."""
    if likely(group_has_room(group)):
        return True
    if tables.crew.n > 1:
        group_review(&tables.services, group)
    return group_has_room(group)


cdef inline void pinned(tables_t *tables, const frame_t *frame, const service_t *service, int family,
                        choice_t *choice, uint32_t now_ms) noexcept nogil:
    """The double of the server that a probe of swlb's own is for, in whatever state; for all other packets nobody.

    standing_in says whether another address of swlb's own is to stand for the probe's there, as it would for a client.
    """
    if likely(frame.port != tables.segments[frame.segment].host_port):
        return
    choice.server = server_pinned(tables.pins, &tables.services, service, family, frame.sport)
    choice.because = BECAUSE_PROBE
    if choice.server is not NULL and service.forward == FORWARD_NAT:
        choice.standing_in = needs_source(tables, frame, service, choice.server, now_ms)


cdef inline void come_back(tables_t *tables, const frame_t *frame, const service_t *service, int family, choice_t *choice,
                           uint32_t now_ms) noexcept nogil:
    """The server that the client had, or NULL where that may not have the session. It stays the client's."""
    cdef persist_t key = persist_key(&tables.services, service, family, frame.src)
    cdef server_t *server = persist_find(tables.persists, &tables.services, &key, &choice.hold, now_ms)
    if (server is not NULL and may_have(tables, frame, service, server, family, choice, now_ms)
            and server_hold(&tables.services, server)):
        choice.server = server
        choice.because = BECAUSE_PERSISTENCE


cdef inline void choose(tables_t *tables, const frame_t *frame, service_t *service, int family, choice_t *choice,
                        uint32_t now_ms) noexcept nogil:
    """The scheduler's first choice that can tell the new session from those it has, or NULL."""
    cdef group_t *group = &service.groups[family]
    cdef server_t *server
    cdef uint32_t n, i = first_choice(tables, frame, service, family, choice)
    for n in range(group.n_takers if group_has_room(group) else 0):
        server = group_taker(group, tables.services.servers, i)
        if (may_have(tables, frame, service, server, family, choice, now_ms)
                and likely(server_hold(&tables.services, server))):
            choice.server = server
            # Where a session gave way for this one, others may take sessions now, and their numbers be others.
            i = group.numbers[server.place[family]]
            if likely(i != NO_PLACE):
                scheduled(group, i)
            return
        i = schedule_next(group, i, choice)


cdef inline uint32_t first_choice(tables_t *tables, const frame_t *frame, service_t *service, int family,
                                  choice_t *choice) noexcept nogil:
    """Whom the scheduler names, after those that other workers have filled; any number when nobody is left."""
    cdef server_t *servers = tables.services.servers
    cdef group_t *group = &service.groups[family]
    cdef uint32_t i = schedule(service, family, frame, servers, choice)
    while (unlikely(group_taker(group, servers, i).limit)
           and full_follow(&tables.services, group_taker(group, servers, i))):
        if not group_has_room(group):
            return 0
        i = schedule(service, family, frame, servers, choice)
    return i


cdef inline void remember(tables_t *tables, const frame_t *frame, const service_t *service, int family, choice_t *choice,
                          uint32_t now_ms) noexcept nogil:
    """The client has the chosen server from now on; or the one that another worker has just chosen for it."""
    cdef persist_t key = persist_key(&tables.services, service, family, frame.src)
    cdef bint standing_in = choice.standing_in
    cdef server_t *server = persist_give(tables.persists, &tables.services, &key, choice.server, &choice.hold, now_ms)
    if choice.hold == 0 and is_time_to_report(tables, &tables.unremembered_ns):
        report(tables, EVENT_UNREMEMBERED, frame.segment, frame.port, 0, frame.src)
    if server is choice.server:
        return
    if may_have(tables, frame, service, server, family, choice, now_ms) and server_hold(&tables.services, server):
        # What was held at the other for the session.
        opened_follow(&tables.services, choice.server)
        choice.server = server
        choice.because = BECAUSE_PERSISTENCE
    else:
        choice.standing_in = standing_in


cdef inline void client_hold(tables_t *tables, ip_t client, const session_t *session, int family, uint32_t hold,
                             uint32_t now_ms) noexcept nogil:
    """The session keeps its client from being forgotten as long as it lasts."""
    cdef const service_t *service = &tables.services.services[tables.services.servers[session.server].service]
    cdef persist_t key = persist_key(&tables.services, service, family, client)
    if persist_hold(tables.persists, hold, &key, now_ms):
        session_hold(&tables.sessions[family], session, hold)


cdef inline bint may_have(tables_t *tables, const frame_t *frame, const service_t *service, const server_t *server,
                          int family, choice_t *choice, uint32_t now_ms) noexcept nogil:
    """Whether the server can tell the new session from those it has; standing_in says who is to stand for the client."""
    # Who has the VIP itself answers as it, and is told which VIP and port of it the client means.
    if service.forward != FORWARD_NAT:
        return True
    choice.standing_in = needs_source(tables, frame, service, server, now_ms)
    return choice.standing_in or server_can_tell(tables, frame, server, family, now_ms)


cdef inline bint server_can_tell(tables_t *tables, const frame_t *frame, const server_t *server, int family,
                                 uint32_t now_ms) noexcept nogil:
    """Whether the client's port is not in use at the server's already, by way of another port or VIP.

    Both would be one connection there. An expired or closing session gives way, as when a client uses a port again; one
    that is spent goes on, if it is of the same port of the VIP.
    """
    cdef bint spent
    cdef session_t *session = session_of_reply(&tables.sessions[family], &tables.services, frame.hash, frame.src, frame.sport,
                                               frame.protocol, server.ip,
                                               server.l4_port if server.l4_port else frame.dport)
    if likely(session is NULL):
        return True
    spent = session_is_spent(&tables.sessions[family], &tables.services, session)
    if spent and session.vip_port == frame.dport and &tables.services.servers[session.server] == server:
        return True
    if not spent and not is_closing(session.state) and not session_expired(&tables.services, session, now_ms):
        return False
    session_give_way(&tables.sessions[family], &tables.services, session, now_ms)
    return True

"""Packets to a VIP: known sessions go on, new ones get a server, the rest is refused. Nothing is routed on.

Policies: what happens without service, without server, in mid-stream, or when the session's server went down is
the service's to say (`refuse`, `orphans`, `on_down`).
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.forward.choice cimport choose, client_hold, come_back, has_room, pinned, remember
from ext.forward.down cimport session_down, session_ended_badly
from ext.forward.handover cimport hand_over, is_of_another
from ext.forward.icmp cimport NET_UNREACHABLE, TIME_EXCEEDED, icmp_echo, icmp_error
from ext.forward.nat cimport account_of
from ext.forward.quote cimport quote_to_server
from ext.forward.refuse cimport refuse
from ext.forward.request cimport is_spent, is_translated, later_fragment, request
from ext.forward.source cimport source_find
from ext.forward.stateless cimport flooded_midstream, is_flooded, open_stateless
from ext.frame cimport FOUND_FRAGMENT, FOUND_L4, FOUND_LATER, frame_t
from ext.order cimport be16
from ext.schedule.choose cimport names_again
from ext.tables.datagrams cimport ANY_SERVER, ends_by_count, service_of, session_make_room, session_with
from ext.tables.decision cimport BECAUSE_NEXT, BECAUSE_PROBE, choice_begin, choice_t, decision_keep, decision_write
from ext.tables.event cimport EVENT_REPLY_BYPASSES, EVENT_SOURCE_LIMIT
from ext.tables.evidence cimport evidence_of_repeat
from ext.tables.group cimport group_has_room
from ext.tables.half_open cimport half_open_is_full
from ext.tables.load cimport opened_follow
from ext.tables.per_source cimport per_source_is_full
from ext.tables.pin cimport is_double
from ext.tables.route cimport is_directed_broadcast, route_lookup
from ext.tables.segment cimport segment_t
from ext.tables.server cimport SERVER_GONE, V4, V6, server_serves, server_t
from ext.tables.service cimport ANSWER_RESET, DOWN_KEEP, NO_SOURCE, service_find, service_t, vip_t
from ext.tables.session cimport session_of_request, session_t, sessions_t
from ext.tables.session_life cimport (session_crowded, session_expired, session_give_way, session_insert,
                                      session_take_source)
from ext.tables.session_room cimport quota_make_room, table_make_room
from ext.tables.state cimport FROM_SERVER, is_closing
from ext.tables.tables cimport is_time_to_report, report, report_full, tables_t
from ext.verdict cimport (DROP_BAD_ADDRESS, DROP_BAD_ICMP, DROP_ECHO_SILENT, DROP_FRAGMENT, DROP_NO_ROUTE, DROP_NO_SERVER,
                          DROP_NO_SERVICE, DROP_ORPHAN, DROP_SESSION_CROWDED, DROP_SESSION_FULL, DROP_SOURCE_LIMIT,
                          DROP_SOURCE_PORTS, DROP_TTL_EXPIRED, DROP_VIP_PROTOCOL, GO_ON, verdict_t)
from ext.wire.icmp cimport is_echo_request, is_icmp_error
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.tcp cimport is_midstream, is_new_connection


cdef inline verdict_t balance(tables_t *tables, segment_t *segment, frame_t *frame, vip_t *vip,
                              uint32_t now_ms) noexcept nogil:
    """What becomes of a packet to the VIP."""
    cdef int family = V4 if frame.family == 4 else V6
    cdef session_t *session
    if unlikely(frame.found & FOUND_LATER):
        return later_fragment(tables, segment, frame, DROP_FRAGMENT, now_ms)
    if unlikely(not frame.found & FOUND_L4):
        return balance_icmp(tables, frame, vip, now_ms)
    session = session_of_request(&tables.sessions[family], &tables.services, frame.hash, frame.src, frame.sport,
                                 frame.protocol, frame.dst, frame.dport)
    if unlikely(frame.protocol != PROTO_TCP and session is not NULL
                and ends_by_count(service_of(&tables.services, session))):
        session = session_of(tables, frame, session.server, family, ANY_SERVER)
    if likely(session is not NULL):
        if likely(session_goes_on(tables, session, frame, now_ms)):
            if unlikely(frame.protocol == PROTO_TCP and is_new_connection(frame.tcp_flags)):
                asked_again(tables, frame, session, now_ms)
            return request(tables, frame, session, now_ms)
        if session_ended_badly(tables, session, frame, now_ms):
            return session_down(tables, session, frame, family, now_ms)
        session_give_way(&tables.sessions[family], &tables.services, session, now_ms)
    return balance_new(tables, frame, vip, family, now_ms)


cdef inline session_t *session_of(tables_t *tables, const frame_t *frame, uint16_t index, int family,
                                  uint16_t server) noexcept nogil:
    """session_with for the frame's client, and the service of the server of that index."""
    return session_with(&tables.sessions[family], &tables.services, frame.hash, frame.src, frame.sport, frame.protocol,
                        frame.dport, tables.services.servers[index].service, server)


cdef inline session_t *chosen_again(tables_t *tables, const frame_t *frame, const choice_t *choice, int family,
                                    uint16_t index, uint32_t now_ms) noexcept nogil:
    """The client's spent session with the chosen server, which goes on; or NULL, and there is room for a new one."""
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef session_t *session = session_of(tables, frame, index, family, index)
    if session is NULL:
        session_make_room(sessions, &tables.services, frame.hash, frame.src, frame.sport, now_ms)
        return NULL
    if (session.server == index and not session_expired(&tables.services, session, now_ms)
            and choice.standing_in == (account_of(tables, frame, session).source != 0)):
        return session
    session_give_way(sessions, &tables.services, session, now_ms)
    return NULL


cdef inline void asked_again(tables_t *tables, const frame_t *frame, const session_t *session,
                             uint32_t now_ms) noexcept nogil:
    """The client of the session has sent its SYN again: it has not been answered, or the answer was lost."""
    evidence_of_repeat(&tables.services, session, account_of(tables, frame, session), now_ms)
    report_bypass(tables, frame, session)


cdef inline void report_bypass(tables_t *tables, const frame_t *frame, const session_t *session) noexcept nogil:
    """A client that asks again has not been answered: the control plane hears of it, once in REPORT_GAP_NS.

    Whether the server is there, so that it must have answered by another way, only checks can tell. Not of services
    whose replies are to pass swlb by.
    """
    if not is_translated(tables, session) or account_of(tables, frame, session).packets[FROM_SERVER]:
        return
    # A probe that was not answered is what checks are there to tell.
    if is_double(&tables.services, &tables.services.servers[session.server]):
        return
    if not is_time_to_report(tables, &tables.bypass_ns):
        return
    report(tables, EVENT_REPLY_BYPASSES, frame.segment, session.server, 0, frame.src)


cdef inline bint session_goes_on(tables_t *tables, session_t *session, const frame_t *frame,
                                 uint32_t now_ms) noexcept nogil:
    """Whether the packet still belongs to it: its server serves, it has not expired, the port is not reused."""
    cdef server_t *server = &tables.services.servers[session.server]
    if unlikely(session_expired(&tables.services, session, now_ms)):
        return False
    if unlikely(frame.protocol == PROTO_TCP and is_new_connection(frame.tcp_flags) and is_closing(session.state)):
        return False
    # A server that has left the configuration keeps the connections it has, and nothing else.
    if unlikely(server.ready & SERVER_GONE) and (
            frame.protocol != PROTO_TCP or is_new_connection(frame.tcp_flags)):
        return False
    return (server_serves(server)
            or tables.services.services[server.service].on_down == DOWN_KEEP)


cdef inline verdict_t balance_new(tables_t *tables, frame_t *frame, vip_t *vip, int family,
                                  uint32_t now_ms) noexcept nogil:
    """A packet of no session: it begins one, or is refused."""
    cdef service_t *service = service_find(&tables.services, vip, frame.protocol, frame.dport)
    cdef verdict_t verdict
    cdef choice_t choice
    if is_directed_broadcast(&tables.routes, frame.src):
        return DROP_BAD_ADDRESS
    if is_of_another(tables, frame, frame.src, frame.sport):
        return hand_over(tables, frame, now_ms)
    if service is NULL:
        return refuse(tables, frame, ANSWER_RESET, DROP_NO_SERVICE, now_ms)
    if unlikely(tables.per_source.limit != 0) and has_its_share(tables, frame, family):
        return DROP_SOURCE_LIMIT
    if frame.protocol == PROTO_TCP and not is_new_connection(frame.tcp_flags):
        return balance_midstream(tables, frame, service, family, now_ms)
    if unlikely(half_open_is_full(&tables.half_open)) and frame.protocol == PROTO_TCP:
        verdict = open_stateless(tables, frame, service, family, now_ms)
        if verdict != GO_ON:
            return verdict
    choice_begin(&choice)
    pinned(tables, frame, service, family, &choice, now_ms)
    if unlikely(service.persistent) and choice.server is NULL:
        come_back(tables, frame, service, family, &choice, now_ms)
    if likely(choice.server is NULL) and likely(has_room(tables, &service.groups[family])):
        choose(tables, frame, service, family, &choice, now_ms)
    if unlikely(choice.server is NULL):
        return nobody_takes(tables, frame, service, family, now_ms)
    if unlikely(service.persistent) and choice.hold == 0 and choice.because != BECAUSE_PROBE:
        remember(tables, frame, service, family, &choice, now_ms)
    return begin_counted(tables, frame, &choice, family, now_ms)


cdef inline bint has_its_share(tables_t *tables, const frame_t *frame, int family) noexcept nogil:
    """Whether the client's address has as many sessions as one may; the control plane hears of it. Not of probes."""
    if not per_source_is_full(tables.sessions[family].per_source, frame.src):
        return False
    if frame.port == tables.segments[frame.segment].host_port:
        return False
    if is_time_to_report(tables, &tables.crowded_ns):
        report(tables, EVENT_SOURCE_LIMIT, frame.segment, frame.port, 0, frame.src)
    return True


cdef inline verdict_t nobody_takes(tables_t *tables, frame_t *frame, service_t *service, int family,
                                   uint32_t now_ms) noexcept nogil:
    """A new session that nobody has: no server takes any, or each has one already that it could not tell it from."""
    if group_has_room(&service.groups[family]):
        return DROP_SESSION_CROWDED
    service.refused += 1
    return refuse(tables, frame, service.refuse, DROP_NO_SERVER, now_ms)


cdef inline verdict_t begin_counted(tables_t *tables, frame_t *frame, const choice_t *choice, int family,
                                    uint32_t now_ms) noexcept nogil:
    """As `begin`; of a server with a limit, what was held for the session is what it counts itself, if there is one."""
    cdef verdict_t verdict = begin(tables, frame, choice, family, now_ms)
    if unlikely(choice.server.limit):
        opened_follow(&tables.services, choice.server)
    return verdict


cdef inline verdict_t balance_midstream(tables_t *tables, frame_t *frame, service_t *service, int family,
                                        uint32_t now_ms) noexcept nogil:
    """A client's TCP segment of no session that opens none: after a restart, or from another machine that had it.

    Whom a hash names is named again: the session goes on with that server. Where another server would have had it, or
    another address stood for the client, which nobody remembers, the segment is an orphan. While there is a flood of
    SYNs it may be of a connection that was forwarded without a session (stateless.pxd).
    """
    cdef choice_t choice
    cdef verdict_t verdict
    choice_begin(&choice)
    if unlikely(is_flooded(tables, service)):
        verdict = flooded_midstream(tables, frame, service, family, &choice, now_ms)
        if verdict != GO_ON:
            return verdict
    if choice.server is NULL and may_go_on(tables, frame, service, family):
        choose(tables, frame, service, family, &choice, now_ms)
    if choice.server is NULL:
        return refuse(tables, frame, service.orphans, DROP_ORPHAN, now_ms)
    if choice.because == BECAUSE_NEXT or choice.standing_in:
        opened_follow(&tables.services, choice.server)
        return refuse(tables, frame, service.orphans, DROP_ORPHAN, now_ms)
    quota_make_room(tables.sessions, &tables.services, now_ms)
    return begin_counted(tables, frame, &choice, family, now_ms)


cdef inline bint may_go_on(const tables_t *tables, const frame_t *frame, const service_t *service,
                           int family) noexcept nogil:
    """Whether the segment may be of a connection whose server the hash names: it acknowledges something, and ends nothing.

    Not from swlb's own kernel, whose probes know themselves whom they ask.
    """
    return (names_again(service, family) and group_has_room(&service.groups[family])
            and is_midstream(frame.tcp_flags)
            and frame.port != tables.segments[frame.segment].host_port)


cdef inline verdict_t begin(tables_t *tables, frame_t *frame, const choice_t *choice, int family,
                            uint32_t now_ms) noexcept nogil:
    """A new session with the chosen server, and its first packet on the way."""
    cdef const server_t *server = choice.server
    cdef uint16_t index = <uint16_t>(server - tables.services.servers)
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef session_t *session
    cdef uint16_t source = NO_SOURCE
    cdef be16 source_port = 0
    if unlikely(is_spent(tables, frame, server)):
        return icmp_error(tables, frame, TIME_EXCEEDED, 0, DROP_TTL_EXPIRED, now_ms)
    if unlikely(ends_by_count(&tables.services.services[server.service])):
        session = chosen_again(tables, frame, choice, family, index, now_ms)
        if session is not NULL:
            decision_write(&tables.decisions, frame, choice, &tables.services.services[server.service], family, index,
                           tables.now_ns)
            decision_keep(&tables.decisions, choice)
            return request(tables, frame, session, now_ms)
    if session_crowded(sessions, frame.hash, frame.src, frame.sport):
        return DROP_SESSION_CROWDED
    if unlikely(choice.standing_in) and route_lookup(&tables.routes, frame.src) is NULL:
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    if unlikely(choice.standing_in) and not source_find(tables, &tables.sources.pools[server.pool], family, frame.protocol, &source, &source_port, now_ms):
        report_full(tables, frame)
        return refuse(tables, frame, tables.services.services[server.service].refuse, DROP_SOURCE_PORTS, now_ms)
    decision_write(&tables.decisions, frame, choice, &tables.services.services[server.service], family, index, tables.now_ns)
    session = session_insert(sessions, &tables.services, frame.hash, frame.src, frame.sport, frame.protocol,
                             frame.dport, index, now_ms)
    if unlikely(session is NULL) and table_make_room(tables.sessions, &tables.services, now_ms):
        session = session_insert(sessions, &tables.services, frame.hash, frame.src, frame.sport, frame.protocol,
                                 frame.dport, index, now_ms)
    if unlikely(session is NULL):
        report_full(tables, frame)
        return DROP_SESSION_FULL
    decision_keep(&tables.decisions, choice)
    if unlikely(choice.standing_in):
        session_take_source(sessions, session, source, source_port)
    if unlikely(choice.hold):
        client_hold(tables, frame.src, session, family, choice.hold, now_ms)
    return request(tables, frame, session, now_ms)


cdef inline verdict_t balance_icmp(tables_t *tables, frame_t *frame, vip_t *vip, uint32_t now_ms) noexcept nogil:
    """Echo is answered while something behind the VIP can serve; errors, never in fragments, go to whom they are about."""
    if is_echo_request(frame):
        return icmp_echo(tables, frame, now_ms) if vip.active else DROP_ECHO_SILENT
    if is_icmp_error(frame):
        return quote_to_server(tables, frame, now_ms) if not frame.found & FOUND_FRAGMENT else <verdict_t>DROP_BAD_ICMP
    return DROP_VIP_PROTOCOL

"""Packets to a VIP: known sessions go on, new ones get a server, the rest is refused. Nothing is routed on.

Policies: what happens without service, without server, in mid-stream, or when the session's server went down is
the service's to say (`refuse`, `orphans`, `on_down`).
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.forward.down cimport session_down, session_ended_badly
from ext.forward.handover cimport hand_over, is_of_another
from ext.forward.icmp cimport NET_UNREACHABLE, TIME_EXCEEDED, icmp_echo, icmp_error
from ext.forward.nat cimport account_of
from ext.forward.quote cimport quote_to_server
from ext.forward.refuse cimport refuse
from ext.forward.request cimport is_translated, later_fragment, request
from ext.forward.resume cimport is_midstream
from ext.forward.source cimport needs_source, source_find
from ext.frame cimport FOUND_FRAGMENT, FOUND_L4, FOUND_LATER, frame_t
from ext.order cimport be16
from ext.schedule.choose cimport names_again, schedule, schedule_next, scheduled
from ext.tables.decision cimport BECAUSE_NEXT, BECAUSE_PROBE, BECAUSE_SCHEDULER, choice_t
from ext.tables.event cimport EVENT_REPLY_BYPASSES
from ext.tables.evidence cimport evidence_of_repeat
from ext.tables.group cimport group_t, group_taker
from ext.tables.pin cimport is_double, server_pinned
from ext.tables.route cimport is_directed_broadcast, route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport V4, V6, server_serves, server_t
from ext.tables.service cimport ANSWER_RESET, DOWN_KEEP, FORWARD_NAT, NO_SOURCE, service_find, service_t, vip_t
from ext.tables.session cimport session_of_reply, session_of_request, session_t, sessions_t
from ext.tables.session_life cimport (session_crowded, session_expired, session_give_way, session_insert, session_set_state,
                                         session_take_source)
from ext.tables.state cimport ESTABLISHED, FROM_SERVER, is_closing
from ext.tables.tables cimport is_time_to_report, report, report_full, tables_t
from ext.verdict cimport (DROP_BAD_ADDRESS, DROP_ECHO_SILENT, DROP_FRAGMENT, DROP_NO_ROUTE, DROP_NO_SERVER, DROP_NO_SERVICE, DROP_ORPHAN,
                          DROP_SESSION_CROWDED, DROP_SESSION_FULL, DROP_SOURCE_PORTS, DROP_TTL_EXPIRED,
                          DROP_VIP_PROTOCOL, verdict_t)
from ext.wire.icmp cimport is_echo_request, is_icmp_error
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.rewrite cimport ttl_of
from ext.wire.tcp cimport is_new_connection


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
    if likely(session is not NULL):
        if likely(session_goes_on(tables, session, frame, now_ms)):
            if unlikely(frame.protocol == PROTO_TCP and is_new_connection(frame.tcp_flags)):
                asked_again(tables, frame, session, now_ms)
            return request(tables, frame, session, now_ms)
        if session_ended_badly(tables, session, frame, now_ms):
            return session_down(tables, session, frame, family, now_ms)
        session_give_way(&tables.sessions[family], &tables.services, session, now_ms)
    return balance_new(tables, frame, vip, family, now_ms)


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
    return (server_serves(server)
            or tables.services.services[server.service].on_down == DOWN_KEEP)


cdef inline verdict_t balance_new(tables_t *tables, frame_t *frame, vip_t *vip, int family,
                                  uint32_t now_ms) noexcept nogil:
    """A packet of no session: it begins one, or is refused."""
    cdef service_t *service = service_find(&tables.services, vip, frame.protocol, frame.dport)
    cdef choice_t choice
    if is_directed_broadcast(&tables.routes, frame.src):
        return DROP_BAD_ADDRESS
    if is_of_another(tables, frame, frame.src, frame.sport):
        return hand_over(tables, frame, now_ms)
    if service is NULL:
        return refuse(tables, frame, ANSWER_RESET, DROP_NO_SERVICE, now_ms)
    if frame.protocol == PROTO_TCP and not is_new_connection(frame.tcp_flags):
        return balance_midstream(tables, frame, service, family, now_ms)
    choice.server = NULL
    choice.standing_in = False
    pinned(tables, frame, service, family, &choice, now_ms)
    if likely(choice.server is NULL):
        if service.groups[family].n_takers == 0:
            service.refused += 1
            return refuse(tables, frame, service.refuse, DROP_NO_SERVER, now_ms)
        choose(tables, frame, service, family, &choice, now_ms)
    if choice.server is NULL:
        return DROP_SESSION_CROWDED
    return begin(tables, frame, &choice, family, now_ms)


cdef inline verdict_t balance_midstream(tables_t *tables, frame_t *frame, service_t *service, int family,
                                        uint32_t now_ms) noexcept nogil:
    """A client's TCP segment of no session that opens none: after a restart, or from another machine that had it.

    Whom a hash names is named again: the session goes on with that server. Where another server would have had it, or
    another address stood for the client, which nobody remembers, the segment is an orphan.
    """
    cdef choice_t choice
    choice.server = NULL
    choice.because = BECAUSE_SCHEDULER
    choice.standing_in = False
    if may_go_on(tables, frame, service, family):
        choose(tables, frame, service, family, &choice, now_ms)
    if choice.server is NULL or choice.because == BECAUSE_NEXT or choice.standing_in:
        return refuse(tables, frame, service.orphans, DROP_ORPHAN, now_ms)
    return begin(tables, frame, &choice, family, now_ms)


cdef inline bint may_go_on(const tables_t *tables, const frame_t *frame, const service_t *service,
                           int family) noexcept nogil:
    """Whether the segment may be of a connection whose server the hash names: it acknowledges something, and ends nothing.

    Not from swlb's own kernel, whose probes know themselves whom they ask.
    """
    return (names_again(service, family) and service.groups[family].n_takers > 0
            and is_midstream(frame.tcp_flags)
            and frame.port != tables.segments[frame.segment].host_port)


cdef inline bint is_spent(const tables_t *tables, const frame_t *frame, const server_t *server) noexcept nogil:
    """Whether the packet has no hop left for the way to the server, were it routed there."""
    cdef const route_t *route
    if ttl_of(frame) > 1 or tables.services.services[server.service].forward != FORWARD_NAT:
        return False
    route = route_lookup(&tables.routes, server.ip)
    return route is not NULL and route.segment != frame.segment


cdef inline void choose(tables_t *tables, const frame_t *frame, service_t *service, int family, choice_t *choice,
                        uint32_t now_ms) noexcept nogil:
    """The scheduler's first choice that can tell the new session from those it has, or NULL."""
    cdef group_t *group = &service.groups[family]
    cdef server_t *servers = tables.services.servers
    cdef uint32_t n, i = schedule(service, family, frame, servers, choice)
    for n in range(group.n_takers):
        if may_have(tables, frame, service, group_taker(group, servers, i), family, choice, now_ms):
            choice.server = group_taker(group, servers, i)
            scheduled(group, i)
            return
        i = schedule_next(group, i, choice)


cdef inline bint may_have(tables_t *tables, const frame_t *frame, const service_t *service, const server_t *server,
                          int family, choice_t *choice, uint32_t now_ms) noexcept nogil:
    """Whether the server can tell the new session from those it has; standing_in says who is to stand for the client."""
    # Who has the VIP itself answers as it, and is told which VIP and port of it the client means.
    if service.forward != FORWARD_NAT:
        return True
    choice.standing_in = needs_source(tables, frame, service, server, now_ms)
    return choice.standing_in or server_can_tell(tables, frame, server, family, now_ms)


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


cdef inline bint server_can_tell(tables_t *tables, const frame_t *frame, const server_t *server, int family,
                                 uint32_t now_ms) noexcept nogil:
    """Whether the client's port is not in use at the server's already, by way of another port or VIP.

    Both would be one connection there. An expired or closing session gives way, as when a client uses a port again.
    """
    cdef session_t *session = session_of_reply(&tables.sessions[family], &tables.services, frame.hash, frame.src, frame.sport,
                                               frame.protocol, server.ip,
                                               server.l4_port if server.l4_port else frame.dport)
    if likely(session is NULL):
        return True
    if not is_closing(session.state) and not session_expired(&tables.services, session, now_ms):
        return False
    session_give_way(&tables.sessions[family], &tables.services, session, now_ms)
    return True


cdef inline verdict_t begin(tables_t *tables, frame_t *frame, const choice_t *choice, int family,
                            uint32_t now_ms) noexcept nogil:
    """A new session with the chosen server, and its first packet on the way."""
    cdef const server_t *server = choice.server
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef session_t *session
    cdef uint16_t source = NO_SOURCE
    cdef be16 source_port = 0
    if unlikely(is_spent(tables, frame, server)):
        return icmp_error(tables, frame, TIME_EXCEEDED, 0, DROP_TTL_EXPIRED, now_ms)
    if session_crowded(sessions, frame.hash, frame.src, frame.sport):
        return DROP_SESSION_CROWDED
    if unlikely(choice.standing_in) and route_lookup(&tables.routes, frame.src) is NULL:
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    if unlikely(choice.standing_in) and not source_find(tables, &tables.sources.pools[server.pool], family, frame.protocol, &source, &source_port):
        report_full(tables, frame)
        return refuse(tables, frame, tables.services.services[server.service].refuse, DROP_SOURCE_PORTS, now_ms)
    session = session_insert(sessions, &tables.services, frame.hash, frame.src, frame.sport, frame.protocol,
                             frame.dport, <uint16_t>(server - tables.services.servers), now_ms)
    if unlikely(session is NULL):
        report_full(tables, frame)
        return DROP_SESSION_FULL
    if unlikely(choice.standing_in):
        session_take_source(sessions, session, source, source_port)
    if unlikely(frame.protocol == PROTO_TCP and not is_new_connection(frame.tcp_flags)):
        # From S_NONE its first segment would close it.
        session_set_state(&tables.services, session, ESTABLISHED)
    return request(tables, frame, session, now_ms)


cdef inline verdict_t balance_icmp(tables_t *tables, frame_t *frame, vip_t *vip, uint32_t now_ms) noexcept nogil:
    """Echo is answered while something behind the VIP can serve; errors go to the session they are about.

    Not in pieces: an answer to the first alone would be wrong.
    """
    if unlikely(frame.found & FOUND_FRAGMENT):
        return DROP_FRAGMENT
    if is_echo_request(frame):
        return icmp_echo(tables, frame) if vip.active else DROP_ECHO_SILENT
    if is_icmp_error(frame):
        return quote_to_server(tables, frame, now_ms)
    return DROP_VIP_PROTOCOL

"""A flood of SYNs: above the quota of half-open sessions a SYN is forwarded without one, to whom a keyed hash names.

Nobody remembers what was forwarded; the hash names the same server for every packet of the flow, so that the handshake
goes through all the same. The server's SYN-ACK and its resets become the VIP's again where the hash names the sender
for the client. A session begins with the server's first segment behind its SYN-ACK, which no forger can bring about;
where replies pass swlb by, with the client's ACK, as one that is half open. Whom the hash names changes with who takes:
then the server resets what it does not know.

    flooded      a service of which a SYN was forwarded without a session within the last `tcp_syn`. Until that is over
                 what its servers send to somebody without a session, who might have been sent there, is taken for its
                 own: a client's connection with a server's own port is taken for one with the VIP

A session that is unavoidable has the place of the oldest: where another address stands for the client, of probes, and
of a service with so many ports that a server's own connections may leave by them.
Read first: ext/tables/half_open.pxd.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.address cimport ip_equal, ip_t
from ext.debug cimport likely, unlikely
from ext.forward.clamp cimport clamp
from ext.forward.nat cimport confirm, reply_out
from ext.forward.output cimport route_out
from ext.forward.request cimport is_spent, untouched_out
from ext.forward.source cimport needs_source
from ext.frame cimport FOUND_FRAGMENT, frame_t
from ext.hash cimport hash_ip
from ext.order cimport be16, htons, ntohs
from ext.schedule.choose cimport names_again, schedule
from ext.schedule.p2c cimport drawn
from ext.tables.decision cimport choice_begin, choice_t
from ext.tables.event cimport EVENT_SYN_FLOOD
from ext.tables.group cimport SCHEDULE_FO, group_has_room, group_t, group_taker
from ext.tables.half_open cimport half_open_is_full
from ext.tables.persist cimport persist_find, persist_key, persist_t
from ext.tables.route cimport address_find
from ext.tables.segment cimport segment_t
from ext.tables.server cimport server_t
from ext.tables.service cimport FORWARD_NAT, SERVICE_NONE, SOURCE_ALWAYS, match_t, service_t, services_t
from ext.tables.session cimport session_hash, session_of_reply, session_of_request, sessions_t
from ext.tables.session_room cimport quota_make_room
from ext.tables.state cimport FROM_CLIENT, FROM_SERVER
from ext.tables.tables cimport FLOODED, report, tables_t
from ext.verdict cimport GO_ON, N_DROPS, verdict_t
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.rewrite cimport DST, SRC, rewrite
from ext.wire.tcp cimport TCP_ACK, TCP_RST, TCP_SYN, is_midstream

cdef enum:
    EPHEMERAL = 32768      # and above: ports that Linux has its own connections leave by (ip_local_port_range)
    A_SEED = 0x5A17        # so that whom the hash names has nothing to do with where the session would lie


cdef inline bint is_flooded(const tables_t *tables, const service_t *service) noexcept nogil:
    """Whether packets of no session may be of connections that were forwarded without one, or are to be now."""
    return service.flooded or half_open_is_full(&tables.half_open)


cdef inline verdict_t open_stateless(tables_t *tables, frame_t *frame, service_t *service, int family,
                                     uint32_t now_ms) noexcept nogil:
    """The quota is used up: the client's SYN, on to its server without a session; GO_ON: there is room for one."""
    cdef server_t *server = server_without_session(tables, frame, service, family, now_ms)
    if not flood_note(tables, service, now_ms):
        server = NULL
    if server is NULL:
        quota_make_room(tables.sessions, &tables.services, now_ms)
        return GO_ON
    service.stateless += 1
    return stateless_out(tables, frame, server, now_ms)


cdef inline verdict_t flooded_midstream(tables_t *tables, frame_t *frame, service_t *service, int family,
                                        choice_t *choice, uint32_t now_ms) noexcept nogil:
    """The client's segment of no session, on to whom the hash names; GO_ON: it may begin one, with choice.server or none.

    That is of a service whose replies pass swlb by. Before a service is flooded, only of those that hash.
    """
    cdef server_t *server = NULL
    if not frame.tcp_flags & TCP_SYN and (service.flooded or names_again(service, family)):
        server = server_without_session(tables, frame, service, family, now_ms)
    if server is NULL:
        return GO_ON
    if not service.flooded and not is_midstream(frame.tcp_flags):
        return GO_ON
    if service.forward != FORWARD_NAT and is_midstream(frame.tcp_flags):
        choice.server = server
        return GO_ON
    if not service.flooded and not flood_note(tables, service, now_ms):
        return GO_ON
    return stateless_out(tables, frame, server, now_ms)


cdef inline bint flood_note(tables_t *tables, service_t *service, uint32_t now_ms) noexcept nogil:
    """The service is flooded from now on; False where too many others are, so that it cannot be watched."""
    cdef ip_t none
    if likely(service.flooded):
        service.flooded_ms = now_ms
        return True
    if tables.n_flooded == FLOODED:
        return False
    none.hi = none.lo = 0
    tables.flooded[tables.n_flooded] = <uint16_t>(service - tables.services.services)
    tables.n_flooded += 1
    service.flooded = True
    service.flooded_ms = now_ms
    service.stateless_before = service.stateless
    report(tables, EVENT_SYN_FLOOD, 0, tables.flooded[tables.n_flooded - 1], 0, none)
    return True


cdef inline server_t *server_without_session(tables_t *tables, const frame_t *frame, service_t *service, int family,
                                             uint32_t now_ms) noexcept nogil:
    """The server that may have the client's packet without a session; NULL: it needs one, or nobody takes any."""
    cdef be16 vip_port = 0
    cdef server_t *server
    if frame.port == tables.segments[frame.segment].host_port or frame.found & FOUND_FRAGMENT:
        return NULL
    if not group_has_room(&service.groups[family]):
        return NULL
    server = named_server(tables, frame, service, family, now_ms)
    if service.forward != FORWARD_NAT:
        return server
    if needs_source(tables, frame, service, server, now_ms) or is_spent(tables, frame, server):
        return NULL
    if has_ephemeral_ports(&tables.services, service, family):
        return NULL
    if not vip_port_of(&tables.services, service, family, server_port(server, frame.dport), &vip_port):
        return NULL
    # Another port of the VIP may have the client's port in use there already: two connections would become one.
    if vip_port != frame.dport or session_of_reply(
            &tables.sessions[family], &tables.services, frame.hash, frame.src, frame.sport, PROTO_TCP, server.ip,
            server_port(server, frame.dport)) is not NULL:
        return NULL
    return server


cdef inline server_t *named_server(tables_t *tables, const frame_t *asked, service_t *service, int family,
                                   uint32_t now_ms) noexcept nogil:
    """Whom the client's flow leads to as long as the same servers take sessions; there are some."""
    cdef group_t *group = &service.groups[family]
    cdef server_t *server = NULL
    cdef uint32_t hold = 0
    cdef choice_t choice
    cdef persist_t key
    if unlikely(service.persistent):
        key = persist_key(&tables.services, service, family, asked.src)
        server = persist_find(tables.persists, &tables.services, &key, &hold, now_ms)
    if server is not NULL:
        return server
    if names_again(service, family) or group.kind == SCHEDULE_FO:
        choice_begin(&choice)
        return group_taker(group, tables.services.servers,
                           schedule(service, family, asked, tables.services.servers, &choice))
    return group_taker(group, tables.services.servers, drawn(group, hash_ip(
        tables.sessions[family].key, asked.src, asked.sport | <uint64_t>asked.dport << 16 | <uint64_t>A_SEED << 32)))


cdef inline be16 server_port(const server_t *server, be16 vip_port) noexcept nogil:
    """The port that the server is called at for that one of the VIP."""
    return server.l4_port if server.l4_port else vip_port


cdef inline verdict_t stateless_out(tables_t *tables, frame_t *frame, server_t *server, uint32_t now_ms) noexcept nogil:
    """The client's packet, on to the server."""
    count_stateless(frame, server, FROM_CLIENT)
    clamp(tables, frame, server)
    if tables.services.services[server.service].forward != FORWARD_NAT:
        return untouched_out(tables, frame, <uint16_t>(server - tables.services.servers), now_ms)
    rewrite(frame, DST, server.ip, server_port(server, frame.dport))
    return route_out(tables, frame, server.ip, False, now_ms)


cdef inline void count_stateless(const frame_t *frame, server_t *server, int direction) noexcept nogil:
    """The packet is counted at the server only."""
    server.packets[direction] += 1
    server.bytes[direction] += frame.l4_off - frame.l3_off + frame.l4_len


# ---- what the server answers ----


cdef inline server_t *asked_server(tables_t *tables, const frame_t *frame, int family, frame_t *asked,
                                   uint32_t now_ms) noexcept nogil:
    """The sender, if it may answer what a flooded service was asked without a session, which is asked then; or NULL."""
    cdef service_t *service
    cdef server_t *server
    cdef uint32_t i
    if frame.protocol != PROTO_TCP or not frame.tcp_flags & (TCP_ACK | TCP_RST) or frame.found & FOUND_FRAGMENT:
        return NULL
    if frame.flaw != N_DROPS or frame.port == tables.segments[frame.segment].host_port:
        return NULL
    # What swlb itself has asked the server, as checks do, is answered to swlb.
    if address_find(&tables.routes, frame.dst) is not NULL:
        return NULL
    for i in range(tables.n_flooded):
        service = &tables.services.services[tables.flooded[i]]
        if service.flooded and not has_ephemeral_ports(&tables.services, service, family):
            server = sender_of(tables, service, frame, family, asked, now_ms)
            if server is not NULL:
                return server
    return NULL


cdef inline server_t *sender_of(tables_t *tables, service_t *service, const frame_t *frame, int family, frame_t *asked,
                                uint32_t now_ms) noexcept nogil:
    """The sender, if it is who the hash names for the client, who has no session; what it was asked is asked."""
    cdef sessions_t *sessions = &tables.sessions[family]
    cdef server_t *server
    if service.forward != FORWARD_NAT or service.source_nat == SOURCE_ALWAYS or service.probes_of:
        return NULL
    memset(asked, 0, sizeof(frame_t))
    if service.protocol != PROTO_TCP or not vip_port_of(&tables.services, service, family, frame.sport, &asked.dport):
        return NULL
    if not group_has_room(&service.groups[family]):
        return NULL
    asked.src, asked.sport = frame.dst, frame.dport
    asked.dst = service.vip[family]
    asked.protocol = PROTO_TCP
    server = named_server(tables, asked, service, family, now_ms)
    if not ip_equal(server.ip, frame.src) or server_port(server, asked.dport) != frame.sport:
        return NULL
    asked.hash = session_hash(sessions, asked.src, asked.sport, PROTO_TCP)
    # The client may have one with another server: who takes changes.
    if session_of_request(sessions, &tables.services, asked.hash, asked.src, asked.sport, PROTO_TCP, asked.dst,
                          asked.dport) is not NULL:
        return NULL
    return server


cdef inline bint begins_session(uint8_t flags) noexcept nogil:
    """Whether a server with nobody at the other end would not have sent a segment with these flags."""
    return not flags & (TCP_SYN | TCP_RST)


cdef inline verdict_t answer_stateless(tables_t *tables, segment_t *segment, frame_t *frame, server_t *server,
                                       const frame_t *asked, uint32_t now_ms) noexcept nogil:
    """The server's packet, on to the client as the VIP's."""
    count_stateless(frame, server, FROM_SERVER)
    confirm(tables, frame, now_ms)
    clamp(tables, frame, server)
    rewrite(frame, SRC, asked.dst, asked.dport)
    return reply_out(tables, segment, frame, now_ms)


cdef inline bint vip_port_of(const services_t *services, const service_t *service, int family, be16 server_port,
                             be16 *vip_port) noexcept nogil:
    """Whether it is known which port of the VIP was called: its only one, or the one that the server was called at."""
    cdef const match_t *match = match_of(services, service, family)
    if match is NULL:
        return False
    vip_port[0] = htons(match.l4_first) if match.l4_first == match.l4_last else server_port
    return match.l4_first <= ntohs(vip_port[0]) <= match.l4_last


cdef inline bint has_ephemeral_ports(const services_t *services, const service_t *service, int family) noexcept nogil:
    """Whether connections that a server makes itself may leave by a port of the service, so that it cannot be told."""
    cdef const match_t *match = match_of(services, service, family)
    return match is not NULL and match.l4_first != match.l4_last and match.l4_last >= EPHEMERAL


cdef inline const match_t *match_of(const services_t *services, const service_t *service, int family) noexcept nogil:
    """The ports of the VIP that are the service's; NULL: it has no VIP of the family."""
    cdef uint16_t index = <uint16_t>(service - services.services)
    cdef uint16_t i
    if service.vip_index[family] == SERVICE_NONE:
        return NULL
    i = services.vips[service.vip_index[family]].first_match
    while i != SERVICE_NONE and services.matches[i].service != index:
        i = services.matches[i].next
    return &services.matches[i] if i != SERVICE_NONE else NULL

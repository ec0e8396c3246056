"""Sessions whose server went down: by `on_down` they go on, are scheduled anew, or end, and then both ends hear of it.

What ends does so at the next packet of either end, whose sequence numbers say what each will believe (RFC 9293
3.10.7.4): the sender is answered with a reset, and the other end is sent one. A server that is down may not be there at all: it is
sent one within a tick, and only if its MAC is known.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.debug cimport unlikely
from ext.forward.nat cimport nat_reply, sessions_of
from ext.forward.output cimport leave
from ext.forward.refuse cimport refuse, reset_write
from ext.frame cimport FOUND_FRAGMENT, FOUND_L3, FOUND_L4, NO_PORT, NO_TUNNEL, frame_t
from ext.order cimport be32
from ext.tables.datagrams cimport session_is_answered
from ext.tables.neighbour cimport FAILED, neighbour_find, neighbour_t
from ext.tables.reset cimport reset_post, reset_t, reset_take
from ext.tables.route cimport route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport V4, V6, server_serves, server_t
from ext.tables.service cimport ANSWER_RESET, DOWN_DEFAULT, DOWN_DROP, DOWN_RESET, is_tunnel, service_t
from ext.tables.session cimport session_account, session_client, session_server_port, session_t
from ext.tables.session_life cimport session_expired, session_remove, session_set_state
from ext.tables.state cimport CLOSED, ESTABLISHED
from ext.tables.tables cimport drop_answered, tables_t
from ext.verdict cimport DROP_SERVER_DOWN, TAKEN, verdict_t
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6, ETH_LEN, eth_hdr
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.tcp cimport TCP_ACK, TCP_FIN, TCP_RST, is_new_connection, tcp_hdr


cdef inline bint session_ended_badly(tables_t *tables, session_t *session, const frame_t *frame,
                                     uint32_t now_ms) noexcept nogil:
    """Whether its server went down and the service does not want this packet scheduled anew."""
    cdef server_t *server = &tables.services.servers[session.server]
    cdef uint8_t on_down = tables.services.services[server.service].on_down
    if server_serves(server) or session_expired(&tables.services, session, now_ms):
        return False
    # A client that begins anew has given the old connection up itself.
    if frame.protocol == PROTO_TCP and is_new_connection(frame.tcp_flags):
        return False
    if on_down == DOWN_DEFAULT:
        return session.state == ESTABLISHED
    return on_down == DOWN_RESET or on_down == DOWN_DROP


cdef inline verdict_t session_down(tables_t *tables, session_t *session, frame_t *frame, int family,
                                   uint32_t now_ms) noexcept nogil:
    """A client's packet to a server that is down: both are told, and the session ends; or neither, by `on_down: drop`."""
    cdef service_t *service = &tables.services.services[tables.services.servers[session.server].service]
    if service.on_down == DOWN_DROP:
        return DROP_SERVER_DOWN
    if frame.protocol == PROTO_TCP and not frame.found & FOUND_FRAGMENT:
        tell_server(tables, session, frame, (<tcp_hdr *>(frame.data + frame.l4_off)).seq)
    session_remove(&tables.sessions[family], &tables.services, session, now_ms)
    return refuse(tables, frame, ANSWER_RESET, DROP_SERVER_DOWN, now_ms)


cdef inline verdict_t reply(tables_t *tables, segment_t *segment, frame_t *frame, session_t *session,
                            uint32_t now_ms) noexcept nogil:
    """The server's packet, on to its client; from one that is down, what is left of the session."""
    cdef const server_t *server = &tables.services.servers[session.server]
    if unlikely(not server_serves(server)) and reply_ends(tables, session, frame, now_ms):
        return reply_down(tables, segment, frame, session, now_ms)
    if unlikely(frame.protocol != PROTO_TCP and tables.services.services[server.service].responses):
        return reply_counted(tables, segment, frame, session, now_ms)
    return nat_reply(tables, segment, frame, session, now_ms)


cdef inline verdict_t reply_counted(tables_t *tables, segment_t *segment, frame_t *frame, session_t *session,
                                    uint32_t now_ms) noexcept nogil:
    """The same where replies are counted: with the last that is due the session is closed."""
    cdef verdict_t verdict = nat_reply(tables, segment, frame, session, now_ms)
    if session_is_answered(sessions_of(tables, frame), &tables.services, session):
        session_set_state(sessions_of(tables, frame), &tables.services, session, CLOSED)
    return verdict


cdef inline bint reply_ends(tables_t *tables, session_t *session, const frame_t *frame, uint32_t now_ms) noexcept nogil:
    """Whether the packet of a server that is down ends its session. Not one that ends the connection by itself."""
    if frame.protocol != PROTO_TCP or frame.found & FOUND_FRAGMENT or frame.tcp_flags & (TCP_RST | TCP_FIN):
        return False
    if tables.services.services[tables.services.servers[session.server].service].on_down == DOWN_DROP:
        return False
    return session_ended_badly(tables, session, frame, now_ms)


cdef inline verdict_t reply_down(tables_t *tables, segment_t *segment, frame_t *frame, session_t *session,
                                 uint32_t now_ms) noexcept nogil:
    """The client is reset in the place of what its server sent, the server is told, and the session ends."""
    cdef int family = V4 if frame.family == 4 else V6
    cdef tcp_hdr *tcp = <tcp_hdr *>(frame.data + frame.l4_off)
    cdef verdict_t verdict
    cdef reset_t reset
    if tcp.flags & TCP_ACK:
        tell_server(tables, session, frame, tcp.ack)
    drop_answered(tables, frame, DROP_SERVER_DOWN)
    reset.src, reset.dst = frame.src, frame.dst
    reset.sport, reset.dport = frame.sport, frame.dport
    reset.seq, reset.ack, reset.flags = tcp.seq, 0, TCP_RST
    reset_write(frame, &reset)
    verdict = nat_reply(tables, segment, frame, session, now_ms)
    session_remove(&tables.sessions[family], &tables.services, session, now_ms)
    return verdict


cdef inline void tell_server(tables_t *tables, const session_t *session, const frame_t *frame, be32 seq) noexcept nogil:
    """The session's server will be sent a reset, as from its client; seq is what it expects next."""
    cdef int family = V4 if frame.family == 4 else V6
    cdef const server_t *server = &tables.services.servers[session.server]
    cdef uint16_t source = session_account(&tables.sessions[family], session).source
    cdef reset_t reset
    reset.src = session_client(&tables.sessions[family], session)
    reset.sport = session.client_port
    if source:
        reset.src = tables.sources.sources[source - 1].ip
        reset.sport = session_account(&tables.sessions[family], session).source_port
    reset.dst = server.answers_as[family]
    reset.dport = session_server_port(session, server)
    reset.seq, reset.ack, reset.flags = seq, 0, TCP_RST
    reset.family = frame.family
    reset.hash = frame.hash
    reset.server = session.server
    reset_post(&tables.resets, &reset)


cdef inline verdict_t reset_next(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """The frame, which is done with, is now the next reset for a server; TAKEN when there is none left to send."""
    cdef const reset_t *reset
    cdef verdict_t verdict
    frame.outer_len = 0
    while True:
        reset = reset_take(&tables.resets)
        if reset is NULL:
            return TAKEN
        verdict = reset_out(tables, frame, reset, now_ms)
        if verdict != TAKEN:
            return verdict


cdef inline verdict_t reset_out(tables_t *tables, frame_t *frame, const reset_t *reset, uint32_t now_ms) noexcept nogil:
    """The reset, out to its server; TAKEN when nobody knows where that is."""
    cdef const server_t *server = &tables.services.servers[reset.server]
    cdef const route_t *route = route_lookup(&tables.routes, server.ip)
    cdef const neighbour_t *hop
    cdef uint64_t mac
    if route is NULL:
        return TAKEN
    frame.out_segment = frame.segment = route.segment
    frame.next_hop = server.ip if route.connected else route.via
    mac = tables.segments[route.segment].station
    hop = neighbour_find(&tables.neighbours, route.segment, frame.next_hop)
    if hop is not NULL and hop.state != FAILED:
        mac = hop.mac
    if mac == 0:
        return TAKEN
    frame.port = NO_PORT
    frame.tunnel = reset.server if is_tunnel(&tables.services.services[server.service]) else <uint16_t>NO_TUNNEL
    frame.n_tags = 0
    frame.vid = 0
    frame.family = reset.family
    frame.protocol = PROTO_TCP
    frame.found = FOUND_L3 | FOUND_L4
    frame.l3_off = ETH_LEN
    frame.cut_len = frame.merged = 0
    frame.shared = False
    frame.hash = reset.hash
    frame.src, frame.dst = reset.src, reset.dst
    frame.sport, frame.dport = reset.sport, reset.dport
    frame.ethertype = ETH_IPV4 if reset.family == 4 else ETH_IPV6
    (<eth_hdr *>frame.data).ethertype = frame.ethertype
    reset_write(frame, reset)
    return leave(tables, frame, mac, now_ms)

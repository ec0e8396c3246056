"""Packets of known sessions: followed, counted, rewritten from VIP to server and back, and sent on.

Read first: ext/tables/session.pxd and state.pxd. What this file does not do: begin sessions (balance.pxd).
"""

from libc.stdint cimport uint8_t, uint32_t

from ext.address cimport ip_t
from ext.debug cimport likely, unlikely
from ext.forward.clamp cimport clamp
from ext.forward.fit cimport bridge_fit
from ext.forward.output cimport route_out
from ext.frame cimport FOUND_FRAGMENT, frame_t
from ext.tables.evidence cimport evidence_of_change
from ext.tables.fragment cimport DST_END, SRC_END, fragment_note, fragment_t
from ext.tables.neighbour cimport REACHABLE, STALE, neighbour_find, neighbour_t
from ext.tables.segment cimport segment_t
from ext.tables.sequence cimport may_be_acknowledged, sequence_is_usual, sequence_state
from ext.tables.server cimport V4, V6, server_t
from ext.tables.service cimport FORWARD_NAT
from ext.tables.session cimport account_t, session_account, session_client, session_server_port, session_t, sessions_t
from ext.tables.session_life cimport session_count, session_note, session_set_state
from ext.tables.state cimport ESTABLISHED, FROM_CLIENT, FROM_SERVER, S_NONE, SYN_RECV, tcp_state, udp_state
from ext.tables.tables cimport tables_t
from ext.verdict cimport verdict_t
from ext.wire.ethernet cimport eth_hdr, mac_load, mac_store
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.place cimport fragment_renumber
from ext.wire.rewrite cimport DST, SRC, rewrite
from ext.wire.tcp cimport TCP_RST, tcp_hdr

ctypedef void (*change_fn)(tables_t *tables, session_t *session, const frame_t *frame, uint8_t state,
                           int direction) noexcept nogil
ctypedef uint8_t (*judge_fn)(tables_t *tables, session_t *session, const frame_t *frame, int direction) noexcept nogil

cdef extern from * nogil:
    """
    /* The function, hidden from the compiler, which would else put it where it is called. */
    #define swlb_apart(f) ({ __typeof__(&f) hidden = &f; __asm__("" : "+r"(hidden)); hidden; })
    """
    change_fn session_change_apart "swlb_apart"(change_fn function)
    judge_fn session_judge_apart "swlb_apart"(judge_fn function)


cdef inline void session_follow(tables_t *tables, session_t *session, const frame_t *frame, int direction,
                                uint32_t now_ms) noexcept nogil:
    """The session's state and counters include this packet; direction is FROM_CLIENT, FROM_SERVER or ONE_SIDED.

    Not those of a reset that is not believed: the session is as if it had not come.
    """
    cdef uint8_t state
    if frame.protocol == PROTO_TCP:
        if likely(is_usual(tables, session, frame, direction)):
            state = tcp_state(session.state, direction, frame.tcp_flags)
        else:
            state = session_judge_apart(session_judge)(tables, session, frame, direction)
            if state == S_NONE:
                return
    else:
        state = udp_state(session.state, direction)
    session_count(sessions_of(tables, frame), &tables.services, session,
                  FROM_SERVER if direction == FROM_SERVER else FROM_CLIENT, frame.l4_off - frame.l3_off + frame.l4_len,
                  now_ms)
    # Few packets change anything: last and apart, so that the others save no registers for it.
    if unlikely(state != session.state):
        session_change_apart(session_change)(tables, session, frame, state, direction)


cdef inline bint is_usual(tables_t *tables, const session_t *session, const frame_t *frame, int direction) noexcept nogil:
    """Whether the segment is no reset and goes on where its side was last."""
    return not frame.tcp_flags & TCP_RST and sequence_is_usual(
        account_of(tables, frame, session).bytes[FROM_SERVER if direction == FROM_SERVER else FROM_CLIENT],
        (<const tcp_hdr *>(frame.data + frame.l4_off)).seq)


cdef inline uint8_t session_judge(tables_t *tables, session_t *session, const frame_t *frame, int direction) noexcept nogil:
    """The state after any other segment; S_NONE for a reset that is not believed."""
    return sequence_state(session_account(sessions_of(tables, frame), session).bytes,
                          <const tcp_hdr *>(frame.data + frame.l4_off), session.state, direction,
                          tables.services.services[tables.services.servers[session.server].service].forward != FORWARD_NAT)


cdef inline bint is_invented(tables_t *tables, const frame_t *frame, const session_t *session) noexcept nogil:
    """Whether the client acknowledges something else than its server has answered: who forges addresses does not hear that.

    Such a handshake leaves the session half open, and so among the first to give way.
    """
    return not may_be_acknowledged(account_of(tables, frame, session).bytes[FROM_SERVER],
                                   (<const tcp_hdr *>(frame.data + frame.l4_off)).ack)


cdef inline void session_change(tables_t *tables, session_t *session, const frame_t *frame, uint8_t state,
                                int direction) noexcept nogil:
    """The session is in state, and what that says of its server is counted, as is the packet already."""
    if session.state == SYN_RECV and state == ESTABLISHED and direction == FROM_CLIENT and is_invented(tables, frame, session):
        return
    evidence_of_change(&tables.services, session, account_of(tables, frame, session), state, direction)
    session_set_state(sessions_of(tables, frame), &tables.services, session, state)
    if state == ESTABLISHED and account_of(tables, frame, session).packets[FROM_SERVER] == 0:
        session_note(sessions_of(tables, frame), session, &tables.half_open.done)


cdef inline verdict_t nat_request(tables_t *tables, frame_t *frame, session_t *session, uint32_t now_ms) noexcept nogil:
    """The client's packet, on to the server; from the address that stands for the client, if one does."""
    cdef server_t *server = &tables.services.servers[session.server]
    cdef const account_t *account = account_of(tables, frame, session)
    cdef ip_t src = frame.src
    session_follow(tables, session, frame, FROM_CLIENT, now_ms)
    if unlikely(account.source):
        src = tables.sources.sources[account.source - 1].ip
    if unlikely(frame.found & FOUND_FRAGMENT):
        note_rewrite(tables, frame, DST_END | SRC_END if account.source else DST_END, src, server.ip, now_ms)
    clamp(tables, frame, server)
    rewrite(frame, DST, server.ip, session_server_port(session, server))
    if unlikely(account.source):
        rewrite(frame, SRC, src, account.source_port)
    return route_out(tables, frame, server.ip, False, now_ms)


cdef inline verdict_t nat_reply(tables_t *tables, segment_t *segment, frame_t *frame, session_t *session,
                                uint32_t now_ms) noexcept nogil:
    """The server's packet, on to the client as the VIP's."""
    cdef server_t *server = &tables.services.servers[session.server]
    cdef const account_t *account = account_of(tables, frame, session)
    cdef ip_t vip = tables.services.services[server.service].vip[server.family]
    cdef ip_t client = frame.dst
    session_follow(tables, session, frame, FROM_SERVER, now_ms)
    confirm(tables, frame, now_ms)
    if unlikely(account.source):
        client = session_client(sessions_of(tables, frame), session)
    if unlikely(frame.found & FOUND_FRAGMENT):
        note_rewrite(tables, frame, SRC_END | DST_END if account.source else SRC_END, vip, client, now_ms)
    clamp(tables, frame, server)
    rewrite(frame, SRC, vip, session.vip_port)
    if unlikely(account.source):
        rewrite(frame, DST, client, session.client_port)
        return route_out(tables, frame, client, False, now_ms)
    return reply_out(tables, segment, frame, now_ms)


cdef inline sessions_t *sessions_of(tables_t *tables, const frame_t *frame) noexcept nogil:
    """The table that has the frame's session."""
    return &tables.sessions[V4 if frame.family == 4 else V6]


cdef inline const account_t *account_of(tables_t *tables, const frame_t *frame, const session_t *session) noexcept nogil:
    return session_account(sessions_of(tables, frame), session)


cdef inline verdict_t reply_out(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """Routed when it was sent to swlb as a gateway; otherwise bridged, but from the VIP's MAC."""
    cdef eth_hdr *eth = <eth_hdr *>frame.data
    cdef verdict_t verdict
    if mac_load(eth.dst) == segment.mac:
        return route_out(tables, frame, frame.dst, False, now_ms)
    verdict = bridge_fit(tables, segment, frame, now_ms)
    # Last: one that is too large is answered to who sent it.
    mac_store(eth.src, segment.mac)
    return verdict


cdef inline void confirm(tables_t *tables, const frame_t *frame, uint32_t now_ms) noexcept nogil:
    """A server that answers is alive: its neighbour entry need not be asked again (RFC 4861 7.3.1)."""
    cdef neighbour_t *entry = neighbour_find(&tables.neighbours, frame.segment, frame.src)
    if likely(entry is not NULL) and entry.mac == mac_load((<eth_hdr *>frame.data).src):
        if entry.state == REACHABLE or entry.state == STALE:
            entry.state = REACHABLE
            entry.alive_ms = now_ms


cdef inline void note_rewrite(tables_t *tables, frame_t *frame, uint8_t ends, ip_t src, ip_t dst,
                              uint32_t now_ms) noexcept nogil:
    """Later fragments of the packet will be rewritten as this, its first, is about to be."""
    cdef const fragment_t *packet = fragment_note(&tables.fragments, frame, ends, src, dst, now_ms)
    if packet is not NULL and ends & SRC_END:
        renumber(tables, frame, packet)


cdef inline void renumber(const tables_t *tables, frame_t *frame, const fragment_t *packet) noexcept nogil:
    """The fragment has an identification of swlb's own: those who stand behind one address choose theirs each for itself.

    Spec: RFC 6864 5.3.1.
    """
    fragment_renumber(frame, packet.number * tables.crew.n + tables.crew.index)


cdef inline verdict_t nat_later_fragment(tables_t *tables, segment_t *segment, frame_t *frame,
                                         const fragment_t *first, uint32_t now_ms) noexcept nogil:
    """A later fragment goes where its first went, rewritten as that was."""
    if first.ends & SRC_END:
        renumber(tables, frame, first)
        rewrite(frame, SRC, first.rewritten[SRC], 0)
    if first.ends & DST_END:
        rewrite(frame, DST, first.rewritten[DST], 0)
        return route_out(tables, frame, first.rewritten[DST], False, now_ms)
    return reply_out(tables, segment, frame, now_ms)

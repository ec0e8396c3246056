"""What is routed over the border of a segment that is closed (`access: private`) or masquerades.

Read first: ext/tables/flow.pxd; RFC 4787, 5382, 5508 3 and 4. Towards its hosts a private segment lets nothing pass
but what a service sends and what answers a masqueraded flow. What its hosts begin themselves leaves a segment that
masquerades in the name of an address of swlb's own; what others begin with them, where that is open, stays as it is.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.address cimport ip_equal, ip_t
from ext.debug cimport likely, unlikely
from ext.forward.handover cimport hand_over, is_of_another
from ext.forward.icmp cimport PROHIBITED, icmp_error
from ext.forward.nat cimport note_rewrite
from ext.forward.output cimport route_out
from ext.forward.quote cimport error_rewrite, quote_rewrite
from ext.forward.quote_piece cimport quote_renumber
from ext.forward.quote_read cimport error_is_sound, quote_is_forged, quote_read_any, quote_t
from ext.forward.refuse cimport refuse
from ext.forward.resume cimport is_midstream
from ext.forward.source cimport source_find
from ext.frame cimport FOUND_FRAGMENT, FOUND_L4, FOUND_LATER, frame_t
from ext.order cimport be16
from ext.tables.flow cimport (ends_t, flow_find, flow_follow, flow_insert, flow_of_source, flow_t, flow_take_source)
from ext.tables.fragment cimport AS_IT_IS, DST_END, SRC_END, fragment_find, fragment_note_untouched, fragment_t
from ext.tables.route cimport route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.server cimport NO_POOL, V4, V6
from ext.tables.service cimport ANSWER_RESET
from ext.tables.state cimport ESTABLISHED, S_NONE
from ext.tables.session_room cimport table_make_room
from ext.tables.tables cimport report_full, tables_t
from ext.verdict cimport (DROP_ACCESS_PRIVATE, DROP_BAD_ICMP, DROP_FORGED_ICMP, DROP_FRAGMENT, DROP_ORPHAN, DROP_SESSION_FULL,
                          DROP_SOURCE_PORTS, DROP_UNMASQUERADABLE, GO_ON, verdict_t)
from ext.wire.icmp cimport icmp_echo_hdr, is_echo, is_icmp_error
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.rewrite cimport DST, SRC, rewrite
from ext.wire.tcp cimport is_new_connection

cdef enum:
    BEGINNER = 0           # directions of a flow
    OTHER = 1


cdef inline verdict_t cross_border(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """What becomes of a packet to be routed, where segments are guarded; GO_ON: it is routed as it is."""
    cdef const route_t *route = route_lookup(&tables.routes, frame.dst)
    cdef segment_t *here = &tables.segments[frame.segment]
    cdef segment_t *there
    if route is NULL or route.segment == frame.segment:
        return GO_ON
    there = &tables.segments[route.segment]
    if unlikely(there.private):
        return prohibited(tables, frame, DROP_ACCESS_PRIVATE, now_ms)
    if here.masquerades:
        return leave_as_another(tables, frame, here, there, now_ms)
    if there.masquerades:
        return enter_as_it_is(tables, frame, now_ms)
    return GO_ON


cdef inline verdict_t prohibited(tables_t *tables, frame_t *frame, int reason, uint32_t now_ms) noexcept nogil:
    """Who sent it hears at once that it does not leave, and need not wait for an answer (RFC 5508 REQ-8)."""
    return icmp_error(tables, frame, PROHIBITED, 0, reason, now_ms)


cdef inline bint ends_of(frame_t *frame, bint from_inside, ends_t *ends) noexcept nogil:
    """Whether the packet belongs to a flow that can be told from others; then ends are its ends.

    An echo's identifier stands for the port of who asks, and becomes the frame's as `rewrite` knows them.
    """
    if likely(frame.found & FOUND_L4):
        ends.peer_port = frame.dport if from_inside else frame.sport
        ends.inside_port = frame.sport if from_inside else frame.dport
    elif not frame.found & FOUND_LATER and is_echo(frame):
        frame.sport = frame.dport = (<icmp_echo_hdr *>(frame.data + frame.l4_off)).id
        ends.inside_port = frame.sport
        ends.peer_port = 0
    else:
        return False
    ends.inside = frame.src if from_inside else frame.dst
    ends.peer = frame.dst if from_inside else frame.src
    ends.protocol = frame.protocol
    return True


cdef inline verdict_t leave_as_another(tables_t *tables, frame_t *frame, segment_t *here, segment_t *there,
                                       uint32_t now_ms) noexcept nogil:
    """A packet of one of the segment's hosts: from an address of swlb's own, unless it answers what others began."""
    cdef ends_t ends
    cdef flow_t *flow
    cdef verdict_t verdict
    if unlikely(frame.found & FOUND_LATER):
        return later_as_it_is(tables, frame, now_ms)
    if unlikely(not ends_of(frame, True, &ends)):
        if is_icmp_error(frame):
            return error_leaves(tables, frame, now_ms)
        return prohibited(tables, frame, DROP_UNMASQUERADABLE, now_ms)
    flow = flow_find(&tables.flows, &ends, now_ms)
    if flow is NULL:
        verdict = begin_flow(tables, frame, here, there, &ends, &flow, now_ms)
        if verdict != GO_ON:
            return verdict
    flow_follow(flow, frame, OTHER if flow.source == 0 else BEGINNER, now_ms)
    if flow.source:
        return as_source(tables, frame, flow, now_ms)
    if unlikely(frame.found & FOUND_FRAGMENT):
        fragment_note_untouched(&tables.fragments, frame, AS_IT_IS, 0, 0, now_ms)
    return GO_ON


cdef inline verdict_t later_as_it_is(const tables_t *tables, const frame_t *frame, uint32_t now_ms) noexcept nogil:
    """A later fragment that leaves as nobody else: as its first, if that went."""
    cdef const fragment_t *first = fragment_find(&tables.fragments, frame, now_ms)
    return <verdict_t>GO_ON if first is not NULL and first.ends == AS_IT_IS else <verdict_t>DROP_FRAGMENT


cdef inline verdict_t as_source(tables_t *tables, frame_t *frame, const flow_t *flow, uint32_t now_ms) noexcept nogil:
    """The packet leaves in the name of the flow's source."""
    cdef ip_t src = tables.sources.sources[flow.source - 1].ip
    if unlikely(frame.found & FOUND_FRAGMENT):
        note_rewrite(tables, frame, SRC_END, src, frame.dst, now_ms)
    rewrite(frame, SRC, src, flow.source_port)
    return route_out(tables, frame, frame.dst, True, now_ms)


cdef inline verdict_t begin_flow(tables_t *tables, frame_t *frame, segment_t *here, segment_t *there, const ends_t *ends,
                                 flow_t **flow, uint32_t now_ms) noexcept nogil:
    """GO_ON with a new flow that has a source; or why there is none."""
    cdef uint16_t pool = here.pool if here.pool != NO_POOL else there.exit_pool
    cdef uint16_t source = 0
    cdef be16 source_port = 0
    # What is in mid-stream began before we knew of it, as somebody else.
    if frame.protocol == PROTO_TCP and not is_new_connection(frame.tcp_flags):
        return refuse(tables, frame, ANSWER_RESET, DROP_ORPHAN, now_ms)
    if is_of_another(tables, frame, ends.inside, ends.inside_port):
        return hand_over(tables, frame, now_ms)
    if pool == NO_POOL or not source_find(tables, &tables.sources.pools[pool], V4 if frame.family == 4 else V6,
                                          frame.protocol, &source, &source_port, now_ms):
        report_full(tables, frame)
        return prohibited(tables, frame, DROP_SOURCE_PORTS, now_ms)
    flow[0] = flow_begin(tables, ends, now_ms)
    if flow[0] is NULL:
        report_full(tables, frame)
        return prohibited(tables, frame, DROP_SESSION_FULL, now_ms)
    flow_take_source(&tables.flows, flow[0], source, source_port)
    return GO_ON


cdef inline flow_t *flow_begin(tables_t *tables, const ends_t *ends, uint32_t now_ms) noexcept nogil:
    """A new flow without a source; NULL when there is no room, and no session gives way."""
    cdef flow_t *flow = flow_insert(&tables.flows, ends, now_ms)
    if unlikely(flow is NULL) and table_make_room(tables.sessions, &tables.services, now_ms):
        flow = flow_insert(&tables.flows, ends, now_ms)
    return flow


cdef inline verdict_t enter_as_it_is(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """A packet that somebody outside sends to a host of a segment that masquerades: its answers will be left alone."""
    cdef ends_t ends
    cdef flow_t *flow
    if not ends_of(frame, False, &ends):
        return GO_ON
    flow = flow_find(&tables.flows, &ends, now_ms)
    if flow is NULL:
        flow = flow_begin(tables, &ends, now_ms)
    if flow is NULL:
        report_full(tables, frame)
        return DROP_SESSION_FULL
    if flow.state == S_NONE and frame.protocol == PROTO_TCP and is_midstream(frame.tcp_flags):
        # From S_NONE its first segment would close it.
        flow.state = ESTABLISHED
    flow_follow(flow, frame, BEGINNER if flow.source == 0 else OTHER, now_ms)
    return GO_ON


cdef inline verdict_t answer_enters(tables_t *tables, frame_t *frame, uint16_t source, uint32_t now_ms) noexcept nogil:
    """A packet to a source: on to the host it stands for; GO_ON when it is about no flow."""
    cdef ends_t ends
    cdef flow_t *flow
    if not ends_of(frame, False, &ends):
        return error_enters(tables, frame, source, now_ms) if is_icmp_error(frame) else <verdict_t>GO_ON
    flow = flow_of_source(&tables.flows, source, ends.inside_port, ends.protocol, ends.peer, ends.peer_port, now_ms)
    if flow is NULL:
        return GO_ON
    flow_follow(flow, frame, OTHER, now_ms)
    if unlikely(frame.found & FOUND_FRAGMENT):
        note_rewrite(tables, frame, DST_END, frame.src, flow.ends.inside, now_ms)
    rewrite(frame, DST, flow.ends.inside, flow.ends.inside_port)
    return route_out(tables, frame, flow.ends.inside, True, now_ms)


cdef inline verdict_t error_enters(tables_t *tables, frame_t *frame, uint16_t source, uint32_t now_ms) noexcept nogil:
    """An error about what a source sent: on to the host it stands for, as about its own packet (RFC 5508 4.2)."""
    cdef quote_t quote
    cdef flow_t *flow
    if not quote_read_any(frame, &quote) or not ip_equal(quote.src, frame.dst):
        return GO_ON
    flow = flow_of_source(&tables.flows, source, quote.sport, quote.protocol, quote.dst, quote.dport, now_ms)
    if flow is NULL:
        return GO_ON
    if quote_is_forged(&quote, flow.bytes, BEGINNER):
        return DROP_FORGED_ICMP
    if not error_is_sound(frame):
        return DROP_BAD_ICMP
    quote_renumber(tables, frame, quote.l3, quote.src)
    quote_rewrite(frame, &quote, SRC, flow.ends.inside, flow.ends.inside_port)
    error_rewrite(frame, DST, flow.ends.inside)
    return route_out(tables, frame, flow.ends.inside, True, now_ms)


cdef inline verdict_t error_leaves(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """An error of a host about what a peer sent it: in the source's name, as about what the peer sent the source."""
    cdef quote_t quote
    cdef ends_t ends
    cdef const flow_t *flow
    cdef ip_t source
    if not quote_read_any(frame, &quote) or not ip_equal(quote.src, frame.dst):
        return DROP_UNMASQUERADABLE
    ends.inside, ends.inside_port = quote.dst, quote.dport
    ends.peer, ends.peer_port = quote.src, quote.sport
    ends.protocol = quote.protocol
    flow = flow_find(&tables.flows, &ends, now_ms)
    if flow is NULL:
        return DROP_UNMASQUERADABLE
    if quote_is_forged(&quote, flow.bytes, OTHER if flow.source else BEGINNER):
        return DROP_FORGED_ICMP
    if flow.source == 0:
        return GO_ON
    if not error_is_sound(frame):
        return DROP_BAD_ICMP
    source = tables.sources.sources[flow.source - 1].ip
    quote_rewrite(frame, &quote, DST, source, flow.source_port)
    error_rewrite(frame, SRC, source)
    return route_out(tables, frame, frame.dst, True, now_ms)

"""A packet of a known session, on to its server: where the ways to forward part.

    nat          the VIP becomes the server, and back (nat.pxd)
    dsr          in a frame to the server's MAC (dsr.pxd)
    ipip, gue    in an outer packet to the server (tunnel.pxd)

All but NAT leave the packet as it is, and the server answers as the VIP, past swlb. A reply that comes by all the same,
as swlb may be the switch or the gateway between them, is followed and goes its way like any other packet.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.forward.clamp cimport clamp
from ext.forward.dsr cimport dsr_out
from ext.forward.fit cimport bridge_fit
from ext.forward.icmp cimport NET_UNREACHABLE, icmp_error, turn_back
from ext.forward.nat cimport account_of, nat_later_fragment, nat_request, session_follow
from ext.forward.output cimport neighbour_output, route_out
from ext.frame cimport FOUND_FRAGMENT, frame_t
from ext.tables.fragment cimport (AS_IT_IS, ECHO, OWNER, SERVER, fragment_find, fragment_note_untouched, fragment_t)
from ext.tables.route cimport route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.sequence cimport bytes_of
from ext.tables.server cimport server_t
from ext.tables.service cimport FORWARD_DSR, FORWARD_NAT
from ext.tables.session cimport session_t
from ext.tables.state cimport FROM_CLIENT, FROM_SERVER, ONE_SIDED
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_NO_ROUTE, HAND_OVER, verdict_t
from ext.wire.ethernet cimport eth_hdr, mac_load
from ext.wire.rewrite cimport ttl_of


cdef inline bint is_translated(const tables_t *tables, const session_t *session) noexcept nogil:
    """Whether the session's packets are rewritten; else its server has the VIP itself."""
    return tables.services.services[tables.services.servers[session.server].service].forward == FORWARD_NAT


cdef inline verdict_t request(tables_t *tables, frame_t *frame, session_t *session, uint32_t now_ms) noexcept nogil:
    """The client's packet, on to the server."""
    if likely(is_translated(tables, session)):
        return nat_request(tables, frame, session, now_ms)
    session_follow(tables, session, frame,
                   FROM_CLIENT if bytes_of(account_of(tables, frame, session).bytes[FROM_SERVER]) else ONE_SIDED, now_ms)
    clamp(tables, frame, &tables.services.servers[session.server])
    if unlikely(frame.found & FOUND_FRAGMENT):
        fragment_note_untouched(&tables.fragments, frame, SERVER, session.server, frame.hash, now_ms)
    return untouched_out(tables, frame, session.server, now_ms)


cdef inline verdict_t reply_heard(tables_t *tables, segment_t *segment, frame_t *frame, session_t *session,
                                  uint32_t now_ms) noexcept nogil:
    """A packet from the VIP that its server sent, bridged or routed on: the session has two sides from now on."""
    session_follow(tables, session, frame, FROM_SERVER, now_ms)
    clamp(tables, frame, &tables.services.servers[session.server])
    if mac_load((<eth_hdr *>frame.data).dst) == segment.mac:
        return route_out(tables, frame, frame.dst, True, now_ms)
    return bridge_fit(tables, segment, frame, now_ms)


cdef inline verdict_t untouched_out(tables_t *tables, frame_t *frame, uint16_t index, uint32_t now_ms) noexcept nogil:
    """To the server of that index, as a packet to the VIP. Through a tunnel frame.hash says which flow it is of."""
    cdef const server_t *server = &tables.services.servers[index]
    cdef const route_t *route
    if tables.services.services[server.service].forward == FORWARD_DSR:
        return dsr_out(tables, frame, server.ip, now_ms)
    route = route_lookup(&tables.routes, server.ip)
    if unlikely(route is NULL):
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    frame.tunnel = index
    frame.out_segment = route.segment
    frame.next_hop = server.ip if route.connected else route.via
    return neighbour_output(tables, frame, now_ms)


cdef inline bint is_spent(const tables_t *tables, const frame_t *frame, const server_t *server) noexcept nogil:
    """Whether the packet has no hop left for the way to the server, were it routed there."""
    cdef const route_t *route
    if ttl_of(frame) > 1 or tables.services.services[server.service].forward != FORWARD_NAT:
        return False
    route = route_lookup(&tables.routes, server.ip)
    return route is not NULL and route.segment != frame.segment


cdef inline verdict_t later_fragment(tables_t *tables, segment_t *segment, frame_t *frame, int otherwise,
                                     uint32_t now_ms) noexcept nogil:
    """A later fragment goes where its first went; otherwise is the verdict when that went nowhere in particular."""
    cdef const fragment_t *first = fragment_find(&tables.fragments, frame, now_ms)
    if first is NULL or first.ends == 0 or first.ends == AS_IT_IS:
        return otherwise
    if unlikely(first.ends == OWNER):
        frame.owner = <uint8_t>first.rewritten[0].lo
        return HAND_OVER
    if unlikely(first.ends == SERVER):
        frame.hash = <uint32_t>first.rewritten[0].hi
        return untouched_out(tables, frame, <uint16_t>first.rewritten[0].lo, now_ms)
    if unlikely(first.ends == ECHO):
        return turn_back(tables, frame)
    return nat_later_fragment(tables, segment, frame, first, now_ms)

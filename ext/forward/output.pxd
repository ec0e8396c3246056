"""From "where to" to a frame that can leave: route, TTL, the next hop's MAC and its port, tunnel, MTU.

Read first: RFC 1812 5.2 and 5.3.1, RFC 8200 3 and 5, RFC 4861 5.2 and 7.2.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.debug cimport unlikely
from ext.forward.fit cimport fit
from ext.forward.icmp cimport HOST_UNREACHABLE, NET_UNREACHABLE, TIME_EXCEEDED, icmp_error
from ext.forward.solicit cimport solicit
from ext.forward.tunnel cimport tunnel_enter
from ext.frame cimport NO_PORT, NO_TUNNEL, frame_t
from ext.tables.event cimport EVENT_NEIGHBOURS_FULL
from ext.tables.fdb cimport fdb_lookup
from ext.tables.neighbour cimport (FAILED, INCOMPLETE, PROBE, STALE, neighbour_create, neighbour_find, neighbour_t,
                                   neighbour_wait)
from ext.tables.route cimport address_find, route_lookup, route_t
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport count_made, is_time_to_report, report, tables_t
from ext.verdict cimport (DROP_NEIGHBOUR_FAILED, DROP_NEIGHBOUR_FULL, DROP_NEIGHBOUR_QUEUE, DROP_NO_ROUTE, DROP_TTL_EXPIRED,
                          FLOOD_STATIONS, GO_ON, SEND, TAKEN, verdict_t)
from ext.wire.ethernet cimport eth_hdr, mac_store
from ext.wire.parse cimport packet_len
from ext.wire.rewrite cimport ttl_change, ttl_of


cdef inline verdict_t to_host(tables_t *tables, frame_t *frame, uint16_t segment_index, uint32_t now_ms) noexcept nogil:
    """To the kernel twin of the segment, by its MAC, if it fits: a station's link may carry more than another's."""
    cdef segment_t *segment = &tables.segments[segment_index]
    cdef verdict_t verdict
    if segment.host_port == NO_PORT:
        return DROP_NO_ROUTE
    if unlikely(packet_len(frame) > tables.ports[segment.host_port].mtu):
        verdict = fit(tables, frame, tables.ports[segment.host_port].mtu, now_ms)
        if verdict != GO_ON:
            return verdict
    mac_store((<eth_hdr *>frame.data).dst, segment.mac)
    frame.out_segment = segment_index
    frame.out_port = segment.host_port
    return SEND


cdef inline verdict_t route_out(tables_t *tables, frame_t *frame, ip_t dst, bint always_lower,
                                uint32_t now_ms) noexcept nogil:
    """To dst: to the kernel twin when that is swlb itself, else by the longest route.

    TTL is lowered when the packet changes segment, or always, as a router does for what is not its own.
    """
    cdef const route_t *route
    if unlikely(address_find(&tables.routes, dst) is not NULL):
        return to_host(tables, frame, frame.segment, now_ms)
    route = route_lookup(&tables.routes, dst)
    if unlikely(route is NULL):
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    if always_lower or route.segment != frame.segment:
        if unlikely(ttl_of(frame) <= 1):
            return icmp_error(tables, frame, TIME_EXCEEDED, 0, DROP_TTL_EXPIRED, now_ms)
        ttl_change(frame, -1)
        frame.lowered = 1
    frame.out_segment = route.segment
    frame.next_hop = dst if route.connected else route.via
    return neighbour_output(tables, frame, now_ms)


cdef inline verdict_t neighbour_output(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """To frame.next_hop on frame.out_segment; the frame waits while its MAC is not known.

    When it is the first to wait, the request for the MAC leaves in its place.
    """
    cdef uint64_t station = tables.segments[frame.out_segment].station
    cdef neighbour_t *hop
    if unlikely(station):
        return leave(tables, frame, station, now_ms)
    hop = neighbour_find(&tables.neighbours, frame.out_segment, frame.next_hop)
    if unlikely(hop is NULL):
        hop = neighbour_create(&tables.neighbours, frame.out_segment, frame.next_hop, now_ms)
        if hop is NULL:
            if is_time_to_report(tables, &tables.neighbours_full_ns):
                report(tables, EVENT_NEIGHBOURS_FULL, frame.out_segment, NO_PORT, 0, frame.next_hop)
            return DROP_NEIGHBOUR_FULL
    if unlikely(hop.state == STALE):
        hop.state = PROBE
        hop.requests = 0
        hop.due_ms = now_ms
    elif unlikely(hop.state == FAILED):
        if hop.requests:
            return icmp_error(tables, frame, HOST_UNREACHABLE, 0, DROP_NEIGHBOUR_FAILED, now_ms)
        hop.state = INCOMPLETE
    if unlikely(hop.state == INCOMPLETE):
        if not neighbour_wait(&tables.neighbours, hop, frame):
            return DROP_NEIGHBOUR_QUEUE
        if hop.requests:
            return TAKEN
        count_made(tables, frame, 1)
        return solicit(tables, frame, hop, now_ms)
    return leave(tables, frame, hop.mac, now_ms)


cdef inline verdict_t leave(tables_t *tables, frame_t *frame, uint64_t mac, uint32_t now_ms) noexcept nogil:
    """Out to that MAC on frame.out_segment, as one packet or in pieces that fit the link."""
    cdef segment_t *segment = &tables.segments[frame.out_segment]
    cdef eth_hdr *eth
    cdef uint16_t port = fdb_lookup(&segment.fdb, mac, 0, now_ms)
    cdef uint32_t mtu = tables.ports[port].mtu if port != NO_PORT else segment.mtu
    cdef verdict_t verdict
    if unlikely(frame.tunnel != NO_TUNNEL):
        verdict = tunnel_enter(tables, frame, mtu, now_ms)
        if verdict != GO_ON:
            return verdict
    elif unlikely(packet_len(frame) > mtu):
        verdict = fit(tables, frame, mtu, now_ms)
        if verdict != GO_ON:
            return verdict
    eth = <eth_hdr *>frame.data
    mac_store(eth.dst, mac)
    mac_store(eth.src, segment.mac)
    frame.out_port = port
    if unlikely(port == NO_PORT):
        # From swlb itself now: it may also go back to where it came from.
        frame.port = NO_PORT
        return FLOOD_STATIONS
    return SEND


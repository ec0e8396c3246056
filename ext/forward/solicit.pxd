"""Questions and announcements that swlb makes itself: ARP requests, neighbour solicitations, and who has a VIP.

Read first: RFC 826, RFC 5227 3 (announcement), RFC 4861 4.3, 4.4, 7.2.2, 7.2.6. Each is built over the bytes
of a frame that is done with; the frame's `port` becomes NO_PORT, as swlb sends it, not a port.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.address cimport ip_is_v4, ip_t
from ext.forward.reflect cimport frame_cut
from ext.frame cimport NO_PORT, frame_t, frame_vnet
from ext.tables.fdb cimport fdb_lookup
from ext.tables.neighbour cimport PROBE, REQUEST_GAP_MS, neighbour_t
from ext.tables.route cimport address_on, address_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_NEIGHBOUR_FAILED, FLOOD_STATIONS, SEND, verdict_t
from ext.wire.arp cimport ARP_REQUEST, arp_build
from ext.wire.ethernet cimport MAC_BROADCAST, eth_hdr, mac_load
from ext.wire.icmp cimport ICMPV6_ADVERTISEMENT, ICMPV6_SOLICITATION
from ext.wire.nd cimport NA_OVERRIDE, NA_ROUTER, all_nodes, group_mac, nd_build, solicited_node
from ext.wire.vnet cimport vnet_clear


cdef inline verdict_t solicit(tables_t *tables, frame_t *frame, neighbour_t *hop, uint32_t now_ms) noexcept nogil:
    """The frame is now a request for the hop's MAC: to all, or to the MAC it had when it is only being probed."""
    cdef const address_t *own = address_on(&tables.routes, hop.segment, ip_is_v4(hop.ip))
    cdef uint64_t mac = tables.segments[hop.segment].mac
    cdef bint probe = hop.state == PROBE
    cdef ip_t group
    hop.requests += 1
    hop.due_ms = now_ms + REQUEST_GAP_MS
    if own is NULL:
        return DROP_NEIGHBOUR_FAILED
    if ip_is_v4(hop.ip):
        frame_cut(frame, arp_build(frame.data, ARP_REQUEST, mac, own.ip, 0, hop.ip,
                                   hop.mac if probe else <uint64_t>MAC_BROADCAST))
    else:
        group = solicited_node(hop.ip)
        frame_cut(frame, nd_build(frame.data, ICMPV6_SOLICITATION, 0, mac, hop.mac if probe else group_mac(group),
                                  own.ip, hop.ip if probe else group, hop.ip))
    return from_swlb(tables, frame, hop.segment, now_ms)


cdef inline verdict_t announce(tables_t *tables, frame_t *frame, ip_t ip, uint16_t segment,
                               uint32_t now_ms) noexcept nogil:
    """The frame now tells everyone on the segment that ip is at the segment's MAC."""
    cdef uint64_t mac = tables.segments[segment].mac
    cdef ip_t everyone = all_nodes()
    if ip_is_v4(ip):
        frame_cut(frame, arp_build(frame.data, ARP_REQUEST, mac, ip, 0, ip, <uint64_t>MAC_BROADCAST))
    else:
        frame_cut(frame, nd_build(frame.data, ICMPV6_ADVERTISEMENT, NA_ROUTER | NA_OVERRIDE, mac, group_mac(everyone), ip,
                                  everyone, ip))
    return from_swlb(tables, frame, segment, now_ms)


cdef inline verdict_t from_swlb(tables_t *tables, frame_t *frame, uint16_t segment, uint32_t now_ms) noexcept nogil:
    """Out on the segment to whom the frame names, to all stations when that is a group or not known where."""
    cdef uint64_t dst = mac_load((<eth_hdr *>frame.data).dst)
    vnet_clear(frame_vnet(frame))
    frame.port = NO_PORT
    frame.out_segment = segment
    frame.out_port = fdb_lookup(&tables.segments[segment].fdb, dst, 0, now_ms)
    return FLOOD_STATIONS if frame.out_port == NO_PORT else SEND

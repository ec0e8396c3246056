"""Requests that travel to their server in an outer packet, and how large a packet may be for that.

The outer packet is made last, when next hop and link are known: until then, an ICMP error about the packet quotes it
as it came, and one that waits for a neighbour waits as it came. Read first: ext/wire/outer.pxd; RFC 2003 5, RFC 2473 7,
RFC 4459 3.3.

A packet too large for the link, or for a path whose MTU a router has told, with the outer headers before it:
IPv4 without DF leaves in pieces, each in an outer packet of its own. (The outer packet in pieces would have to be put
together at the tunnel's end, in memory that strangers can fill, and its path's MTU could not be learnt.) All else is
answered with what would fit.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.address cimport ip_is_v4
from ext.debug cimport unlikely
from ext.forward.icmp cimport NET_UNREACHABLE, TOO_BIG, icmp_error
from ext.frame cimport frame_t
from ext.tables.route cimport address_on, address_t
from ext.tables.server cimport server_t
from ext.tables.service cimport FORWARD_GUE, is_tunnel, service_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_NO_ROUTE, DROP_TOO_BIG, GO_ON, verdict_t
from ext.wire.fragment cimport may_cut
from ext.wire.ipv6 cimport IPV6_LEAST_MTU
from ext.wire.outer cimport outer_grow, outer_size, outer_t
from ext.wire.parse cimport packet_len
from ext.wire.rewrite cimport checksum_complete


cdef inline uint32_t server_room(const service_t *service, const server_t *server, uint32_t mtu) noexcept nogil:
    """The largest packet that gets to the server over a link of that MTU."""
    cdef uint32_t outer_len = 0
    if server.path_mtu:
        mtu = min(mtu, server.path_mtu)
    if is_tunnel(service):
        outer_len = outer_size(ip_is_v4(server.ip), service.forward == FORWARD_GUE)
    return mtu - outer_len if mtu > outer_len else 0


cdef inline verdict_t tunnel_enter(tables_t *tables, frame_t *frame, uint32_t mtu, uint32_t now_ms) noexcept nogil:
    """GO_ON: the packet is in an outer one to its server, by frame.out_segment. Else the verdict on one too large."""
    cdef const server_t *server = &tables.services.servers[frame.tunnel]
    cdef const service_t *service = &tables.services.services[server.service]
    cdef const address_t *own = address_on(&tables.routes, frame.out_segment, ip_is_v4(server.ip))
    cdef uint32_t room = server_room(service, server, mtu)
    cdef outer_t outer
    if unlikely(own is NULL):
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    if unlikely(packet_len(frame) > room):
        if not may_cut(frame, room):
            return icmp_error(tables, frame, TOO_BIG, told_mtu(frame, room), DROP_TOO_BIG, now_ms)
        frame.cut_len = <uint16_t>room
    checksum_complete(frame)
    outer.src = own.ip
    outer.dst = server.ip
    outer.gue_port = service.gue_port if service.forward == FORWARD_GUE else 0
    outer.hash = frame.hash
    outer_grow(frame, &outer)
    return GO_ON


cdef inline uint32_t told_mtu(const frame_t *frame, uint32_t room) noexcept nogil:
    """What the sender of a packet hears when that much would have fitted: over IPv6 it would not believe in less."""
    return room if frame.family == 4 else max(room, <uint32_t>IPV6_LEAST_MTU)

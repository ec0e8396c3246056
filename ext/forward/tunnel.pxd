"""Requests that travel to their server in an outer packet, and how large a packet may be for that.

The outer packet is made last, when next hop and link are known: until then, an ICMP error about the packet quotes it
as it came, and one that waits for a neighbour waits as it came. Read first: ext/wire/outer.pxd; RFC 2003 5, RFC 2473 7,
RFC 4459 3.3.

A packet too large for the link, or for a path whose MTU a router has told, with the outer headers before it:
IPv4 without DF leaves in pieces, each in an outer packet of its own. (The outer packet in pieces has to be put together
at the tunnel's end, in memory that strangers can fill, and its path's MTU cannot be learnt.) All else is answered with
what would fit. But nobody sends IPv6 in packets of less than 1280 bytes, so that these are always carried, where nothing
else is left in an outer packet in pieces (RFC 2473 7.1 b, RFC 4213 3.2.1).
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.address cimport ip_is_v4
from ext.debug cimport unlikely
from ext.forward.fit cimport fit
from ext.forward.icmp cimport NET_UNREACHABLE, icmp_error
from ext.frame cimport frame_t
from ext.tables.route cimport address_on, address_t
from ext.tables.server cimport server_t
from ext.tables.service cimport FORWARD_GUE, is_tunnel, service_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_NO_ROUTE, GO_ON, verdict_t
from ext.wire.fragment cimport LEAST_CUT
from ext.wire.ipv6 cimport IPV6_LEAST_MTU
from ext.wire.outer cimport outer_grow, outer_size, outer_t
from ext.wire.parse cimport packet_len
from ext.wire.rewrite cimport checksum_complete


cdef inline uint32_t server_path(const server_t *server, uint32_t mtu) noexcept nogil:
    """The largest packet, outer headers and all, that gets to the server over a link of that MTU."""
    return min(mtu, server.path_mtu) if server.path_mtu else mtu


cdef inline uint32_t server_room(const service_t *service, const server_t *server, uint32_t mtu) noexcept nogil:
    """The largest packet that gets to the server over a link of that MTU."""
    cdef uint32_t outer_len = 0
    mtu = server_path(server, mtu)
    if is_tunnel(service):
        outer_len = outer_size(ip_is_v4(server.ip), service.forward == FORWARD_GUE)
    return mtu - outer_len if mtu > outer_len else 0


cdef inline verdict_t tunnel_enter(tables_t *tables, frame_t *frame, uint32_t mtu, uint32_t now_ms) noexcept nogil:
    """GO_ON: the packet is in an outer one to its server, by frame.out_segment. Else the verdict on one too large."""
    cdef const server_t *server = &tables.services.servers[frame.tunnel]
    cdef const service_t *service = &tables.services.services[server.service]
    cdef const address_t *own = address_on(&tables.routes, frame.out_segment, ip_is_v4(server.ip))
    cdef uint32_t room = server_room(service, server, mtu)
    cdef verdict_t verdict
    cdef outer_t outer
    if unlikely(own is NULL):
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    if unlikely(packet_len(frame) > room):
        verdict = tunnel_fit(tables, frame, room, server_path(server, mtu), now_ms)
        if verdict != GO_ON:
            return verdict
    checksum_complete(frame)
    outer.src = own.ip
    outer.dst = server.ip
    outer.gue_port = service.gue_port if service.forward == FORWARD_GUE else 0
    outer.hash = frame.hash
    outer_grow(frame, &outer)
    return GO_ON


cdef inline verdict_t tunnel_fit(tables_t *tables, frame_t *frame, uint32_t room, uint32_t path_mtu,
                                 uint32_t now_ms) noexcept nogil:
    """GO_ON: the packet, too large for the room there is, leaves in pieces, or its outer packet will. Else the verdict."""
    if frame.family == 6 and packet_len(frame) <= IPV6_LEAST_MTU and path_mtu >= LEAST_CUT:
        frame.cut_len = <uint16_t>path_mtu
        return GO_ON
    return fit(tables, frame, room, now_ms)

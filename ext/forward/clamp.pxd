"""Segments no larger than what gets to the server in one packet: the MSS of SYNs, as the service's `mss` says.

Read first: ext/wire/mss.pxd. Each side is held to what the other offers, so a SYN limits replies, and a SYN-ACK, where
replies come through swlb, limits requests.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely
from ext.forward.tunnel cimport server_room
from ext.frame cimport frame_t
from ext.tables.route cimport route_lookup, route_t
from ext.tables.server cimport server_t
from ext.tables.service cimport MSS_AUTO, MSS_OFF, service_t
from ext.tables.tables cimport tables_t
from ext.wire.ipv4 cimport IPV4_LEN, PROTO_TCP
from ext.wire.ipv6 cimport IPV6_LEN
from ext.wire.mss cimport mss_clamp
from ext.wire.tcp cimport TCP_LEN, TCP_SYN

cdef enum:
    LEAST_MSS = 88             # as Linux has it (TCP_MIN_MSS): less would cost more in headers than it carries


cdef inline void clamp(const tables_t *tables, frame_t *frame, const server_t *server) noexcept nogil:
    """A SYN between client and server offers no larger MSS than the service allows."""
    cdef const service_t *service = &tables.services.services[server.service]
    if likely(service.mss == MSS_OFF) or frame.protocol != PROTO_TCP or not frame.tcp_flags & TCP_SYN:
        return
    mss_clamp(frame, mss_auto(tables, frame, service, server) if service.mss == MSS_AUTO else service.mss)


cdef inline uint16_t mss_auto(const tables_t *tables, const frame_t *frame, const service_t *service,
                              const server_t *server) noexcept nogil:
    """What a segment may carry in a packet that fits the way to the server, outer headers and all."""
    cdef const route_t *route = route_lookup(&tables.routes, server.ip)
    cdef uint32_t headers = TCP_LEN + (IPV4_LEN if frame.family == 4 else IPV6_LEN)
    cdef uint32_t room = server_room(service, server, 0xFFFF if route is NULL else tables.segments[route.segment].mtu)
    return <uint16_t>(max(room, headers + LEAST_MSS) - headers)

"""Direct server return on one network: the request in a frame to the server's MAC, not a byte changed behind the MACs.

TTL is left as it is, as on a bridge: the server has the VIP itself and takes the packet as the client's. Too large for
the link, or a server that does not answer: the client hears of it.
"""

from libc.stdint cimport uint32_t

from ext.address cimport ip_t
from ext.debug cimport unlikely
from ext.forward.icmp cimport NET_UNREACHABLE, icmp_error
from ext.forward.output cimport neighbour_output
from ext.frame cimport frame_t
from ext.tables.route cimport route_lookup, route_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_NO_ROUTE, verdict_t


cdef inline verdict_t dsr_out(tables_t *tables, frame_t *frame, ip_t server, uint32_t now_ms) noexcept nogil:
    """To the server's MAC. Not by way of a router, which would send a packet to the VIP back to swlb."""
    cdef const route_t *route = route_lookup(&tables.routes, server)
    if unlikely(route is NULL or not route.connected):
        return icmp_error(tables, frame, NET_UNREACHABLE, 0, DROP_NO_ROUTE, now_ms)
    frame.out_segment = route.segment
    frame.next_hop = server
    return neighbour_output(tables, frame, now_ms)

"""What the worker tells the control plane: a bounded ring, one writer, one reader.

Full: the event is counted as lost; the worker never waits.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.sync cimport load_acquire, store_release

cdef enum:
    EVENTS = 1024
    EVENT_PORT_LOST = 0        # port
    EVENT_MAC_MOVED = 1        # segment, port, mac
    EVENT_ADDRESS_CONFLICT = 2 # segment, port, mac, ip
    EVENT_VIP_CONFLICT = 3     # segment, port, mac, ip
    EVENT_TABLE_FULL = 4       # port is unused
    EVENT_NEIGHBOUR_LOST = 5   # segment, ip
    EVENT_REPLY_BYPASSES = 6   # segment, ip: of the client; port: index of the server
    EVENT_UNREMEMBERED = 7     # segment, ip: of the client
    EVENT_SYN_FLOOD = 8        # port: index of the service
    EVENT_SYN_FLOOD_OVER = 9   # the same; mac: SYNs that were forwarded without a session
    EVENT_SOURCE_LIMIT = 10    # segment, ip: of the client
    EVENT_NEIGHBOURS_FULL = 11 # segment, ip: of the next hop

cdef struct event_t:
    ip_t ip
    uint64_t mac
    uint64_t at_ns
    uint16_t kind
    uint16_t segment
    uint16_t port

cdef struct events_t:
    event_t ring[EVENTS]
    uint32_t written           # only the worker stores it
    uint32_t read              # only the control plane stores it
    uint64_t lost


cdef inline void event_post(events_t *events, event_t event) noexcept nogil:
    """The event is in the ring, or counted as lost."""
    if events.written - load_acquire(&events.read) >= EVENTS:
        events.lost += 1
        return
    events.ring[events.written % EVENTS] = event
    store_release(&events.written, events.written + 1)


cdef inline bint event_take(events_t *events, event_t *event) noexcept nogil:
    """The oldest event, taken off the ring; False when there is none."""
    if load_acquire(&events.written) == events.read:
        return False
    event[0] = events.ring[events.read % EVENTS]
    store_release(&events.read, events.read + 1)
    return True

"""Everything a worker owns: what is looked up, and what is counted."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.frame cimport NO_PORT, frame_t
from ext.ports.port cimport port_t
from ext.tables.crew cimport crew_t
from ext.tables.decision cimport decisions_t
from ext.tables.event cimport EVENT_TABLE_FULL, event_post, event_t, events_t
from ext.tables.flow cimport flows_t
from ext.tables.fragment cimport fragments_t
from ext.tables.half_open cimport half_open_t
from ext.tables.neighbour cimport neighbours_t
from ext.tables.per_source cimport per_source_t
from ext.tables.persist cimport persists_t
from ext.tables.pin cimport pins_t
from ext.tables.reset cimport resets_t
from ext.tables.route cimport routes_t
from ext.tables.segment cimport segment_t
from ext.tables.service cimport services_t
from ext.tables.session cimport sessions_t
from ext.tables.source cimport sources_t

cdef enum:
    FLOODED = 64               # services at once
    REPORT_GAP_NS = 1000000000      # what may happen with every frame is reported once a second

cdef struct tables_t:
    segment_t *segments
    port_t *ports
    uint32_t n_segments        # indices in use, with holes where one has left
    uint32_t n_ports
    uint32_t segments_room
    routes_t routes
    services_t services
    pins_t *pins               # all workers'; NULL when there are none
    persists_t *persists       # all workers'; NULL when no service is persistent
    sessions_t sessions[2]     # by the family of the client
    half_open_t half_open      # of them, and who gives way
    uint16_t flooded[64]       # services that are (FLOODED)
    uint32_t n_flooded
    per_source_t per_source    # of all workers when this is the first of them
    sources_t sources
    flows_t flows
    bint guarded               # a segment is private or masquerades
    uint32_t sessions_limit    # of all together
    uint32_t sessions_open     # of all workers when this is the first of them
    uint32_t *opened           # the same by server, as services.opened; SERVERS
    crew_t crew
    bint overhearing           # a frame is learned from that another worker judges
    neighbours_t neighbours
    fragments_t fragments
    uint32_t outer_id          # of outer packets that have left in fragments
    events_t events
    decisions_t decisions
    resets_t resets
    uint32_t icmp_rate         # errors of swlb's own a second
    uint32_t icmp_filled_ms
    uint64_t icmp_tokens[2]    # thousandths of an error; of TOO_BIG apart
    uint64_t icmp_limited      # errors not sent for want of a token
    uint64_t neighbours_full_ns      # last time that a full table of neighbours was reported
    uint64_t full_ns           # last time a full session table was reported
    uint64_t bypass_ns         # last time an answer that was not seen was
    uint64_t crowded_ns        # last time a client that has as many sessions as it may was
    uint64_t unremembered_ns   # last time a client that persistence had no room for was
    uint64_t now_ns            # this turn's reading of the clock, for events
    uint64_t drops[64]         # by reason


cdef inline void drop_count(tables_t *tables, const frame_t *frame, int reason) noexcept nogil:
    """The frame counts as dropped for the reason, and at the port it came by; at its trunk, too, if that is a VLAN."""
    tables.drops[reason] += 1
    if frame.port != NO_PORT:
        tables.ports[frame.port].rx_dropped += 1
        if tables.ports[frame.port].vid:
            tables.ports[tables.ports[frame.port].trunk].rx_dropped += 1


cdef inline void count_made(tables_t *tables, const frame_t *frame, uint32_t n) noexcept nogil:
    """So many more frames than came in will leave or be dropped: answers, copies, pieces, requests, announcements.

    All that came in by ports with a device and all that were made there are what has left by them, was dropped or still
    waits. As frames do, those made count at the trunk, too, if the port is a VLAN of it.
    """
    cdef uint32_t i = 0
    if frame.port != NO_PORT:
        i = frame.port
    else:
        while i + 1 < tables.n_ports and not tables.ports[i].there:
            i += 1
    tables.ports[i].made += n
    if tables.ports[i].vid:
        tables.ports[tables.ports[i].trunk].made += n


cdef inline void drop_answered(tables_t *tables, const frame_t *frame, int reason) noexcept nogil:
    """The frame counts as dropped for the reason, and an answer is made in its place."""
    drop_count(tables, frame, reason)
    count_made(tables, frame, 1)


cdef inline void report(tables_t *tables, uint16_t kind, uint16_t segment, uint16_t port, uint64_t mac,
                        ip_t ip) noexcept nogil:
    """The control plane will hear of it, from the worker that judges."""
    cdef event_t event
    if tables.overhearing:
        return
    event.kind = kind
    event.segment = segment
    event.port = port
    event.mac = mac
    event.ip = ip
    event.at_ns = tables.now_ns
    event_post(&tables.events, event)


cdef inline bint is_time_to_report(const tables_t *tables, uint64_t *reported_ns) noexcept nogil:
    """Whether the last report of that kind was long enough ago; then this one is it."""
    if tables.now_ns - reported_ns[0] < REPORT_GAP_NS and reported_ns[0]:
        return False
    reported_ns[0] = tables.now_ns
    return True


cdef inline void report_full(tables_t *tables, const frame_t *frame) noexcept nogil:
    """The control plane hears that there is no room for a session, once in REPORT_GAP_NS."""
    cdef ip_t none
    if is_time_to_report(tables, &tables.full_ns):
        none.hi = none.lo = 0
        report(tables, EVENT_TABLE_FULL, frame.segment, frame.port, 0, none)

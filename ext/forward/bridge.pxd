"""The learning switch: frames that are for somebody else on the segment. Spec: IEEE 802.1Q clause 8.

Nothing of the frame is changed. What this file does not do: ARP, routing, balancing (local, route, balance).
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.debug cimport unlikely
from ext.frame cimport NO_PORT, frame_t
from ext.tables.crew cimport crew_tell_station
from ext.tables.event cimport EVENT_MAC_MOVED
from ext.tables.fdb cimport FDB_MOVED, fdb_is_fresh, fdb_learn, fdb_lookup
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport report, tables_t
from ext.verdict cimport DROP_NOWHERE, DROP_SAME_PORT, FLOOD, FLOOD_STATIONS, SEND, verdict_t
from ext.wire.ethernet cimport eth_hdr, mac_is_group, mac_load

cdef enum:
    MOVE_REPORT_NS = 1000000000     # a MAC that keeps moving is reported once a second


cdef inline void learn(tables_t *tables, segment_t *segment, const frame_t *frame, uint64_t mac,
                       uint32_t now_ms) noexcept nogil:
    """The FDB knows the frame's source; a move is reported."""
    cdef ip_t none
    if unlikely(tables.crew.n > 1) and not frame.handed and not fdb_is_fresh(&segment.fdb, mac, frame.vid, frame.port, now_ms):
        crew_tell_station(&tables.crew, frame.segment, frame.port, frame.vid, mac)
    if unlikely(fdb_learn(&segment.fdb, mac, frame.vid, frame.port, now_ms) == FDB_MOVED):
        if tables.now_ns - segment.moved_ns >= MOVE_REPORT_NS or segment.moved_ns == 0:
            segment.moved_ns = tables.now_ns
            none.hi = none.lo = 0
            report(tables, EVENT_MAC_MOVED, frame.segment, frame.port, mac, none)


cdef inline verdict_t bridge(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """To the port its destination is behind; to all others when that is unknown or a group."""
    cdef uint64_t dst = mac_load((<eth_hdr *>frame.data).dst)
    cdef uint16_t port
    frame.out_segment = frame.segment
    if mac_is_group(dst):
        return FLOOD
    if segment.routed and dst == segment.mac:
        port = segment.host_port
        if port == NO_PORT:
            return DROP_NOWHERE
    else:
        port = fdb_lookup(&segment.fdb, dst, frame.vid, now_ms)
    if port == NO_PORT:
        return FLOOD_STATIONS
    if port == frame.port:
        return DROP_SAME_PORT
    frame.out_port = port
    return SEND

"""What the decision about a frame will look at is on its way to the cache while other frames of the burst are parsed.

A session table of a million entries lies in memory, not in a cache; a burst waits for it once instead of once a frame.
Read first: ext/tables/session.pxd.
"""

from ext.debug cimport likely, unlikely
from ext.frame cimport FOUND_L3, FOUND_L4, NO_VIP, frame_t
from ext.tables.server cimport V4, V6
from ext.tables.service cimport NO_SOURCE, vip_index
from ext.tables.session cimport accounts_are_far, session_fetch, session_fetch_account, session_hash, sessions_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport GO_ON
from ext.wire.parse cimport parse_ethernet, parse_ip


cdef inline void foresee(tables_t *tables, frame_t *frame) noexcept nogil:
    """The frame is parsed, as far as its segment needs that; the home of its session is being fetched."""
    cdef sessions_t *table
    frame.runt = parse_ethernet(frame) != GO_ON
    if unlikely(frame.runt) or not tables.segments[frame.segment].routed:
        return
    # Of frames with a VLAN nothing more is asked than where they are bridged to.
    if unlikely(frame.vid != 0 or frame.n_tags > 1):
        return
    parse_ip(frame)
    if unlikely(not frame.found & FOUND_L3):
        return
    frame.vip = vip_index(&tables.services, frame.dst)
    if unlikely(not frame.found & FOUND_L4):
        return
    table = &tables.sessions[V4 if frame.family == 4 else V6]
    if is_request(tables, frame):
        frame.hash = session_hash(table, frame.src, frame.sport, frame.protocol)
    else:
        frame.hash = session_hash(table, frame.dst, frame.dport, frame.protocol)
    session_fetch(table, frame.hash)


cdef inline bint is_request(const tables_t *tables, const frame_t *frame) noexcept nogil:
    """Whether it is a client who sent it: to a VIP, not to an address that stands for clients."""
    return frame.vip != NO_VIP and tables.services.vips[frame.vip].source == NO_SOURCE


cdef inline bint is_far_seeing(const tables_t *tables) noexcept nogil:
    """Whether sessions are so many that foresee_session is worth its time."""
    return accounts_are_far(&tables.sessions[V4]) or accounts_are_far(&tables.sessions[V6])


cdef inline void foresee_session(const tables_t *tables, const frame_t *frame) noexcept nogil:
    """What the session is counted in is being fetched, too."""
    if likely(frame.found & FOUND_L4):
        if is_request(tables, frame):
            session_fetch_account(&tables.sessions[V4 if frame.family == 4 else V6], frame.hash, frame.src, frame.sport)
        else:
            session_fetch_account(&tables.sessions[V4 if frame.family == 4 else V6], frame.hash, frame.dst, frame.dport)

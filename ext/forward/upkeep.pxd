"""What time brings about: entries that age, requests that are repeated, announcements, sessions that end.

A tick comes at least every 100 ms, also when nothing is received. `upkeep_next` is asked until it has nothing more to
send, each time over the same spare frame.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.forward.solicit cimport announce, solicit
from ext.frame cimport NO_PORT, NO_SEGMENT, frame_t
from ext.tables.event cimport EVENT_NEIGHBOUR_LOST
from ext.tables.fdb cimport fdb_age
from ext.tables.neighbour cimport (FAILED, INCOMPLETE, PAUSE_MS, PROBE, REACHABLE, REQUESTS, STALE,
                                   neighbour_release, neighbour_t)
from ext.tables.service cimport vip_t
from ext.tables.session cimport sessions_sweep
from ext.tables.tables cimport report, tables_t
from ext.verdict cimport TAKEN, verdict_t

cdef enum:
    SWEEP_MS = 1000            # every session is looked at once in this time
    ANNOUNCE_GAP_MS = 1000


cdef inline void upkeep_tick(tables_t *tables, uint32_t elapsed_ms, uint32_t now_ms) noexcept nogil:
    """Ageing and expiry as of now; elapsed_ms since the last tick."""
    cdef uint32_t i
    cdef int family
    for i in range(tables.n_segments):
        fdb_age(&tables.segments[i].fdb, now_ms)
    for family in range(2):
        sessions_sweep(&tables.sessions[family], &tables.services,
                       sweep_share(tables.sessions[family].high, elapsed_ms), now_ms)


cdef inline uint32_t sweep_share(uint32_t n, uint32_t elapsed_ms) noexcept nogil:
    """How many of n entries are due, rounded up."""
    if elapsed_ms >= SWEEP_MS:
        return n
    return <uint32_t>((<uint64_t>n * elapsed_ms + SWEEP_MS - 1) // SWEEP_MS)


cdef inline verdict_t upkeep_next(tables_t *tables, frame_t *frame, uint32_t *cursor, uint32_t now_ms) noexcept nogil:
    """The next thing swlb has to say of itself, in frame; TAKEN when there is none left.

    cursor starts at 0 and is this function's own: VIPs first, then neighbours.
    """
    cdef uint32_t i
    while cursor[0] < tables.services.n_vips:
        i = cursor[0]
        cursor[0] += 1
        if announcement_due(&tables.services.vips[i], now_ms):
            return announce(tables, frame, tables.services.vips[i].ip, tables.services.vips[i].segment, now_ms)
    while cursor[0] < tables.services.n_vips + tables.neighbours.high:
        i = cursor[0] - tables.services.n_vips
        cursor[0] += 1
        if request_due(tables, &tables.neighbours.entries[i], now_ms):
            return solicit(tables, frame, &tables.neighbours.entries[i], now_ms)
    return TAKEN


cdef inline bint announcement_due(vip_t *vip, uint32_t now_ms) noexcept nogil:
    """Whether the VIP is to be announced now; the next time is set."""
    if vip.announcements == 0 or <int>(now_ms - vip.announce_ms) < 0:
        return False
    vip.announcements -= 1
    vip.announce_ms = now_ms + ANNOUNCE_GAP_MS
    return vip.segment != NO_SEGMENT


cdef inline bint request_due(tables_t *tables, neighbour_t *entry, uint32_t now_ms) noexcept nogil:
    """Whether the neighbour is to be asked (again) now; one that did not answer in time becomes FAILED."""
    if entry.state == REACHABLE and now_ms - entry.alive_ms >= tables.neighbours.silent_ms:
        entry.state = STALE
    if (entry.state != INCOMPLETE and entry.state != PROBE) or <int>(now_ms - entry.due_ms) < 0:
        return False
    if entry.requests < REQUESTS:
        return True
    entry.state = FAILED
    entry.due_ms = now_ms + PAUSE_MS
    neighbour_release(&tables.neighbours, entry)
    report(tables, EVENT_NEIGHBOUR_LOST, entry.segment, NO_PORT, entry.mac, entry.ip)
    return False

"""Fragments, before it is asked where they go: which come again, overlap, or have to wait for the first of their packet.

Read first: ext/tables/fragment.pxd; RFC 791 3.2, RFC 8200 4.5, RFC 5722, RFC 1858. No packet is put together: what a fragment
is to become, the first of its packet says (nat.pxd, request.pxd, balance.pxd, handover.pxd), and nothing is copied
but what comes before it. Packets that nothing is to be done with, bridged or routed, pass in whatever fragments they are.
"""

from libc.stdint cimport uint32_t

from ext.debug cimport unlikely
from ext.forward.icmp cimport PARAMETER_PROBLEM, icmp_error
from ext.frame cimport NO_VIP, frame_t
from ext.tables.crew cimport crew_may_be_server
from ext.tables.fragment cimport (EARLY, GONE, KNOWN, WAIT_PER_PACKET, WHOLE, fragment_add, fragment_begin, fragment_find,
                                  fragment_t, fragment_victim, fragments_t)
from ext.tables.seen cimport SEEN_AGAIN, SEEN_OVERLAP
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport drop_count, tables_t
from ext.tables.waiting cimport (queue_take, waiting_add, waiting_frame, waiting_free, waiting_oldest, waiting_release)
from ext.verdict cimport (DROP_FRAGMENT, DROP_FRAGMENT_AGAIN, DROP_FRAGMENT_OVERLAP, DROP_FRAGMENT_PLACE,
                          DROP_FRAGMENT_QUEUE, GO_ON, N_DROPS, TAKEN, verdict_t)
from ext.wire.ethernet cimport eth_hdr, mac_load
from ext.wire.place cimport PLACE_END, PLACE_SOUND, fragment_header_off, place_flaw, place_read, place_t

cdef enum:
    PAYLOAD_LEN_OFF = 4        # of the field that an IPv6 parameter problem points at
    FRAGMENT_OFFSET_OFF = 2    # the same, within the fragment header


cdef inline verdict_t in_pieces(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """GO_ON for a fragment that may go where its packet goes, or that nobody follows; TAKEN while it waits for the first."""
    cdef fragment_t *packet
    cdef place_t place
    cdef int came
    if frame.flaw != N_DROPS or not is_followed(tables, segment, frame):
        return GO_ON
    if frame.waited:
        return has_waited(tables, frame, now_ms)
    place_read(frame, &place)
    if unlikely(place_flaw(&place) != PLACE_SOUND):
        return misplaced(tables, frame, &place, now_ms) if frame.vip != NO_VIP else <verdict_t>GO_ON
    packet = packet_of(tables, frame, place.at == 0, now_ms)
    if unlikely(packet is NULL):
        return DROP_FRAGMENT_QUEUE
    came = SEEN_OVERLAP if packet.flaw else fragment_add(packet, &place)
    if unlikely(came == SEEN_OVERLAP):
        packet.flaw = True
        if is_bound(packet, frame):
            waiting_release(&tables.fragments.waiting, &packet.waiting)
            return DROP_FRAGMENT_OVERLAP
    if unlikely(came == SEEN_AGAIN) and (is_bound(packet, frame) or packet.state == EARLY):
        return DROP_FRAGMENT_AGAIN
    if place.at == 0:
        if packet.state == EARLY:
            packet.state = KNOWN
        waiting_release(&tables.fragments.waiting, &packet.waiting)
        return GO_ON
    return GO_ON if packet.state != EARLY else wait_for_first(tables, packet, frame)


cdef inline bint is_followed(const tables_t *tables, const segment_t *segment, const frame_t *frame) noexcept nogil:
    """Whether its packet may be one to rewrite or to answer: to a VIP, of a server, or out of a segment that masquerades."""
    return (frame.vip != NO_VIP or crew_may_be_server(&tables.crew, frame.src)
            or (segment.masquerades and mac_load((<eth_hdr *>frame.data).dst) == segment.mac))


cdef inline bint is_bound(const fragment_t *packet, const frame_t *frame) noexcept nogil:
    """Whether its packet is one for certain. Of a server it may also be one that is bridged."""
    return packet.ends != 0 or frame.vip != NO_VIP


cdef inline verdict_t misplaced(tables_t *tables, frame_t *frame, const place_t *place, uint32_t now_ms) noexcept nogil:
    """Dropped; who sent it over IPv6 hears of it (RFC 8200 4.5)."""
    cdef uint32_t at = PAYLOAD_LEN_OFF
    if frame.family == 4 or place.n == 0:
        return DROP_FRAGMENT_PLACE
    if place_flaw(place) == PLACE_END:
        at = fragment_header_off(frame) - frame.l3_off + FRAGMENT_OFFSET_OFF
    return icmp_error(tables, frame, PARAMETER_PROBLEM, at, DROP_FRAGMENT_PLACE, now_ms)


cdef inline fragment_t *packet_of(tables_t *tables, const frame_t *frame, bint first, uint32_t now_ms) noexcept nogil:
    """The packet the fragment is of, which begins with it if none is there; NULL when there is no room for it."""
    cdef fragments_t *table = &tables.fragments
    cdef fragment_t *packet = fragment_find(table, frame, now_ms)
    if packet is NULL:
        packet = fragment_victim(table, frame, first, now_ms)
        if packet is NULL:
            return NULL
        drop_waiting(tables, packet, DROP_FRAGMENT_QUEUE)
    elif not is_over(packet, first):
        return packet
    fragment_begin(table, packet, frame, now_ms)
    return packet


cdef inline bint is_over(const fragment_t *packet, bint first) noexcept nogil:
    """Whether its id names another packet from now on: all of it has come, or it begins anew and nobody has any of it."""
    return packet.state == WHOLE or (first and packet.state == KNOWN and packet.ends == 0 and not packet.flaw)


cdef inline verdict_t wait_for_first(tables_t *tables, fragment_t *packet, frame_t *frame) noexcept nogil:
    """It waits; the oldest that does gives way where there is no room."""
    cdef fragments_t *table = &tables.fragments
    cdef uint32_t oldest
    if packet.waiting.n >= <uint32_t>WAIT_PER_PACKET:
        drop_first(tables, packet, DROP_FRAGMENT_QUEUE)
    if not table.waiting.free:
        oldest = waiting_oldest(&table.waiting)
        if oldest:
            drop_first(tables, &table.entries[table.waiting.places[oldest - 1].holder - 1], DROP_FRAGMENT_QUEUE)
    frame.waited = True
    # A later fragment has no session to be found by it.
    frame.hash = packet.number
    if waiting_add(&table.waiting, &packet.waiting, <uint32_t>(packet - table.entries) + 1, frame):
        return TAKEN
    return DROP_FRAGMENT_QUEUE


cdef inline verdict_t has_waited(tables_t *tables, const frame_t *frame, uint32_t now_ms) noexcept nogil:
    """The first has come, or two of the packet contradict each other; meanwhile its id may name another."""
    cdef const fragment_t *packet = fragment_find(&tables.fragments, frame, now_ms)
    if packet is NULL or packet.number != frame.hash:
        return DROP_FRAGMENT
    return DROP_FRAGMENT_OVERLAP if packet.flaw and is_bound(packet, frame) else <verdict_t>GO_ON


cdef inline void drop_first(tables_t *tables, fragment_t *packet, verdict_t reason) noexcept nogil:
    """The oldest that waits for the packet's first is gone, and counted."""
    cdef uint32_t i = queue_take(&tables.fragments.waiting, &packet.waiting)
    drop_count(tables, waiting_frame(&tables.fragments.waiting, i), reason)
    waiting_free(&tables.fragments.waiting, i)


cdef inline void drop_waiting(tables_t *tables, fragment_t *packet, verdict_t reason) noexcept nogil:
    while packet.waiting.n:
        drop_first(tables, packet, reason)


cdef inline void fragments_age(tables_t *tables, uint32_t now_ms) noexcept nogil:
    """Nothing waits for a first that has not come in time."""
    cdef fragments_t *table = &tables.fragments
    cdef fragment_t *packet
    cdef uint32_t i = waiting_oldest(&table.waiting)
    while i:
        packet = &table.entries[table.waiting.places[i - 1].holder - 1]
        if now_ms - packet.made_ms < table.timeout_ms:
            return
        drop_waiting(tables, packet, DROP_FRAGMENT)
        packet.state = GONE
        i = waiting_oldest(&table.waiting)

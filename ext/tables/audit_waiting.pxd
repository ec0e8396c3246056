"""Whether frames that wait are where the tables say, and what of packets in fragments has come. Read first: audit.pxd."""

from libc.stdint cimport uint32_t

from ext.tables.fragment cimport EARLY, GONE, WAIT_PER_PACKET, WAYS, fragment_t, fragments_t
from ext.tables.seen cimport seen_units
from ext.tables.waiting cimport waitings_t


cdef inline const char *waitings_audit(const waitings_t *pool, uint32_t n_waiting) noexcept nogil:
    """So many frames wait in queues; all other places are ready or free, and those in use are in a list by age."""
    cdef uint32_t i = pool.oldest, before = 0, n = 0
    while i:
        if i > pool.limit or n >= pool.limit or pool.places[i - 1].older != before:
            return "waiting: the list by age is broken"
        n += 1
        before = i
        i = pool.places[i - 1].newer
    if n != pool.n or before != pool.newest:
        return "waiting: the list by age does not hold what is in use"
    if queue_len(pool, pool.ready.first, 0) != pool.ready.n or n_waiting + pool.ready.n != n:
        return "waiting: a frame is in no queue"
    if n + queue_len(pool, pool.free, 0) == pool.limit:
        return NULL
    return "waiting: places lost"


cdef inline uint32_t queue_len(const waitings_t *pool, uint32_t first, uint32_t holder) noexcept nogil:
    """How many places the queue has; far too many when one of them is not the holder's."""
    cdef uint32_t n = 0
    while first:
        if first > pool.limit or n > pool.limit or pool.places[first - 1].holder != holder:
            return 2 * pool.limit
        n += 1
        first = pool.places[first - 1].next
    return n


cdef inline const char *fragments_audit(const fragments_t *table) noexcept nogil:
    """Frames wait for packets only whose first fragment has not come, and what has come lies within the packet."""
    cdef const fragment_t *packet
    cdef uint32_t i, n = 0
    for i in range((table.mask + 1) * WAYS):
        packet = &table.entries[i]
        if packet.waiting.n and packet.state != EARLY or packet.waiting.n > <uint32_t>WAIT_PER_PACKET:
            return "fragments: frames wait where none may, or too many"
        if queue_len(&table.waiting, packet.waiting.first, i + 1) != packet.waiting.n:
            return "fragments: a queue is not as long as it says"
        n += packet.waiting.n
        if packet.state != GONE and not packet.flaw and (
                seen_units(&packet.seen) != (packet.got + 7) // 8 or packet.end and packet.got > packet.end):
            return "fragments: more or less has come of a packet than is counted"
    return waitings_audit(&table.waiting, n)

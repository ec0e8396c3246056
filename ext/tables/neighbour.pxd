"""Which MAC a next hop has, and the frames that wait to learn it. Spec: RFC 826, RFC 4861 7.2 and 7.3.

Structure: a flat array of entries, chained by index + 1 (0 ends). Frames that wait: waiting.pxd.

    state       may send   what happens next
    INCOMPLETE  no         frames wait; one request a second, three in all, then FAILED
    REACHABLE   yes        SILENT_MS after its last sign of life: STALE
    STALE       yes        the next frame to it starts PROBE
    PROBE       yes        one request a second, three in all, then FAILED
    FAILED      no         after PAUSE_MS `requests` is 0 and the next frame starts INCOMPLETE again

Ageing: upkeep looks at every entry each tick, so that no time that is compared is older than FORGET_MS: an entry
silent for so long is gone, and a FAILED one that is of no interest to anybody is gone after its pause.
Full: of LOOKED_AT entries, others each time, one for which nothing waits is given up: one that never answered or no
longer does before one that does, and of these the one silent longest. One that answers does not give way where frames
wait for others looked at: somebody sweeps unused addresses, and the new one is refused. Waiting frames: 64 a neighbour,
1024 in all; the oldest is dropped. Time is milliseconds, passed in. Owner: the worker.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.address cimport ip_equal, ip_t
from ext.frame cimport frame_t
from ext.hash cimport hash_ip, key_t, power_of_two
from ext.tables.waiting cimport (queue_t, queue_take, waiting_add, waiting_free, waiting_oldest, waiting_release,
                                 waitings_free, waitings_init, waitings_t)

cdef enum:
    N_FREE = 0
    INCOMPLETE = 1
    REACHABLE = 2
    STALE = 3
    PROBE = 4
    FAILED = 5
    REQUESTS = 3
    REQUEST_GAP_MS = 1000
    PAUSE_MS = 3000
    FORGET_MS = 86400000   # far less than the 24 days after which a signed difference of two times turns round
    # neighbour_t.loss
    LOSS_NONE = 0          # not FAILED, or nobody needs to know
    LOSS_DUE = 1           # to be told
    LOSS_TOLD = 2          # not told again until it has answered
    WAIT_PER_NEIGHBOUR = 64
    WAITING = 1024
    LOOKED_AT = 32         # entries of which one is given up: a full table costs a new neighbour no more than that
    REQUESTS_A_TICK = 128  # requests repeated in one tick; who is not asked in this one is asked in the next
    LOSSES_A_TICK = 16     # losses told in one tick, so that they cannot fill the ring of events

cdef struct neighbour_t:
    ip_t ip
    uint64_t mac
    uint32_t next          # in the bucket or the free list
    uint32_t alive_ms      # last sign of life
    uint32_t due_ms        # INCOMPLETE, PROBE: next request; FAILED: end of the pause
    queue_t waiting        # frames that will be sent to it
    uint16_t segment
    uint8_t state
    uint8_t requests       # sent in this round; FAILED: 0 once the pause is over
    uint8_t loss           # LOSS_...: whether the control plane hears that it is FAILED

cdef struct neighbours_t:
    neighbour_t *entries
    uint32_t *buckets
    waitings_t waiting
    uint32_t limit
    uint32_t n
    uint32_t mask
    uint32_t high          # entries from here on were never used
    uint32_t free
    uint32_t silent_ms     # REACHABLE for so long
    uint32_t hand          # index at which the next look for one to give up begins
    uint32_t asker         # index at which the next look for one to be asked begins
    uint32_t unasked       # entries that upkeep has yet to look at in this tick
    uint32_t requests      # that may still be repeated in this tick
    uint64_t overflows     # frames dropped as the oldest of too many
    key_t key


cdef inline int neighbours_init(neighbours_t *table, uint32_t limit, uint32_t silent_ms, key_t key) noexcept nogil:
    """An empty table for limit neighbours; 0, or -1 when memory is out."""
    cdef uint32_t i
    memset(table, 0, sizeof(neighbours_t))
    table.limit = limit
    table.silent_ms = silent_ms
    table.key = key
    table.mask = power_of_two(limit) - 1
    table.entries = <neighbour_t *>calloc(limit, sizeof(neighbour_t))
    table.buckets = <uint32_t *>calloc(table.mask + 1, sizeof(uint32_t))
    if table.entries is NULL or table.buckets is NULL or waitings_init(&table.waiting, WAITING) < 0:
        neighbours_free(table)
        return -1
    for i in range(limit):
        table.entries[i].next = i + 2 if i + 1 < limit else 0
    table.free = 1
    return 0


cdef inline void neighbours_free(neighbours_t *table) noexcept nogil:
    free(table.entries)
    free(table.buckets)
    waitings_free(&table.waiting)
    memset(table, 0, sizeof(neighbours_t))


cdef inline uint32_t *neighbour_bucket(const neighbours_t *table, uint16_t segment, ip_t ip) noexcept nogil:
    return &table.buckets[hash_ip(table.key, ip, segment) & table.mask]


cdef inline neighbour_t *neighbour_find(const neighbours_t *table, uint16_t segment, ip_t ip) noexcept nogil:
    """The entry, or NULL."""
    cdef uint32_t i = neighbour_bucket(table, segment, ip)[0]
    while i and not (table.entries[i - 1].segment == segment and ip_equal(table.entries[i - 1].ip, ip)):
        i = table.entries[i - 1].next
    return &table.entries[i - 1] if i else NULL


cdef inline neighbour_t *neighbour_create(neighbours_t *table, uint16_t segment, ip_t ip,
                                          uint32_t now_ms) noexcept nogil:
    """A new entry in INCOMPLETE with nothing sent yet; NULL when all that were looked at are busy resolving."""
    cdef uint32_t *bucket
    cdef neighbour_t *entry
    cdef uint32_t i
    if not table.free and not neighbour_evict(table, now_ms):
        return NULL
    bucket = neighbour_bucket(table, segment, ip)
    i = table.free
    entry = &table.entries[i - 1]
    table.free = entry.next
    table.high = max(table.high, i)
    memset(entry, 0, sizeof(neighbour_t))
    entry.ip = ip
    entry.segment = segment
    entry.state = INCOMPLETE
    entry.alive_ms = entry.due_ms = now_ms
    entry.next = bucket[0]
    bucket[0] = i
    table.n += 1
    return entry


cdef inline bint neighbour_evict(neighbours_t *table, uint32_t now_ms) noexcept nogil:
    """Room for one in a table that has none: the best of LOOKED_AT entries is gone; False when none may be."""
    cdef uint32_t i, n = min(table.limit, <uint32_t>LOOKED_AT)
    cdef neighbour_t *entry
    cdef neighbour_t *victim = NULL
    cdef bint asking = False
    for i in range(n):
        entry = &table.entries[table.hand]
        table.hand = table.hand + 1 if table.hand + 1 < table.limit else 0
        asking |= entry.waiting.n != 0
        if not entry.waiting.n and (victim is NULL or neighbour_is_worth_less(entry, victim, now_ms)):
            victim = entry
    if victim is NULL or (asking and neighbour_answers(victim)):
        return False
    neighbour_remove(table, victim)
    return True


cdef inline bint neighbour_is_worth_less(const neighbour_t *entry, const neighbour_t *other,
                                         uint32_t now_ms) noexcept nogil:
    """Whether the entry is to be given up rather than the other."""
    if neighbour_answers(entry) != neighbour_answers(other):
        return neighbour_answers(other)
    return now_ms - entry.alive_ms > now_ms - other.alive_ms


cdef inline bint neighbour_answers(const neighbour_t *entry) noexcept nogil:
    """Whether it has answered, as far as is known."""
    return entry.state == REACHABLE or entry.state == STALE or entry.state == PROBE


cdef inline void neighbour_remove(neighbours_t *table, neighbour_t *entry) noexcept nogil:
    """The entry is free; frames that waited for it are ready (and will find it unknown)."""
    cdef uint32_t i = <uint32_t>(entry - table.entries) + 1
    cdef uint32_t *link = neighbour_bucket(table, entry.segment, entry.ip)
    neighbour_release(table, entry)
    while link[0] != i:
        link = &table.entries[link[0] - 1].next
    link[0] = entry.next
    entry.state = N_FREE
    entry.next = table.free
    table.free = i
    table.n -= 1


cdef inline void neighbour_alive(neighbours_t *table, neighbour_t *entry, uint64_t mac, uint32_t now_ms) noexcept nogil:
    """The neighbour has this MAC and is REACHABLE; what waited for it is ready to go."""
    entry.mac = mac
    entry.alive_ms = now_ms
    entry.state = REACHABLE
    entry.requests = 0
    entry.loss = LOSS_NONE
    neighbour_release(table, entry)


cdef inline void neighbour_release(neighbours_t *table, neighbour_t *entry) noexcept nogil:
    """The entry's waiting frames are ready to go: to it, or to be refused."""
    waiting_release(&table.waiting, &entry.waiting)


cdef inline void neighbour_drop_first(neighbours_t *table, neighbour_t *entry) noexcept nogil:
    """The oldest frame that waits for the entry is gone, and counted."""
    table.overflows += 1
    waiting_free(&table.waiting, queue_take(&table.waiting, &entry.waiting))


cdef inline bint neighbour_wait(neighbours_t *table, neighbour_t *entry, const frame_t *frame) noexcept nogil:
    """A copy of the frame waits for the entry; False when all places are taken by frames that are ready."""
    cdef uint32_t oldest
    if entry.waiting.n >= <uint32_t>WAIT_PER_NEIGHBOUR:
        neighbour_drop_first(table, entry)
    if not table.waiting.free:
        oldest = waiting_oldest(&table.waiting)
        if oldest:
            neighbour_drop_first(table, &table.entries[table.waiting.places[oldest - 1].holder - 1])
    return waiting_add(&table.waiting, &entry.waiting, <uint32_t>(entry - table.entries) + 1, frame)

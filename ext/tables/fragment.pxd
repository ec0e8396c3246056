"""Packets that come in fragments: where they go, what of them has come, and the fragments that wait to know where.

Spec: RFC 791 3.2, RFC 815 (as holes, here as units that have come: seen.pxd), RFC 8200 4.5, RFC 5722.
Structure: a flat array in sets of 4, by a keyed hash of (source, destination, id, IPv4 protocol). A packet is good for the
time that is passed to the look-up, from its first fragment to come.

    GONE     there is none
    EARLY    the fragment with the ports has not come: others wait, WAIT_PER_PACKET at most, WAITING_FRAGMENTS in all
    KNOWN    it has: others go where it went
    WHOLE    all has come: the next of its id begins another packet

Full: a packet whose first fragment has come takes the place of one that is void or whose first has not come, else of the
oldest. Any other takes the place of its like only: a flood of fragments without a beginning pushes out nobody's
session. Owner: the worker.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_equal, ip_t
from ext.frame cimport frame_t
from ext.hash cimport hash_ip, key_t, mix, power_of_two
from ext.pages cimport map_pages
from ext.tables.seen cimport SEEN_AGAIN, SEEN_FRESH, SEEN_OVERLAP, SEEN_WORDS, seen_add, seen_clear, seen_t, word_t
from ext.tables.waiting cimport queue_t, waitings_free, waitings_init, waitings_t
from ext.wire.place cimport place_t

cdef enum:
    WAYS = 4
    # 64 KiB in reverse order are 55 fragments at an MTU of 1280.
    WAIT_PER_PACKET = 64
    WAITING_FRAGMENTS = 512
    # fragment_t.state
    GONE = 0
    EARLY = 1
    KNOWN = 2
    WHOLE = 3
    # fragment_t.ends: what becomes of it; 0: its first was not of a session, or went nowhere
    SRC_END = 1            # 1 << SRC: the source is rewritten
    DST_END = 2
    OWNER = 4              # another worker has the session
    SERVER = 8             # nothing is rewritten: to that server as it is
    ECHO = 16              # back to who sent it
    AS_IT_IS = 32          # on its way as it is, and this is known

cdef struct fragment_t:
    ip_t src               # as the fragments carry them on arrival
    ip_t dst
    ip_t rewritten[2]      # by end, what those named by `ends` become; of the first, OWNER: lo is the worker; SERVER:
                           # lo is its index, hi the flow's hash
    seen_t seen
    queue_t waiting
    uint32_t id
    uint32_t number        # its id after a rewrite, and what tells it from earlier packets of the same id
    uint32_t made_ms
    uint32_t end           # bytes of the whole packet; 0: its last fragment has not come
    uint32_t got           # of these have come
    uint8_t protocol       # 0 of IPv6, whose fragments may name different ones
    uint8_t ends
    uint8_t state
    uint8_t flaw           # two fragments contradict each other: nothing more of it goes anywhere

cdef struct fragments_t:
    fragment_t *entries
    word_t *words          # SEEN_WORDS an entry
    uint32_t mask          # of sets
    uint32_t number        # of the packet that began last
    uint32_t timeout_ms
    waitings_t waiting
    key_t key


cdef inline int fragments_init(fragments_t *table, uint32_t limit, uint32_t timeout_ms, key_t key) noexcept nogil:
    """An empty table for about limit packets in fragments; 0, or -1 when memory is out."""
    cdef uint32_t i, sets = power_of_two((limit + WAYS - 1) // WAYS)
    memset(table, 0, sizeof(fragments_t))
    table.mask = sets - 1
    table.key = key
    table.timeout_ms = timeout_ms
    table.number = <uint32_t>key.a
    table.entries = <fragment_t *>calloc(sets * WAYS, sizeof(fragment_t))
    table.words = <word_t *>map_pages(<size_t>sets * WAYS * SEEN_WORDS * sizeof(word_t))
    if table.entries is NULL or table.words is NULL or waitings_init(&table.waiting, WAITING_FRAGMENTS) < 0:
        fragments_free(table)
        return -1
    for i in range(sets * WAYS):
        table.entries[i].seen.words = table.words + i * SEEN_WORDS
    return 0


cdef inline void fragments_free(fragments_t *table) noexcept nogil:
    free(table.entries)
    if table.words is not NULL:
        munmap(table.words, <size_t>(table.mask + 1) * WAYS * SEEN_WORDS * sizeof(word_t))
    waitings_free(&table.waiting)
    memset(table, 0, sizeof(fragments_t))


cdef inline fragment_t *fragment_set(const fragments_t *table, const frame_t *frame) noexcept nogil:
    # Most hosts count, and one multiplication leaves what is in a row in a row: under one key in a hundred half of all
    # packets would meet in a few sets.
    cdef uint32_t h = hash_ip(table.key, frame.src, mix(frame.dst.hi ^ table.key.b, frame.dst.lo ^ table.key.a)
                              ^ mix(frame.fragment_id ^ table.key.b, 0x8EBC6AF09C88C6E3ULL))
    return &table.entries[(h & table.mask) * WAYS]


cdef inline uint8_t fragment_protocol(const frame_t *frame) noexcept nogil:
    return frame.protocol if frame.family == 4 else 0


cdef inline fragment_t *fragment_find(const fragments_t *table, const frame_t *frame,
                                      uint32_t now_ms) noexcept nogil:
    """The packet that the fragment is of, or NULL."""
    cdef fragment_t *entries = fragment_set(table, frame)
    cdef fragment_t *packet
    cdef int i
    for i in range(WAYS):
        packet = &entries[i]
        if (packet.state != GONE and packet.id == frame.fragment_id and packet.protocol == fragment_protocol(frame)
                and ip_equal(packet.src, frame.src) and ip_equal(packet.dst, frame.dst)
                and now_ms - packet.made_ms < table.timeout_ms):
            return packet
    return NULL


cdef inline int fragment_worth(const fragments_t *table, const fragment_t *packet, uint32_t now_ms) noexcept nogil:
    """0: nobody misses it. 1: nothing of it went to anybody. 2: its session has part of it."""
    if packet.state == GONE or packet.state == WHOLE or now_ms - packet.made_ms >= table.timeout_ms:
        return 0
    return 1 if packet.state == EARLY or packet.flaw or packet.ends == 0 else 2


cdef inline fragment_t *fragment_victim(const fragments_t *table, const frame_t *frame, bint first,
                                        uint32_t now_ms) noexcept nogil:
    """Whose place a packet takes of which this is the first fragment to come, with the ports or not; NULL: nobody's."""
    cdef fragment_t *entries = fragment_set(table, frame)
    cdef int i, oldest = 0, worth, least = 3
    for i in range(WAYS):
        worth = fragment_worth(table, &entries[i], now_ms)
        if worth < least or (worth == least and now_ms - entries[i].made_ms > now_ms - entries[oldest].made_ms):
            least = worth
            oldest = i
    return &entries[oldest] if first or least < 2 else NULL


cdef inline void fragment_begin(fragments_t *table, fragment_t *packet, const frame_t *frame,
                                uint32_t now_ms) noexcept nogil:
    """A packet of which nothing has come. Nothing waits for the one that was there."""
    table.number += 1
    seen_clear(&packet.seen)
    packet.src = frame.src
    packet.dst = frame.dst
    packet.id = frame.fragment_id
    packet.number = table.number
    packet.made_ms = now_ms
    packet.protocol = fragment_protocol(frame)
    packet.state = EARLY
    packet.end = packet.got = 0
    packet.ends = packet.flaw = 0


cdef inline int fragment_add(fragment_t *packet, const place_t *place) noexcept nogil:
    """The fragment has come: SEEN_FRESH, SEEN_AGAIN or SEEN_OVERLAP, the last also when it contradicts the packet's end."""
    cdef uint32_t end = place.at + place.n
    cdef int came
    if packet.end and (end > packet.end or place.more and end == packet.end):
        return SEEN_OVERLAP
    if not place.more and packet.end != end and (packet.end or packet.seen.high * 8 >= end + 8):
        return SEEN_OVERLAP
    came = seen_add(&packet.seen, place.at // 8, (end + 7) // 8)
    if came == SEEN_AGAIN and not place.more and packet.end == 0:
        return SEEN_OVERLAP
    if came != SEEN_FRESH:
        return came
    if not place.more:
        packet.end = end
    packet.got += place.n
    if place.at == 0:
        packet.state = KNOWN
    if packet.got == packet.end:
        packet.state = WHOLE
    return came


cdef inline fragment_t *fragment_note(fragments_t *table, const frame_t *frame, uint8_t ends, ip_t src, ip_t dst,
                                      uint32_t now_ms) noexcept nogil:
    """Later fragments of this packet, as it came in, get the same ends rewritten: to src, to dst, or both. The packet, or NULL."""
    cdef fragment_t *packet = fragment_find(table, frame, now_ms)
    if packet is not NULL:
        packet.ends = ends
        packet.rewritten[0] = src
        packet.rewritten[1] = dst
    return packet


cdef inline void fragment_note_untouched(fragments_t *table, const frame_t *frame, uint8_t ends, uint64_t lo, uint64_t hi,
                                         uint32_t now_ms) noexcept nogil:
    """Later fragments of this packet go the same way, not rewritten: OWNER, SERVER, ECHO or AS_IT_IS."""
    cdef ip_t to
    to.lo = lo
    to.hi = hi
    fragment_note(table, frame, ends, to, to, now_ms)


cdef inline const fragment_t *fragment_numbered(const fragments_t *table, ip_t src, uint32_t id, uint32_t mask, uint32_t n,
                                                uint32_t index) noexcept nogil:
    """The packet whose fragments leave as src's with that id, as worker index of n numbers them. A walk, for errors only."""
    cdef const fragment_t *packet
    cdef uint32_t i
    for i in range((table.mask + 1) * WAYS):
        packet = &table.entries[i]
        if (packet.state != GONE and packet.ends & SRC_END and (packet.number * n + index) & mask == id
                and ip_equal(packet.rewritten[0], src)):
            return packet
    return NULL

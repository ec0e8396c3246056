"""Which session the later fragments of a packet belong to. Spec: RFC 791 3.2, RFC 8200 4.5.

Structure: a flat array in sets of 4, by a keyed hash of (source, destination, id, protocol); the first fragment
leaves an entry, later ones find it. Full: the oldest of the set is overwritten. An entry is good for the time
passed to the look-up. Owner: the worker.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free

from ext.address cimport ip_equal, ip_t
from ext.frame cimport frame_t
from ext.hash cimport hash_ip, key_t, mix, power_of_two

cdef enum:
    WAYS = 4
    # fragment_t.ends
    SRC_END = 1            # 1 << SRC: the source is rewritten
    DST_END = 2
    OWNER = 4              # another worker has the session
    SERVER = 8             # nothing is rewritten: to that server as it is

cdef struct fragment_t:
    ip_t src               # as the fragments carry them on arrival
    ip_t dst
    ip_t rewritten[2]      # by end, what those named by `ends` become; of the first, OWNER: lo is the worker; SERVER:
                           # lo is its index, hi the flow's hash
    uint32_t id
    uint32_t made_ms
    uint8_t protocol
    uint8_t ends
    bint used

cdef struct fragments_t:
    fragment_t *entries
    uint32_t mask          # of sets
    key_t key


cdef inline int fragments_init(fragments_t *table, uint32_t limit, key_t key) noexcept nogil:
    """An empty table for about limit packets in pieces; 0, or -1 when memory is out."""
    cdef uint32_t sets = power_of_two((limit + WAYS - 1) // WAYS)
    table.mask = sets - 1
    table.key = key
    table.entries = <fragment_t *>calloc(sets * WAYS, sizeof(fragment_t))
    return 0 if table.entries is not NULL else -1


cdef inline void fragments_free(fragments_t *table) noexcept nogil:
    free(table.entries)
    table.entries = NULL


cdef inline fragment_t *fragment_set(const fragments_t *table, const frame_t *frame) noexcept nogil:
    cdef uint32_t h = hash_ip(table.key, frame.src, mix(frame.dst.hi ^ table.key.b, frame.dst.lo ^ table.key.a)
                              ^ frame.fragment_id)
    return &table.entries[(h & table.mask) * WAYS]


cdef inline bint fragment_is_of(const fragment_t *entry, const frame_t *frame) noexcept nogil:
    return (entry.id == frame.fragment_id and entry.protocol == frame.protocol
            and ip_equal(entry.src, frame.src) and ip_equal(entry.dst, frame.dst))


cdef inline void fragment_note(fragments_t *table, const frame_t *frame, uint8_t ends, ip_t src, ip_t dst,
                               uint32_t now_ms) noexcept nogil:
    """Later fragments of this packet, as it came in, get the same ends rewritten: to src, to dst, or both.

    An entry of the same id is overwritten: the sender has begun to use its ids anew, perhaps for another session.
    """
    cdef fragment_t *entries = fragment_set(table, frame)
    cdef int i, oldest = 0
    for i in range(WAYS):
        if not entries[i].used or fragment_is_of(&entries[i], frame):
            oldest = i
            break
        if now_ms - entries[i].made_ms > now_ms - entries[oldest].made_ms:
            oldest = i
    entries[oldest].src = frame.src
    entries[oldest].dst = frame.dst
    entries[oldest].rewritten[0] = src
    entries[oldest].rewritten[1] = dst
    entries[oldest].id = frame.fragment_id
    entries[oldest].made_ms = now_ms
    entries[oldest].protocol = frame.protocol
    entries[oldest].ends = ends
    entries[oldest].used = True


cdef inline void fragment_note_server(fragments_t *table, const frame_t *frame, uint16_t server, uint32_t hash,
                                      uint32_t now_ms) noexcept nogil:
    """Later fragments of this packet go to the server of that index, as of the flow of that hash."""
    cdef ip_t to
    to.lo = server
    to.hi = hash
    fragment_note(table, frame, SERVER, to, to, now_ms)


cdef inline const fragment_t *fragment_find(const fragments_t *table, const frame_t *frame, uint32_t timeout_ms,
                                            uint32_t now_ms) noexcept nogil:
    """The entry the packet's first fragment left, or NULL."""
    cdef const fragment_t *entries = fragment_set(table, frame)
    cdef int i
    for i in range(WAYS):
        if (entries[i].used and fragment_is_of(&entries[i], frame) and now_ms - entries[i].made_ms < timeout_ms):
            return &entries[i]
    return NULL

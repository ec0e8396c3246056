"""Which port a MAC is behind: the forwarding database of one segment. Spec: IEEE 802.1Q clause 8.8.

Structure: one flat array of entries, found through chained buckets; every entry is also in the list of its
port, oldest first, so that ageing and eviction only ever look at list heads.
Full: the oldest entry of the port that has most is given up, so that a port that invents addresses loses
its own. Ageing: an entry is gone `ageing_ms` after its last frame. Owner: the worker; readers ask it.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from ext.frame cimport NO_PORT
from ext.hash cimport hash_word, key_t, power_of_two

cdef enum:
    FDB_NONE = 0xFFFFFFFF
    FDB_PORTS = 256
    FRESH_MS = 1024        # a power of two
    MAC_BITS = 0xFFFFFFFFFFFF

# What learning did
cdef enum:
    FDB_KNOWN = 0
    FDB_NEW = 1
    FDB_MOVED = 2

cdef struct fdb_entry_t:
    uint64_t key           # MAC in the low 48 bits, VLAN above
    uint32_t next          # in the bucket, or in the free list
    uint32_t older         # in the port's list
    uint32_t newer
    uint32_t seen_ms
    uint16_t port          # NO_PORT when free

cdef struct fdb_t:
    fdb_entry_t *entries
    uint32_t *buckets
    uint32_t mask
    uint32_t limit
    uint32_t n
    uint32_t free
    uint32_t ageing_ms
    uint64_t evictions
    key_t key
    uint32_t oldest[FDB_PORTS]
    uint32_t newest[FDB_PORTS]
    uint32_t n_of[FDB_PORTS]
    uint64_t moves[FDB_PORTS]  # stations that came to the port from another


cdef inline uint64_t fdb_key(uint64_t mac, uint16_t vid) noexcept nogil:
    return mac | (<uint64_t>vid << 48)


cdef inline int fdb_init(fdb_t *fdb, uint32_t limit, uint32_t ageing_ms, key_t key) noexcept nogil:
    """An empty table for exactly limit stations; 0, or -1 when memory is out."""
    cdef uint32_t i
    fdb.limit = limit
    fdb.ageing_ms = ageing_ms
    fdb.key = key
    fdb.mask = power_of_two(limit) - 1
    fdb.entries = <fdb_entry_t *>calloc(limit, sizeof(fdb_entry_t))
    fdb.buckets = <uint32_t *>calloc(fdb.mask + 1, sizeof(uint32_t))
    if fdb.entries is NULL or fdb.buckets is NULL:
        fdb_free(fdb)
        return -1
    fdb.evictions = 0
    for i in range(<uint32_t>FDB_PORTS):
        fdb.moves[i] = 0
        fdb.oldest[i] = fdb.newest[i] = FDB_NONE
        fdb.n_of[i] = 0
    fdb_reset(fdb)
    return 0


cdef inline void fdb_reset(fdb_t *fdb) noexcept nogil:
    cdef uint32_t i
    fdb.n = 0
    for i in range(fdb.mask + 1):
        fdb.buckets[i] = FDB_NONE
    for i in range(fdb.limit):
        fdb.entries[i].port = NO_PORT
        fdb.entries[i].next = i + 1 if i + 1 < fdb.limit else <uint32_t>FDB_NONE
    fdb.free = 0


cdef inline void fdb_free(fdb_t *fdb) noexcept nogil:
    free(fdb.entries)
    free(fdb.buckets)
    fdb.entries = NULL
    fdb.buckets = NULL


cdef inline uint32_t fdb_find(const fdb_t *fdb, uint64_t key) noexcept nogil:
    """The index of the entry, or FDB_NONE."""
    cdef uint32_t i = fdb.buckets[hash_word(fdb.key, key) & fdb.mask]
    while i != FDB_NONE and fdb.entries[i].key != key:
        i = fdb.entries[i].next
    return i


cdef inline uint16_t fdb_lookup(const fdb_t *fdb, uint64_t mac, uint16_t vid, uint32_t now_ms) noexcept nogil:
    """The port the station is behind, or NO_PORT when it is unknown or too old."""
    cdef uint32_t i = fdb_find(fdb, fdb_key(mac, vid))
    if i == FDB_NONE or now_ms - fdb.entries[i].seen_ms >= fdb.ageing_ms:
        return NO_PORT
    return fdb.entries[i].port


cdef inline bint fdb_is_fresh(const fdb_t *fdb, uint64_t mac, uint16_t vid, uint16_t port,
                              uint32_t now_ms) noexcept nogil:
    """Whether the station was heard at the port within this same second or so already."""
    cdef uint32_t i = fdb_find(fdb, fdb_key(mac, vid))
    return i != FDB_NONE and fdb.entries[i].port == port and (fdb.entries[i].seen_ms ^ now_ms) < FRESH_MS


cdef inline void fdb_unlist(fdb_t *fdb, uint32_t i) noexcept nogil:
    """The entry is in no port's list."""
    cdef fdb_entry_t *entry = &fdb.entries[i]
    if entry.older == FDB_NONE:
        fdb.oldest[entry.port] = entry.newer
    else:
        fdb.entries[entry.older].newer = entry.newer
    if entry.newer == FDB_NONE:
        fdb.newest[entry.port] = entry.older
    else:
        fdb.entries[entry.newer].older = entry.older
    fdb.n_of[entry.port] -= 1


cdef inline void fdb_list(fdb_t *fdb, uint32_t i, uint16_t port) noexcept nogil:
    """The entry is the newest of port."""
    cdef fdb_entry_t *entry = &fdb.entries[i]
    entry.port = port
    entry.newer = FDB_NONE
    entry.older = fdb.newest[port]
    if entry.older == FDB_NONE:
        fdb.oldest[port] = i
    else:
        fdb.entries[entry.older].newer = i
    fdb.newest[port] = i
    fdb.n_of[port] += 1


cdef inline void fdb_remove(fdb_t *fdb, uint32_t i) noexcept nogil:
    """The entry at i is free."""
    cdef fdb_entry_t *entry = &fdb.entries[i]
    cdef uint32_t *link = &fdb.buckets[hash_word(fdb.key, entry.key) & fdb.mask]
    while link[0] != i:
        link = &fdb.entries[link[0]].next
    link[0] = entry.next
    fdb_unlist(fdb, i)
    entry.port = NO_PORT
    entry.next = fdb.free
    fdb.free = i
    fdb.n -= 1


cdef inline void fdb_evict(fdb_t *fdb) noexcept nogil:
    """One entry fewer: the oldest of the port that has most."""
    cdef uint32_t port, most = 0
    for port in range(<uint32_t>1, <uint32_t>FDB_PORTS):
        if fdb.n_of[port] > fdb.n_of[most]:
            most = port
    fdb_remove(fdb, fdb.oldest[most])
    fdb.evictions += 1


cdef inline int fdb_learn(fdb_t *fdb, uint64_t mac, uint16_t vid, uint16_t port, uint32_t now_ms) noexcept nogil:
    """The station is behind port, as of now; whether that was known, new, or a move (FDB_...)."""
    cdef uint64_t key = fdb_key(mac, vid)
    cdef uint32_t i = fdb_find(fdb, key)
    cdef uint32_t *bucket
    if i != FDB_NONE:
        fdb.entries[i].seen_ms = now_ms
        if fdb.newest[port] == i:
            return FDB_KNOWN
        if fdb.entries[i].port == port:
            fdb_unlist(fdb, i)
            fdb_list(fdb, i, port)
            return FDB_KNOWN
        fdb_unlist(fdb, i)
        fdb_list(fdb, i, port)
        fdb.moves[port] += 1
        return FDB_MOVED
    if fdb.free == FDB_NONE:
        fdb_evict(fdb)
    i = fdb.free
    fdb.free = fdb.entries[i].next
    bucket = &fdb.buckets[hash_word(fdb.key, key) & fdb.mask]
    fdb.entries[i].key = key
    fdb.entries[i].seen_ms = now_ms
    fdb.entries[i].next = bucket[0]
    bucket[0] = i
    fdb_list(fdb, i, port)
    fdb.n += 1
    return FDB_NEW


cdef inline void fdb_age(fdb_t *fdb, uint32_t now_ms) noexcept nogil:
    """No entry is older than ageing_ms."""
    cdef uint32_t port
    for port in range(<uint32_t>FDB_PORTS):
        while fdb.n_of[port] and now_ms - fdb.entries[fdb.oldest[port]].seen_ms >= fdb.ageing_ms:
            fdb_remove(fdb, fdb.oldest[port])


cdef inline void fdb_inherit(fdb_t *heir, fdb_t *before) noexcept nogil:
    """The heir, which is empty, knows what the table before did, as far as it has room, and ages as it was made to."""
    cdef fdb_t made
    cdef uint32_t port, i
    if heir.limit == before.limit:
        memcpy(&made, heir, sizeof(fdb_t))
        memcpy(heir, before, sizeof(fdb_t))
        memcpy(before, &made, sizeof(fdb_t))
        heir.ageing_ms = made.ageing_ms
        return
    for port in range(<uint32_t>FDB_PORTS):
        i = before.oldest[port]
        while i != FDB_NONE:
            fdb_learn(heir, before.entries[i].key & MAC_BITS, <uint16_t>(before.entries[i].key >> 48), <uint16_t>port,
                      before.entries[i].seen_ms)
            i = before.entries[i].newer
    heir.evictions = before.evictions
    for port in range(<uint32_t>FDB_PORTS):
        heir.moves[port] = before.moves[port]


cdef inline void fdb_forget_port(fdb_t *fdb, uint16_t port) noexcept nogil:
    """No entry is behind port."""
    while fdb.n_of[port]:
        fdb_remove(fdb, fdb.oldest[port])

"""Persistence: which server a client had, so that it comes back to it. Clients are one whose addresses agree under the
service's mask.

Structure: one table for all workers, as the sessions of one address are in several: buckets of IN_PERSISTS entries with
a lock each. It is touched when a session of a persistent service begins or ends, never by the packets in between. An
entry is held by every session that the client has with the service, and lives on for persistence_ms after the last. One
whose server has ceased to serve names nobody until the next session gives it another.
Full: of the entries of a bucket that nobody holds, the one that was unused longest is given up; if all are held, the
client is not remembered, which is counted. As buckets do not fill evenly, there is room for twice as many as asked for.
Ageing: a sweep (persist_life.pxd) passes all far more often than milliseconds modulo 2^32 wrap.
Owner: all workers and the control plane, each for the few instructions it has a bucket's lock.
"""

from libc.stdint cimport int32_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_equal, ip_t
from ext.debug cimport SWLB_ASSERT, prefetch
from ext.hash cimport hash_ip, key_t
from ext.pages cimport map_pages
from ext.sync cimport add_shared, lock_shared, unlock_shared
from ext.tables.server cimport SERVER_FULL, SERVER_GONE, server_serves, server_t
from ext.tables.service cimport service_t, services_t

cdef enum:
    IN_PERSISTS = 7
    NO_SERVER = 0xFFFF         # persist_t.server: nobody, as it was flushed

cdef struct persist_t:         # 32 bytes
    ip_t client                # masked
    uint32_t used_ms           # when the last session began or ended
    uint32_t holders           # sessions
    uint32_t epoch             # of the server when it was given
    uint16_t service
    uint16_t server

cdef struct persists_bucket_t: # four cache lines
    uint32_t lock
    uint32_t tags[IN_PERSISTS] # what each is found by; 0: nobody is there
    persist_t entries[IN_PERSISTS]

cdef struct persists_t:
    persists_bucket_t *buckets
    uint32_t n_buckets
    uint32_t n
    uint32_t n_unremembered    # sessions for whose client there was no room
    uint32_t swept             # bucket where the sweep goes on
    key_t key


cdef inline int persists_init(persists_t *table, uint32_t limit, key_t key) noexcept nogil:
    """Room for so many clients; 0, or -1 when memory is out."""
    memset(table, 0, sizeof(persists_t))
    table.n_buckets = <uint32_t>(2 * <uint64_t>limit // IN_PERSISTS) + 1
    table.key = key
    table.buckets = <persists_bucket_t *>map_pages(<size_t>table.n_buckets * sizeof(persists_bucket_t))
    return 0 if table.buckets is not NULL else -1


cdef inline void persists_free(persists_t *table) noexcept nogil:
    if table.buckets is not NULL:
        munmap(table.buckets, <size_t>table.n_buckets * sizeof(persists_bucket_t))
    table.buckets = NULL


cdef inline persist_t persist_key(const services_t *services, const service_t *service, int family,
                                  ip_t client) noexcept nogil:
    """An entry of the client with the service, of which nothing else is known; it is in no table."""
    cdef persist_t key
    key.client.hi = client.hi & service.persistence_mask[family].hi
    key.client.lo = client.lo & service.persistence_mask[family].lo
    key.service = <uint16_t>(service - services.services)
    key.server = NO_SERVER
    key.used_ms = key.holders = key.epoch = 0
    return key


cdef inline uint32_t persist_tag(const persists_t *table, const persist_t *key) noexcept nogil:
    """Any number but 0, by which its bucket and its place there are found."""
    return hash_ip(table.key, key.client, key.service) | 1


cdef inline persists_bucket_t *persist_bucket(const persists_t *table, uint32_t tag) noexcept nogil:
    """The bucket where it may be, whose lines all come to the cache at once."""
    cdef persists_bucket_t *bucket = &table.buckets[<uint32_t>((<uint64_t>tag * table.n_buckets) >> 32)]
    prefetch(&bucket.entries[1])
    prefetch(&bucket.entries[3])
    prefetch(&bucket.entries[5])
    return bucket


cdef inline bint persist_is_of(const persist_t *entry, const persist_t *key) noexcept nogil:
    return entry.service == key.service and ip_equal(entry.client, key.client)


cdef inline persist_t *persist_in(persists_bucket_t *bucket, uint32_t tag, const persist_t *key) noexcept nogil:
    """The entry of that client and service in the bucket, or NULL. Its lock is the caller's."""
    cdef uint32_t i
    for i in range(<uint32_t>IN_PERSISTS):
        if bucket.tags[i] == tag and persist_is_of(&bucket.entries[i], key):
            return &bucket.entries[i]
    return NULL


cdef inline uint32_t persist_hold_of(const persists_t *table, const persists_bucket_t *bucket,
                                     const persist_t *entry) noexcept nogil:
    """1 + its place in the table, by which a session holds it."""
    return <uint32_t>((bucket - table.buckets) * IN_PERSISTS + (entry - &bucket.entries[0])) + 1


cdef inline bint persist_is_over(const service_t *service, const persist_t *entry, uint32_t now_ms) noexcept nogil:
    """Whether the client has had no session for too long. Another worker may have used it a moment after now."""
    return entry.holders == 0 and <int32_t>(now_ms - entry.used_ms) >= <int32_t>service.persistence_ms


cdef inline bint persist_is_void(const services_t *services, const persist_t *entry) noexcept nogil:
    """Whether its server is nobody, or was not serving all the time since it was given."""
    return (entry.server >= services.n_servers or services.servers[entry.server].service != entry.service
            or services.servers[entry.server].epoch != entry.epoch)


cdef inline server_t *persist_server(const services_t *services, const persist_t *entry, uint32_t now_ms) noexcept nogil:
    """The server that the client comes back to, which may be draining; NULL where it is to be given another."""
    cdef server_t *server
    if persist_is_over(&services.services[entry.service], entry, now_ms) or persist_is_void(services, entry):
        return NULL
    server = &services.servers[entry.server]
    if server_serves(server) and server.weight > 0 and not server.ready & (<int>SERVER_FULL | <int>SERVER_GONE):
        return server
    return NULL


cdef inline server_t *persist_find(persists_t *table, const services_t *services, const persist_t *key, uint32_t *hold,
                                   uint32_t now_ms) noexcept nogil:
    """The server that the client comes back to, and by what a session holds the entry; NULL: it has none."""
    cdef uint32_t tag = persist_tag(table, key)
    cdef persists_bucket_t *bucket = persist_bucket(table, tag)
    cdef server_t *server = NULL
    cdef persist_t *entry
    lock_shared(&bucket.lock)
    entry = persist_in(bucket, tag, key)
    if entry is not NULL:
        server = persist_server(services, entry, now_ms)
        if server is not NULL:
            hold[0] = persist_hold_of(table, bucket, entry)
    unlock_shared(&bucket.lock)
    return server


cdef inline server_t *persist_give(persists_t *table, const services_t *services, const persist_t *key,
                                   server_t *server, uint32_t *hold, uint32_t now_ms) noexcept nogil:
    """The server the client has from now on: this one, unless another worker has just given it another.

    And by what a session holds the entry; 0 where there is no room for it.
    """
    cdef uint32_t tag = persist_tag(table, key)
    cdef persists_bucket_t *bucket = persist_bucket(table, tag)
    cdef server_t *before = NULL
    cdef persist_t *entry
    lock_shared(&bucket.lock)
    entry = persist_in(bucket, tag, key)
    if entry is not NULL:
        before = persist_server(services, entry, now_ms)
    else:
        entry = persist_add(table, bucket, tag, key, now_ms)
    if before is NULL and entry is not NULL:
        entry.server = <uint16_t>(server - services.servers)
        entry.epoch = server.epoch
        entry.used_ms = now_ms
    hold[0] = persist_hold_of(table, bucket, entry) if entry is not NULL else 0
    unlock_shared(&bucket.lock)
    return before if before is not NULL else server


cdef inline persist_t *persist_add(persists_t *table, persists_bucket_t *bucket, uint32_t tag, const persist_t *key,
                                   uint32_t now_ms) noexcept nogil:
    """A new entry of that client and service in the bucket, whose lock is the caller's; NULL: all are held."""
    cdef uint32_t i, oldest = IN_PERSISTS
    for i in range(<uint32_t>IN_PERSISTS):
        if bucket.tags[i] == 0:
            oldest = i
            break
        if bucket.entries[i].holders == 0 and (oldest == IN_PERSISTS or <int32_t>(
                bucket.entries[oldest].used_ms - bucket.entries[i].used_ms) > 0):
            oldest = i
    if oldest == IN_PERSISTS:
        add_shared(&table.n_unremembered, 1)
        return NULL
    if bucket.tags[oldest] == 0:
        add_shared(&table.n, 1)
    bucket.tags[oldest] = tag
    bucket.entries[oldest] = key[0]
    return &bucket.entries[oldest]


cdef inline bint persist_hold(persists_t *table, uint32_t hold, const persist_t *key, uint32_t now_ms) noexcept nogil:
    """A session holds the entry; False where it was given up meanwhile."""
    cdef persists_bucket_t *bucket = &table.buckets[(hold - 1) // IN_PERSISTS]
    cdef uint32_t i = (hold - 1) % IN_PERSISTS
    cdef bint is_there
    lock_shared(&bucket.lock)
    is_there = bucket.tags[i] != 0 and persist_is_of(&bucket.entries[i], key)
    if is_there:
        bucket.entries[i].holders += 1
        bucket.entries[i].used_ms = now_ms
    unlock_shared(&bucket.lock)
    return is_there


cdef inline void persist_release(persists_t *table, uint32_t hold, uint32_t now_ms) noexcept nogil:
    """A session that held the entry has ended."""
    cdef persists_bucket_t *bucket = &table.buckets[(hold - 1) // IN_PERSISTS]
    cdef uint32_t i = (hold - 1) % IN_PERSISTS
    lock_shared(&bucket.lock)
    SWLB_ASSERT(bucket.tags[i] != 0 and bucket.entries[i].holders > 0)
    bucket.entries[i].holders -= 1
    bucket.entries[i].used_ms = now_ms
    if bucket.entries[i].holders == 0 and bucket.entries[i].server == NO_SERVER:
        persist_remove(table, bucket, i)
    unlock_shared(&bucket.lock)


cdef inline void persist_remove(persists_t *table, persists_bucket_t *bucket, uint32_t i) noexcept nogil:
    """The place is free. The bucket's lock is the caller's."""
    bucket.tags[i] = 0
    add_shared(&table.n, <uint32_t>-1)

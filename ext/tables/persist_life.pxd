"""How entries of persistence are forgotten, listed and swept. What they are and who holds them: persist.pxd.

Each goes from bucket to bucket and has one lock at a time: what others change meanwhile in those before and behind it
may or may not be seen.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.sync cimport load_acquire, lock_shared, unlock_shared
from ext.tables.persist cimport (IN_PERSISTS, NO_SERVER, persist_is_over, persist_is_void, persist_remove, persist_t,
                                 persists_bucket_t, persists_t)
from ext.tables.service cimport services_t

cdef enum:
    PERSISTS_SWEEP_MS = 300000 # all buckets are swept in this time, by the first worker
    EVERY = 0xFFFF             # service or server: all of them
    LISTED = 1024              # entries in one go
    LOOKED_AT = 65536          # buckets in one go


cdef inline uint32_t persists_forget(persists_t *table, uint16_t service, uint16_t server) noexcept nogil:
    """No client of the service (EVERY: of any) has a server that is this one (EVERY: any); how many had.

    What sessions hold stays for them to release, and names nobody.
    """
    cdef uint32_t at, i, n = 0
    cdef persists_bucket_t *bucket
    for at in range(table.n_buckets if load_acquire(&table.n) else 0):
        bucket = &table.buckets[at]
        lock_shared(&bucket.lock)
        for i in range(<uint32_t>IN_PERSISTS):
            if (bucket.tags[i] == 0 or bucket.entries[i].server == NO_SERVER
                    or service != EVERY and service != bucket.entries[i].service
                    or server != EVERY and server != bucket.entries[i].server):
                continue
            bucket.entries[i].server = NO_SERVER
            if bucket.entries[i].holders == 0:
                persist_remove(table, bucket, i)
            n += 1
        unlock_shared(&bucket.lock)
    return n


cdef inline uint32_t persists_list(persists_t *table, uint32_t *at, persist_t *target) noexcept nogil:
    """The entries of the buckets from `at` on are in target, which has room for LISTED; how many. `at` is the next bucket.

    None may be found while there are more to come, so that it does not take long.
    """
    cdef uint32_t end = min(table.n_buckets, at[0] + <uint32_t>LOOKED_AT)
    cdef uint32_t i, n = 0
    cdef persists_bucket_t *bucket
    while at[0] < end and n <= <uint32_t>LISTED - IN_PERSISTS:
        bucket = &table.buckets[at[0]]
        lock_shared(&bucket.lock)
        for i in range(<uint32_t>IN_PERSISTS):
            if bucket.tags[i]:
                target[n] = bucket.entries[i]
                n += 1
        unlock_shared(&bucket.lock)
        at[0] += 1
    return n


cdef inline void persists_sweep(persists_t *table, const services_t *services, uint32_t elapsed_ms,
                                uint32_t now_ms) noexcept nogil:
    """The buckets that are due hold nothing that is over or void and that nobody holds."""
    cdef uint32_t n = <uint32_t>(<uint64_t>table.n_buckets * min(elapsed_ms, <uint32_t>PERSISTS_SWEEP_MS)
                                 // PERSISTS_SWEEP_MS) + 1
    while n and load_acquire(&table.n):
        bucket_sweep(table, services, &table.buckets[table.swept], now_ms)
        table.swept = table.swept + 1 if table.swept + 1 < table.n_buckets else 0
        n -= 1


cdef inline void bucket_sweep(persists_t *table, const services_t *services, persists_bucket_t *bucket,
                              uint32_t now_ms) noexcept nogil:
    cdef uint32_t i
    cdef const persist_t *entry
    lock_shared(&bucket.lock)
    for i in range(<uint32_t>IN_PERSISTS):
        entry = &bucket.entries[i]
        if bucket.tags[i] and entry.holders == 0 and (
                entry.service >= services.n_services or persist_is_void(services, entry)
                or persist_is_over(&services.services[entry.service], entry, now_ms)):
            persist_remove(table, bucket, i)
    unlock_shared(&bucket.lock)

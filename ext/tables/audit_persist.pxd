"""Whether persistence is sound: what sessions hold, and what entries say of their holders. For tests and the fuzzer only.

Gives NULL, or the first thing that is wrong. Of one worker that has the table for itself, between two turns.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.tables.persist cimport IN_PERSISTS, persist_bucket, persist_tag, persists_bucket_t, persists_t
from ext.tables.service cimport services_t
from ext.tables.session cimport IN_BUCKET, session_at, session_t, sessions_t
from ext.tables.tables cimport tables_t


cdef inline const char *persists_audit(const tables_t *tables) noexcept nogil:
    cdef const persists_t *table = tables.persists
    cdef const persists_bucket_t *bucket
    cdef uint32_t at, i, n = 0, family
    cdef uint64_t holders = 0, holds = 0
    if table is NULL:
        return NULL
    for at in range(table.n_buckets):
        bucket = &table.buckets[at]
        if bucket.lock:
            return "persistence: a lock was left"
        for i in range(<uint32_t>IN_PERSISTS):
            if bucket.tags[i]:
                n += 1
                holders += bucket.entries[i].holders
                if (bucket.tags[i] != persist_tag(table, &bucket.entries[i])
                        or persist_bucket(table, bucket.tags[i]) != bucket):
                    return "persistence: an entry lies where it is not looked for"
    if n != table.n:
        return "persistence: n is not what the buckets hold"
    for family in range(<uint32_t>2):
        if not holds_are_sound(&tables.sessions[family], &tables.services, table, &holds):
            return "persistence: a session holds an entry that is not of its service, or is counted wrongly"
    if holders != holds:
        return "persistence: entries are not held by as many sessions as they say"
    return NULL


cdef inline bint holds_are_sound(const sessions_t *sessions, const services_t *services, const persists_t *table,
                                 uint64_t *holds) noexcept nogil:
    """Whether all that sessions hold is there, and n_holds of them do; holds has grown by that."""
    cdef uint32_t place, hold, n = 0
    cdef const persists_bucket_t *bucket
    cdef const session_t *session
    for place in range(sessions.n_buckets * IN_BUCKET):
        session = session_at(sessions, place)
        hold = sessions.holds[session.account] if session.protocol else 0
        if hold == 0:
            continue
        n += 1
        bucket = &table.buckets[(hold - 1) // IN_PERSISTS]
        if (bucket.tags[(hold - 1) % IN_PERSISTS] == 0
                or bucket.entries[(hold - 1) % IN_PERSISTS].service != services.servers[session.server].service):
            return False
    holds[0] += n
    return n == sessions.n_holds

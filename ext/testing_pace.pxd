"""What finding and beginning sessions takes, in nanoseconds, over all that are in a table; for the benchmark.

As the fast path does it: homes, then accounts, are fetched for a whole burst before the first session is asked for
(ext/forward/foresee.pxd), and one that is found counts a packet.
Sessions are picked at random, and written down before, one behind the other, so that reading them costs next to nothing.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.judge cimport clock_ns
from ext.order cimport be16
from ext.ports.port cimport BURST
from ext.tables.service cimport services_t
from ext.tables.session cimport (IN_BUCKET, accounts_are_far, session_at, session_client, session_fetch,
                                 session_fetch_account, session_hash, session_of_request, session_t, sessions_t)
from ext.tables.session_life cimport session_crowded, session_insert, session_remove, session_set_state

cdef struct request_t:
    ip_t client
    ip_t vip
    be16 client_port
    be16 vip_port
    uint16_t server
    uint8_t protocol
    uint8_t state

cdef struct pace_t:
    sessions_t *table
    services_t *services
    request_t *requests
    uint64_t random
    uint32_t n_found


cdef inline uint32_t pace_random(pace_t *pace, uint32_t n) noexcept nogil:
    """A number below n."""
    pace.random = pace.random * 6364136223846793005ULL + 1442695040888963407ULL    # Knuth's MMIX
    return <uint32_t>(((pace.random >> 32) * n) >> 32)


cdef inline session_t *pace_some(pace_t *pace) noexcept nogil:
    """One of the sessions, of which there must be one."""
    cdef uint32_t n_places = pace.table.n_buckets * IN_BUCKET
    cdef uint32_t place = pace_random(pace, n_places)
    while session_at(pace.table, place).protocol == 0:
        place = place + 1 if place + 1 < n_places else 0
    return session_at(pace.table, place)


cdef inline void pace_write(pace_t *pace, request_t *r, const session_t *s) noexcept nogil:
    """r is what the session's client asks with."""
    r.client, r.client_port, r.protocol = session_client(pace.table, s), s.client_port, s.protocol
    r.vip = pace.services.services[pace.services.servers[s.server].service].vip[pace.table.family]
    r.vip_port = s.vip_port
    r.server = s.server
    r.state = s.state


cdef inline void pace_pick(pace_t *pace, uint32_t n) noexcept nogil:
    """requests has n sessions' requests."""
    cdef uint32_t i
    for i in range(n):
        pace_write(pace, &pace.requests[i], pace_some(pace))


cdef inline void pace_remove(pace_t *pace, uint32_t n) noexcept nogil:
    """n sessions fewer are there, and requests has theirs."""
    cdef session_t *s
    cdef uint32_t i
    for i in range(n):
        s = pace_some(pace)
        pace_write(pace, &pace.requests[i], s)
        session_remove(pace.table, pace.services, s, 0)


cdef inline uint32_t pace_hash(pace_t *pace, const request_t *r) noexcept nogil:
    return session_hash(pace.table, r.client, r.client_port, r.protocol)


cdef inline session_t *pace_find(pace_t *pace, const request_t *r, uint32_t hash) noexcept nogil:
    return session_of_request(pace.table, pace.services, hash, r.client, r.client_port, r.protocol, r.vip, r.vip_port)


cdef inline void pace_begin(pace_t *pace, const request_t *r, uint32_t hash) noexcept nogil:
    """The session is there: looked for in vain, room looked for, begun; as the first packet of one does."""
    cdef session_t *s
    if pace_find(pace, r, hash) is NULL and not session_crowded(pace.table, hash, r.client, r.client_port):
        s = session_insert(pace.table, pace.services, hash, r.client, r.client_port, r.protocol, r.vip_port, r.server, 0)
        if s is not NULL:
            session_set_state(pace.table, pace.services, s, r.state)
            pace.n_found += 1


cdef inline void pace_burst(pace_t *pace, const request_t *requests, uint32_t n, bint begin) noexcept nogil:
    """The n requests' sessions are found, or with `begin` begun."""
    cdef uint32_t hashes[BURST]
    cdef uint32_t i
    cdef const request_t *r
    for i in range(n):
        hashes[i] = pace_hash(pace, &requests[i])
        session_fetch(pace.table, hashes[i])
    for i in range(n if begin and accounts_are_far(pace.table) else <uint32_t>0):
        session_fetch_account(pace.table, hashes[i], requests[i].client, requests[i].client_port)
    for i in range(n):
        r = &requests[i]
        if begin:
            pace_begin(pace, r, hashes[i])
            continue
        pace.n_found += pace_find(pace, r, hashes[i]) is not NULL


cdef inline uint64_t pace_bursts_ns(pace_t *pace, uint32_t n, bint begin) noexcept nogil:
    """The time that burst after burst takes."""
    cdef uint32_t first = 0
    cdef uint64_t begin_ns = clock_ns()
    while first < n:
        pace_burst(pace, &pace.requests[first], min(<uint32_t>BURST, n - first), begin)
        first += BURST
    return clock_ns() - begin_ns


cdef inline uint64_t pace_single_ns(pace_t *pace, uint32_t n) noexcept nogil:
    """The same for finding alone, when nothing is fetched beforehand and none is looked for until the last one is found."""
    cdef session_t *s
    cdef uint32_t i, carry = 0
    cdef uint64_t begin_ns = clock_ns()
    for i in range(n):
        s = pace_find(pace, &pace.requests[i + carry], pace_hash(pace, &pace.requests[i + carry]))
        if s is NULL:
            break
        # Accounts are far fewer than 2^31, which the processor cannot know before it has read the session.
        carry = s.account >> 31
        pace.n_found += 1
    return clock_ns() - begin_ns

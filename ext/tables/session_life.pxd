"""How a session comes, changes, is counted and goes. Where it lies: session.pxd.

A session is counted at its server from its first packet on: as active while ESTABLISHED, else as inactive; and as
open until both sides have closed it. Beside that those that are half open are counted, and who is to give way first is
noted, when there is no room (half_open.pxd; session_room.pxd).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_store, ip_t
from ext.debug cimport prefetch, unlikely
from ext.order cimport be16, load64
from ext.sync cimport add_shared
from ext.tables.evidence cimport evidence_of_end
from ext.tables.half_open cimport is_done, is_half_open, turn_note, turns_t
from ext.tables.load cimport server_load_changed
from ext.tables.per_source cimport per_source_add
from ext.tables.persist cimport persist_release
from ext.tables.pin cimport is_double
from ext.tables.server cimport V6, server_t
from ext.tables.service cimport services_t
from ext.tables.session cimport (CROWD, FREE_KNOWN, IN_BUCKET, PAGE, PROBES_ROOM, account_at, account_t, bucket_after, bucket_t,
                                 session_account, session_at, session_client, session_hash, session_home, session_t,
                                 session_word, sessions_t)
from ext.tables.source cimport kind_of, source_hold, source_release
from ext.tables.state cimport ESTABLISHED, S_NONE, is_open, is_proven


cdef inline uint32_t session_place(const sessions_t *table, const session_t *session) noexcept nogil:
    """Where it lies: bucket * IN_BUCKET and which of them."""
    cdef uint32_t bucket = <uint32_t>((<const char *>session - <const char *>table.buckets) // sizeof(bucket_t))
    return bucket * IN_BUCKET + <uint32_t>(session - &table.buckets[bucket].sessions[0])


cdef inline bint session_crowded(const sessions_t *table, uint32_t hash, ip_t client, be16 client_port) noexcept nogil:
    """Whether the end point has as many sessions as it may, or there is no room where one of it would lie."""
    cdef uint64_t word = session_word(table, hash, client, client_port, 0)
    cdef uint32_t at = session_home(table, hash)
    cdef uint32_t i, probe, n = 0
    cdef bint room = False
    cdef session_t *session
    for probe in range(table.probes):
        for i in range(<uint32_t>IN_BUCKET):
            session = &table.buckets[at].sessions[i]
            if session.protocol == 0:
                room = True
            elif (load64(session) ^ word) << 16 == 0:
                n += 1
        if room and table.buckets[at].passed == 0:
            break
        at = bucket_after(table, at)
    return n >= CROWD or not room


cdef inline session_t *session_free_place(sessions_t *table, uint32_t hash) noexcept nogil:
    """The first place where nobody is, from the hash's home on; those passed by have counted it. NULL: none."""
    cdef uint32_t home = session_home(table, hash)
    cdef uint32_t i, probe, at = home
    for probe in range(table.probes):
        for i in range(<uint32_t>IN_BUCKET):
            if table.buckets[at].sessions[i].protocol == 0:
                buckets_passed(table, home, at, 1)
                return &table.buckets[at].sessions[i]
        at = bucket_after(table, at)
    return NULL


cdef inline void buckets_passed(sessions_t *table, uint32_t home, uint32_t at, int step) noexcept nogil:
    """The buckets from home to at have been passed by one more (1) or one less (-1)."""
    while home != at:
        table.buckets[home].passed += step
        home = bucket_after(table, home)


cdef inline session_t *session_insert(sessions_t *table, services_t *services, uint32_t hash, ip_t client,
                                      be16 client_port, uint8_t protocol, be16 vip_port, uint16_t server,
                                      uint32_t now_ms) noexcept nogil:
    """A new session in S_NONE, counted as inactive at its server; NULL when the table, or its part of it, is full."""
    cdef session_t *session = NULL
    cdef account_t *account
    cdef bint beside = is_double(services, &services.servers[server])
    if beside or add_shared(table.open, 1) <= table.limit:
        if table.n < table.limit + PROBES_ROOM:
            session = session_free_place(table, hash)
    if session is NULL:
        if not beside:
            add_shared(table.open, <uint32_t>-1)
        return NULL
    session.account = account_take(table)
    session.client = <uint32_t>session_word(table, hash, client, 0, 0)
    session.client_port = client_port
    session.vip_port = vip_port
    session.seen_ms = now_ms
    session.server = server
    session.protocol = protocol
    session.state = S_NONE
    account = session_account(table, session)
    account.bytes[0] = account.bytes[1] = 0
    account.packets[0] = account.packets[1] = 0
    account.created_ms = now_ms
    account.source = 0
    account.source_port = 0
    if table.family == V6:
        ip_store(account.client, client)
    table.n += 1
    table.n_of[session_place(table, session) // IN_BUCKET // PAGE] += 1
    services.servers[server].sessions_inactive += 1
    services.servers[server].sessions_open += 1
    services.servers[server].sessions_total += 1
    server_load_changed(services, &services.servers[server])
    return session


cdef inline uint32_t account_take(sessions_t *table) noexcept nogil:
    """The index of an account that nobody has; one that will be taken soon is on its way to the cache."""
    cdef uint32_t *known = &table.free[table.free_at]
    cdef uint32_t i = known[0]
    if i == 0:
        table.high += 1
        return table.high - 1
    known[0] = account_at(table, i - 1).created_ms
    if known[0]:
        prefetch(account_at(table, known[0] - 1))
    table.free_at = (table.free_at + 1) % FREE_KNOWN
    return i - 1


cdef inline void account_give(sessions_t *table, uint32_t i) noexcept nogil:
    """The account of that index is the first of those that are free."""
    table.free_at = (table.free_at + FREE_KNOWN - 1) % FREE_KNOWN
    account_at(table, i).created_ms = table.free[table.free_at]
    table.free[table.free_at] = i + 1


cdef inline void session_take_source(sessions_t *table, const session_t *session, uint16_t source,
                                     be16 source_port) noexcept nogil:
    """To its server the session comes from that address and port, which are its own until it ends."""
    cdef account_t *account = session_account(table, session)
    account.source = source + 1
    account.source_port = source_port
    source_hold(table.sources, source, kind_of(session.protocol), source_port, session_place(table, session) + 1)


cdef inline void session_set_state(sessions_t *table, services_t *services, session_t *session,
                                   uint8_t state) noexcept nogil:
    """The session is in state, its server counts it accordingly, and it will give way if it is in one in which it may."""
    cdef server_t *server = &services.servers[session.server]
    cdef int active = (state == ESTABLISHED) - (session.state == ESTABLISHED)
    cdef int open = is_open(state) - is_open(session.state)
    table.half_open.n += is_half_open(state) - is_half_open(session.state)
    if unlikely(table.per_source is not NULL) and is_proven(state) != is_proven(session.state):
        per_source_add(table.per_source, session_client(table, session), 1 if is_proven(state) else -1)
    session.state = state
    if is_half_open(state):
        session_note(table, session, &table.half_open.waiting)
    elif is_done(state):
        session_note(table, session, &table.half_open.done)
    if active or open:
        server.sessions_active += active
        server.sessions_inactive -= active
        server.sessions_open += open
        server_load_changed(services, server)


cdef inline void session_note(const sessions_t *table, const session_t *session, turns_t *turns) noexcept nogil:
    """The session will have its turn to give way."""
    turn_note(turns, 2 * session_place(table, session) + (table.family == V6), session_account(table, session).created_ms)


cdef inline void session_hold(sessions_t *table, const session_t *session, uint32_t hold) noexcept nogil:
    """The session, which has taken hold of its client's entry of persistence, will release it when it ends."""
    table.holds[session.account] = hold
    table.n_holds += 1


cdef inline void session_release(sessions_t *table, const session_t *session, uint32_t now_ms) noexcept nogil:
    """The session holds nothing."""
    cdef uint32_t *hold = &table.holds[session.account]
    if hold[0]:
        persist_release(table.persists, hold[0], now_ms)
        hold[0] = 0
        table.n_holds -= 1


cdef inline void session_remove(sessions_t *table, services_t *services, session_t *session,
                                uint32_t now_ms) noexcept nogil:
    """Its place, its account, its source port and its client's entry are free of it, and it is no longer counted."""
    cdef account_t *account = session_account(table, session)
    cdef server_t *server = &services.servers[session.server]
    cdef uint32_t bucket = session_place(table, session) // IN_BUCKET
    cdef uint32_t hash = session_hash(table, session_client(table, session), session.client_port, session.protocol)
    buckets_passed(table, session_home(table, hash), bucket, -1)
    table.half_open.n -= is_half_open(session.state)
    if unlikely(table.per_source is not NULL) and is_proven(session.state):
        per_source_add(table.per_source, session_client(table, session), -1)
    server.sessions_active -= session.state == ESTABLISHED
    server.sessions_inactive -= session.state != ESTABLISHED
    server.sessions_open -= is_open(session.state)
    server_load_changed(services, server)
    if account.source:
        source_release(table.sources, account.source - 1, kind_of(session.protocol), account.source_port)
    if table.n_holds:
        session_release(table, session, now_ms)
    session.protocol = 0
    session.state = S_NONE
    account_give(table, session.account)
    table.n -= 1
    table.n_of[bucket // PAGE] -= 1
    if not is_double(services, server):
        add_shared(table.open, <uint32_t>-1)


cdef inline void session_give_way(sessions_t *table, services_t *services, session_t *session,
                                  uint32_t now_ms) noexcept nogil:
    """It is gone; one that had expired says what it knows of its server."""
    if session_expired(services, session, now_ms):
        evidence_of_end(services, session, session_account(table, session))
    session_remove(table, services, session, now_ms)


cdef inline uint32_t session_timeout_ms(const services_t *services, const session_t *session) noexcept nogil:
    """The idle time its state is allowed."""
    return services.services[services.servers[session.server].service].timeout_ms[session.state]


cdef inline bint session_expired(const services_t *services, const session_t *session, uint32_t now_ms) noexcept nogil:
    return now_ms - session.seen_ms >= session_timeout_ms(services, session)


cdef inline uint32_t sessions_sweep(sessions_t *table, services_t *services, uint32_t n_pages,
                                    uint32_t now_ms) noexcept nogil:
    """The next n_pages of buckets hold no expired session; how many were removed."""
    cdef uint32_t removed = 0
    while n_pages:
        if table.n_of[table.swept]:
            removed += page_sweep(table, services, table.swept, now_ms)
        table.swept = table.swept + 1 if table.swept + 1 < table.n_pages else 0
        n_pages -= 1
    return removed


cdef inline uint32_t page_sweep(sessions_t *table, services_t *services, uint32_t page, uint32_t now_ms) noexcept nogil:
    """The same for one page."""
    cdef uint32_t place, removed = 0
    cdef session_t *session
    for place in range(page * PAGE * IN_BUCKET, (page + 1) * PAGE * IN_BUCKET):
        session = session_at(table, place)
        # One in S_NONE does not outlive the frame that made it.
        if session.protocol and session.state != S_NONE and session_expired(services, session, now_ms):
            session_give_way(table, services, session, now_ms)
            removed += 1
    return removed


cdef inline void session_count(sessions_t *table, services_t *services, session_t *session, int direction,
                               uint32_t n_bytes, uint32_t now_ms) noexcept nogil:
    """One more packet seen in that direction, of n_bytes of IP."""
    cdef server_t *server = &services.servers[session.server]
    cdef account_t *account = session_account(table, session)
    session.seen_ms = now_ms
    account.packets[direction] += 1
    account.bytes[direction] += n_bytes
    server.packets[direction] += 1
    server.bytes[direction] += n_bytes

"""Sessions: which client is served by which server, found from both sides by one entry.

Structure: one table a family. The bucket is that of the client's end point (address, port, protocol), which a
request carries as source and a reply as destination; so one entry in one chain serves both directions, and
what tells them apart is compared: the VIP for a request, the server for a reply. An entry is 48 bytes for
IPv4 and 64 for IPv6 (the client's address is its tail), plus 8 for two buckets, so that few chains are longer than
one. Memory is mapped at start for the configured number and touched only as it is used. The number is that of all
tables of all workers, which count in one place. Full: nothing is evicted, the insert fails. Chains are bounded by
CROWD, since one client end point may call many ports of a VIP.
Idle times are kept in milliseconds modulo 2^32 (49 days); a sweep passes every entry once a second, far more
often than that wraps. Owner: the worker; readers ask it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_equal, ip_load, ip_of_v4, ip_store, ip_t, ip_v4
from ext.debug cimport likely, prefetch
from ext.hash cimport hash_ip, key_t, power_of_two
from ext.order cimport be16, load32, store32
from ext.pages cimport map_pages
from ext.sync cimport add_shared
from ext.tables.service cimport V4, server_t, services_t
from ext.tables.state cimport ESTABLISHED, S_NONE

cdef enum:
    SESSION_V4_LEN = 48
    SESSION_V6_LEN = 64
    CROWD = 64             # sessions of one chain beyond which no more are added

cdef struct session_t:
    uint64_t bytes[2]      # by direction
    uint32_t packets[2]    # by direction, modulo 2^32
    uint32_t seen_ms
    uint32_t created_ms
    uint32_t next          # index + 1 of the next in the bucket or in the free list; 0 ends
    be16 client_port
    be16 vip_port
    uint16_t server
    uint8_t protocol
    uint8_t state          # S_NONE when free
    uint8_t client[16]     # 4 of them for IPv4

cdef struct sessions_t:
    uint8_t *entries
    uint32_t *buckets      # index + 1; 0 is empty, as mapped memory comes
    uint32_t mask
    uint32_t limit
    uint32_t n
    uint32_t high          # entries from here on were never used
    uint32_t free          # index + 1
    uint32_t swept         # where the sweep goes on
    uint32_t stride
    uint32_t *open         # sessions of all tables and workers that share the limit
    int family
    key_t key


cdef inline int sessions_init(sessions_t *table, int family, uint32_t limit, uint32_t *open, key_t key) noexcept nogil:
    """An empty table for the family, one of those that count in open and hold limit together; 0, -1: memory is out."""
    memset(table, 0, sizeof(sessions_t))
    table.family = family
    table.limit = limit
    table.open = open
    table.key = key
    table.stride = SESSION_V4_LEN if family == V4 else SESSION_V6_LEN
    table.mask = 2 * power_of_two(limit) - 1
    table.entries = <uint8_t *>map_pages(<size_t>limit * table.stride + sizeof(session_t))
    table.buckets = <uint32_t *>map_pages((<size_t>table.mask + 1) * sizeof(uint32_t))
    if table.entries is NULL or table.buckets is NULL:
        sessions_free(table)
        return -1
    return 0


cdef inline void sessions_free(sessions_t *table) noexcept nogil:
    if table.entries is not NULL:
        munmap(table.entries, <size_t>table.limit * table.stride + sizeof(session_t))
    if table.buckets is not NULL:
        munmap(table.buckets, (<size_t>table.mask + 1) * sizeof(uint32_t))
    table.entries = NULL
    table.buckets = NULL


cdef inline session_t *session_at(const sessions_t *table, uint32_t index) noexcept nogil:
    return <session_t *>(table.entries + <size_t>index * table.stride)


cdef inline ip_t session_client(const sessions_t *table, const session_t *session) noexcept nogil:
    if table.family == V4:
        return ip_of_v4(load32(session.client))
    return ip_load(session.client)


cdef inline uint32_t session_hash(const sessions_t *table, ip_t client, be16 client_port,
                                  uint8_t protocol) noexcept nogil:
    """What a client's end point is found by: its low bits are the bucket."""
    return hash_ip(table.key, client, client_port | (<uint64_t>protocol << 16))


cdef inline void session_fetch_bucket(const sessions_t *table, uint32_t hash) noexcept nogil:
    """The bucket is on its way to the cache."""
    prefetch(&table.buckets[hash & table.mask])


cdef inline void session_fetch(const sessions_t *table, uint32_t hash) noexcept nogil:
    """What tells the bucket's first session from others is on its way to the cache, if there is one."""
    cdef uint32_t i = table.buckets[hash & table.mask]
    if i:
        prefetch(&session_at(table, i - 1).next)


cdef inline void session_fetch_next(const sessions_t *table, uint32_t hash, be16 client_port) noexcept nogil:
    """The rest of the bucket's first session is on its way, too; or the second, if it cannot be the first."""
    cdef uint32_t i = table.buckets[hash & table.mask]
    cdef session_t *session
    if i:
        session = session_at(table, i - 1)
        if likely(session.client_port == client_port):
            prefetch(session)
        elif session.next:
            prefetch(&session_at(table, session.next - 1).next)


cdef inline session_t *session_of_request(const sessions_t *table, const services_t *services, uint32_t hash,
                                          ip_t client, be16 client_port, uint8_t protocol, ip_t vip,
                                          be16 vip_port) noexcept nogil:
    """The session that client, whose hash it is, has with that port of the VIP, or NULL."""
    cdef uint32_t i = table.buckets[hash & table.mask]
    cdef session_t *session
    while i:
        session = session_at(table, i - 1)
        if (session.client_port == client_port and session.vip_port == vip_port and session.protocol == protocol
                and ip_equal(session_client(table, session), client)
                and ip_equal(services.services[services.servers[session.server].service].vip[table.family], vip)):
            return session
        i = session.next
    return NULL


cdef inline session_t *session_of_reply(const sessions_t *table, const services_t *services, uint32_t hash,
                                        ip_t client, be16 client_port, uint8_t protocol, ip_t server_ip,
                                        be16 server_port) noexcept nogil:
    """The session in which that server's port serves the client, whose hash it is, or NULL."""
    cdef uint32_t i = table.buckets[hash & table.mask]
    cdef session_t *session
    cdef const server_t *server
    while i:
        session = session_at(table, i - 1)
        if session.client_port == client_port and session.protocol == protocol:
            server = &services.servers[session.server]
            if (ip_equal(server.ip, server_ip) and session_server_port(session, server) == server_port
                    and ip_equal(session_client(table, session), client)):
                return session
        i = session.next
    return NULL


cdef inline be16 session_server_port(const session_t *session, const server_t *server) noexcept nogil:
    """The port the server is called at: its own, or the one the client used."""
    return server.l4_port if server.l4_port else session.vip_port


cdef inline session_t *session_insert(sessions_t *table, services_t *services, uint32_t hash, ip_t client,
                                      be16 client_port, uint8_t protocol, be16 vip_port, uint16_t server,
                                      uint32_t now_ms) noexcept nogil:
    """A new session in S_NONE, counted as inactive at its server; NULL when the table is full."""
    cdef uint32_t *bucket = &table.buckets[hash & table.mask]
    cdef session_t *session
    cdef uint32_t i
    if add_shared(table.open, 1) > table.limit:
        add_shared(table.open, <uint32_t>-1)
        return NULL
    if table.free:
        i = table.free - 1
        table.free = session_at(table, i).next
    else:
        i = table.high
        table.high += 1
    session = session_at(table, i)
    session.bytes[0] = session.bytes[1] = 0
    session.packets[0] = session.packets[1] = 0
    session.seen_ms = session.created_ms = now_ms
    session.client_port = client_port
    session.vip_port = vip_port
    session.server = server
    session.protocol = protocol
    session.state = S_NONE
    if table.family == V4:
        store32(session.client, ip_v4(client))
    else:
        ip_store(session.client, client)
    session.next = bucket[0]
    bucket[0] = i + 1
    table.n += 1
    services.servers[server].sessions_inactive += 1
    services.servers[server].sessions_total += 1
    return session


cdef inline bint session_crowded(const sessions_t *table, uint32_t hash) noexcept nogil:
    """Whether the chain already is as long as it may be."""
    cdef uint32_t i = table.buckets[hash & table.mask]
    cdef uint32_t n = 0
    while i and n < CROWD:
        i = session_at(table, i - 1).next
        n += 1
    return n >= CROWD


cdef inline void session_set_state(services_t *services, session_t *session, uint8_t state) noexcept nogil:
    """The session is in state, and its server counts it accordingly."""
    cdef server_t *server = &services.servers[session.server]
    if (state == ESTABLISHED) != (session.state == ESTABLISHED):
        if state == ESTABLISHED:
            server.sessions_active += 1
            server.sessions_inactive -= 1
        else:
            server.sessions_active -= 1
            server.sessions_inactive += 1
    session.state = state


cdef inline void session_remove(sessions_t *table, services_t *services, session_t *session) noexcept nogil:
    """The entry is free and no longer counted."""
    cdef uint32_t i = <uint32_t>((<uint8_t *>session - table.entries) // table.stride)
    cdef uint32_t *link = &table.buckets[session_hash(table, session_client(table, session), session.client_port,
                                                      session.protocol) & table.mask]
    while link[0] != i + 1:
        link = &session_at(table, link[0] - 1).next
    link[0] = session.next
    session_set_state(services, session, S_NONE)
    services.servers[session.server].sessions_inactive -= 1
    session.next = table.free
    table.free = i + 1
    table.n -= 1
    add_shared(table.open, <uint32_t>-1)


cdef inline uint32_t session_timeout_ms(const services_t *services, const session_t *session) noexcept nogil:
    """The idle time its state is allowed."""
    return services.services[services.servers[session.server].service].timeout_ms[session.state]


cdef inline bint session_expired(const services_t *services, const session_t *session, uint32_t now_ms) noexcept nogil:
    return now_ms - session.seen_ms >= session_timeout_ms(services, session)


cdef inline uint32_t sessions_sweep(sessions_t *table, services_t *services, uint32_t budget,
                                    uint32_t now_ms) noexcept nogil:
    """The next budget entries hold no expired session; how many were removed."""
    cdef uint32_t removed = 0
    cdef session_t *session
    if budget > table.high:
        budget = table.high
    while budget:
        if table.swept >= table.high:
            table.swept = 0
        session = session_at(table, table.swept)
        # A free entry keeps S_NONE; one in S_NONE that is not free does not outlive the frame that made it.
        if session.state != S_NONE and session_expired(services, session, now_ms):
            session_remove(table, services, session)
            removed += 1
        table.swept += 1
        budget -= 1
    return removed


cdef inline void session_count(services_t *services, session_t *session, int direction, uint32_t n_bytes,
                               uint32_t now_ms) noexcept nogil:
    """One more packet seen in that direction, of n_bytes of IP."""
    cdef server_t *server = &services.servers[session.server]
    session.seen_ms = now_ms
    session.packets[direction] += 1
    session.bytes[direction] += n_bytes
    server.packets[direction] += 1
    server.bytes[direction] += n_bytes

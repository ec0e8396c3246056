"""Sessions: which client is served by which server, found from both sides by one entry. How they live: session_life.pxd.

Structure: one table a family. The home of a session is the bucket of the client's end point (address, port, protocol),
which a request carries as source and a reply as destination; so one entry serves both directions, and what tells them
apart is compared: the VIP for a request, the server for a reply. A bucket is one cache line with three sessions, and all
that tells a session from others lies in it, so that a look-up reads one line of memory (for IPv6 also the account, which
has the address). Who finds the home full lies in one of the next buckets, and those passed by count it, so that a look-up
goes on only as long as somebody has. A session never moves. What is counted lies apart, in its account.

An IPv4 session takes 32 bytes of account and, with the buckets 70 % full, 30.5 of buckets; an IPv6 one 48 and 30.5.
Fetching two buckets at once made look-ups slower. In huge pages a look-up among a million misses the cache, but seldom
the TLB too, whose misses cost a guest of a hypervisor as much again: 25 ns of a burst's time in place of 35.
Memory is mapped at start for the configured number and touched only as it is used, 2 MiB at a time: a handful of
sessions among a million touch the 30 MB of all buckets. The number is that of all tables of all workers, which count in
one place. Full: the insert fails, and its caller may see who gives way (session_room.pxd); it fails as well where PROBES
buckets are full, or an end point has CROWD sessions, since one may call many ports of a VIP.
Idle times are kept in milliseconds modulo 2^32 (49 days); a sweep passes every entry once a second, far more
often than that wraps. Owner: the worker; readers ask it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_equal, ip_load, ip_of_v4, ip_t, ip_v4
from ext.debug cimport likely, prefetch
from ext.hash cimport hash_ip, key_t
from ext.order cimport be16, load64
from ext.pages cimport map_huge_pages, map_pages
from ext.tables.half_open cimport half_open_t
from ext.tables.per_source cimport per_source_t
from ext.tables.persist cimport persists_t
from ext.tables.server cimport V4, server_t
from ext.tables.service cimport services_t
from ext.tables.source cimport FLOW, kind_of, source_holder, sources_t

cdef enum:
    ACCOUNT_V4_LEN = 32
    ACCOUNT_V6_LEN = 48
    IN_BUCKET = 3
    PROBES = 256           # buckets in which a session may lie, from its home on: a full table needs some 100
    CROWD = 64             # sessions of one end point
    PROBES_ROOM = 65536    # sessions of probes beside the limit; accounts cost nothing until they are used
    FREE_KNOWN = 8         # free accounts known beforehand, so that a burst of new sessions does not wait for each
    NEAR = 16384           # sessions whose accounts lie in caches near the processor
    PAGE = 64              # buckets that are swept together, or not at all when nobody is there

cdef struct session_t:
    uint32_t client        # IPv4: the address; IPv6: the hash, as the address is in the account
    be16 client_port
    be16 vip_port
    uint32_t account       # index
    uint32_t seen_ms
    uint16_t server
    uint8_t protocol       # 0 when nobody is there
    uint8_t state

cdef struct bucket_t:      # 64 bytes, at a multiple of 64
    session_t sessions[IN_BUCKET]
    uint32_t passed        # sessions that found it full and lie further on

cdef struct account_t:
    uint64_t bytes[2]      # by direction, and where in its stream that is: sequence.pxd
    uint32_t packets[2]    # by direction, modulo 2^32
    uint32_t created_ms    # of one that is free: index + 1 of that FREE_KNOWN behind it in the list
    uint16_t source        # index + 1 of the address that stands for the client; 0: the client's own
    be16 source_port
    uint8_t client[16]     # IPv6 only

cdef struct sessions_t:
    bucket_t *buckets
    uint8_t *accounts
    uint8_t *n_of          # sessions by page of buckets
    uint32_t n_buckets
    uint32_t n_pages
    uint32_t probes        # PROBES, or all buckets when there are fewer
    uint32_t limit
    uint32_t n
    uint32_t high          # accounts from here on were never used
    uint32_t free[FREE_KNOWN]   # index + 1 of the free accounts taken next, 0 for none, from free_at on and round
    uint32_t free_at
    uint32_t swept         # page where the sweep goes on
    uint32_t stride        # of accounts
    uint32_t *open         # sessions of all tables and workers that share the limit
    sources_t *sources
    half_open_t *half_open # those of both tables that are half open
    per_source_t *per_source         # NULL: an address may have any number
    int family
    key_t key
    persists_t *persists
    uint32_t *holds        # by account: what its session holds of persists, as persist_hold says; 0: nothing
    uint32_t n_holds


cdef inline int sessions_init(sessions_t *table, int family, uint32_t limit, uint32_t *open, sources_t *sources,
                              half_open_t *half_open, key_t key) noexcept nogil:
    """An empty table for the family, one of those that count in open and hold limit together; 0, -1: memory is out."""
    memset(table, 0, sizeof(sessions_t))
    table.family = family
    table.limit = limit
    table.open = open
    table.sources = sources
    table.half_open = half_open
    table.key = key
    table.stride = ACCOUNT_V4_LEN if family == V4 else ACCOUNT_V6_LEN
    table.n_pages = <uint32_t>(<uint64_t>limit * 10 // 21 // PAGE) + 1
    table.n_buckets = table.n_pages * PAGE
    table.probes = min(table.n_buckets, <uint32_t>PROBES)
    table.accounts = <uint8_t *>map_huge_pages(accounts_len(table))
    table.buckets = <bucket_t *>map_huge_pages(<size_t>table.n_buckets * sizeof(bucket_t))
    table.n_of = <uint8_t *>map_pages(table.n_pages)
    table.holds = <uint32_t *>map_pages(holds_len(table))
    if table.accounts is NULL or table.buckets is NULL or table.n_of is NULL or table.holds is NULL:
        sessions_free(table)
        return -1
    return 0


cdef inline size_t accounts_len(const sessions_t *table) noexcept nogil:
    return (<size_t>table.limit + PROBES_ROOM) * table.stride + sizeof(account_t)


cdef inline size_t holds_len(const sessions_t *table) noexcept nogil:
    return (<size_t>table.limit + PROBES_ROOM) * sizeof(uint32_t)


cdef inline void sessions_free(sessions_t *table) noexcept nogil:
    if table.accounts is not NULL:
        munmap(table.accounts, accounts_len(table))
    if table.buckets is not NULL:
        munmap(table.buckets, <size_t>table.n_buckets * sizeof(bucket_t))
    if table.n_of is not NULL:
        munmap(table.n_of, table.n_pages)
    if table.holds is not NULL:
        munmap(table.holds, holds_len(table))
    table.accounts = NULL
    table.buckets = NULL
    table.n_of = NULL
    table.holds = NULL


cdef inline account_t *account_at(const sessions_t *table, uint32_t index) noexcept nogil:
    return <account_t *>(table.accounts + <size_t>index * table.stride)


cdef inline account_t *session_account(const sessions_t *table, const session_t *session) noexcept nogil:
    return account_at(table, session.account)


cdef inline session_t *session_at(const sessions_t *table, uint32_t place) noexcept nogil:
    """The session at a place, below n_buckets * IN_BUCKET; nobody may be there."""
    return &table.buckets[place // IN_BUCKET].sessions[place % IN_BUCKET]


cdef inline ip_t session_client(const sessions_t *table, const session_t *session) noexcept nogil:
    if table.family == V4:
        return ip_of_v4(session.client)
    return ip_load(session_account(table, session).client)


cdef inline uint32_t session_hash(const sessions_t *table, ip_t client, be16 client_port,
                                  uint8_t protocol) noexcept nogil:
    """What a client's end point is found by."""
    return hash_ip(table.key, client, client_port | (<uint64_t>protocol << 16))


cdef inline uint32_t session_home(const sessions_t *table, uint32_t hash) noexcept nogil:
    """The bucket where sessions of that hash are looked for first."""
    return <uint32_t>((<uint64_t>hash * table.n_buckets) >> 32)


cdef inline uint32_t bucket_after(const sessions_t *table, uint32_t bucket) noexcept nogil:
    return bucket + 1 if bucket + 1 < table.n_buckets else 0


cdef inline uint64_t session_word(const sessions_t *table, uint32_t hash, ip_t client, be16 client_port,
                                  be16 vip_port) noexcept nogil:
    """The first eight bytes of such a session."""
    return ((ip_v4(client) if table.family == V4 else hash) | (<uint64_t>client_port << 32)
            | (<uint64_t>vip_port << 48))


cdef inline bint session_is_of(const sessions_t *table, const session_t *session, ip_t client,
                               uint8_t protocol) noexcept nogil:
    """Whether a session whose word is right is of that client and protocol."""
    return session.protocol == protocol and (
        table.family == V4 or ip_equal(ip_load(session_account(table, session).client), client))


cdef inline void session_fetch(const sessions_t *table, uint32_t hash) noexcept nogil:
    """The home of the session is on its way to the cache."""
    prefetch(&table.buckets[session_home(table, hash)])


cdef inline bint accounts_are_far(const sessions_t *table) noexcept nogil:
    """Whether to fetch accounts beforehand is worth the look at their sessions that it costs."""
    return table.n > <uint32_t>NEAR


cdef inline void session_fetch_account(const sessions_t *table, uint32_t hash, ip_t client, be16 client_port) noexcept nogil:
    """The account of the end point's session is on its way, too; or the next bucket, if it is not at home."""
    cdef uint32_t at = session_home(table, hash)
    cdef const bucket_t *bucket = &table.buckets[at]
    cdef uint64_t word = session_word(table, hash, client, client_port, 0)
    cdef uint32_t i
    for i in range(<uint32_t>IN_BUCKET):
        if (load64(&bucket.sessions[i]) ^ word) << 16 == 0:
            prefetch(session_account(table, &bucket.sessions[i]))
            return
    if bucket.passed:
        prefetch(&table.buckets[bucket_after(table, at)])


cdef inline session_t *session_of_request(const sessions_t *table, const services_t *services, uint32_t hash,
                                          ip_t client, be16 client_port, uint8_t protocol, ip_t vip,
                                          be16 vip_port) noexcept nogil:
    """The session that client, whose hash it is, has with that port of the VIP, or NULL."""
    cdef uint64_t word = session_word(table, hash, client, client_port, vip_port)
    cdef uint32_t at = session_home(table, hash)
    cdef uint32_t i, probe = 0
    cdef bucket_t *bucket
    cdef session_t *session
    while probe < table.probes:
        bucket = &table.buckets[at]
        for i in range(<uint32_t>IN_BUCKET):
            session = &bucket.sessions[i]
            if (load64(session) == word and session_is_of(table, session, client, protocol)
                    and ip_equal(services.services[services.servers[session.server].service].vip[table.family], vip)):
                return session
        if likely(bucket.passed == 0):
            return NULL
        at = bucket_after(table, at)
        probe += 1
    return NULL


cdef inline session_t *session_of_reply(const sessions_t *table, const services_t *services, uint32_t hash,
                                        ip_t client, be16 client_port, uint8_t protocol, ip_t server_ip,
                                        be16 server_port) noexcept nogil:
    """The session in which that server's port answers the client itself, whose hash it is, or NULL."""
    cdef uint64_t word = session_word(table, hash, client, client_port, 0)
    cdef uint32_t at = session_home(table, hash)
    cdef uint32_t i, probe = 0
    cdef bucket_t *bucket
    cdef session_t *session
    while probe < table.probes:
        bucket = &table.buckets[at]
        for i in range(<uint32_t>IN_BUCKET):
            session = &bucket.sessions[i]
            if ((load64(session) ^ word) << 16 == 0 and session_is_of(table, session, client, protocol)
                    and session_is_served(services, session, table.family, server_ip, server_port)
                    and session_account(table, session).source == 0):
                return session
        if likely(bucket.passed == 0):
            return NULL
        at = bucket_after(table, at)
        probe += 1
    return NULL


cdef inline bint session_is_served(const services_t *services, const session_t *session, int family, ip_t server_ip,
                                   be16 server_port) noexcept nogil:
    """Whether that is the end point as which its server answers."""
    cdef const server_t *server = &services.servers[session.server]
    return ip_equal(server.answers_as[family], server_ip) and session_server_port(session, server) == server_port


cdef inline be16 session_server_port(const session_t *session, const server_t *server) noexcept nogil:
    """The port the server is called at: its own, or the one the client used."""
    return server.l4_port if server.l4_port else session.vip_port


cdef inline session_t *session_of_source(const sessions_t *table, const services_t *services, uint16_t source,
                                         be16 source_port, uint8_t protocol, ip_t server_ip,
                                         be16 server_port) noexcept nogil:
    """The session in which that server's port answers a client that the source's port stands for, or NULL."""
    cdef uint32_t holder = source_holder(table.sources, source, kind_of(protocol), source_port)
    cdef session_t *session
    if holder == 0 or holder & FLOW:
        return NULL
    session = session_at(table, holder - 1)
    if session.protocol == protocol and session_is_served(services, session, table.family, server_ip, server_port):
        return session
    return NULL

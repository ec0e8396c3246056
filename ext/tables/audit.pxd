"""Whether a table is sound: every chain, list and count is walked and compared. For tests and the fuzzer only.

Each function gives NULL, or the first thing that is wrong. A walk is bounded by the table's size, so a chain that
bites its own tail is found, not followed for ever.
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.frame cimport NO_PORT
from ext.hash cimport hash_word
from ext.tables.audit_places cimport groups_audit, limits_audit, segments_audit
from ext.tables.audit_waiting cimport fragments_audit, queue_len, waitings_audit
from ext.tables.fdb cimport FDB_NONE, FDB_PORTS, fdb_t
from ext.tables.flow cimport flow_t
from ext.tables.half_open cimport is_half_open
from ext.tables.neighbour cimport (FAILED, INCOMPLETE, N_FREE, WAIT_PER_NEIGHBOUR, neighbour_bucket, neighbour_t,
                                   neighbours_t)
from ext.tables.pin cimport is_double
from ext.tables.service cimport services_t
from ext.tables.session cimport (FREE_KNOWN, IN_BUCKET, PROBES_ROOM, account_at, account_t, bucket_after, session_account,
                                 session_at, session_client, session_hash, session_home, session_t, sessions_t)
from ext.tables.source cimport FLOW, KINDS, PORT_NUMBERS, kind_of, source_holder
from ext.tables.state cimport ESTABLISHED, N_STATES, S_NONE, is_open
from ext.tables.tables cimport tables_t


cdef inline const char *fdb_audit(const fdb_t *fdb) noexcept nogil:
    cdef uint32_t bucket, i, n = 0, listed = 0
    for bucket in range(fdb.mask + 1):
        i = fdb.buckets[bucket]
        while i != FDB_NONE:
            if i >= fdb.limit or n >= fdb.limit:
                return "fdb: a bucket leads out of the table or in a circle"
            if hash_word(fdb.key, fdb.entries[i].key) & fdb.mask != bucket or fdb.entries[i].port >= FDB_PORTS:
                return "fdb: an entry in the wrong bucket or of no port"
            n += 1
            i = fdb.entries[i].next
    if n != fdb.n:
        return "fdb: n is not what the buckets hold"
    for i in range(<uint32_t>FDB_PORTS):
        if not fdb_port_is_sound(fdb, i):
            return "fdb: a port's list is broken"
        listed += fdb.n_of[i]
    if listed != n:
        return "fdb: the ports' lists do not hold what the buckets do"
    i = fdb.free
    while i != FDB_NONE and n <= fdb.limit:
        if i >= fdb.limit or fdb.entries[i].port != NO_PORT:
            return "fdb: the free list holds an entry in use"
        n += 1
        i = fdb.entries[i].next
    if n == fdb.limit:
        return NULL
    return "fdb: entries lost, neither free nor in use"


cdef inline bint fdb_port_is_sound(const fdb_t *fdb, uint32_t port) noexcept nogil:
    """The port's list reads the same both ways, is as long as it says, and holds only the port's entries."""
    cdef uint32_t n = 0, before = FDB_NONE, i = fdb.oldest[port]
    while i != FDB_NONE:
        if i >= fdb.limit or n >= fdb.limit or fdb.entries[i].port != port or fdb.entries[i].older != before:
            return False
        n += 1
        before = i
        i = fdb.entries[i].newer
    return n == fdb.n_of[port] and fdb.newest[port] == before


cdef inline const char *sessions_audit(const sessions_t *table, const services_t *services) noexcept nogil:
    cdef uint32_t place, n = 0, i
    cdef session_t *session
    if table.high > table.limit + PROBES_ROOM:
        return "sessions: more accounts than the limit were used"
    for place in range(table.n_buckets * IN_BUCKET):
        session = session_at(table, place)
        if session.protocol == 0:
            continue
        n += 1
        if session.state == S_NONE or session.state >= N_STATES or session.server >= services.n_servers:
            return "sessions: one has no state or no server"
        if session.account >= table.high:
            return "sessions: one has an account that was never used"
        if session_wrongly_placed(table, session, place // IN_BUCKET):
            return "sessions: one lies where it is not looked for"
    if n != table.n:
        return "sessions: n is not what the buckets hold"
    if not passed_are_counted(table):
        return "sessions: passed is not how many lie further on"
    for i in range(<uint32_t>FREE_KNOWN):
        if n <= table.high:
            n += free_len(table, i, table.high - n)
    if n == table.high:
        return NULL
    return "sessions: accounts lost, neither free nor in use"


cdef inline uint32_t free_len(const sessions_t *table, uint32_t known, uint32_t most) noexcept nogil:
    """How many free accounts are behind one of those known; more than `most` when they lead out of the table or on and on."""
    cdef uint32_t i = table.free[known], n = 0
    while i and n <= most:
        if i > table.high:
            return most + 1
        n += 1
        i = account_at(table, i - 1).created_ms
    return n


cdef inline bint session_wrongly_placed(const sessions_t *table, const session_t *session, uint32_t bucket) noexcept nogil:
    cdef uint32_t hash = session_hash(table, session_client(table, session), session.client_port, session.protocol)
    cdef uint32_t at = session_home(table, hash), probe = 0
    while at != bucket and probe < table.probes and table.buckets[at].passed:
        at = bucket_after(table, at)
        probe += 1
    return at != bucket


cdef inline bint passed_are_counted(const sessions_t *table) noexcept nogil:
    """Whether all buckets together have been passed as often as the sessions' distances from home say."""
    cdef uint64_t counted = 0, distances = 0
    cdef uint32_t place, hash
    cdef session_t *session
    for place in range(table.n_buckets * IN_BUCKET):
        session = session_at(table, place)
        if place % IN_BUCKET == 0:
            counted += table.buckets[place // IN_BUCKET].passed
        if session.protocol:
            hash = session_hash(table, session_client(table, session), session.client_port, session.protocol)
            distances += (place // IN_BUCKET + table.n_buckets - session_home(table, hash)) % table.n_buckets
    return counted == distances


cdef inline const char *sources_audit(const tables_t *tables) noexcept nogil:
    """Every session and flow with a source holds its port, and nobody else holds one; flows are all there."""
    cdef uint32_t family, place, i, kind, number, held = 0, holding = 0, n = 0
    cdef const sessions_t *table
    cdef const account_t *account
    cdef const flow_t *flow
    for family in range(<uint32_t>2):
        table = &tables.sessions[family]
        for place in range(table.n_buckets * IN_BUCKET):
            account = session_account(table, session_at(table, place))
            if session_at(table, place).protocol and account.source:
                holding += source_holder(&tables.sources, account.source - 1, kind_of(session_at(table, place).protocol),
                                         account.source_port) == place + 1
                held += 1
    for i in range(tables.flows.high):
        flow = &tables.flows.entries[i]
        n += flow.state != S_NONE
        if flow.state != S_NONE and flow.source:
            holding += source_holder(&tables.sources, flow.source - 1, kind_of(flow.ends.protocol), flow.source_port) == (
                (i + 1) | <uint32_t>FLOW)
            held += 1
    if tables.sources.n_sources != 0 and sources_hold(tables) != held:
        return "sources: they do not hold as many ports as they count"
    if holding != held:
        return "sources: a session or a flow does not hold its port"
    for i in range(tables.sources.n_sources):
        for kind in range(<uint32_t>KINDS):
            for number in range(<uint32_t>PORT_NUMBERS):
                held -= tables.sources.sources[i].held[kind].holders[number] != 0
    if held != 0:
        return "sources: a port is held by nobody that is there"
    if n != tables.flows.n:
        return "flows: n is not how many there are"
    return NULL


cdef inline uint32_t sources_hold(const tables_t *tables) noexcept nogil:
    """How many ports all addresses together say that they hold."""
    cdef uint32_t i, n = 0
    for i in range(tables.sources.n_sources):
        n += tables.sources.sources[i].n_held
    return n


cdef inline const char *half_open_audit(const tables_t *tables) noexcept nogil:
    cdef uint32_t family, place, n = 0
    for family in range(<uint32_t>2):
        for place in range(tables.sessions[family].n_buckets * IN_BUCKET):
            n += (session_at(&tables.sessions[family], place).protocol != 0
                  and is_half_open(session_at(&tables.sessions[family], place).state))
    if n == tables.half_open.n:
        return NULL
    return "half_open: n is not a recount's"


cdef inline const char *servers_audit(const tables_t *tables) noexcept nogil:
    """The servers' session counters equal a recount, and what their groups make of them is right."""
    cdef uint32_t server, active, inactive, open, probes = 0
    for server in range(tables.services.n_servers):
        active = inactive = open = 0
        sessions_of_server(&tables.sessions[0], server, &active, &inactive, &open)
        sessions_of_server(&tables.sessions[1], server, &active, &inactive, &open)
        if (tables.services.servers[server].sessions_active != active
                or tables.services.servers[server].sessions_inactive != inactive
                or tables.services.servers[server].sessions_open != open):
            return "servers: the session counters are not a recount's"
        if is_double(&tables.services, &tables.services.servers[server]):
            probes += active + inactive
    if tables.sessions[0].n + tables.sessions[1].n + tables.flows.n - probes > tables.sessions_limit:
        return "sessions: more than the limit of both families and of flows"
    return groups_audit(&tables.services)


cdef inline void sessions_of_server(const sessions_t *table, uint32_t server, uint32_t *active,
                                    uint32_t *inactive, uint32_t *open) noexcept nogil:
    cdef uint32_t i
    cdef session_t *session
    for i in range(table.n_buckets * IN_BUCKET):
        session = session_at(table, i)
        if session.protocol and session.server == server:
            active[0] += session.state == ESTABLISHED
            inactive[0] += session.state != ESTABLISHED
            open[0] += is_open(session.state)


cdef inline const char *neighbours_audit(const neighbours_t *table) noexcept nogil:
    cdef uint32_t bucket, i, n = 0, places = 0
    cdef neighbour_t *entry
    for bucket in range(table.mask + 1):
        i = table.buckets[bucket]
        while i:
            if i > table.limit or n >= table.limit:
                return "neighbours: a bucket leads out of the table or in a circle"
            entry = &table.entries[i - 1]
            if entry.state == N_FREE or entry.state > FAILED:
                return "neighbours: an entry in a chain has no state"
            if neighbour_bucket(table, entry.segment, entry.ip) != &table.buckets[bucket]:
                return "neighbours: an entry in the wrong bucket"
            if entry.waiting.n and (entry.state != INCOMPLETE or entry.waiting.n > <uint32_t>WAIT_PER_NEIGHBOUR):
                return "neighbours: frames wait where none may, or too many"
            if queue_len(&table.waiting, entry.waiting.first, i) != entry.waiting.n:
                return "neighbours: a queue is not as long as it says"
            places += entry.waiting.n
            n += 1
            i = entry.next
    if n != table.n:
        return "neighbours: n is not what the buckets hold"
    return waitings_audit(&table.waiting, places)


cdef inline const char *tables_audit(const tables_t *tables) noexcept nogil:
    """Everything above."""
    cdef const char *wrong
    cdef uint32_t i
    for i in range(tables.n_segments):
        wrong = fdb_audit(&tables.segments[i].fdb)
        if wrong is not NULL:
            return wrong
    for i in range(<uint32_t>2):
        wrong = sessions_audit(&tables.sessions[i], &tables.services)
        if wrong is not NULL:
            return wrong
    wrong = half_open_audit(tables)
    if wrong is not NULL:
        return wrong
    wrong = sources_audit(tables)
    if wrong is not NULL:
        return wrong
    wrong = segments_audit(tables)
    if wrong is not NULL:
        return wrong
    wrong = groups_audit(&tables.services)
    if wrong is not NULL:
        return wrong
    wrong = limits_audit(&tables.services, tables.crew.n == 1)
    if wrong is not NULL:
        return wrong
    wrong = servers_audit(tables)
    if wrong is not NULL:
        return wrong
    wrong = fragments_audit(&tables.fragments)
    return wrong if wrong is not NULL else neighbours_audit(&tables.neighbours)

# cython: freethreading_compatible=True
"""swlb._testing_sessions: the sessions and services of a Worker, for tests. Not in wheels.

They need much around them, so they look into a Worker, which must not be running meanwhile. Methods have the
names of the functions they call, without the table's. Addresses are 16 bytes, l4_ports in host order, times in
milliseconds modulo 2^32. `audit()` is None, or says what is broken; `..._ns()` are for the benchmark.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ext.address cimport ip_load, ip_store, ip_t
from ext.forward.foresee cimport foresee as forward_foresee, foresee_session
from ext.frame cimport VNET_LEN, frame_t
from ext.judge cimport worker_t
from ext.order cimport htons, ntohs
from ext.schedule.choose cimport schedule, scheduled
from ext.tables.decision cimport choice_begin, choice_t
from ext.tables.group cimport group_has_room, group_t, group_taker
from ext.tables cimport audit as audits, persist, service, session, session_life
from ext.tables.tables cimport tables_t
from ext.testing_pace cimport pace_bursts_ns, pace_pick, pace_remove, pace_single_ns, pace_t, request_t as pace_request_t


cdef bytes ip_bytes(ip_t ip):
    cdef uint8_t out[16]
    ip_store(out, ip)
    return PyBytes_FromStringAndSize(<char *>out, 16)


cdef ip_t ip_from(bytes data):
    if len(data) != 16:
        raise ValueError("an address is 16 bytes")
    return ip_load(<const uint8_t *>PyBytes_AS_STRING(data))


cdef object said(const char *wrong):
    return None if wrong is NULL else wrong.decode()


cdef tables_t *tables_of(worker) except NULL:
    cdef uintptr_t address = worker.address
    return &(<worker_t *>address).tables


def audit(worker):
    """None, or the first thing that is wrong with any of the worker's tables."""
    return said(audits.tables_audit(tables_of(worker)))


def foresee(worker, uint16_t segment, bytes frame, uint32_t stale=0) -> dict:
    """vip, hash and found of a frame that came in on the segment; `stale` is what stands in vip and hash before."""
    cdef frame_t seen
    cdef uint8_t slot[2048]
    if len(frame) > 2048 - VNET_LEN:
        raise ValueError(f"a frame of at most {2048 - VNET_LEN} bytes")
    memset(slot, 0, sizeof(slot))
    memcpy(slot + VNET_LEN, PyBytes_AS_STRING(frame), len(frame))
    memset(&seen, 0, sizeof(seen))
    seen.data = slot + VNET_LEN
    seen.len = len(frame)
    seen.segment = segment
    seen.hash = stale
    seen.vip = <uint16_t>stale
    forward_foresee(tables_of(worker), &seen)
    foresee_session(tables_of(worker), &seen)
    return {"vip": seen.vip, "hash": seen.hash, "found": seen.found, "runt": bool(seen.runt)}


cdef class Sessions:
    """One family's sessions of a Worker."""

    cdef object worker         # kept alive
    cdef session.sessions_t *table
    cdef service.services_t *services
    cdef uint64_t random       # where the paces go on, so that none picks what the one before has left in the cache

    def __cinit__(self, worker, int family):
        cdef tables_t *tables = tables_of(worker)
        self.worker = worker
        self.table = &tables.sessions[0 if family == 4 else 1]
        self.services = &tables.services
        self.random = 0x9E3779B97F4A7C15ULL

    def insert(self, bytes client, uint16_t client_port, uint8_t protocol, uint16_t vip_port, uint16_t server,
               uint32_t now_ms, uint8_t state) -> bool:
        """A session in that state, or False when the table is full."""
        cdef session.session_t *made = session_life.session_insert(
            self.table, self.services, self.hash(client, client_port, protocol), ip_from(client), htons(client_port),
            protocol, htons(vip_port), server, now_ms)
        if made is not NULL:
            session_life.session_set_state(self.table, self.services, made, state)
        return made is not NULL

    def session_hash(self, bytes client, uint16_t client_port, uint8_t protocol) -> int:
        return self.hash(client, client_port, protocol)

    cdef uint32_t hash(self, bytes client, uint16_t client_port, uint8_t protocol):
        return session.session_hash(self.table, ip_from(client), htons(client_port), protocol)

    cdef session.session_t *find(self, tuple request):
        """By (client, client port, protocol, VIP, VIP port)."""
        client, client_port, protocol, vip, vip_port = request
        return session.session_of_request(self.table, self.services, self.hash(client, client_port, protocol),
                                          ip_from(client), htons(client_port), protocol, ip_from(vip),
                                          htons(vip_port))

    cdef object row(self, session.session_t *s):
        """(client, client port, protocol, VIP port, server, state), or None."""
        if s is NULL:
            return None
        return (ip_bytes(session.session_client(self.table, s)), ntohs(s.client_port), s.protocol, ntohs(s.vip_port),
                s.server, s.state)

    def of_request(self, tuple request) -> tuple | None:
        return self.row(self.find(request))

    def of_reply(self, bytes client, uint16_t client_port, uint8_t protocol, bytes server_ip,
                 uint16_t server_port) -> tuple | None:
        return self.row(session.session_of_reply(self.table, self.services,
                                                 self.hash(client, client_port, protocol), ip_from(client),
                                                 htons(client_port), protocol, ip_from(server_ip),
                                                 htons(server_port)))

    def set_state(self, tuple request, uint8_t state) -> bool:
        cdef session.session_t *s = self.find(request)
        if s is not NULL:
            session_life.session_set_state(self.table, self.services, s, state)
        return s is not NULL

    def count(self, tuple request, int direction, uint32_t n_bytes, uint32_t now_ms) -> bool:
        cdef session.session_t *s = self.find(request)
        if s is not NULL:
            session_life.session_count(self.table, self.services, s, direction, n_bytes, now_ms)
        return s is not NULL

    def remove(self, tuple request) -> bool:
        cdef session.session_t *s = self.find(request)
        if s is not NULL:
            session_life.session_remove(self.table, self.services, s, 0)
        return s is not NULL

    def crowded(self, bytes client, uint16_t client_port, uint8_t protocol) -> bool:
        return bool(session_life.session_crowded(
            self.table, self.hash(client, client_port, protocol), ip_from(client), htons(client_port)))

    def sweep(self, uint32_t budget, uint32_t now_ms) -> int:
        return session_life.sessions_sweep(self.table, self.services, budget, now_ms)

    def lookup_ns(self, uint32_t n, single=False) -> float:
        """Nanoseconds to find a session by its request, over n in random order: in bursts, or each after the last."""
        return self.pace(n, 1, not single, single)

    def insert_ns(self, uint32_t n, uint32_t rounds) -> float:
        """Nanoseconds to begin a session, over n in bursts that have ended just before, in each of the rounds."""
        return self.pace(min(n, self.table.n), rounds, False, False)

    cdef double pace(self, uint32_t n, uint32_t rounds, bint bursts, bint single) except -1:
        cdef pace_t pace
        cdef uint64_t taken_ns = 0
        cdef uint32_t i
        memset(&pace, 0, sizeof(pace))
        pace.table, pace.services, pace.random = self.table, self.services, self.random
        pace.requests = <pace_request_t *>malloc(<size_t>n * sizeof(pace_request_t))
        if pace.requests is NULL:
            raise MemoryError
        with nogil:
            for i in range(rounds):
                if bursts or single:
                    pace_pick(&pace, n)
                else:
                    pace_remove(&pace, n)
                taken_ns += pace_single_ns(&pace, n) if single else pace_bursts_ns(&pace, n, not bursts)
        free(pace.requests)
        self.random = pace.random
        if pace.n_found != n * rounds:
            raise ValueError(f"{n * rounds - pace.n_found} of {n * rounds} sessions were not found or not begun")
        return <double>taken_ns / n / rounds

    def audit(self): return said(audits.sessions_audit(self.table, self.services))
    def __len__(self): return self.table.n

    @property
    def high(self): return self.table.high

    @property
    def pages(self): return self.table.n_pages

    @property
    def bytes(self):
        """What the table takes when it is full."""
        return (self.table.n_buckets * sizeof(session.bucket_t) + self.table.n_pages
                + <uint64_t>self.table.limit * self.table.stride)


cdef class Services:
    """The services of a Worker; services, VIPs and servers are named by their index."""

    cdef object worker         # kept alive
    cdef tables_t *tables
    cdef service.services_t *table

    def __cinit__(self, worker):
        self.worker = worker
        self.tables = tables_of(worker)
        self.table = &self.tables.services

    def find(self, bytes vip, uint8_t protocol, uint16_t l4_port) -> int | None:
        cdef service.vip_t *at = service.vip_find(self.table, ip_from(vip))
        cdef service.service_t *found = NULL
        if at is not NULL:
            found = service.service_find(self.table, at, protocol, htons(l4_port))
        return None if found is NULL else found - self.table.services

    def is_vip(self, bytes ip) -> bool:
        return service.vip_find(self.table, ip_from(ip)) is not NULL

    def is_active(self, bytes vip) -> bool:
        return bool(service.vip_find(self.table, ip_from(vip)).active)

    def announcements(self, bytes vip) -> int:
        return service.vip_find(self.table, ip_from(vip)).announcements

    def takers(self, uint32_t index, int family) -> int:
        return self.table.services[index].groups[0 if family == 4 else 1].n_takers

    def serving(self, uint32_t index, int family) -> int:
        return self.table.services[index].groups[0 if family == 4 else 1].n_serving

    def choose(self, uint32_t index, int family) -> int | None:
        """The server that the service's scheduler chooses for a new session, of which no packet is known."""
        cdef frame_t frame
        cdef choice_t choice
        cdef group_t *group = &self.table.services[index].groups[0 if family == 4 else 1]
        memset(&frame, 0, sizeof(frame))
        if not group_has_room(group):
            return None
        choice_begin(&choice)
        i = schedule(&self.table.services[index], 0 if family == 4 else 1, &frame, self.table.servers, &choice)
        scheduled(group, i)
        return group_taker(group, self.table.servers, i) - self.table.servers

    def persist_give(self, uint32_t index, int family, bytes client, uint16_t server, uint32_t now_ms) -> tuple[int, int]:
        """The server the client has once a worker has chosen that one for it, and the hold."""
        cdef persist.persist_t key = persist.persist_key(
            self.table, &self.table.services[index], 0 if family == 4 else 1, ip_from(client))
        cdef uint32_t hold = 0
        has = persist.persist_give(self.tables.persists, self.table, &key, &self.table.servers[server], &hold, now_ms)
        return has - self.table.servers, hold

    def audit(self): return said(audits.servers_audit(self.tables))

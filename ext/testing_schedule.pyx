# cython: freethreading_compatible=True
"""swlb._testing_schedule: whom a service's scheduler names, and what that costs, for tests. Not in wheels.

It looks into a Worker, which must not be running meanwhile. The doors whose names end in `_ns` are for the benchmark.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from ext.address cimport ip_of_v4
from ext.frame cimport FOUND_L4, frame_t
from ext.judge cimport clock_ns, worker_t
from ext.order cimport htons
from ext.schedule.choose cimport schedule, scheduled
from ext.tables.decision cimport choice_begin, choice_t
from ext.tables.group cimport group_has_room, group_t, group_taker
from ext.tables.server cimport V4, V6
from ext.tables.session cimport session_hash, session_t
from ext.tables.session_life cimport session_insert, session_remove, session_set_state
from ext.tables.state cimport ESTABLISHED
from ext.tables.tables cimport tables_t
from ext.wire.ipv4 cimport PROTO_TCP

cdef enum:
    ALIVE = 4096               # sessions that are open while a session's cost is measured


cdef class Schedule:
    """The scheduler of one service of a Worker, for clients of one family."""

    cdef object worker         # kept alive
    cdef tables_t *tables
    cdef uint32_t service
    cdef int family
    cdef group_t *group
    cdef frame_t frame
    cdef uint32_t n_frames

    def __cinit__(self, worker, uint32_t service, int family):
        cdef uintptr_t address = worker.address
        self.worker = worker
        self.tables = &(<worker_t *>address).tables
        self.service = service
        self.family = V4 if family == 4 else V6
        self.group = &self.tables.services.services[service].groups[self.family]
        memset(&self.frame, 0, sizeof(self.frame))
        self.frame.family = 4
        self.frame.protocol = PROTO_TCP
        self.frame.found = FOUND_L4
        self.frame.dst = ip_of_v4(1)
        self.frame.dport = htons(80)

    def choose(self) -> int | None:
        """The server that is chosen for a new session, of which no packet is known; None: nobody has room."""
        if not group_has_room(self.group):
            return None
        return self.choose_one()

    cdef uint32_t choose_one(self) noexcept nogil:
        cdef choice_t choice
        cdef uint32_t i, server
        choice_begin(&choice)
        i = schedule(&self.tables.services.services[self.service], self.family, &self.frame,
                     self.tables.services.servers, &choice)
        server = <uint32_t>(group_taker(self.group, self.tables.services.servers, i) - self.tables.services.servers)
        scheduled(self.group, i)
        return server

    cdef void next_frame(self) noexcept nogil:
        """Another client's SYN."""
        self.n_frames += 1
        self.frame.src = ip_of_v4(10 << 24 | self.n_frames * 2654435761u >> 8)
        self.frame.sport = <uint16_t>self.n_frames
        self.frame.hash = session_hash(&self.tables.sessions[V4], self.frame.src, self.frame.sport, PROTO_TCP)

    def seed(self, uint64_t state) -> None:
        """The state of the generator that p2c draws by."""
        self.group.random = state

    def takers(self) -> list[int]:
        """The servers that may be given a new session, in the order of the configuration."""
        return [self.group.members[self.group.takers[i]] for i in range(self.group.n_takers)]

    def choice_ns(self, uint32_t n) -> float:
        """Nanoseconds that a choice takes; somebody must have room."""
        cdef uint64_t begin_ns, end_ns
        cdef uint32_t i, sum = 0
        with nogil:
            begin_ns = clock_ns()
            for i in range(n):
                self.next_frame()
                sum += self.choose_one()
            end_ns = clock_ns()
        self.frame.vip = <uint16_t>sum        # used, so that nothing of it is left out
        return <double>(end_ns - begin_ns) / n

    def session_ns(self, uint32_t n) -> float:
        """Nanoseconds for a session in all tables: chosen, begun, established, and ended when ALIVE younger ones are there."""
        cdef session_t *alive[ALIVE]
        cdef uint64_t begin_ns, end_ns
        cdef uint32_t i, place
        memset(alive, 0, sizeof(alive))
        with nogil:
            begin_ns = clock_ns()
            for i in range(n):
                place = i % ALIVE
                if alive[place] is not NULL:
                    session_remove(&self.tables.sessions[V4], &self.tables.services, alive[place], 0)
                alive[place] = self.begin()
            end_ns = clock_ns()
            for i in range(<uint32_t>ALIVE):
                if alive[i] is not NULL:
                    session_remove(&self.tables.sessions[V4], &self.tables.services, alive[i], 0)
        return <double>(end_ns - begin_ns) / n

    cdef session_t *begin(self) noexcept nogil:
        cdef session_t *session
        self.next_frame()
        session = session_insert(&self.tables.sessions[V4], &self.tables.services, self.frame.hash, self.frame.src,
                                 self.frame.sport, PROTO_TCP, self.frame.dport, <uint16_t>self.choose_one(), 0)
        if session is not NULL:
            session_set_state(&self.tables.sessions[V4], &self.tables.services, session, ESTABLISHED)
        return session

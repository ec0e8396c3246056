"""The worker's loop: a burst from every port, judged, carried out; and what it does between two turns.

One thread owns a worker_t and all its tables. The control plane reaches them only by a call that the loop runs
between two turns (`call_t`), so nothing is locked on the way of a frame.
"""

from libc.stdint cimport uint32_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport read, write

from ext.address cimport ip_t
from ext.debug cimport likely, unlikely
from ext.forward.output cimport neighbour_output
from ext.forward.foresee cimport foresee, foresee_session
from ext.forward.pipeline cimport forward
from ext.forward.upkeep cimport upkeep_next, upkeep_tick
from ext.frame cimport frame_t
from ext.outbox cimport carry_out, flush, outbox_t
from ext.ports.port cimport BURST, PORTS, port_t, room_t
from ext.ports.batch cimport batch_ask, batch_close, batch_open, batch_turn
from ext.ports.ring cimport ring_enter, ring_t
from ext.sync cimport load_acquire, store_release
from ext.tables.event cimport EVENT_PORT_LOST
from ext.tables.fdb cimport fdb_forget_port
from ext.tables.neighbour cimport waiting_free, waiting_next
from ext.tables.tables cimport report, tables_t
from ext.verdict cimport DROP_TX_FAILED, TAKEN, verdict_t

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd *fds, unsigned long n, int timeout_ms)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef enum:
    TICK_MS = 100
    TICK_NS = 100000000
    # How long the loop looks for frames after the last one before it sleeps. A wake-up costs the sender and us about
    # as much, and a reply that comes back within a round trip then finds the loop awake.
    SPIN_NS = 50000
    # The clock and the calls are looked at every so many empty rounds.
    ROUNDS = 8
    # While other ports have frames, one that has none is looked at more and more rarely: an empty read costs as much
    # as half a small frame.
    MAX_BACKOFF = 16

cdef struct worker_t

ctypedef void (*call_fn)(worker_t *worker, void *argument) noexcept nogil

cdef struct call_t:
    call_fn fn
    void *argument
    uint32_t pending       # set by the control plane, cleared by the loop

cdef struct worker_t:
    tables_t tables
    room_t room
    ring_t ring            # reads and writes the TAPs, when it is open
    bint rings             # it is to be opened
    uint32_t first         # port that is asked first this turn
    frame_t burst[BURST]
    frame_t spare          # for what swlb says of itself
    outbox_t outbox
    uint32_t ready[BURST]  # places of waiting frames that are on their way
    bint moved             # something did in the last turn
    uint64_t ticked_ns
    uint64_t turns
    uint64_t sleeps
    call_t call
    int wake_fd            # eventfd: a call is pending, or the end
    int done_fd            # eventfd: the call is done
    uint32_t stopping


cdef inline uint64_t clock_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <uint64_t>t.tv_sec * 1000000000ULL + <uint64_t>t.tv_nsec


cdef inline uint32_t to_ms(uint64_t ns) noexcept nogil:
    """Milliseconds modulo 2^32, as tables keep time."""
    return <uint32_t>(ns // 1000000)


cdef inline int receive(worker_t *worker, port_t *port, uint32_t now_ms) noexcept nogil:
    """A burst of the port is judged and gone; how many frames it had."""
    cdef frame_t *frame
    cdef ip_t none
    cdef int i, n = port.rx_burst(port, &worker.room, worker.burst, BURST)
    if unlikely(n < 0):
        port_lost(worker, port)
        return 0
    for i in range(n):
        frame = &worker.burst[i]
        frame.port = port.index
        frame.segment = port.segment
        port.rx_frames += 1
        port.rx_bytes += frame.len
        foresee(&worker.tables, frame)
    if n > 1:
        for i in range(n):
            foresee_session(&worker.tables, &worker.burst[i])
    for i in range(n):
        carry_out(&worker.tables, &worker.outbox, &worker.burst[i],
                  forward(&worker.tables, &worker.burst[i], now_ms))
    if n:
        flush(&worker.tables, &worker.outbox)
        if port.ring is NULL:
            settle(worker)
    return n


cdef inline void settle(worker_t *worker) noexcept nogil:
    """Nothing waits in the ring to be written: the bytes of frames may be used again."""
    if worker.ring.fd >= 0 and worker.ring.n_queued:
        ring_enter(&worker.ring)


cdef inline void port_lost(worker_t *worker, port_t *port) noexcept nogil:
    """The port's device is gone for good: no station is behind it, and it is not read again."""
    cdef ip_t none
    none.hi = none.lo = 0
    port.lost = True
    port.up = False
    fdb_forget_port(&worker.tables.segments[port.segment].fdb, port.index)
    report(&worker.tables, EVENT_PORT_LOST, port.segment, port.index, 0, none)


cdef inline int release(worker_t *worker, uint32_t now_ms) noexcept nogil:
    """Frames that need wait for a neighbour no longer are gone, a burst at most; how many."""
    cdef int i, n = 0
    cdef uint32_t place
    while n < BURST:
        place = waiting_next(&worker.tables.neighbours)
        if likely(place == 0):
            break
        worker.ready[n] = place
        n += 1
        carry_out(&worker.tables, &worker.outbox, &worker.tables.neighbours.waiting[place - 1].frame,
                  neighbour_output(&worker.tables, &worker.tables.neighbours.waiting[place - 1].frame, now_ms))
    if n:
        flush(&worker.tables, &worker.outbox)
        settle(worker)
    for i in range(n):
        waiting_free(&worker.tables.neighbours, worker.ready[i])
    return n


cdef inline void tick(worker_t *worker, uint64_t now_ns) noexcept nogil:
    """What time has brought about is done, at most TICK_MS late."""
    cdef uint32_t cursor = 0, now_ms = to_ms(now_ns)
    cdef verdict_t verdict
    upkeep_tick(&worker.tables, now_ms - to_ms(worker.ticked_ns), now_ms)
    worker.ticked_ns = now_ns
    while True:
        verdict = upkeep_next(&worker.tables, &worker.spare, &cursor, now_ms)
        if verdict == TAKEN:
            return
        carry_out(&worker.tables, &worker.outbox, &worker.spare, verdict)
        flush(&worker.tables, &worker.outbox)
        settle(worker)


cdef inline bint is_due(worker_t *worker, port_t *port) noexcept nogil:
    """Whether the port is looked at this turn: not while it rests and other ports have frames."""
    if unlikely(port.lost):
        return False
    if port.rest and worker.moved:
        port.rest -= 1
        return False
    return True


cdef inline void ask(worker_t *worker) noexcept nogil:
    """What the last turn left to write has left, and frames of every port that is due have come."""
    cdef uint32_t i, n = worker.tables.n_ports
    cdef port_t *port
    batch_turn(&worker.ring)
    for i in range(n):
        port = &worker.tables.ports[(worker.first + i) % n]
        port.asked = 0
        if port.ring is not NULL and is_due(worker, port):
            batch_ask(&worker.ring, port)
    worker.first += 1
    ring_enter(&worker.ring)


cdef inline int visit(worker_t *worker, port_t *port, uint32_t now_ms) noexcept nogil:
    """How many frames the port had."""
    cdef int n
    if (port.asked == 0 if port.ring is not NULL else not is_due(worker, port)):
        return 0
    n = receive(worker, port, now_ms)
    if n:
        port.backoff = 0
    elif port.fd >= 0 and port.backoff < MAX_BACKOFF:
        port.backoff = port.backoff * 2 + 1
    port.rest = port.backoff
    return n


cdef inline int turn(worker_t *worker, uint64_t now_ns) noexcept nogil:
    """One turn: every port's burst in, judged, out. How many frames moved."""
    cdef uint32_t i, now_ms = to_ms(now_ns)
    cdef int moved = 0
    worker.tables.now_ns = now_ns
    if worker.ring.fd >= 0:
        ask(worker)
    for i in range(worker.tables.n_ports):
        moved += visit(worker, &worker.tables.ports[i], now_ms)
    moved += release(worker, now_ms)
    if unlikely(now_ns - worker.ticked_ns >= TICK_NS):
        tick(worker, now_ns)
        moved += release(worker, now_ms)
    worker.moved = moved != 0
    return moved


cdef inline void answer_call(worker_t *worker) noexcept nogil:
    """A pending call of the control plane is done, and its caller awake."""
    cdef uint64_t one = 1
    if load_acquire(&worker.call.pending):
        worker.call.fn(worker, worker.call.argument)
        store_release(&worker.call.pending, 0)
        write(worker.done_fd, &one, sizeof(one))


cdef inline void sleep_for_frames(worker_t *worker, uint64_t now_ns) noexcept nogil:
    """A frame or a call is there, or the next tick is due."""
    cdef pollfd fds[PORTS + 1]
    cdef uint32_t i, n = 1
    cdef uint64_t drained
    cdef int left_ms = TICK_MS - <int>((now_ns - worker.ticked_ns) // 1000000)
    fds[0].fd = worker.wake_fd
    fds[0].events = POLLIN
    for i in range(worker.tables.n_ports):
        if worker.tables.ports[i].fd >= 0 and not worker.tables.ports[i].lost:
            fds[n].fd = worker.tables.ports[i].fd
            fds[n].events = POLLIN
            n += 1
    worker.sleeps += 1
    if poll(fds, n, left_ms if left_ms > 1 else 1) > 0 and fds[0].revents:
        read(worker.wake_fd, &drained, sizeof(drained))


cdef inline void run_loop(worker_t *worker) noexcept nogil:
    """Turns until `stopping` is set."""
    cdef uint64_t now_ns = clock_ns()
    cdef uint64_t moved_ns = now_ns
    cdef int rounds = 0
    worker.ticked_ns = now_ns
    if worker.rings:
        batch_open(&worker.ring, worker.tables.ports, worker.tables.n_ports, &worker.tables.drops[DROP_TX_FAILED])
    while not load_acquire(&worker.stopping):
        worker.turns += 1
        if turn(worker, now_ns):
            now_ns = moved_ns = clock_ns()
            answer_call(worker)
            continue
        # An end point that shares this processor goes first: spinning must not take its time (measured: bulk +15 %,
        # new connections +70 % over a pause instruction on two processors shared by all).
        sched_yield()
        rounds += 1
        if rounds < ROUNDS:
            continue
        rounds = 0
        answer_call(worker)
        now_ns = clock_ns()
        if now_ns - moved_ns >= SPIN_NS:
            sleep_for_frames(worker, now_ns)
            now_ns = clock_ns()
    batch_close(&worker.ring, worker.tables.ports, worker.tables.n_ports)
    answer_call(worker)

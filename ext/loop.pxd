"""The worker's loop: turn after turn while there are frames, then asleep; and calls between two turns."""

from libc.stdint cimport uint32_t, uint64_t
from posix.unistd cimport read, write

from ext.judge cimport clock_ns, worker_t
from ext.mail cimport has_mail
from ext.ports.batch cimport batch_close, batch_open
from ext.ports.port cimport PORTS
from ext.sync cimport fence, load_acquire, store_release
from ext.turn cimport turn
from ext.verdict cimport DROP_TX_FAILED

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
    TICK_MS = 100          # as TICK_NS of turn.pxd
    # How long the loop looks for frames after the last one before it sleeps. A wake-up costs the sender and us about
    # as much, and a reply that comes back within a round trip then finds the loop awake.
    SPIN_NS = 50000
    # The clock and the calls are looked at every so many empty rounds.
    ROUNDS = 8


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
    # Whoever posts a letter after this look finds the flag, and wakes us.
    worker.parked = 1
    fence()
    if not has_mail(&worker.tables.crew) and poll(fds, n, left_ms if left_ms > 1 else 1) > 0 and fds[0].revents:
        read(worker.wake_fd, &drained, sizeof(drained))
    store_release(&worker.parked, 0)


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

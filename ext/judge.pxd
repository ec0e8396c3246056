"""A worker, and its judgement: a burst of frames parsed, decided about, and on its way.

One thread owns a worker_t and all its tables. The control plane reaches them only by a call that the loop runs
between two turns (`call_t`), so nothing is locked on the way of a frame.
"""

from libc.stdint cimport uint32_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from ext.forward.foresee cimport foresee, foresee_session, is_far_seeing
from ext.forward.pipeline cimport forward
from ext.frame cimport frame_t
from ext.outbox cimport carry_out, flush, outbox_t
from ext.ports.port cimport BURST, room_t
from ext.ports.ring cimport ring_t
from ext.tables.tables cimport tables_t

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
    uint32_t parked        # it sleeps, or is about to


cdef inline uint64_t clock_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <uint64_t>t.tv_sec * 1000000000ULL + <uint64_t>t.tv_nsec


cdef inline uint32_t to_ms(uint64_t ns) noexcept nogil:
    """Milliseconds modulo 2^32, as tables keep time."""
    return <uint32_t>(ns // 1000000)


cdef inline void judge(worker_t *worker, int n, uint32_t now_ms) noexcept nogil:
    """The first n frames of the burst are judged, and on their way."""
    cdef int i
    for i in range(n):
        foresee(&worker.tables, &worker.burst[i])
    if n > 1 and is_far_seeing(&worker.tables):
        for i in range(n):
            foresee_session(&worker.tables, &worker.burst[i])
    for i in range(n):
        carry_out(&worker.tables, &worker.outbox, &worker.burst[i],
                  forward(&worker.tables, &worker.burst[i], now_ms))
    if n:
        flush(&worker.tables, &worker.outbox)

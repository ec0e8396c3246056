"""One turn of a worker: a burst from every port, the letters of others, and what time has brought about."""

from libc.stdint cimport uint32_t, uint64_t

from ext.address cimport ip_t
from ext.debug cimport unlikely
from ext.forward.output cimport neighbour_output
from ext.forward.pipeline cimport forward
from ext.forward.upkeep cimport upkeep_next, upkeep_tick
from ext.frame cimport frame_t, slot_frame
from ext.judge cimport judge, to_ms, worker_t
from ext.mail cimport take_mail
from ext.outbox cimport carry_out, flush, settle
from ext.ports.batch cimport batch_ask, batch_turn
from ext.ports.port cimport BURST, is_there, port_t
from ext.ports.ring cimport ring_enter
from ext.ports.trunk cimport port_state, tell_apart
from ext.tables.crew cimport crew_wake
from ext.tables.event cimport EVENT_PORT_LOST
from ext.tables.service cimport vip_index
from ext.tables.tables cimport count_made, report
from ext.tables.waiting cimport queue_take, waiting_frame, waiting_free, waitings_t
from ext.verdict cimport DROP_PORT_DOWN, DROP_UNREAD, TAKEN, verdict_t

cdef enum:
    TICK_NS = 100000000
    # While other ports have frames, one that has none is looked at more and more rarely: an empty read costs as much
    # as half a small frame.
    MAX_BACKOFF = 16


cdef inline int receive(worker_t *worker, port_t *port, uint32_t now_ms) noexcept nogil:
    """A burst of the port is judged and gone; how many frames it had."""
    cdef frame_t *frame
    cdef int i, n = port.rx_burst(port, &worker.room, worker.burst, BURST)
    if unlikely(n < 0):
        port_lost(worker, port)
        return 0
    if unlikely(port.unread):
        count_unread(worker, port)
    for i in range(n):
        frame = &worker.burst[i]
        frame.port = port.index
        frame.segment = port.segment
        frame.handed = False
        frame.priority = 0
        frame.waited = False
        port.rx_frames += 1
        port.rx_bytes += frame.len
    judge(worker, n if port.members is NULL else tell_apart(&worker.tables, port, worker.burst, n), now_ms)
    if n and port.ring is NULL:
        settle(&worker.outbox)
    return n


cdef inline void count_unread(worker_t *worker, port_t *port) noexcept nogil:
    """Frames that came, but not whole, are counted as dropped."""
    port.rx_frames += port.unread
    port.rx_dropped += port.unread
    worker.tables.drops[DROP_UNREAD] += port.unread
    port.unread = 0


cdef inline void port_lost(worker_t *worker, port_t *port) noexcept nogil:
    """The port's device is gone for good: no station is behind it or its VLANs, and it is not read again."""
    cdef ip_t none
    none.hi = none.lo = 0
    port.lost = True
    port_state(&worker.tables, port, False, port.mtu)
    report(&worker.tables, EVENT_PORT_LOST, port.segment, port.index, 0, none)


cdef inline int release(worker_t *worker, uint32_t now_ms) noexcept nogil:
    """Frames that need wait no longer are gone, a burst at most of each kind; how many."""
    cdef int n = 0
    if unlikely(worker.tables.fragments.waiting.ready.n):
        n = release_burst(worker, &worker.tables.fragments.waiting, True, now_ms)
    if unlikely(worker.tables.neighbours.waiting.ready.n):
        n += release_burst(worker, &worker.tables.neighbours.waiting, False, now_ms)
    return n


cdef inline int release_burst(worker_t *worker, waitings_t *pool, bint fragments, uint32_t now_ms) noexcept nogil:
    """The same of those that waited for their first fragment, or for a neighbour."""
    cdef int i, n = 0
    cdef frame_t *frame
    cdef verdict_t verdict
    while n < BURST and pool.ready.n:
        worker.ready[n] = queue_take(pool, &pool.ready)
        frame = waiting_frame(pool, worker.ready[n])
        n += 1
        if not fragments:
            verdict = neighbour_output(&worker.tables, frame, now_ms)
        elif is_there(&worker.tables.ports[frame.port], frame.segment):
            # VIPs may have other places since it came.
            frame.vip = vip_index(&worker.tables.services, frame.dst)
            verdict = forward(&worker.tables, frame, now_ms)
        else:
            verdict = DROP_PORT_DOWN
        carry_out(&worker.tables, &worker.outbox, frame, verdict)
    flush(&worker.tables, &worker.outbox)
    settle(&worker.outbox)
    for i in range(n):
        waiting_free(pool, worker.ready[i])
    return n


cdef inline void tick(worker_t *worker, uint64_t now_ns) noexcept nogil:
    """What time has brought about is done, at most TICK_MS late."""
    cdef uint32_t cursor = 0, now_ms = to_ms(now_ns)
    cdef verdict_t verdict
    upkeep_tick(&worker.tables, now_ms - to_ms(worker.ticked_ns), now_ms)
    worker.ticked_ns = now_ns
    while True:
        # Where it begins, whatever a tunnel or a tag has grown in front of the one before.
        worker.spare.data = slot_frame(worker.room.slots, BURST)
        worker.spare.priority = 0
        verdict = upkeep_next(&worker.tables, &worker.spare, &cursor, now_ms)
        if verdict == TAKEN:
            return
        count_made(&worker.tables, &worker.spare, 1)
        carry_out(&worker.tables, &worker.outbox, &worker.spare, verdict)
        flush(&worker.tables, &worker.outbox)
        settle(&worker.outbox)


cdef inline bint is_due(worker_t *worker, port_t *port) noexcept nogil:
    """Whether the port is looked at this turn: not while it rests and other ports have frames, nor a VLAN of another."""
    if unlikely(port.lost or port.rx_burst is NULL):
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
    if unlikely(worker.tables.crew.n > 1):
        moved += take_mail(worker, now_ms)
    moved += release(worker, now_ms)
    if unlikely(now_ns - worker.ticked_ns >= TICK_NS):
        tick(worker, now_ns)
        moved += release(worker, now_ms)
    if unlikely(worker.tables.crew.posted):
        crew_wake(&worker.tables.crew)
    worker.moved = moved != 0
    return moved

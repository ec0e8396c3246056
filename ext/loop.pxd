"""The worker's loop: a burst from every port, judged, carried out; and what it does between two turns.

One thread owns a worker_t and all its tables. The control plane reaches them only by a call that the loop runs
between two turns (`call_t`), so nothing is locked on the way of a frame.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport read, write

from ext.address cimport ip_t
from ext.debug cimport likely, unlikely
from ext.forward.output cimport neighbour_output
from ext.forward.pipeline cimport forward
from ext.forward.upkeep cimport upkeep_next, upkeep_tick
from ext.frame cimport NO_PORT, frame_t, frame_vnet
from ext.ports.port cimport BURST, PORTS, port_t, room_t
from ext.sync cimport cpu_pause, load_acquire, store_release
from ext.tables.event cimport EVENT_PORT_LOST
from ext.tables.fdb cimport fdb_forget_port
from ext.tables.neighbour cimport waiting_free, waiting_next
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport drop_count, report, tables_t
from ext.verdict cimport (DROP_NOWHERE, DROP_OVERSIZE, DROP_PORT_DOWN, DROP_TX_FAILED, FLOOD, FLOOD_STATIONS, N_DROPS,
                          SEND, TAKEN, verdict_t)
from ext.wire.ethernet cimport ETH_LEN, TAG_LEN
from ext.wire.vnet cimport GSO_NONE, vnet_hdr

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd *fds, unsigned long n, int timeout_ms)

cdef enum:
    TICK_MS = 100
    TICK_NS = 100000000
    # How long the loop looks for frames after the last one before it sleeps. A wake-up costs the sender and us about
    # as much, and a reply that comes back within a round trip then finds the loop awake.
    SPIN_NS = 50000
    # The clock and the calls are looked at every so many empty rounds.
    ROUNDS = 8

cdef struct worker_t

ctypedef void (*call_fn)(worker_t *worker, void *argument) noexcept nogil

cdef struct call_t:
    call_fn fn
    void *argument
    uint32_t pending       # set by the control plane, cleared by the loop

cdef struct worker_t:
    tables_t tables
    room_t room
    frame_t burst[BURST]
    frame_t spare          # for what swlb says of itself
    frame_t *out[PORTS][BURST]
    uint16_t n_out[PORTS]
    uint16_t busy[PORTS]   # ports with something in out, each once
    uint32_t n_busy
    uint32_t ready[BURST]  # places of waiting frames that are on their way
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


cdef inline bint frame_fits(const frame_t *frame, uint32_t mtu) noexcept nogil:
    """Whether a port of that MTU takes the frame: one tag comes on top, a second if there is one."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    cdef uint32_t most = mtu + ETH_LEN + TAG_LEN
    if frame.n_tags > 1:
        most += TAG_LEN
    if unlikely(vnet.gso_type != GSO_NONE):
        return vnet.gso_size <= mtu
    return frame.len <= most


cdef inline int queue(worker_t *worker, uint16_t index, frame_t *frame) noexcept nogil:
    """The frame is among those that leave by the port; else the reason why it cannot."""
    cdef port_t *port = &worker.tables.ports[index]
    if unlikely(not port.up or port.lost):
        port.tx_dropped += 1
        return DROP_PORT_DOWN
    if unlikely(not frame_fits(frame, port.mtu)):
        port.tx_dropped += 1
        return DROP_OVERSIZE
    if worker.n_out[index] == BURST:
        flush_port(worker, index)
    if worker.n_out[index] == 0:
        worker.busy[worker.n_busy] = index
        worker.n_busy += 1
    worker.out[index][worker.n_out[index]] = frame
    worker.n_out[index] += 1
    return SEND


cdef inline void flush_port(worker_t *worker, uint16_t index) noexcept nogil:
    """What was queued for the port has left it, or is counted. It stays in the list of busy ports."""
    cdef port_t *port = &worker.tables.ports[index]
    worker.tables.drops[DROP_TX_FAILED] += port.tx_burst(port, worker.out[index], worker.n_out[index])
    worker.n_out[index] = 0


cdef inline void flush(worker_t *worker) noexcept nogil:
    """Every queue is empty; the frames' bytes may be used again."""
    cdef uint32_t i
    for i in range(worker.n_busy):
        if worker.n_out[worker.busy[i]]:
            flush_port(worker, worker.busy[i])
    worker.n_busy = 0


cdef inline void carry_out(worker_t *worker, frame_t *frame, verdict_t verdict) noexcept nogil:
    """The verdict is done: queued for one port or several, or dropped and counted."""
    if likely(verdict == SEND):
        verdict = queue(worker, frame.out_port, frame)
    elif verdict == FLOOD or verdict == FLOOD_STATIONS:
        verdict = flood(worker, frame, verdict)
    if unlikely(verdict < N_DROPS):
        drop_count(&worker.tables, verdict)
        if frame.port != NO_PORT:
            worker.tables.ports[frame.port].rx_dropped += 1


cdef inline verdict_t flood(worker_t *worker, frame_t *frame, verdict_t verdict) noexcept nogil:
    """Queued for every port of frame.out_segment that is up, but the one it came by; a drop when there is none."""
    cdef segment_t *segment = &worker.tables.segments[frame.out_segment]
    cdef verdict_t result = DROP_NOWHERE
    cdef uint32_t i
    cdef uint16_t port
    for i in range(segment.n_ports):
        port = segment.ports[i]
        if port == frame.port or not worker.tables.ports[port].up or worker.tables.ports[port].lost:
            continue
        if verdict == FLOOD_STATIONS and port == segment.host_port:
            continue
        if queue(worker, port, frame) == SEND:
            result = SEND
    return result


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
        carry_out(worker, frame, forward(&worker.tables, frame, now_ms))
    if n:
        flush(worker)
    return n


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
        carry_out(worker, &worker.tables.neighbours.waiting[place - 1].frame,
                  neighbour_output(&worker.tables, &worker.tables.neighbours.waiting[place - 1].frame, now_ms))
    if n:
        flush(worker)
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
        carry_out(worker, &worker.spare, verdict)
        flush(worker)


cdef inline int turn(worker_t *worker, uint64_t now_ns) noexcept nogil:
    """One turn: every port's burst in, judged, out. How many frames moved."""
    cdef uint32_t i, now_ms = to_ms(now_ns)
    cdef int moved = 0
    worker.tables.now_ns = now_ns
    for i in range(worker.tables.n_ports):
        if likely(not worker.tables.ports[i].lost):
            moved += receive(worker, &worker.tables.ports[i], now_ms)
    moved += release(worker, now_ms)
    if unlikely(now_ns - worker.ticked_ns >= TICK_NS):
        tick(worker, now_ns)
        moved += release(worker, now_ms)
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
    while not load_acquire(&worker.stopping):
        worker.turns += 1
        if turn(worker, now_ns):
            now_ns = moved_ns = clock_ns()
            answer_call(worker)
            continue
        cpu_pause()
        rounds += 1
        if rounds < ROUNDS:
            continue
        rounds = 0
        answer_call(worker)
        now_ns = clock_ns()
        if now_ns - moved_ns >= SPIN_NS:
            sleep_for_frames(worker, now_ns)
            now_ns = clock_ns()
    answer_call(worker)

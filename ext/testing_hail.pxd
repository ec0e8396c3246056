"""A burst of spoilt frames through a worker whose ports the fuzzer has taken, and whether each can be accounted for.

Read first: ext/testing_fuzz.pyx, which spoils frames by chance, and ext/testing_guided.pyx, which has libFuzzer do it.
Every slot is an allocation of its own, so that a sanitizer sees a step out of it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ext.frame cimport HEAD_LEN, NO_PORT, SLOT_LEN, VNET_LEN, frame_t, frame_vnet
from ext.judge cimport worker_t
from ext.ports.port cimport BURST, port_count_tx, port_t, rx_burst_t, tx_burst_t
from ext.tables.audit cimport tables_audit
from ext.tables.audit_persist cimport persists_audit
from ext.testing_judge cimport CULPRIT_LEN, MOST_OUTER, POISON, fuzz_t, judge, judge_tagged, place_of, slot_data
from ext.testing_mutate cimport draw, overlay, parse_tightly
from ext.testing_pieces cimport is_piece
from ext.turn cimport receive
from ext.verdict cimport N_DROPS
from ext.wire.ethernet cimport TAG_LEN
from ext.wire.tag cimport tag_vid


cdef inline void fuzz_make_slots(fuzz_t *fuzz) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t>BURST):
        fuzz.slots[i] = <uint8_t *>malloc(SLOT_LEN)
        memset(fuzz.slots[i], POISON, SLOT_LEN)


cdef inline void fuzz_free_slots(fuzz_t *fuzz) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t>BURST):
        free(fuzz.slots[i])


cdef inline void fuzz_take_ports(fuzz_t *fuzz, worker_t *worker, rx_burst_t rx, tx_burst_t tx) noexcept nogil:
    """What the worker receives comes from rx, and what it sends goes to tx."""
    cdef uint32_t i
    fuzz.outbox = &worker.outbox
    for i in range(worker.tables.n_ports):
        worker.tables.ports[i].rx_burst = rx
        worker.tables.ports[i].tx_burst = tx


cdef inline void message_come(fuzz_t *fuzz, const port_t *port, frame_t *frame, uint32_t i) noexcept nogil:
    """The message is the frame at place i of the burst that comes in by the port."""
    fuzz.sums[i] = parse_tightly(&fuzz.message)
    fuzz.sent[i] = False
    overlay(frame, &fuzz.message)
    memset(fuzz.slots[i], POISON, HEAD_LEN)
    fuzz.shifts[i] = 0
    frame.data = slot_data(fuzz, i)
    memcpy(frame.data - VNET_LEN, fuzz.message.bytes, VNET_LEN + frame.len)
    if port.vlans and tag_vid(frame) and port.members[tag_vid(frame)] != NO_PORT:
        fuzz.shifts[i] = TAG_LEN
    fuzz.lens[i] = frame.len - fuzz.shifts[i]


cdef inline int frames_leave(fuzz_t *fuzz, port_t *port, frame_t **frames, int n, uint32_t fails) noexcept nogil:
    """The frames are judged and gone, but for one in `fails` (0: none), which the port does not take; how many those are."""
    cdef int i, dropped = 0
    for i in range(n):
        if not port.up or port.lost:
            fuzz.fault = "a frame left by a port that is down"
        if fails and draw(&fuzz.corpus, fails) == 0:
            dropped += 1 + frames[i].merged
            continue
        if port.vlans:
            judge_tagged(fuzz, port, frames[i])
        else:
            judge(fuzz, frames[i], place_of(fuzz, frames[i]), is_piece(fuzz.outbox, frames[i]))
        if fuzz.fault is not NULL:
            memcpy(fuzz.culprit, frame_vnet(frames[i]), min(<uint32_t>CULPRIT_LEN, VNET_LEN + frames[i].len))
            break
        port_count_tx(port, frames[i])
        fuzz.n_sent += 1
    port.tx_dropped += dropped
    return dropped


cdef inline uint64_t drops_of(const worker_t *worker) noexcept nogil:
    cdef uint64_t n = 0
    cdef uint32_t i
    for i in range(<uint32_t>N_DROPS):
        n += worker.tables.drops[i]
    return n


cdef inline bint is_head_whole(const uint8_t *slot) noexcept nogil:
    """Whether the slot begins as it did, as far as no tunnel and no tag has need of it."""
    cdef uint32_t i
    for i in range(<uint32_t>(HEAD_LEN - MOST_OUTER - TAG_LEN)):
        if slot[i] != POISON:
            return False
    return True


cdef inline uint32_t frames_held(const worker_t *worker) noexcept nogil:
    """How many frames wait for something, or are ready to go."""
    return worker.tables.neighbours.waiting.n + worker.tables.fragments.waiting.n


cdef inline void feed(fuzz_t *fuzz, worker_t *worker, uint32_t port, uint32_t n, uint32_t now_ms) noexcept nogil:
    """A burst of n comes in by the port, and each of its frames can be accounted for."""
    cdef uint64_t drops = drops_of(worker), overflows = worker.tables.neighbours.overflows
    cdef uint32_t held = frames_held(worker), early = worker.tables.fragments.waiting.n
    cdef uint64_t began
    cdef uint32_t i, unsent = 0
    fuzz.left = n
    fuzz.unplaced = 0
    # What a VLAN has comes by its trunk.
    if worker.tables.ports[port].vid:
        port = worker.tables.ports[port].trunk
    receive(worker, &worker.tables.ports[port], now_ms)
    fuzz.left = 0
    for i in range(fuzz.got):
        unsent += not fuzz.sent[i]
        if not is_head_whole(fuzz.slots[i]):
            fuzz.fault = "more was put in front of a frame than the largest outer headers"
    drops = drops_of(worker) - drops
    began = frames_held(worker) + drops + worker.tables.neighbours.overflows - overflows - held
    if unsent > began + fuzz.unplaced:
        fuzz.fault = "a frame is gone without a reason"
        for i in range(fuzz.got):
            if not fuzz.sent[i]:
                memcpy(fuzz.culprit, slot_data(fuzz, i) - VNET_LEN, min(<uint32_t>CULPRIT_LEN, VNET_LEN + fuzz.lens[i]))
    # One frame may be counted twice: dropped with an answer, and the answer dropped as well. Fragments that had waited may
    # be dropped for it.
    if drops > 2 * fuzz.got + early or began > drops + fuzz.got:
        fuzz.fault = "more frames were dropped or wait than came in"


cdef inline const char *fuzz_fault(const fuzz_t *fuzz, worker_t *worker) noexcept nogil:
    """What is wrong with what left, or with the tables; NULL: nothing."""
    cdef const char *wrong = fuzz.fault
    wrong = wrong if wrong is not NULL else tables_audit(&worker.tables)
    return wrong if wrong is not NULL else persists_audit(&worker.tables)

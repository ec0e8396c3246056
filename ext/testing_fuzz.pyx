# cython: freethreading_compatible=True
"""swlb._testing_fuzz: spoilt frames by the million through a worker, and whether it bears them. Not in wheels.

The ports of a Worker are given other rx_burst and tx_burst functions, which make frames and judge what leaves. Every
slot is an allocation of its own, so that a sanitizer sees a step out of it. One Fuzz at a time: the state that the
ports' functions need is the module's. What is checked:

- of every burst, each frame has left, or waits, or is counted as dropped;
- what leaves is whole, leaves by a port that is up, and has right checksums if it came in with right ones;
- what leaves as one for several datagrams consists of datagrams of that burst, in their order, none of them wrong;
- what leaves through a tunnel is a whole packet within a whole packet, or a piece of one, and no byte in front of it
  was touched that it has no need of;
- after every batch, the tables are sound (tables/audit.pxd).
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ext.frame cimport HEAD_LEN, SLOT_LEN, VNET_LEN, frame_t
from ext.judge cimport to_ms, worker_t
from ext.ports.port cimport BURST, port_count_tx, port_t, room_t
from ext.tables.audit cimport tables_audit
from ext.tables.audit_persist cimport persists_audit
from ext.testing_judge cimport MOST_OUTER, POISON, fuzz_t, judge, slot_data
from ext.testing_mutate cimport compose, draw, overlay, parse_tightly
from ext.turn cimport receive, turn
from ext.verdict cimport N_DROPS

cdef enum:
    MOST_FRAMES_A_CALL = 100000

cdef fuzz_t *running = NULL


cdef int fuzz_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    """Spoilt frames."""
    cdef fuzz_t *fuzz = running
    cdef int i = 0
    while i < n and fuzz.left:
        fuzz.left -= 1
        compose(&fuzz.corpus, &fuzz.message)
        fuzz.sums[i] = parse_tightly(&fuzz.message)
        fuzz.sent[i] = False
        overlay(&burst[i], &fuzz.message)
        memset(fuzz.slots[i], POISON, HEAD_LEN)
        burst[i].data = slot_data(fuzz, i)
        memcpy(burst[i].data - VNET_LEN, fuzz.message.bytes, VNET_LEN + burst[i].len)
        fuzz.lens[i] = burst[i].len
        i += 1
    fuzz.got = i
    return i


cdef int fuzz_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    """Frames judged and gone; one in 4096 fails."""
    cdef fuzz_t *fuzz = running
    cdef int i, dropped = 0
    for i in range(n):
        if not port.up or port.lost:
            fuzz.fault = "a frame left by a port that is down"
        if draw(&fuzz.corpus, 4096) == 0:
            dropped += 1 + frames[i].merged
            continue
        judge(fuzz, frames[i])
        port_count_tx(port, frames[i])
        fuzz.n_sent += 1
    port.tx_dropped += dropped
    return dropped


cdef uint64_t drops_of(const worker_t *worker) noexcept nogil:
    cdef uint64_t n = 0
    cdef uint32_t i
    for i in range(<uint32_t>N_DROPS):
        n += worker.tables.drops[i]
    return n


cdef bint is_head_whole(const uint8_t *slot) noexcept nogil:
    """Whether the slot begins as it did, as far as no tunnel has need of it."""
    cdef uint32_t i
    for i in range(<uint32_t>(HEAD_LEN - MOST_OUTER)):
        if slot[i] != POISON:
            return False
    return True


cdef uint32_t frames_held(const worker_t *worker) noexcept nogil:
    """How many frames wait for something, or are ready to go."""
    return worker.tables.neighbours.waiting.n + worker.tables.fragments.waiting.n


cdef void feed(fuzz_t *fuzz, worker_t *worker, uint32_t port, uint32_t n, uint32_t now_ms) noexcept nogil:
    """A burst of n comes in by the port, and each of its frames can be accounted for."""
    cdef uint64_t drops = drops_of(worker), overflows = worker.tables.neighbours.overflows
    cdef uint32_t held = frames_held(worker), early = worker.tables.fragments.waiting.n
    cdef uint64_t began
    cdef uint32_t i, unsent = 0
    fuzz.left = n
    receive(worker, &worker.tables.ports[port], now_ms)
    fuzz.left = 0
    for i in range(fuzz.got):
        unsent += not fuzz.sent[i]
        if not is_head_whole(fuzz.slots[i]):
            fuzz.fault = "more was put in front of a frame than the largest outer headers"
    drops = drops_of(worker) - drops
    began = frames_held(worker) + drops + worker.tables.neighbours.overflows - overflows - held
    if unsent > began:
        fuzz.fault = "a frame is gone without a reason"
    # One frame may be counted twice: dropped with an answer, and the answer dropped as well. Fragments that had waited may
    # be dropped for it.
    if drops > 2 * fuzz.got + early or began > drops + fuzz.got:
        fuzz.fault = "more frames were dropped or wait than came in"


cdef class Fuzz:
    """A Worker under a hail of frames; it must not be running, and is of no other use afterwards."""

    cdef fuzz_t *fuzz
    cdef worker_t *worker
    cdef tuple kept            # alive

    def __cinit__(self, worker, list corpus, uint64_t seed):
        """corpus: good messages, each a 10-byte offload header and a frame."""
        cdef uintptr_t address = worker.address
        cdef uint32_t i
        self.worker = <worker_t *>address
        self.kept = (worker, corpus)
        self.fuzz = <fuzz_t *>calloc(1, sizeof(fuzz_t))
        self.fuzz.outbox = &self.worker.outbox
        self.fuzz.corpus.n = len(corpus)
        self.fuzz.corpus.random = seed * 2 + 1
        self.fuzz.corpus.messages = <const uint8_t **>calloc(len(corpus), sizeof(uint8_t *))
        self.fuzz.corpus.lengths = <uint32_t *>calloc(len(corpus), sizeof(uint32_t))
        for i, message in enumerate(corpus):
            self.fuzz.corpus.messages[i] = <const uint8_t *>PyBytes_AS_STRING(message)
            self.fuzz.corpus.lengths[i] = len(message)
        for i in range(<uint32_t>BURST):
            self.fuzz.slots[i] = <uint8_t *>malloc(SLOT_LEN)
            memset(self.fuzz.slots[i], POISON, SLOT_LEN)
        for i in range(self.worker.tables.n_ports):
            self.worker.tables.ports[i].rx_burst = fuzz_rx
            self.worker.tables.ports[i].tx_burst = fuzz_tx

    def __dealloc__(self):
        cdef int i
        for i in range(BURST):
            free(self.fuzz.slots[i])
        free(self.fuzz.corpus.messages)
        free(self.fuzz.corpus.lengths)
        free(self.fuzz)

    def run(self, uint32_t frames, uint64_t now_ns, uint64_t step_ns) -> int:
        """So many frames came in, step_ns after each round of ports; the time it is then. AssertionError: a fault."""
        global running
        cdef fuzz_t *fuzz = self.fuzz
        cdef worker_t *worker = self.worker
        cdef const char *wrong
        cdef uint32_t port
        if frames > MOST_FRAMES_A_CALL:
            raise ValueError(f"at most {MOST_FRAMES_A_CALL} frames a call")
        running = fuzz
        with nogil:
            while frames and fuzz.fault is NULL:
                worker.tables.now_ns = now_ns
                port = draw(&fuzz.corpus, worker.tables.n_ports)
                feed(fuzz, worker, port, min(frames, 1 + draw(&fuzz.corpus, 1 + draw(&fuzz.corpus, BURST))),
                     to_ms(now_ns))
                frames -= fuzz.got
                fuzz.got = 0
                turn(worker, now_ns)
                now_ns += step_ns
            wrong = fuzz.fault if fuzz.fault is not NULL else tables_audit(&worker.tables)
            wrong = wrong if wrong is not NULL else persists_audit(&worker.tables)
        if wrong is not NULL:
            raise AssertionError(f"{wrong.decode()}; the last frame was "
                                 f"{fuzz.message.bytes[:min(fuzz.message.len, <uint32_t>200)].hex()}")
        return now_ns

    @property
    def sent(self) -> int:
        return self.fuzz.n_sent

    @property
    def merged(self) -> int:
        """Datagrams that left in the frame of another."""
        return self.fuzz.n_merged

    @property
    def tunnelled(self) -> int:
        """Frames that left with outer headers,"""
        return self.fuzz.n_tunnelled

    @property
    def fragments(self) -> int:
        """and those among them that are a fragment of a packet."""
        return self.fuzz.n_fragments

    @property
    def pieces(self) -> int:
        """Frames that were cut or completed on their way out."""
        return self.fuzz.n_pieces

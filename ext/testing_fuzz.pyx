# cython: freethreading_compatible=True
"""swlb._testing_fuzz: spoilt frames by the million through a worker, and whether it bears them. Not in wheels.

The ports of a Worker are given other rx_burst and tx_burst functions, which make frames and judge what leaves. Every
slot is an allocation of its own, so that a sanitizer sees a step out of it. One Fuzz at a time: the state that the
ports' functions need is the module's. What is checked:

- of every burst, each frame has left, or waits, or is counted as dropped;
- what leaves is whole, leaves by a port that is up, and has right checksums if it came in with right ones;
- what leaves by a trunk is untagged, or tagged for a VLAN that the trunk carries;
- what leaves as one for several datagrams consists of datagrams of that burst, in their order, none of them wrong;
- what leaves through a tunnel is a whole packet within a whole packet, or a piece of one, and no byte in front of it
  was touched that it has no need of;
- after every batch, the tables are sound (tables/audit.pxd).
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from ext.frame cimport frame_t
from ext.judge cimport to_ms, worker_t
from ext.ports.port cimport BURST, port_t, room_t
from ext.testing_hail cimport (feed, frames_leave, fuzz_fault, fuzz_free_slots, fuzz_make_slots, fuzz_take_ports,
                               message_come)
from ext.testing_judge cimport CULPRIT_LEN, fuzz_t
from ext.testing_mutate cimport compose, draw
from ext.turn cimport turn

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
        message_come(fuzz, port, &burst[i], i)
        i += 1
    fuzz.got = i
    return i


cdef int fuzz_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    """Frames judged and gone; one in 4096 fails."""
    return frames_leave(running, port, frames, n, 4096)


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
        self.fuzz.corpus.n = len(corpus)
        self.fuzz.corpus.random = seed * 2 + 1
        self.fuzz.corpus.messages = <const uint8_t **>calloc(len(corpus), sizeof(uint8_t *))
        self.fuzz.corpus.lengths = <uint32_t *>calloc(len(corpus), sizeof(uint32_t))
        for i, message in enumerate(corpus):
            self.fuzz.corpus.messages[i] = <const uint8_t *>PyBytes_AS_STRING(message)
            self.fuzz.corpus.lengths[i] = len(message)
        fuzz_make_slots(self.fuzz)
        fuzz_take_ports(self.fuzz, self.worker, fuzz_rx, fuzz_tx)

    def __dealloc__(self):
        fuzz_free_slots(self.fuzz)
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
            wrong = fuzz_fault(fuzz, worker)
        if wrong is not NULL:
            raise AssertionError(f"{wrong.decode()}: {(<char *>fuzz.culprit)[:CULPRIT_LEN].hex()}; the last frame was "
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
    def tagged(self) -> int:
        """Frames that left by a trunk with a tag."""
        return self.fuzz.n_tagged

    @property
    def pieces(self) -> int:
        """Frames that were cut or completed on their way out."""
        return self.fuzz.n_pieces

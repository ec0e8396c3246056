# cython: freethreading_compatible=True
"""swlb._testing_fuzz: spoilt frames by the million through a worker, and whether it bears them. Not in wheels.

The ports of a Worker are given other rx_burst and tx_burst functions, which make frames and judge what leaves. Every
slot is an allocation of its own, so that a sanitizer sees a step out of it. One Fuzz at a time: the state that the
ports' functions need is the module's. What is checked:

- of every burst, each frame has left, or waits, or is counted as dropped;
- what leaves is whole, leaves by a port that is up, and has right checksums if it came in with right ones;
- what leaves as one for several datagrams consists of datagrams of that burst, in their order, none of them wrong;
- after every batch, the tables are sound (tables/audit.pxd).
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from ext.frame cimport (FOUND_FRAGMENT, FOUND_L3, FOUND_L4, FOUND_PARTIAL, FRAME_LEN, SLOT_LEN, VNET_LEN, frame_t,
                        frame_vnet)
from ext.judge cimport to_ms, worker_t
from ext.order cimport ntohs
from ext.outbox cimport outbox_t
from ext.ports.port cimport BURST, port_count_tx, port_t, room_t
from ext.tables.audit cimport tables_audit, waiting_held
from ext.testing_mutate cimport compose, corpus_t, draw, message_t, overlay, parse_tightly
from ext.testing_pieces cimport asks_for_nothing, is_partial_and_right, is_piece, is_piece_of
from ext.testing_sums cimport UNKNOWN, l4_sum
from ext.turn cimport receive, turn
from ext.verdict cimport GO_ON, N_DROPS
from ext.wire.checksum cimport sum_bytes, sum_fold, sum_pseudo
from ext.wire.ethernet cimport ETH_LEN
from ext.wire.ipv4 cimport PROTO_UDP
from ext.wire.parse cimport parse_ethernet, parse_ip
from ext.wire.udp cimport UDP_LEN, udp_hdr
from ext.wire.vnet cimport GSO_UDP_L4, vnet_hdr

cdef enum:
    RIGHT = 0xFFFF         # what sound bytes sum up to, their checksum included
    MOST_FRAMES_A_CALL = 100000

cdef struct fuzz_t:
    corpus_t corpus
    message_t message      # the one made last
    uint8_t *slots[BURST]
    uint32_t left          # frames to come before ports fall silent
    uint32_t got           # frames of this burst,
    uint32_t lens[BURST]   # how long they came in,
    bint sent[BURST]       # those that have left,
    uint32_t sums[BURST]   # and what their L4 summed up to, or UNKNOWN
    uint64_t n_sent
    uint64_t n_merged      # datagrams that left in the frame of another
    uint64_t n_pieces      # frames that were cut or completed on their way out
    const outbox_t *outbox
    uint64_t read          # so that no sum of what leaves is optimised away
    const char *fault      # the first

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
        memcpy(fuzz.slots[i], fuzz.message.bytes, VNET_LEN + burst[i].len)
        burst[i].data = fuzz.slots[i] + VNET_LEN
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


cdef void judge(fuzz_t *fuzz, const frame_t *frame) noexcept nogil:
    """The frame is whole and as sound as it was; noted as sent."""
    cdef frame_t seen = frame[0]
    cdef uint32_t i, sum_now, sum_before = UNKNOWN, place = BURST
    if frame.len > FRAME_LEN:
        fuzz.fault = "a frame of impossible length left"
        return
    fuzz.read += sum_bytes(frame_vnet(frame), VNET_LEN + frame.len, 0)
    for i in range(fuzz.got):
        if frame.data == fuzz.slots[i] + VNET_LEN:
            fuzz.sent[i] = True
            sum_before = fuzz.sums[i]
            place = i
    if parse_ethernet(&seen) != GO_ON:
        fuzz.fault = "a runt left"
        return
    parse_ip(&seen)
    if frame.found & FOUND_L3 and frame.flaw == N_DROPS and seen.flaw != N_DROPS:
        fuzz.fault = "a sound packet came in, a malformed one left"
    if is_piece(fuzz.outbox, frame):
        judge_piece(fuzz, frame, l4_sum(&seen))
    elif frame.merged:
        judge_merged(fuzz, frame, &seen, place)
        if sum_before != UNKNOWN and sum_before != RIGHT:
            fuzz.fault = "a datagram with a wrong checksum was given others"
    sum_now = l4_sum(&seen)
    if sum_before != UNKNOWN and sum_now != UNKNOWN and sum_now != RIGHT and sum_now != sum_before:
        fuzz.fault = "a checksum that was right is wrong, or a wrong one has changed"


cdef void judge_piece(fuzz_t *fuzz, const frame_t *frame, uint32_t sum_now) noexcept nogil:
    """The piece is an ordinary frame, and right if what it is of was; that has been sent."""
    cdef frame_t whole = frame[0]
    cdef uint32_t i, n_right = 0, n_wrong = 0
    fuzz.n_pieces += 1
    if not asks_for_nothing(frame):
        fuzz.fault = "a piece left with an offload asked for"
    for i in range(fuzz.got):
        whole.data = fuzz.slots[i] + VNET_LEN
        whole.len = fuzz.lens[i]
        if is_piece_of(frame, &whole):
            fuzz.sent[i] = True
            n_right += is_partial_and_right(&whole)
            n_wrong += not is_partial_and_right(&whole)
    if n_right and not n_wrong and sum_now != UNKNOWN and sum_now != RIGHT:
        fuzz.fault = "a piece has a wrong checksum"


cdef void judge_merged(fuzz_t *fuzz, const frame_t *frame, const frame_t *seen, uint32_t place) noexcept nogil:
    """The super-frame is as a kernel takes it, and its datagrams are of this burst when its first is; they are sent."""
    cdef const vnet_hdr *vnet = <const vnet_hdr *>frame_vnet(frame)
    cdef const udp_hdr *udp = <const udp_hdr *>(frame.data + seen.l4_off)
    cdef uint32_t at, n, size = vnet.gso_size, payload = seen.l4_len - UDP_LEN
    fuzz.n_merged += frame.merged
    if (not seen.found & FOUND_L4 or not seen.found & FOUND_PARTIAL or seen.found & FOUND_FRAGMENT
            or seen.protocol != PROTO_UDP or seen.flaw != N_DROPS or vnet.gso_type != GSO_UDP_L4):
        fuzz.fault = "datagrams left together in what is no super-frame"
        return
    if (size * frame.merged >= payload or payload > size * (frame.merged + 1) or frame.merged >= 64
            or frame.len != seen.l4_off + seen.l4_len or ntohs(udp.length) != seen.l4_len
            or vnet.hdr_len != seen.l4_off + UDP_LEN or udp.checksum != sum_fold(
                sum_pseudo(seen.src, seen.dst, PROTO_UDP, seen.l4_len))):
        fuzz.fault = "a super-frame was put together with a wrong length or checksum"
        return
    if place == BURST:
        return
    for n in range(1, frame.merged + 1):
        at = size * n
        place = member(fuzz, frame, seen, place + 1, at, min(size, payload - at))
        if place == BURST:
            fuzz.fault = "a super-frame has a datagram that did not come in so, or not behind the one before it"
            return
        fuzz.sent[place] = True


cdef uint32_t member(fuzz_t *fuzz, const frame_t *frame, const frame_t *seen, uint32_t place, uint32_t at,
                     uint32_t n) noexcept nogil:
    """The first place from there on of a datagram with those n bytes of the frame's payload; BURST when there is none.

    Its checksum was right, or another's to fill in, and TTL and addresses are the frame's.
    """
    cdef const uint8_t *data
    cdef uint32_t l4 = seen.l4_off, hops = ETH_LEN + (8 if seen.family == 4 else 7)
    cdef uint32_t addresses = ETH_LEN + (12 if seen.family == 4 else 8)
    while place < fuzz.got:
        data = fuzz.slots[place] + VNET_LEN
        if (not fuzz.sent[place] and (fuzz.sums[place] == RIGHT or fuzz.sums[place] == UNKNOWN)
                and fuzz.lens[place] >= l4 + UDP_LEN + n and memcmp(data, frame.data, ETH_LEN) == 0
                and data[ETH_LEN + 1] == frame.data[ETH_LEN + 1] and data[hops] == frame.data[hops]
                and memcmp(data + addresses, frame.data + addresses, l4 + 4 - addresses) == 0
                and ntohs((<udp_hdr *>(data + l4)).length) == UDP_LEN + n and (<udp_hdr *>(data + l4)).checksum != 0
                and memcmp(data + l4 + UDP_LEN, frame.data + l4 + UDP_LEN + at, n) == 0):
            return place
        place += 1
    return BURST


cdef uint64_t drops_of(const worker_t *worker) noexcept nogil:
    cdef uint64_t n = 0
    cdef uint32_t i
    for i in range(<uint32_t>N_DROPS):
        n += worker.tables.drops[i]
    return n


cdef void feed(fuzz_t *fuzz, worker_t *worker, uint32_t port, uint32_t n, uint32_t now_ms) noexcept nogil:
    """A burst of n comes in by the port, and each of its frames can be accounted for."""
    cdef uint64_t drops = drops_of(worker), overflows = worker.tables.neighbours.overflows
    cdef uint32_t held = waiting_held(&worker.tables.neighbours)
    cdef uint64_t began
    cdef uint32_t i, unsent = 0
    fuzz.left = n
    receive(worker, &worker.tables.ports[port], now_ms)
    fuzz.left = 0
    for i in range(fuzz.got):
        unsent += not fuzz.sent[i]
    drops = drops_of(worker) - drops
    began = waiting_held(&worker.tables.neighbours) + worker.tables.neighbours.overflows - overflows - held
    if unsent > drops + began:
        fuzz.fault = "a frame is gone without a reason"
    # One frame may be counted twice: dropped with an answer, and the answer dropped as well.
    if drops > 2 * fuzz.got or began > fuzz.got:
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
            memset(self.fuzz.slots[i], 0xA5, SLOT_LEN)
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
    def pieces(self) -> int:
        """Frames that were cut or completed on their way out."""
        return self.fuzz.n_pieces

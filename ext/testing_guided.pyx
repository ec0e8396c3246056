# cython: freethreading_compatible=True
"""swlb._testing_guided: frames that libFuzzer makes, led by what of the fast path they reach. Built as SWLB_BUILD=guided.

An input is a row of messages for one shape of a switch, which has forgotten the inputs before it:

    byte 0        which shape
    and for each message
      byte 0      bits 0 to 2: the port it comes by
                  bit 3: it begins with an offload header; else that asks for nothing
                  bit 4: its checksums stay as they are; else those of the IPv4 header and of ICMPv6 are put right
                  bits 5 and 6: the time that passes before it: none, 1 ms, 1 s, 65 s
                  bit 7: it is sent to swlb's own MAC, whatever it says itself
      bytes 1, 2  its length, big-endian; the last message may be shorter
      the message

Messages that follow each other by the same port in no time are one burst. What is checked is what testing_fuzz.pyx says.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, calloc
from libc.string cimport memcpy, memset

from ext.calls cimport ANY, call_flush_fdb, call_flush_neighbours, call_flush_sessions, request_t
from ext.frame cimport VNET_LEN, frame_t
from ext.judge cimport to_ms, worker_t
from ext.ports.port cimport port_t, room_t
from ext.testing_hail cimport feed, frames_leave, fuzz_fault, fuzz_make_slots, fuzz_take_ports, message_come
from ext.testing_judge cimport fuzz_t
from ext.testing_mutate cimport repair
from ext.turn cimport turn
from ext.wire.ethernet cimport ETH_LEN, eth_hdr, mac_store

cdef enum:
    MOST_SHAPES = 16
    IN_HEAD = 3            # bytes in front of each message
    IN_PORT = 7            # the bits of its first
    IN_OFFLOAD = 8
    IN_AS_IT_IS = 16
    IN_TIME_SHIFT = 5
    IN_OURS = 128
    A_SECOND = 1000000000
    APART_S = 200          # between two inputs: no fragment is remembered so long

cdef extern from * nogil:
    """
    #include <stddef.h>
    #include <stdint.h>
    extern int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *data, size_t n));
    static const uint64_t swlb_passing[4] = {0, 1000000ULL, 1000000000ULL, 65000000000ULL};
    """
    int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *, size_t) noexcept nogil)
    const uint64_t passing "swlb_passing"[4]

cdef struct input_t:
    const uint8_t *data
    size_t n
    size_t at

cdef fuzz_t *fuzz = NULL
cdef worker_t *workers[MOST_SHAPES]
cdef uint32_t n_workers = 0
cdef worker_t *current = NULL
cdef input_t rest          # what is to come
cdef uint64_t now_ns = 0


cdef void message_take(port_t *port) noexcept nogil:
    """fuzz.message is the next one of the input, which has one."""
    cdef const uint8_t *head = rest.data + rest.at
    cdef size_t n = min(<size_t>(head[1] << 8 | head[2]), rest.n - rest.at - <size_t>IN_HEAD)
    cdef uint32_t front = 0 if head[0] & IN_OFFLOAD else VNET_LEN
    memset(fuzz.message.bytes, 0, VNET_LEN)
    memcpy(fuzz.message.bytes + front, head + IN_HEAD, n)
    fuzz.message.len = max(<uint32_t>n + front, <uint32_t>VNET_LEN)
    rest.at += IN_HEAD + n
    if head[0] & IN_OURS and fuzz.message.len >= <uint32_t>(VNET_LEN + ETH_LEN):
        mac_store((<eth_hdr *>(fuzz.message.bytes + VNET_LEN)).dst, port.segment_mac)
    if not head[0] & IN_AS_IT_IS:
        repair(&fuzz.message)


cdef bint follows(const port_t *port) noexcept nogil:
    """Whether there is a next message, and it comes by that port at once."""
    if rest.at + IN_HEAD > rest.n:
        return False
    return ((rest.data[rest.at] & IN_PORT) % current.tables.n_ports == port.index
            and (rest.data[rest.at] >> IN_TIME_SHIFT) & 3 == 0)


cdef int guided_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    """The next messages of the input."""
    cdef int i = 0
    if fuzz.left == 0:
        return 0
    while i < n and rest.at + IN_HEAD <= rest.n and (i == 0 or follows(port)):
        message_take(port)
        message_come(fuzz, port, &burst[i], i)
        i += 1
    fuzz.got = i
    return i


cdef int guided_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    return frames_leave(fuzz, port, frames, n, 0)


cdef void forget() noexcept nogil:
    """The switch knows nobody, and what it remembers of fragments is out of date."""
    cdef request_t request
    cdef uint32_t i
    if current.tables.sessions_open or current.tables.sessions[0].n or current.tables.sessions[1].n:
        request.index = request.other = ANY
        request.now_ms = to_ms(now_ns)
        call_flush_sessions(current, &request)
    for i in range(current.tables.n_segments):
        request.index = i
        call_flush_fdb(current, &request)
        call_flush_neighbours(current, &request)


cdef int one(const uint8_t *data, size_t n) noexcept nogil:
    """The input has gone through its switch without a fault; else the program has ended."""
    global current, now_ns
    cdef const char *wrong
    if n == 0:
        return 0
    current = workers[data[0] % n_workers]
    rest.data, rest.n, rest.at = data, n, 1
    now_ns += <uint64_t>APART_S * A_SECOND
    while rest.at + IN_HEAD <= rest.n and fuzz.fault is NULL:
        now_ns += passing[(rest.data[rest.at] >> IN_TIME_SHIFT) & 3]
        current.tables.now_ns = now_ns
        feed(fuzz, current, (rest.data[rest.at] & IN_PORT) % current.tables.n_ports, 1, to_ms(now_ns))
        fuzz.got = 0
        turn(current, now_ns)
    wrong = fuzz_fault(fuzz, current)
    if wrong is not NULL:
        fprintf(stderr, "fault: %s\n", wrong)
        abort()
    forget()
    return 0


def drive(list shapes, list arguments, uint64_t start_ns) -> int:
    """libFuzzer runs with those arguments over sealed Workers that do not run themselves. It may end the program."""
    global fuzz, n_workers, now_ns
    cdef uintptr_t address
    cdef int argc = len(arguments)
    cdef char **argv = <char **>calloc(argc + 1, sizeof(char *))
    cdef char **given = argv
    kept = [argument.encode() for argument in arguments]
    for i in range(argc):
        argv[i] = kept[i]
    fuzz = <fuzz_t *>calloc(1, sizeof(fuzz_t))
    fuzz.corpus.random = 1
    fuzz_make_slots(fuzz)
    now_ns = start_ns
    n_workers = len(shapes)
    for i, worker in enumerate(shapes):
        address = worker.address
        workers[i] = <worker_t *>address
        fuzz_take_ports(fuzz, workers[i], guided_rx, guided_tx)
    return LLVMFuzzerRunDriver(&argc, &given, one)

"""Many reads and writes in one system call: io_uring. Spec: io_uring(7), io_uring_enter(2), linux/io_uring/rw.c.

Every operation is RWF_NOWAIT, so that it is done when `ring_enter` returns: a read of an empty TAP fails with EAGAIN
instead of waiting. What each is about stands in its user_data; ports/batch.pxd, which has the frames, says what.
The ring belongs to the thread that opened it.
"""

from libc.errno cimport EAGAIN, EBUSY, EINTR, errno
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset
from posix.mman cimport MAP_FAILED, MAP_POPULATE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

from ext.debug cimport likely, unlikely
from ext.frame cimport SLOT_LEN
from ext.ports.port cimport PORTS, port_t
from ext.pages cimport map_pages
from ext.sync cimport load_acquire, store_release

cdef extern from "ext/ports/ring.h" nogil:
    struct io_sqring_offsets:
        uint32_t head
        uint32_t tail
        uint32_t ring_mask
        uint32_t array
    struct io_cqring_offsets:
        uint32_t head
        uint32_t tail
        uint32_t ring_mask
        uint32_t cqes
    struct io_uring_params:
        uint32_t sq_entries
        uint32_t cq_entries
        uint32_t flags
        io_sqring_offsets sq_off
        io_cqring_offsets cq_off
    struct io_uring_sqe:
        uint8_t opcode
        uint8_t flags
        int32_t fd
        uint64_t addr
        uint32_t len
        uint32_t rw_flags
        uint64_t user_data
        uint16_t buf_index
    struct io_uring_cqe:
        uint64_t user_data
        int32_t res
    struct io_uring_files_update:
        uint32_t offset
        uint32_t resv
        uint64_t fds
    struct iovec:
        void *iov_base
        size_t iov_len
    enum:
        IORING_SETUP_SINGLE_ISSUER
        IORING_SETUP_DEFER_TASKRUN
        IORING_REGISTER_FILES
        IORING_REGISTER_BUFFERS
        IORING_REGISTER_FILES_UPDATE
        IORING_UNREGISTER_FILES
        IORING_OFF_SQ_RING
        IORING_OFF_SQES
        IORING_ENTER_GETEVENTS
        IORING_OP_READ
        IORING_OP_READ_FIXED
        IORING_OP_WRITE
        IORING_OP_WRITE_FIXED
        IOSQE_FIXED_FILE
        IOSQE_CQE_SKIP_SUCCESS
        RWF_NOWAIT
    int ring_setup "swlb_ring_setup"(unsigned entries, io_uring_params *params)
    int ring_register "swlb_ring_register"(int fd, unsigned opcode, const void *argument, unsigned n)
    int enter "swlb_ring_enter"(int fd, unsigned submit, unsigned least, unsigned flags)

cdef enum:
    ENTRIES = 512
    IS_WRITE = 1           # bit 63 of user_data; then datagrams merged, port and length. Else a slot of the bank
    BANK = 160             # frames a turn may read: a full burst of one port, and something of others
    PINNED = 56            # slots of each bank that the kernel keeps mapped: 7 MiB in all, of the usual limit of 8

cdef struct ring_t:
    int fd                 # -1: closed
    uint32_t *sq_tail
    uint32_t *cq_head
    uint32_t *cq_tail
    uint32_t sq_mask
    uint32_t cq_mask
    io_uring_sqe *sqes
    io_uring_cqe *cqes
    uint8_t *queues        # mapped: both queues
    size_t queues_len
    size_t sqes_len
    uint8_t *slots         # two banks of BANK slots of SLOT_LEN
    uint32_t tail          # of the submission queue, as we have filled it
    uint32_t n_queued
    uint32_t n_asked       # slots of this bank that reads were asked into
    uint32_t bank
    uint32_t first         # port that is asked first this turn
    int32_t got[BANK]      # bytes read into each slot of this bank, or -errno
    port_t *ports
    uint64_t *failed       # counts writes the kernel refused


cdef inline int ring_open(ring_t *ring, port_t *ports, uint64_t *failed) noexcept nogil:
    """The ring is there, and knows the ports' descriptors and its slots; 0. Or -errno, and nothing is left of it."""
    cdef io_uring_params params
    cdef iovec pinned[2]
    cdef int fds[PORTS]
    cdef int error
    cdef uint32_t i
    memset(ring, 0, sizeof(ring_t))
    memset(&params, 0, sizeof(params))
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
    ring.fd = ring_setup(ENTRIES, &params)
    if ring.fd < 0:
        return -errno
    for i in range(<uint32_t>PORTS):
        fds[i] = ports[i].fd
    ring.slots = <uint8_t *>map_pages(2 * BANK * <size_t>SLOT_LEN)
    for i in range(<uint32_t>2):
        pinned[i].iov_base = ring.slots + i * BANK * <size_t>SLOT_LEN
        pinned[i].iov_len = PINNED * <size_t>SLOT_LEN
    if (ring.slots is NULL or not ring_map(ring, &params)
            or ring_register(ring.fd, IORING_REGISTER_FILES, fds, PORTS) < 0
            or ring_register(ring.fd, IORING_REGISTER_BUFFERS, pinned, 2) < 0):
        error = errno
        ring_close(ring)
        return -error
    ring.ports = ports
    ring.failed = failed
    return 0


cdef inline bint ring_replace(ring_t *ring, uint32_t index, int fd) noexcept nogil:
    """The descriptor of port `index` is fd, or with -1 it has none, and its device is held no longer; False: it may not be."""
    cdef io_uring_files_update update
    memset(&update, 0, sizeof(update))
    update.offset = index
    update.fds = <uintptr_t>&fd
    return ring_register(ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1) >= 0


cdef inline bint ring_map(ring_t *ring, const io_uring_params *params) noexcept nogil:
    """The queues lie in our memory."""
    cdef size_t sq_len = params.sq_off.array + params.sq_entries * sizeof(uint32_t)
    cdef size_t cq_len = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe)
    cdef uint32_t *places
    cdef uint32_t i
    ring.queues_len = max(sq_len, cq_len)
    ring.sqes_len = params.sq_entries * 64
    ring.queues = <uint8_t *>mmap(NULL, ring.queues_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
                                  IORING_OFF_SQ_RING)
    ring.sqes = <io_uring_sqe *>mmap(NULL, ring.sqes_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
                                     IORING_OFF_SQES)
    if <void *>ring.queues == MAP_FAILED or <void *>ring.sqes == MAP_FAILED:
        return False
    ring.sq_tail = <uint32_t *>(ring.queues + params.sq_off.tail)
    ring.sq_mask = (<uint32_t *>(ring.queues + params.sq_off.ring_mask))[0]
    ring.cq_head = <uint32_t *>(ring.queues + params.cq_off.head)
    ring.cq_tail = <uint32_t *>(ring.queues + params.cq_off.tail)
    ring.cq_mask = (<uint32_t *>(ring.queues + params.cq_off.ring_mask))[0]
    ring.cqes = <io_uring_cqe *>(ring.queues + params.cq_off.cqes)
    places = <uint32_t *>(ring.queues + params.sq_off.array)
    for i in range(params.sq_entries):
        places[i] = i
    return True


cdef inline void ring_close(ring_t *ring) noexcept nogil:
    """The ring is gone, and holds no device any longer."""
    # A registered file keeps its device alive, and closing the ring lets go of it only some time later.
    ring_register(ring.fd, IORING_UNREGISTER_FILES, NULL, 0)
    if ring.queues is not NULL and <void *>ring.queues != MAP_FAILED:
        munmap(ring.queues, ring.queues_len)
    if ring.sqes is not NULL and <void *>ring.sqes != MAP_FAILED:
        munmap(ring.sqes, ring.sqes_len)
    close(ring.fd)
    if ring.slots is not NULL:
        munmap(ring.slots, 2 * BANK * <size_t>SLOT_LEN)
    ring.fd = -1


cdef inline io_uring_sqe *ring_next(ring_t *ring) noexcept nogil:
    """An empty submission; when the queue is full, what it holds is done first."""
    cdef io_uring_sqe *sqe
    if unlikely(ring.n_queued == ENTRIES):
        ring_enter(ring)
    sqe = &ring.sqes[ring.tail & ring.sq_mask]
    ring.tail += 1
    ring.n_queued += 1
    memset(sqe, 0, 64)
    sqe.rw_flags = RWF_NOWAIT
    return sqe


cdef inline void ring_enter(ring_t *ring) noexcept nogil:
    """All that was queued is done: frames have left, and `got` says what came."""
    cdef uint32_t head, tail
    cdef int done
    store_release(ring.sq_tail, ring.tail)
    while ring.n_queued:
        done = enter(ring.fd, ring.n_queued, 0, IORING_ENTER_GETEVENTS)
        if likely(done > 0):
            ring.n_queued -= done
        elif errno != EINTR and errno != EAGAIN and errno != EBUSY:
            ring.failed[0] += ring.n_queued
            ring.n_queued = 0
    head = ring.cq_head[0]
    tail = load_acquire(ring.cq_tail)
    while head != tail:
        ring_done(ring, &ring.cqes[head & ring.cq_mask])
        head += 1
    store_release(ring.cq_head, head)


cdef inline void ring_done(ring_t *ring, const io_uring_cqe *cqe) noexcept nogil:
    """A read's result is noted. Of writes only those speak up that failed: they had been counted as sent."""
    cdef port_t *port
    cdef uint64_t n
    if likely(not cqe.user_data >> 63):
        ring.got[cqe.user_data] = cqe.res
        return
    port = &ring.ports[(cqe.user_data >> 32) & 0xFFFF]
    n = 1 + ((cqe.user_data >> 48) & 0x7FFF)
    port.tx_frames -= n
    port.tx_bytes -= <uint32_t>cqe.user_data
    port.tx_dropped += n
    ring.failed[0] += n

"""TAPs read and written together: the frames of all ports in one system call a turn.

A turn makes one call with the writes of the last turn and the reads of this one, in that order. A read that finds
nothing is thereby no system call of its own. Slots are in two banks: the frames that wait to be written lie in one
while the other is read into.

Tried and lost: multishot reads with provided buffers (a third slower than read), waiting in the ring instead of
poll (reads would be armed and disarmed each turn), buffers that are not registered (5 % slower).
Read first: ext/ports/ring.pxd.
"""

from libc.errno cimport EAGAIN, EINVAL, EOPNOTSUPP
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t

from ext.frame cimport HEAD_LEN, SLOT_LEN, VNET_LEN, frame_t, frame_vnet, slot_vnet
from ext.ports.port cimport PORT_TAP, port_count_tx, port_learn_want, port_t, room_t
from ext.ports.ring cimport (BANK, IORING_OP_READ, IORING_OP_READ_FIXED, IORING_OP_WRITE, IORING_OP_WRITE_FIXED,
                             IOSQE_CQE_SKIP_SUCCESS, IOSQE_FIXED_FILE, IS_WRITE, PINNED, io_uring_sqe, ring_close,
                             ring_enter, ring_next, ring_open, ring_replace, ring_t)
from ext.ports.tap cimport tap_is_gone, tap_open


cdef inline int batch_open(ring_t *ring, port_t *ports, uint32_t n_ports, uint64_t *failed) noexcept nogil:
    """Every TAP among the ports is read and written through the ring; 0. Or -errno, and nothing has changed."""
    cdef uint32_t i
    cdef int error = ring_open(ring, ports, failed)
    if error < 0:
        return error
    for i in range(n_ports):
        if is_batched(&ports[i]) and not batch_may_read(ring, &ports[i]):
            ring_close(ring)
            return -EOPNOTSUPP
    for i in range(n_ports):
        if is_batched(&ports[i]):
            batch_use(ring, &ports[i])
    return 0


cdef inline bint is_batched(const port_t *port) noexcept nogil:
    """Whether it is a kind of port that the ring reads and writes."""
    return port.there and port.kind == PORT_TAP


cdef inline void batch_use(ring_t *ring, port_t *port) noexcept nogil:
    """The port is read and written through the ring."""
    port.ring = ring
    port.want = 1
    port.rx_burst = batch_rx
    port.tx_burst = batch_tx


cdef inline void batch_settle(ring_t *ring) noexcept nogil:
    """What was queued has left: ports may change."""
    if ring.fd >= 0:
        ring_enter(ring)


cdef inline void batch_put(ring_t *ring, port_t *port) noexcept nogil:
    """The port, with another device than before or with none, is read and written through the ring as others are.

    Where the kernel does not let it be, it reads and writes by itself. `batch_settle` was before.
    """
    if ring.fd < 0:
        return
    if ring_replace(ring, port.index, port.fd) and is_batched(port) and batch_may_read(ring, port):
        batch_use(ring, port)


cdef inline bint batch_may_read(ring_t *ring, port_t *port) noexcept nogil:
    """Whether the kernel reads the device without waiting (Linux 6.4). Asked with room for nothing, so that none is read."""
    cdef io_uring_sqe *sqe = ring_next(ring)
    sqe.opcode = IORING_OP_READ
    sqe.flags = IOSQE_FIXED_FILE
    sqe.fd = port.index
    sqe.addr = <uintptr_t>ring.slots
    ring.got[0] = 0
    ring_enter(ring)
    return ring.got[0] != -EOPNOTSUPP and ring.got[0] != -EINVAL


cdef inline void batch_close(ring_t *ring, port_t *ports, uint32_t n_ports) noexcept nogil:
    """What was queued has left; the ports read and write by themselves again."""
    cdef uint32_t i
    if ring.fd < 0:
        return
    ring_enter(ring)
    for i in range(n_ports):
        if ports[i].ring is not NULL:
            ports[i].ring = NULL
            tap_open(&ports[i], ports[i].fd)
    ring_close(ring)


cdef inline uint8_t *batch_vnet(ring_t *ring, uint32_t i) noexcept nogil:
    """Where slot i of the bank that is read into is read to."""
    return slot_vnet(ring.slots, ring.bank * BANK + i)


cdef inline void batch_ask(ring_t *ring, port_t *port) noexcept nogil:
    """The next `ring_enter` reads as many frames of the port as it may have, if the bank has room."""
    cdef io_uring_sqe *sqe
    cdef uint32_t i, n = min(<uint32_t>port.want, BANK - ring.n_asked)
    port.asked = n
    port.asked_at = ring.n_asked
    for i in range(n):
        sqe = ring_next(ring)
        sqe.opcode = IORING_OP_READ_FIXED if ring.n_asked + i < PINNED else IORING_OP_READ
        sqe.buf_index = ring.bank
        sqe.flags = IOSQE_FIXED_FILE
        sqe.fd = port.index
        sqe.addr = <uintptr_t>batch_vnet(ring, ring.n_asked + i)
        sqe.len = SLOT_LEN - HEAD_LEN
        sqe.user_data = ring.n_asked + i
        ring.got[ring.n_asked + i] = -EAGAIN
    ring.n_asked += n


cdef inline void batch_turn(ring_t *ring) noexcept nogil:
    """Reads go to the other bank from now on: frames of this one may still wait to be written."""
    ring.bank ^= 1
    ring.n_asked = 0


cdef inline int batch_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    """What came of the frames it was asked for; the port is asked for more or fewer next time."""
    cdef ring_t *ring = <ring_t *>port.ring
    cdef uint32_t i, n_got = 0
    cdef int32_t got = 0, most = 0
    for i in range(port.asked):
        got = ring.got[port.asked_at + i]
        if got < VNET_LEN:
            continue
        burst[n_got].data = batch_vnet(ring, port.asked_at + i) + VNET_LEN
        burst[n_got].len = <uint32_t>got - VNET_LEN
        most = max(most, got)
        n_got += 1
    port_learn_want(port, port.asked, n_got, <uint32_t>most)
    if n_got == 0:
        return got if tap_is_gone(-got) else 0
    port.asked = 0
    return n_got


cdef inline int batch_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    """The frames leave with the next `ring_enter`."""
    cdef ring_t *ring = <ring_t *>port.ring
    cdef io_uring_sqe *sqe
    cdef size_t slot
    cdef int i
    for i in range(n):
        sqe = ring_next(ring)
        sqe.addr = <uintptr_t>frame_vnet(frames[i])
        sqe.len = VNET_LEN + frames[i].len
        # Frames in other memory (that waited for a neighbour, say) come out far beyond the last slot.
        slot = <size_t>(frame_vnet(frames[i]) - ring.slots) // SLOT_LEN
        sqe.opcode = IORING_OP_WRITE_FIXED if slot < 2 * BANK and slot % BANK < PINNED else IORING_OP_WRITE
        sqe.buf_index = slot // BANK if slot < 2 * BANK else 0
        sqe.flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS
        sqe.fd = port.index
        sqe.user_data = ((<uint64_t>IS_WRITE << 63) | (<uint64_t>frames[i].merged << 48) | (<uint64_t>port.index << 32)
                         | frames[i].len)
        port_count_tx(port, frames[i])
    return 0

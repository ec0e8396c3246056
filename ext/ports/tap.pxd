"""A TAP device with a virtio-net header. Spec: linux/drivers/net/tun.c, Documentation/networking/tuntap.rst.

One frame a system call is what the device offers. A read has room for the largest super-frame, as a short
buffer would cut it without a word; its first bytes go to a slot, the rest to the one tail, which stays in
the cache because the super-frame leaves before the next is read. A write runs the receiver's whole stack
before it returns, so it is also what the receiver's speed is felt by.
"""

from libc.errno cimport EBADF, EBADFD, ENODEV, errno
from libc.stdint cimport uint32_t

from ext.debug cimport likely, unlikely
from ext.frame cimport SLOT_LEN, SLOT_ROOM, TAIL_LEN, VNET_LEN, frame_head_len, frame_t, frame_vnet
from ext.ports.port cimport PORT_TAP, port_count_tx, port_t, room_t

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t readv(int fd, const iovec *iov, int n)
    ssize_t writev(int fd, const iovec *iov, int n)


cdef inline void tap_open(port_t *port, int fd) noexcept nogil:
    """The port reads and writes fd: a TAP with IFF_NO_PI, IFF_VNET_HDR (10 bytes) and O_NONBLOCK."""
    port.kind = PORT_TAP
    port.fd = fd
    port.rx_burst = tap_rx
    port.tx_burst = tap_tx


cdef inline bint tap_is_gone(int error) noexcept nogil:
    """Whether the error means that the device will never come back to this descriptor."""
    return error == EBADFD or error == EBADF or error == ENODEV


cdef inline int tap_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    cdef iovec parts[2]
    cdef ssize_t got
    cdef int i = 0
    parts[1].iov_base = room.tail
    parts[1].iov_len = TAIL_LEN
    parts[0].iov_len = SLOT_LEN
    while i < n:
        parts[0].iov_base = room.slots + i * SLOT_LEN
        got = readv(port.fd, parts, 2)
        if unlikely(got < VNET_LEN):
            if got < 0 and tap_is_gone(errno):
                port.lost = True
                return -errno
            break
        burst[i].data = room.slots + i * SLOT_LEN + VNET_LEN
        burst[i].tail = room.tail
        burst[i].len = <uint32_t>(got - VNET_LEN)
        burst[i].tail_len = burst[i].len - SLOT_ROOM if burst[i].len > SLOT_ROOM else 0
        i += 1
        if burst[i - 1].tail_len:
            break
    return i


cdef inline int tap_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    cdef iovec parts[2]
    cdef int i, dropped = 0
    cdef ssize_t sent
    for i in range(n):
        parts[0].iov_base = frame_vnet(frames[i])
        parts[0].iov_len = VNET_LEN + frame_head_len(frames[i])
        parts[1].iov_base = frames[i].tail
        parts[1].iov_len = frames[i].tail_len
        sent = writev(port.fd, parts, 2 if frames[i].tail_len else 1)
        if likely(sent >= 0):
            port_count_tx(port, frames[i])
            continue
        dropped += 1
        if tap_is_gone(errno):
            port.lost = True
    port.tx_dropped += dropped
    return dropped

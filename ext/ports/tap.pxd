"""A TAP device with a virtio-net header. Spec: linux/drivers/net/tun.c, Documentation/networking/tuntap.rst.

One frame a system call is what the device offers (ports/ring.pxd makes one call of many). A read has room for the
largest super-frame, as a short buffer would cut it without a word. A write runs the receiver's whole stack before
it returns, so it is also what the receiver's speed is felt by.
"""

from libc.errno cimport EBADF, EBADFD, ENODEV, errno
from libc.stdint cimport uint32_t
from posix.unistd cimport read, write

from ext.debug cimport likely, unlikely
from ext.frame cimport HEAD_LEN, SLOT_LEN, SUPER_LEN, VNET_LEN, frame_t, frame_vnet, slot_frame, slot_vnet
from ext.ports.port cimport PORT_TAP, port_count_tx, port_t, room_t


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
    cdef ssize_t got
    cdef int i = 0
    while i < n:
        got = read(port.fd, slot_vnet(room.slots, i), SLOT_LEN - HEAD_LEN)
        if unlikely(got < VNET_LEN):
            if got < 0 and tap_is_gone(errno):
                return -errno
            break
        burst[i].data = slot_frame(room.slots, i)
        burst[i].len = <uint32_t>(got - VNET_LEN)
        i += 1
        if got > SUPER_LEN:
            break
    return i


cdef inline int tap_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    cdef int i, dropped = 0
    for i in range(n):
        if likely(write(port.fd, frame_vnet(frames[i]), VNET_LEN + frames[i].len) >= 0):
            port_count_tx(port, frames[i])
            continue
        dropped += 1 + frames[i].merged
    port.tx_dropped += dropped
    return dropped

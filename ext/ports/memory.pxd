"""A port of plain memory: tests put frames in and take frames out.

Both sides are a run of records: uint32 length of the frame, virtio-net header, frame.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ext.frame cimport VNET_LEN, frame_t, frame_vnet, slot_frame
from ext.order cimport load32, store32
from ext.ports.port cimport PORT_MEMORY, port_count_tx, port_t, room_t

cdef enum:
    MEMORY_LEN = 8388608   # bytes each way before frames are dropped
    RECORD_LEN = 14        # what stands before each frame


cdef inline int memory_open(port_t *port) noexcept nogil:
    """The port is up and empty; 0, or -1 when memory is out."""
    port.kind = PORT_MEMORY
    port.fd = -1
    port.memory.capacity = MEMORY_LEN
    port.memory.incoming = <uint8_t *>malloc(MEMORY_LEN)
    port.memory.outgoing = <uint8_t *>malloc(MEMORY_LEN)
    port.memory.incoming_len = port.memory.incoming_at = port.memory.outgoing_len = 0
    port.rx_burst = memory_rx
    port.tx_burst = memory_tx
    return 0 if port.memory.incoming is not NULL and port.memory.outgoing is not NULL else -1


cdef inline void memory_close(port_t *port) noexcept nogil:
    free(port.memory.incoming)
    free(port.memory.outgoing)
    port.memory.incoming = NULL
    port.memory.outgoing = NULL


cdef inline bint memory_put(port_t *port, const uint8_t *vnet, const uint8_t *data, uint32_t n) noexcept nogil:
    """A frame waits to be received; False when there is no room."""
    cdef uint8_t *to = port.memory.incoming + port.memory.incoming_len
    if port.memory.incoming_len + RECORD_LEN + n > port.memory.capacity:
        return False
    store32(to, n)
    memcpy(to + 4, vnet, VNET_LEN)
    memcpy(to + RECORD_LEN, data, n)
    port.memory.incoming_len += RECORD_LEN + n
    return True


cdef inline int memory_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    cdef int i = 0
    cdef uint32_t length
    cdef uint8_t *record
    while i < n and port.memory.incoming_at < port.memory.incoming_len:
        record = port.memory.incoming + port.memory.incoming_at
        length = load32(record)
        burst[i].data = slot_frame(room.slots, i)
        burst[i].len = length
        memcpy(frame_vnet(&burst[i]), record + 4, VNET_LEN + length)
        port.memory.incoming_at += RECORD_LEN + length
        i += 1
    if port.memory.incoming_at == port.memory.incoming_len:
        port.memory.incoming_at = port.memory.incoming_len = 0
    return i


cdef inline int memory_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    cdef int i, dropped = 0
    cdef uint8_t *to
    for i in range(n):
        to = port.memory.outgoing + port.memory.outgoing_len
        if port.memory.outgoing_len + RECORD_LEN + frames[i].len > port.memory.capacity:
            dropped += 1 + frames[i].merged
            continue
        store32(to, frames[i].len)
        memcpy(to + 4, frame_vnet(frames[i]), VNET_LEN + frames[i].len)
        port.memory.outgoing_len += RECORD_LEN + frames[i].len
        port_count_tx(port, frames[i])
    port.tx_dropped += dropped
    return dropped

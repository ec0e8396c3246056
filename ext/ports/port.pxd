"""What every port is: the contract between the pipeline and what carries frames.

Bursts cross this interface, never single frames.
- `rx_burst(port, room, burst, n)`: at most n frames are in burst, their bytes in slots of room; how many. A
  super-frame is the last of its burst, so that it leaves while it is in the cache. Nothing waits: 0. Device gone:
  -errno, and the port is lost.
- `tx_burst(port, frames, n)`: every frame has left or is on its way, or is counted in tx_dropped; how many were
  dropped. A port that is down drops all. The frames are read, not changed. With a ring, they are read until the
  next `ring_enter`.
Neither blocks. Counters are written by the worker only.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.frame cimport frame_t

cdef enum:
    BURST = 128            # deep, as a queue that has grown is the better shared out the more of it is seen at once
    PORTS = 256
    PORT_TAP = 0
    PORT_MEMORY = 1

cdef struct room_t:
    uint8_t *slots         # BURST slots of SLOT_LEN, and the worker's own behind them

cdef struct memory_t:      # what a memory port holds; see ports/memory.pxd
    uint8_t *incoming
    uint8_t *outgoing
    uint32_t incoming_len
    uint32_t incoming_at
    uint32_t outgoing_len
    uint32_t capacity

ctypedef int (*rx_burst_t)(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil
ctypedef int (*tx_burst_t)(port_t *port, frame_t **frames, int n) noexcept nogil

cdef struct port_t:
    rx_burst_t rx_burst
    tx_burst_t tx_burst
    memory_t memory
    void *ring             # ring_t of ports/ring.pxd that carries its frames, or NULL
    int fd                 # -1 when there is none
    int kind
    uint16_t index
    uint16_t segment
    bint host              # the kernel twin of its segment
    bint up                # its device is there and up
    bint merges            # it takes datagrams put together (coalesce.pxd)
    bint lost              # its device is gone for good
    uint8_t backoff        # turns it was last left out for, as it had nothing
    uint8_t rest           # turns it is still left out
    uint16_t want          # ring: how many frames it is asked for
    uint16_t asked         # ring: how many it was asked for this turn, in slots from asked_at on
    uint16_t asked_at
    uint32_t mtu
    uint64_t rx_frames
    uint64_t rx_bytes
    uint64_t rx_dropped
    uint64_t tx_frames
    uint64_t tx_bytes
    uint64_t tx_dropped


cdef inline void port_count_tx(port_t *port, const frame_t *frame) noexcept nogil:
    """The frame has left; one that was put together counts as the datagrams it carries."""
    port.tx_frames += 1 + frame.merged
    port.tx_bytes += frame.len

"""What every port is: the contract between the pipeline and what carries frames.

Bursts cross this interface, never single frames.
- `rx_burst(port, room, burst, n)`: at most n frames are in burst, their bytes in slots of room; how many. Super-frames
  end a burst or are few in it, so that they leave while they are in the cache. Nothing waits: 0. Device gone: -errno,
  and the port is lost. Frames that could not be read whole are counted in `unread`.
- `tx_burst(port, frames, n)`: every frame has left or is on its way, or is counted in tx_dropped; how many were
  dropped. A port that is down drops all. The frames are read, not changed. With a ring, they are read until the
  next `ring_enter`.
Neither blocks. A port that is a VLAN of another has neither (trunk.pxd). Counters are written by the worker only.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.frame cimport SUPER_LEN, frame_t

cdef enum:
    BURST = 128            # deep, as a queue that has grown is the better shared out the more of it is seen at once
    PORTS = 256
    PORT_TAP = 0
    PORT_MEMORY = 1
    PORT_PACKET = 2
    PORT_TUN = 3
    PORT_VLAN = 4          # a VLAN of another port, its trunk: `port.VID`
    VLANS = 4096
    WANT_SUPER = 3         # super-frames asked for at once: more of them would not stay in the cache

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
    uint64_t segment_mac   # its own
    bint there             # it is in the configuration; one that is not has no device, and counts as lost
    bint host              # the kernel twin of its segment
    bint up                # its device is there and up
    bint offloads          # it takes super-frames and partial checksums
    bint merges            # it takes datagrams put together (coalesce.pxd)
    bint vlans             # what leaves by it is looked at for its tag: it is a trunk, or one's VLAN
    uint16_t vid           # the VLAN of its trunk that it is; 0 for a port with a device of its own
    uint16_t trunk         # the port with the device
    uint16_t *members      # VLANS ports, NO_PORT where it has none; NULL: tags are not asked for on the way in
    bint lost              # its device is gone for good
    uint8_t backoff        # turns it was last left out for, as it had nothing
    uint8_t rest           # turns it is still left out
    uint16_t unread        # frames that came since this was last counted, but not whole
    uint16_t want          # how many frames it is asked for
    uint16_t asked         # ring: how many it was asked for this turn, in slots from asked_at on
    uint16_t asked_at
    uint32_t mtu
    uint64_t rx_frames
    uint64_t rx_bytes
    uint64_t rx_dropped
    uint64_t tx_frames
    uint64_t tx_bytes
    uint64_t tx_dropped
    uint64_t made          # frames that swlb made itself because of one that came by this port; of itself: at the first
    uint64_t missed        # frames the kernel had no room to keep for us; the control plane counts them


cdef inline void port_count_tx(port_t *port, const frame_t *frame) noexcept nogil:
    """The frame has left; one that was put together counts as the datagrams it carries."""
    port.tx_frames += 1 + frame.merged
    port.tx_bytes += frame.len


cdef inline void port_learn_want(port_t *port, uint32_t asked, uint32_t got, uint32_t longest) noexcept nogil:
    """How many frames a device that is asked for several at once is asked for next time.

    How many it has is not known beforehand: twice as many when all came, one more than came otherwise.
    """
    if got == 0:
        port.want = 1
        return
    port.want = <uint16_t>min(2 * got if got == asked else got + 1, <uint32_t>BURST)
    if longest > SUPER_LEN:
        port.want = min(port.want, <uint16_t>WANT_SUPER)


cdef inline bint is_there(const port_t *port, uint16_t segment) noexcept nogil:
    """Whether the port is the one by which a frame came in on the segment; not after some reloads, or before them."""
    return port.there and port.segment == segment

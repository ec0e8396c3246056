"""Where verdicts are carried out: what leaves is queued by port until the burst is judged, then flushed.

A frame's bytes must stay as they are between `carry_out` and `flush`. One frame that was judged is one that leaves, but
for an IPv4 packet in pieces (wire/pieces.pxd).
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.coalesce cimport coalesce
from ext.debug cimport likely, unlikely
from ext.frame cimport frame_t, frame_vnet
from ext.ports.port cimport BURST, PORTS, port_t
from ext.ports.ring cimport ring_enter, ring_t
from ext.tables.crew cimport crew_hand
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport drop_count, tables_t
from ext.verdict cimport (DROP_HANDOVER_FULL, DROP_NOWHERE, DROP_OVERSIZE, DROP_PORT_DOWN, DROP_TX_FAILED, FLOOD,
                          FLOOD_STATIONS, HAND_OVER, N_DROPS, SEND, verdict_t)
from ext.wire.ethernet cimport ETH_LEN, TAG_LEN
from ext.wire.pieces cimport piece_make
from ext.wire.tcp cimport TCP_LEN, tcp_hdr
from ext.wire.udp cimport UDP_LEN
from ext.wire.vnet cimport GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, VNET_NEEDS_CSUM, vnet_hdr

cdef struct outbox_t:
    frame_t *frames[PORTS][BURST]
    uint16_t n_of[PORTS]   # queued for each port
    uint16_t busy[PORTS]   # ports with something queued, each once
    uint32_t n_busy
    frame_t piece          # in a slot of its own: of a packet that leaves in pieces, one at a time
    ring_t *ring           # which may still be reading what was flushed


cdef inline bint frame_fits(const frame_t *frame, uint32_t mtu) noexcept nogil:
    """Whether a port of that MTU takes the frame: one tag comes on top, a second if there is one."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    cdef uint32_t most = mtu + ETH_LEN + TAG_LEN
    if frame.n_tags > 1:
        most += TAG_LEN
    if unlikely(vnet.gso_type != GSO_NONE):
        return super_headers_len(frame) + vnet.gso_size <= mtu
    return frame.len <= most


cdef inline uint32_t super_headers_len(const frame_t *frame) noexcept nogil:
    """Bytes of IP and L4 headers in front of every segment of a super-frame, as far as its offload header names them.

    On a plain switch nobody has parsed the packet. 0 when the offload header points out of the frame: what it says is the
    next taker's to judge, who refuses it.
    """
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    cdef uint32_t l4_off = vnet.csum_start
    if not vnet.flags & VNET_NEEDS_CSUM or l4_off < frame.l3_off or l4_off + TCP_LEN > frame.len:
        return 0
    if vnet.gso_type & ~GSO_ECN == GSO_TCPV4 or vnet.gso_type & ~GSO_ECN == GSO_TCPV6:
        return l4_off - frame.l3_off + (<tcp_hdr *>(frame.data + l4_off)).data_off // 16 * 4
    return l4_off - frame.l3_off + UDP_LEN


cdef inline int queue(tables_t *tables, outbox_t *outbox, uint16_t index, frame_t *frame) noexcept nogil:
    """The frame is among those that leave by the port; else the reason why it cannot."""
    cdef port_t *port = &tables.ports[index]
    if unlikely(not port.up or port.lost):
        port.tx_dropped += 1
        return DROP_PORT_DOWN
    if unlikely(not frame_fits(frame, port.mtu)):
        port.tx_dropped += 1
        return DROP_OVERSIZE
    if outbox.n_of[index] == BURST:
        flush_port(tables, outbox, index)
    if outbox.n_of[index] == 0:
        outbox.busy[outbox.n_busy] = index
        outbox.n_busy += 1
    outbox.frames[index][outbox.n_of[index]] = frame
    outbox.n_of[index] += 1
    return SEND


cdef inline void flush_port(tables_t *tables, outbox_t *outbox, uint16_t index) noexcept nogil:
    """What was queued for the port has left it, or is counted. It stays in the list of busy ports."""
    cdef port_t *port = &tables.ports[index]
    cdef int n = outbox.n_of[index]
    if port.merges and n > 1:
        n = coalesce(outbox.frames[index], n)
    tables.drops[DROP_TX_FAILED] += port.tx_burst(port, outbox.frames[index], n)
    outbox.n_of[index] = 0


cdef inline void flush(tables_t *tables, outbox_t *outbox) noexcept nogil:
    """Every queue is empty; the frames' bytes may be used again."""
    cdef uint32_t i
    for i in range(outbox.n_busy):
        if outbox.n_of[outbox.busy[i]]:
            flush_port(tables, outbox, outbox.busy[i])
    outbox.n_busy = 0


cdef inline void carry_out(tables_t *tables, outbox_t *outbox, frame_t *frame, verdict_t verdict) noexcept nogil:
    """The verdict is done: queued for one port or several, or dropped and counted."""
    # What parse has refused may still have the length of a frame before it.
    if unlikely(frame.cut_len and verdict >= N_DROPS):
        verdict = in_pieces(tables, outbox, frame, verdict)
    elif likely(verdict == SEND):
        verdict = queue(tables, outbox, frame.out_port, frame)
    elif verdict == FLOOD or verdict == FLOOD_STATIONS:
        verdict = flood(tables, outbox, frame, verdict)
    elif verdict == HAND_OVER and not crew_hand(&tables.crew, frame):
        verdict = DROP_HANDOVER_FULL
    if unlikely(verdict < N_DROPS):
        drop_count(tables, frame, verdict)


cdef inline verdict_t flood(tables_t *tables, outbox_t *outbox, frame_t *frame, verdict_t verdict) noexcept nogil:
    """Queued for every port of frame.out_segment that is up, but the one it came by.

    A drop when no port took it: for the reason the last one gave, or because there is none.
    """
    cdef segment_t *segment = &tables.segments[frame.out_segment]
    cdef verdict_t queued, result = DROP_NOWHERE
    cdef uint32_t i
    cdef uint16_t port
    frame.shared = True
    for i in range(segment.n_ports):
        port = segment.ports[i]
        if port == frame.port or not tables.ports[port].up or tables.ports[port].lost:
            continue
        if verdict == FLOOD_STATIONS and port == segment.host_port:
            continue
        queued = queue(tables, outbox, port, frame)
        if result != SEND:
            result = queued
    return result


cdef inline verdict_t in_pieces(tables_t *tables, outbox_t *outbox, frame_t *frame, verdict_t verdict) noexcept nogil:
    """Every piece has left, behind all that was queued before it; a drop when one could not, for the reason it gave."""
    cdef verdict_t sent, result = SEND
    cdef uint32_t at = 0
    while at < frame.l4_len:
        at = piece_make(frame, &outbox.piece, at)
        if verdict == SEND:
            sent = queue(tables, outbox, frame.out_port, &outbox.piece)
        else:
            sent = flood(tables, outbox, &outbox.piece, verdict)
        if sent != SEND:
            result = sent
        flush(tables, outbox)
        settle(outbox)
    return result


cdef inline void settle(outbox_t *outbox) noexcept nogil:
    """Nothing waits in the ring to be written: the bytes of frames may be used again."""
    if outbox.ring.fd >= 0 and outbox.ring.n_queued:
        ring_enter(outbox.ring)

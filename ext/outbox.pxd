"""Where verdicts are carried out: what leaves is queued by port until the burst is judged, then flushed.

A frame's bytes must stay as they are between `carry_out` and `flush`. One frame that was judged is one that leaves, but
for a packet that leaves in fragments (wire/fragment.pxd), and for what a port does not take as it is (a super-frame, a
partial checksum): that is cut and completed into the arena, and leaves as pieces. When the arena is full, everything that
is queued leaves first.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from ext.coalesce cimport coalesce
from ext.debug cimport likely, unlikely
from ext.frame cimport HEAD_LEN, VNET_LEN, frame_t, frame_vnet
from ext.ports.port cimport BURST, PORTS, port_count_tx, port_t
from ext.ports.ring cimport ring_enter, ring_t
from ext.tables.crew cimport crew_hand
from ext.tables.segment cimport segment_t
from ext.tables.tables cimport count_made, drop_count, tables_t
from ext.verdict cimport (DROP_BAD_OFFLOAD, DROP_HANDOVER_FULL, DROP_NOT_MEMBER, DROP_NOWHERE, DROP_OVERSIZE,
                          DROP_PORT_DOWN, DROP_TX_FAILED, FLOOD, FLOOD_STATIONS, HAND_OVER, N_DROPS, SEND, verdict_t)
from ext.wire.ethernet cimport ETH_LEN, TAG_LEN
from ext.wire.fragment cimport fragment_make, outer_alone
from ext.wire.segment cimport cut_plan, cut_t, is_unfinished, piece_len, piece_write
from ext.wire.tag cimport tag_for, tag_vid
from ext.wire.tcp cimport TCP_LEN, tcp_hdr
from ext.wire.udp cimport UDP_LEN
from ext.wire.vnet cimport GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, VNET_NEEDS_CSUM, vnet_hdr

cdef enum:
    PIECES = 512
    PIECE_HEAD = 8         # in front of a piece: a tag may be put on
    ARENA_LEN = 1048576    # some 15 super-frames of TCP; of it only as much is touched as a burst needs

cdef struct outbox_t:
    frame_t *frames[PORTS][BURST]
    uint16_t n_of[PORTS]   # queued for each port
    uint16_t busy[PORTS]   # ports with something queued, each once
    uint32_t n_busy
    ring_t *ring           # may still have to read what was flushed
    uint8_t *arena         # ARENA_LEN bytes, and behind them a slot for the segment that is being cut
    uint32_t arena_len     # of them in use
    uint32_t n_pieces
    frame_t pieces[PIECES]


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

    A tunnel's headers are among them. On a plain switch nobody has parsed the packet. 0 when the offload header points
    out of the frame: what it says is the next taker's to judge, who refuses it.
    """
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    cdef uint32_t l3_off = ETH_LEN + frame.n_tags * TAG_LEN
    cdef uint32_t l4_off = vnet.csum_start
    if not vnet.flags & VNET_NEEDS_CSUM or l4_off < l3_off or l4_off + TCP_LEN > frame.len:
        return 0
    if vnet.gso_type & ~GSO_ECN == GSO_TCPV4 or vnet.gso_type & ~GSO_ECN == GSO_TCPV6:
        return l4_off - l3_off + (<tcp_hdr *>(frame.data + l4_off)).data_off // 16 * 4
    return l4_off - l3_off + UDP_LEN


cdef inline int queue(tables_t *tables, outbox_t *outbox, uint16_t index, frame_t *frame) noexcept nogil:
    """The frame is among those that leave by the port; else the reason why it cannot."""
    cdef port_t *port = &tables.ports[index]
    if unlikely(not port.up or port.lost):
        port.tx_dropped += 1
        return DROP_PORT_DOWN
    if unlikely(port.vlans):
        return queue_vlan(tables, outbox, index, frame)
    return queue_whole(tables, outbox, index, frame)


cdef inline int queue_vlan(tables_t *tables, outbox_t *outbox, uint16_t index, frame_t *frame) noexcept nogil:
    """The same by a trunk, tagged when the port is a VLAN of it. What others send, too, is copied for that."""
    cdef port_t *port = &tables.ports[index]
    cdef frame_t alone
    cdef int queued
    if port.vid == 0:
        # Beyond a trunk a frame with a tag would be in that VLAN.
        if unlikely(tag_vid(frame)):
            port.tx_dropped += 1
            return DROP_NOT_MEMBER
        return queue_whole(tables, outbox, index, frame)
    if frame.shared and leaves_in_pieces(&tables.ports[port.trunk], frame):
        # It is read until its last piece is written, and by then the arena may have begun anew.
        alone.data = outbox.arena + ARENA_LEN + HEAD_LEN + VNET_LEN
        frame = copy_to(&alone, frame)
    elif frame.shared:
        frame = copy_to(piece_room(tables, outbox, frame.len), frame)
    tag_for(frame, port.vid)
    queued = queue_whole(tables, outbox, port.trunk, frame)
    if likely(queued == SEND):
        port_count_tx(port, frame)
    else:
        port.tx_dropped += 1
    return queued


cdef inline frame_t *copy_to(frame_t *room, const frame_t *frame) noexcept nogil:
    """The same frame at the room's data, where it may be changed."""
    cdef uint8_t *data = room.data
    memcpy(frame_vnet(room), frame_vnet(frame), VNET_LEN + frame.len)
    room[0] = frame[0]
    room.data = data
    return room


cdef inline bint leaves_in_pieces(const port_t *port, const frame_t *frame) noexcept nogil:
    """Whether the port, which has a device, does not take the frame as it is: a super-frame, or a partial checksum."""
    # No kernel cuts what is in a tunnel behind a virtio-net header of 10 bytes, which has no word for it.
    return unlikely(not port.offloads or frame.outer_len) and is_unfinished(frame)


cdef inline int queue_whole(tables_t *tables, outbox_t *outbox, uint16_t index, frame_t *frame) noexcept nogil:
    """The frame as it is now, or the pieces it stands for, is among those that leave by the port; else the reason."""
    cdef port_t *port = &tables.ports[index]
    if unlikely(not frame_fits(frame, port.mtu)):
        port.tx_dropped += 1
        return DROP_OVERSIZE
    if leaves_in_pieces(port, frame):
        return queue_pieces(tables, outbox, index, frame)
    enqueue(tables, outbox, index, frame)
    return SEND


cdef inline void enqueue(tables_t *tables, outbox_t *outbox, uint16_t index, frame_t *frame) noexcept nogil:
    """The frame is the last of those that leave by the port."""
    if outbox.n_of[index] == BURST:
        flush_port(tables, outbox, index)
    if outbox.n_of[index] == 0:
        outbox.busy[outbox.n_busy] = index
        outbox.n_busy += 1
    outbox.frames[index][outbox.n_of[index]] = frame
    outbox.n_of[index] += 1


cdef inline int queue_pieces(tables_t *tables, outbox_t *outbox, uint16_t index, const frame_t *frame) noexcept nogil:
    """The frames it stands for are queued in its place, and it is as it was; else the reason why they cannot be."""
    cdef frame_t *piece
    cdef cut_t cut
    cdef uint32_t i
    if unlikely(not cut_plan(&cut, frame)):
        tables.ports[index].tx_dropped += 1
        return DROP_BAD_OFFLOAD
    for i in range(cut.n):
        piece = piece_room(tables, outbox, piece_len(&cut, i))
        piece_write(&cut, i, piece)
        enqueue(tables, outbox, index, piece)
    count_made(tables, frame, cut.n - 1)
    return SEND


cdef inline frame_t *piece_room(tables_t *tables, outbox_t *outbox, uint32_t length) noexcept nogil:
    """A frame of the arena's with room for so many bytes and a tag; what is queued has left when there was none."""
    cdef uint32_t need = (PIECE_HEAD + VNET_LEN + length + 63) // 64 * 64
    cdef frame_t *piece
    if unlikely(outbox.n_pieces == PIECES or outbox.arena_len + need > ARENA_LEN):
        flush(tables, outbox)
        settle(outbox)
        outbox.n_pieces = outbox.arena_len = 0
    piece = &outbox.pieces[outbox.n_pieces]
    piece.data = outbox.arena + outbox.arena_len + PIECE_HEAD + VNET_LEN
    # It counts as one, and is nothing that could be put together again.
    piece.merged = 0
    piece.protocol = 0
    piece.cut_len = 0
    piece.outer_len = 0
    piece.shared = False
    outbox.n_pieces += 1
    outbox.arena_len += need
    return piece


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
    if unlikely(outbox.n_pieces) and outbox.ring.n_queued == 0:
        outbox.n_pieces = outbox.arena_len = 0


cdef inline void carry_out(tables_t *tables, outbox_t *outbox, frame_t *frame, verdict_t verdict) noexcept nogil:
    """The verdict is done: queued for one port or several, or dropped and counted."""
    if likely(verdict == SEND and frame.cut_len == 0):
        verdict = queue(tables, outbox, frame.out_port, frame)
    elif verdict == SEND or verdict == FLOOD or verdict == FLOOD_STATIONS:
        verdict = spread(tables, outbox, frame, verdict)
    elif verdict == HAND_OVER and not crew_hand(&tables.crew, frame):
        verdict = DROP_HANDOVER_FULL
    if unlikely(verdict < N_DROPS):
        drop_count(tables, frame, verdict)


cdef inline verdict_t spread(tables_t *tables, outbox_t *outbox, frame_t *frame, verdict_t verdict) noexcept nogil:
    """Queued for every port of frame.out_segment that is up, but the one it came by; with SEND for one, in fragments.

    A drop when no port took it: for the reason the last one gave, or because there is none.
    """
    cdef segment_t *segment = &tables.segments[frame.out_segment]
    cdef verdict_t queued, result = DROP_NOWHERE
    cdef uint32_t i, n = 0
    cdef uint16_t port
    if verdict == SEND:
        return in_fragments(tables, outbox, frame.out_port, frame)
    frame.shared = True
    for i in range(segment.n_ports):
        port = segment.ports[i]
        if port == frame.port or not tables.ports[port].up or tables.ports[port].lost:
            continue
        if verdict == FLOOD_STATIONS and port == segment.host_port:
            continue
        if unlikely(frame.cut_len):
            # Each port has its own: the arena may begin anew before the last one is asked.
            queued = in_fragments(tables, outbox, port, frame)
        else:
            queued = queue(tables, outbox, port, frame)
        n += queued == SEND
        if result != SEND:
            result = queued
    if n > 1:
        count_made(tables, frame, n - 1)
    return result


cdef inline verdict_t in_fragments(tables_t *tables, outbox_t *outbox, uint16_t index,
                                   const frame_t *frame) noexcept nogil:
    """All fragments are queued in the frame's place, those of every segment of a super-frame; else a reason to drop."""
    cdef verdict_t sent, result = SEND
    cdef frame_t whole = frame[0]
    cdef cut_t cut
    cdef uint32_t i, n = 0
    if likely((<vnet_hdr *>frame_vnet(frame)).gso_type == GSO_NONE):
        result = fragments_of(tables, outbox, index, &whole, &n)
    elif unlikely(not cut_plan(&cut, frame)):
        return DROP_BAD_OFFLOAD
    else:
        for i in range(cut.n):
            whole = frame[0]
            whole.data = outbox.arena + ARENA_LEN + HEAD_LEN + VNET_LEN
            piece_write(&cut, i, &whole)
            whole.l4_len = whole.len - whole.l4_off
            sent = fragments_of(tables, outbox, index, &whole, &n)
            if sent != SEND:
                result = sent
    # One of them is the frame itself, or else that is what counts as dropped.
    count_made(tables, frame, n - 1 if result == SEND else n)
    return result


cdef inline verdict_t fragments_of(tables_t *tables, outbox_t *outbox, uint16_t index, frame_t *whole,
                                   uint32_t *n_sent) noexcept nogil:
    """The fragments of one packet are queued, n_sent more; a drop when one could not be, for the reason it gave."""
    cdef verdict_t sent, result = SEND
    cdef frame_t *piece
    cdef uint32_t at = 0
    whole.shared = False
    if whole.family == 6:
        # Several workers send from one address.
        tables.outer_id += 1
        outer_alone(whole, tables.outer_id * tables.crew.n + tables.crew.index)
    while at < whole.l4_len:
        piece = piece_room(tables, outbox, whole.l3_off + whole.outer_len + whole.cut_len)
        at = fragment_make(whole, piece, at)
        sent = queue(tables, outbox, index, piece)
        n_sent[0] += sent == SEND
        if sent != SEND:
            result = sent
    return result


cdef inline void settle(outbox_t *outbox) noexcept nogil:
    """Nothing waits in the ring to be written: the bytes of frames may be used again."""
    if outbox.ring.fd >= 0 and outbox.ring.n_queued:
        ring_enter(outbox.ring)

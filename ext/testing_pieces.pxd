"""What the fuzzer knows of pieces: frames that were cut or completed on their way out, in memory of their own."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from ext.frame cimport FOUND_PARTIAL, frame_t, frame_vnet
from ext.order cimport load16
from ext.outbox cimport ARENA_LEN, outbox_t
from ext.verdict cimport GO_ON, N_DROPS
from ext.wire.checksum cimport sum_fold, sum_pseudo
from ext.wire.ethernet cimport MACS_LEN
from ext.wire.parse cimport parse_ethernet, parse_ip
from ext.wire.segment cimport is_unfinished
from ext.wire.vnet cimport vnet_hdr

cdef enum:
    PORTS_LEN = 4


cdef inline bint is_piece(const outbox_t *outbox, const frame_t *frame) noexcept nogil:
    """Whether the frame lies in the arena."""
    return outbox.arena <= frame.data < outbox.arena + ARENA_LEN


cdef inline bint is_piece_of(const frame_t *piece, const frame_t *whole) noexcept nogil:
    """Whether the piece may be of that frame: MACs are the same, and ports, where the checksum lies behind them."""
    cdef const vnet_hdr *vnet = <const vnet_hdr *>frame_vnet(whole)
    cdef uint32_t l4_off = vnet.csum_start
    if not is_unfinished(whole) or memcmp(piece.data, whole.data, MACS_LEN) != 0:
        return False
    if vnet.csum_offset < PORTS_LEN:
        return True
    return (l4_off + PORTS_LEN <= min(piece.len, whole.len)
            and memcmp(piece.data + l4_off, whole.data + l4_off, PORTS_LEN) == 0)


cdef inline bint is_partial_and_right(const frame_t *whole) noexcept nogil:
    """Whether the frame has a partial checksum that is the pseudo-header's sum."""
    cdef frame_t seen = whole[0]
    cdef uint32_t check
    if parse_ethernet(&seen) != GO_ON:
        return False
    parse_ip(&seen)
    if not seen.found & FOUND_PARTIAL or seen.flaw != N_DROPS:
        return False
    check = load16(seen.data + seen.l4_off + (<const vnet_hdr *>frame_vnet(whole)).csum_offset)
    return check == sum_fold(sum_pseudo(seen.src, seen.dst, seen.protocol, seen.l4_len))


cdef inline bint asks_for_nothing(const frame_t *piece) noexcept nogil:
    """Whether the piece's offload header is clear, and it counts as one frame."""
    cdef const uint8_t *vnet = frame_vnet(piece)
    cdef uint32_t i
    for i in range(<uint32_t>sizeof(vnet_hdr)):
        if vnet[i]:
            return False
    return piece.merged == 0

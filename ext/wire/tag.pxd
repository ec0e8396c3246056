"""VLAN tags, put on and taken off: the offload header moves with the MACs, and its offsets count from them still.

Spec: IEEE 802.1Q clause 9; virtio 1.2 section 5.1.6. A tag's VLAN is in its low 12 bits, PCP and DEI are in front of it.
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memmove

from ext.frame cimport VNET_LEN, frame_t, frame_vnet
from ext.order cimport be16, htons, load16, ntohs, store16
from ext.wire.ethernet cimport ETH_8021Q, ETH_LEN, MACS_LEN, TAG_LEN
from ext.wire.vnet cimport VNET_NEEDS_CSUM, vnet_hdr

cdef enum:
    VID_MASK = 0x0FFF
    PRIORITY_SHIFT = 12


cdef inline void tag_push(frame_t *frame, be16 tpid, uint16_t tci) noexcept nogil:
    """The frame has that tag as its outermost; it begins 4 bytes earlier. What parse found is where it was."""
    cdef vnet_hdr *vnet
    memmove(frame_vnet(frame) - TAG_LEN, frame_vnet(frame), VNET_LEN + MACS_LEN)
    frame.data -= TAG_LEN
    frame.len += TAG_LEN
    store16(frame.data + MACS_LEN, tpid)
    store16(frame.data + MACS_LEN + 2, htons(tci))
    vnet = <vnet_hdr *>frame_vnet(frame)
    if vnet.flags & VNET_NEEDS_CSUM:
        vnet.csum_start += TAG_LEN
    if vnet.hdr_len:
        vnet.hdr_len += TAG_LEN


cdef inline uint16_t tag_pop(frame_t *frame) noexcept nogil:
    """The frame is without its outermost tag, whose control information this is. It is one that has a whole one."""
    cdef uint16_t tci = ntohs(load16(frame.data + MACS_LEN + 2))
    cdef vnet_hdr *vnet
    memmove(frame_vnet(frame) + TAG_LEN, frame_vnet(frame), VNET_LEN + MACS_LEN)
    frame.data += TAG_LEN
    frame.len -= TAG_LEN
    vnet = <vnet_hdr *>frame_vnet(frame)
    # An offset that lay within the tag is wrong either way, and remains so.
    if vnet.flags & VNET_NEEDS_CSUM:
        vnet.csum_start -= TAG_LEN
    if vnet.hdr_len >= TAG_LEN:
        vnet.hdr_len -= TAG_LEN
    return tci


cdef inline bint is_tagged(const frame_t *frame) noexcept nogil:
    """Whether the outermost tag is a VLAN's (not a provider's service tag, 802.1ad) and whole."""
    return (frame.len >= ETH_LEN + TAG_LEN and load16(frame.data + MACS_LEN) == ETH_8021Q)


cdef inline uint16_t tag_vid(const frame_t *frame) noexcept nogil:
    """The VLAN that the frame is tagged for; 0 for none and for priority tags."""
    return ntohs(load16(frame.data + MACS_LEN + 2)) & VID_MASK if is_tagged(frame) else 0


cdef inline void tag_for(frame_t *frame, uint16_t vid) noexcept nogil:
    """The frame is tagged for the VLAN: a priority tag names it now, else a tag is put on with frame.priority."""
    cdef uint8_t *tci = frame.data + MACS_LEN + 2
    if is_tagged(frame) and tag_vid(frame) == 0:
        store16(tci, load16(tci) | htons(vid))
        return
    tag_push(frame, ETH_8021Q, <uint16_t>(frame.priority << PRIORITY_SHIFT) | vid)
    frame.n_tags += 1
    frame.l3_off += TAG_LEN
    frame.l4_off += TAG_LEN

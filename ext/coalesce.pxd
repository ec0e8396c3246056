"""Datagrams of one flow, read in one burst, leave as one super-frame: UDP segmentation offload (USO).

The kernel cuts it again in front of whoever does not want it whole, so receivers see the same datagrams; a write
carries the receiver's whole stack, and that once instead of once a datagram is a third to a fifth of the cost.
Nothing is waited for: only what came in the same burst is put together, so no datagram is later than it would be.

Merged is what swlb has routed or balanced; what it bridges stays byte for byte. A wrong checksum would be made good
by this, so datagrams whose checksum is complete are summed first, and those without one (RFC 768) stay alone.
Spec: virtio 1.2 section 5.1.6 (GSO_UDP_L4); linux/net/ipv4/udp_offload.c: udp_gro_receive, whose rules these are.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from ext.address cimport ip_load, ip_of_v4
from ext.debug cimport unlikely
from ext.frame cimport FOUND_L4, FOUND_LATER, FOUND_PARTIAL, frame_t, frame_vnet
from ext.order cimport be16, htons, load32, ntohs
from ext.wire.checksum cimport checksum_adjust, checksum_of, sum_change, sum_fold, sum_pseudo
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6, ETH_LEN, eth_hdr
from ext.wire.ipv4 cimport IPV4_DONT, IPV4_LEN, PROTO_UDP, ipv4_hdr
from ext.wire.ipv6 cimport IPV6_LEN, ipv6_hdr
from ext.wire.udp cimport UDP_CHECKSUM_OFF, UDP_LEN, udp_hdr
from ext.wire.vnet cimport GSO_NONE, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet_hdr

cdef enum:
    SEGMENTS = 64          # UDP_MAX_SEGMENTS of kernels before 6.10
    HEADS = 1024           # places for the flows of a burst, by hash; two that meet in one take turns
    MOST_LEN = 65535       # of the IP packet


cdef inline int coalesce(frame_t **frames, int n) noexcept nogil:
    """How many of the n frames are left, in their order, once the datagrams of each flow are one."""
    cdef uint8_t heads[HEADS]
    cdef uint8_t *head
    cdef int i, kept = 0
    while kept < n and is_alone(frames[kept]):
        kept += 1
    # Most bursts have no datagram, and pay for no more than this look.
    if kept >= n - 1:
        return n
    memset(heads, 0, sizeof(heads))
    for i in range(kept, n):
        head = &heads[frames[i].hash % HEADS]
        if unlikely(is_alone(frames[i])):
            # If it is of a flow that has a head, nothing may pass it by. A later fragment may be of any flow.
            if frames[i].found & FOUND_LATER:
                memset(heads, 0, sizeof(heads))
            head[0] = 0
        elif head[0] and is_same_flow(frames[head[0] - 1], frames[i]) and may_join(frames[head[0] - 1], frames[i]):
            join(frames[head[0] - 1], frames[i])
            continue
        else:
            head[0] = <uint8_t>(kept + 1)
        frames[kept] = frames[i]
        kept += 1
    for i in range(kept):
        if frames[i].merged:
            finish(frames[i])
    return kept


cdef inline bint is_alone(const frame_t *frame) noexcept nogil:
    """Whether the frame is nothing that could be merged: made by swlb, bridged, sent to several ports, no datagram."""
    cdef const uint8_t *l3 = frame.data + ETH_LEN
    if frame.protocol != PROTO_UDP or not frame.found & FOUND_L4 or frame.shared or frame.l3_off != ETH_LEN:
        return True
    if not (frame.rewritten or frame.lowered) or (<vnet_hdr *>frame_vnet(frame)).gso_type != GSO_NONE:
        return True
    # An answer of swlb's own stands where the frame was that it is about, so the bytes have the last word.
    if (<eth_hdr *>frame.data).ethertype == ETH_IPV4:
        return (frame.l4_off != ETH_LEN + IPV4_LEN or (<ipv4_hdr *>l3).protocol != PROTO_UDP
                or (<ipv4_hdr *>l3).frag != htons(IPV4_DONT))
    return ((<eth_hdr *>frame.data).ethertype != ETH_IPV6 or frame.l4_off != ETH_LEN + IPV6_LEN
            or (<ipv6_hdr *>l3).next_header != PROTO_UDP)


cdef inline bint is_same_flow(const frame_t *head, const frame_t *frame) noexcept nogil:
    """Whether all their headers are the same but for lengths, checksums and identification."""
    cdef const uint8_t *a = head.data
    cdef const uint8_t *b = frame.data
    if head.hash != frame.hash or head.l4_off != frame.l4_off:
        return False
    if memcmp(a, b, ETH_LEN) != 0 or load32(a + head.l4_off) != load32(b + frame.l4_off):
        return False
    a += ETH_LEN
    b += ETH_LEN
    if frame.family == 4:
        return a[1] == b[1] and a[8] == b[8] and memcmp(a + 12, b + 12, 8) == 0
    return load32(a) == load32(b) and a[7] == b[7] and memcmp(a + 8, b + 8, 32) == 0


cdef inline bint may_join(frame_t *head, const frame_t *frame) noexcept nogil:
    """Whether the frame is the head's next segment: no longer than the others, and none shorter before it."""
    cdef uint32_t segment = segment_len(head)
    cdef uint32_t payload = frame.l4_len - UDP_LEN
    return (is_sound(frame) and is_sound(head) and 0 < payload <= segment and head.merged < SEGMENTS - 1
            and (head.l4_len - UDP_LEN) == segment * (head.merged + <uint32_t>1)
            and head.l4_off - ETH_LEN + head.l4_len + payload <= MOST_LEN)


cdef inline uint32_t segment_len(const frame_t *head) noexcept nogil:
    """Bytes of payload in each datagram but the last."""
    return (<vnet_hdr *>frame_vnet(head)).gso_size if head.merged else head.l4_len - UDP_LEN


cdef inline bint is_sound(const frame_t *frame) noexcept nogil:
    """Whether the datagram fills its packet and its checksum is right, as far as it has one by now."""
    cdef const udp_hdr *udp = <udp_hdr *>(frame.data + frame.l4_off)
    if frame.merged:
        return True
    if udp.checksum == 0 or ntohs(udp.length) != frame.l4_len:
        return False
    if frame.found & FOUND_PARTIAL:
        return udp.checksum == sum_fold(pseudo_of(frame, frame.l4_len))
    return checksum_of(frame.data + frame.l4_off, frame.l4_len, pseudo_of(frame, frame.l4_len)) == 0


cdef inline uint64_t pseudo_of(const frame_t *frame, uint32_t l4_len) noexcept nogil:
    """The pseudo-header's sum of the packet as it is now."""
    cdef const uint8_t *l3 = frame.data + ETH_LEN
    if frame.family == 4:
        return sum_pseudo(ip_of_v4(load32(l3 + 12)), ip_of_v4(load32(l3 + 16)), PROTO_UDP, l4_len)
    return sum_pseudo(ip_load(l3 + 8), ip_load(l3 + 24), PROTO_UDP, l4_len)


cdef inline void join(frame_t *head, const frame_t *frame) noexcept nogil:
    """The frame's payload is the head's last; lengths and checksums are right only after `finish`."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(head)
    cdef uint32_t payload = frame.l4_len - UDP_LEN
    if not head.merged:
        vnet.gso_size = <uint16_t>(head.l4_len - UDP_LEN)
    # Behind the packet the head may have had padding.
    memcpy(head.data + head.l4_off + head.l4_len, frame.data + frame.l4_off + UDP_LEN, payload)
    head.l4_len += payload
    head.len = head.l4_off + head.l4_len
    head.merged += 1


cdef inline void finish(frame_t *head) noexcept nogil:
    """The super-frame is whole: lengths, a partial checksum, and the offload header that says how to cut it."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(head)
    cdef ipv4_hdr *ip = <ipv4_hdr *>(head.data + ETH_LEN)
    cdef udp_hdr *udp = <udp_hdr *>(head.data + head.l4_off)
    cdef be16 total_len = htons(<uint16_t>(head.l4_off - ETH_LEN + head.l4_len))
    if head.family == 4:
        ip.checksum = checksum_adjust(ip.checksum, sum_change(ip.total_len, total_len))
        ip.total_len = total_len
    else:
        (<ipv6_hdr *>ip).payload_len = htons(<uint16_t>head.l4_len)
    udp.length = htons(<uint16_t>head.l4_len)
    udp.checksum = sum_fold(pseudo_of(head, head.l4_len))
    vnet.flags = VNET_NEEDS_CSUM
    vnet.gso_type = GSO_UDP_L4
    vnet.hdr_len = head.l4_off + UDP_LEN
    vnet.csum_start = head.l4_off
    vnet.csum_offset = UDP_CHECKSUM_OFF

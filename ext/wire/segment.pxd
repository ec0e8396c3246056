"""Super-frames cut into the frames they stand for, and partial checksums completed, as a device with offloads does it.

For ports that take neither, and for packets in a tunnel, which the kernel does not cut: with `frame.outer_len` bytes of
outer headers, those are in front of every piece. The offload header's offsets count from the Ethernet header there
too. A frame that is only to be completed is one piece. A checksum that was wrong stays wrong: it is adjusted, never
made anew. The frame is not changed.
Spec: virtio 1.2 section 5.1.6; linux/net/ipv4/tcp_offload.c: tcp_gso_segment, udp_offload.c: __udp_gso_segment,
af_inet.c: inet_gso_segment, net/core/dev.c: skb_checksum_help.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from ext.debug cimport unlikely
from ext.frame cimport FOUND_FRAGMENT, FOUND_PARTIAL, frame_t, frame_vnet
from ext.order cimport be16, htonl, htons, load16, ntohl, ntohs, store16
from ext.verdict cimport N_DROPS
from ext.wire.checksum cimport checksum_of, partial_adjust, sum_change, sum_fold
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6, ETH_LEN, TAG_LEN
from ext.wire.ipv4 cimport PROTO_TCP, PROTO_UDP, ipv4_hdr
from ext.wire.ipv6 cimport IPV6_LEN, ipv6_hdr
from ext.wire.outer cimport outer_checksum, outer_lengths
from ext.wire.parse cimport parse_ip
from ext.wire.tcp cimport TCP_CWR, TCP_FIN, TCP_PSH, tcp_hdr
from ext.wire.udp cimport UDP_CHECKSUM_OFF, UDP_LEN, udp_hdr
from ext.wire.vnet cimport GSO_NONE, VNET_NEEDS_CSUM, vnet_clear, vnet_hdr

cdef struct cut_t:
    const frame_t *whole
    uint32_t outer_off     # the outermost IP header
    uint32_t inner_off     # the packet's own
    uint32_t l4_off        # where the partial checksum begins
    uint32_t headers_len   # bytes in front of the payload that is cut
    uint32_t payload_len
    uint32_t size          # of the payload in each piece but the last
    uint32_t n             # pieces
    uint32_t padding_len   # bytes behind the packet, which no checksum covers
    uint8_t protocol       # of what is cut


cdef inline bint is_unfinished(const frame_t *frame) noexcept nogil:
    """Whether the frame is left to its taker to be cut, or its checksum to be completed."""
    cdef const vnet_hdr *vnet = <const vnet_hdr *>frame_vnet(frame)
    return vnet.flags & VNET_NEEDS_CSUM or vnet.gso_type != GSO_NONE


cdef inline bint cut_plan(cut_t *cut, const frame_t *frame) noexcept nogil:
    """How the unfinished frame becomes pieces is known; False when its offload header contradicts it."""
    cdef const vnet_hdr *vnet = <const vnet_hdr *>frame_vnet(frame)
    cdef frame_t seen = frame[0]
    cut.whole = frame
    cut.outer_off = ETH_LEN + frame.n_tags * TAG_LEN
    cut.inner_off = cut.outer_off + frame.outer_len
    cut.l4_off = vnet.csum_start
    if unlikely(cut.l4_off <= cut.inner_off or cut.l4_off + vnet.csum_offset + 2 > frame.len):
        return False
    # On a plain switch nobody has parsed the packet.
    seen.found = 0
    seen.flaw = N_DROPS
    seen.l3_off = cut.inner_off
    seen.ethertype = ETH_IPV4 if seen.data[cut.inner_off] >> 4 == 4 else ETH_IPV6
    parse_ip(&seen)
    if vnet.gso_type != GSO_NONE:
        return cut_plan_super(cut, &seen)
    cut.n = 1
    cut.headers_len = frame.len
    cut.payload_len = cut.size = cut.padding_len = cut.protocol = 0
    if seen.found & FOUND_PARTIAL and seen.flaw == N_DROPS:
        cut.padding_len = frame.len - seen.l4_off - seen.l4_len
    return True


cdef inline bint cut_plan_super(cut_t *cut, const frame_t *seen) noexcept nogil:
    """The same of a super-frame, parsed."""
    cdef uint32_t l4_len = UDP_LEN
    if unlikely(seen.flaw != N_DROPS or not seen.found & FOUND_PARTIAL or seen.found & FOUND_FRAGMENT):
        return False
    cut.size = (<const vnet_hdr *>frame_vnet(seen)).gso_size
    if unlikely(cut.size == 0):
        return False
    if seen.protocol == PROTO_TCP:
        l4_len = (seen.data[seen.l4_off + 12] >> 4) * 4
    cut.protocol = seen.protocol
    cut.padding_len = 0
    cut.headers_len = seen.l4_off + l4_len
    cut.payload_len = seen.l4_len - l4_len
    cut.n = (cut.payload_len + cut.size - 1) // cut.size
    if cut.n == 0:
        cut.n = 1
    return True


cdef inline uint32_t piece_payload(const cut_t *cut, uint32_t i) noexcept nogil:
    """Bytes of the payload that piece i has."""
    return min(cut.size, cut.payload_len - i * cut.size)


cdef inline uint32_t piece_len(const cut_t *cut, uint32_t i) noexcept nogil:
    """Bytes of piece i from its Ethernet header on."""
    return cut.headers_len + piece_payload(cut, i)


cdef inline void piece_write(const cut_t *cut, uint32_t i, frame_t *piece) noexcept nogil:
    """Piece i lies at piece.data, an ordinary frame; its offload header in front of it asks for nothing."""
    cdef const vnet_hdr *vnet = <const vnet_hdr *>frame_vnet(cut.whole)
    cdef uint8_t *l4 = piece.data + cut.l4_off
    cdef be16 check
    piece.len = piece_len(cut, i)
    memcpy(piece.data, cut.whole.data, cut.headers_len)
    memcpy(piece.data + cut.headers_len, cut.whole.data + cut.headers_len + i * cut.size, piece_payload(cut, i))
    if vnet.gso_type != GSO_NONE:
        ip_resize(piece.data + cut.inner_off, piece.len - cut.inner_off, i)
        l4_resize(cut, i, l4, l4 + vnet.csum_offset)
    check = checksum_of(l4, piece.len - cut.padding_len - cut.l4_off, 0)
    # 0 would say that there is none (RFC 768).
    if check == 0 and vnet.csum_offset == UDP_CHECKSUM_OFF:
        check = 0xFFFF
    store16(l4 + vnet.csum_offset, check)
    if cut.outer_off != cut.inner_off:
        outer_lengths(piece.data + cut.outer_off, cut.inner_off - cut.outer_off, piece.len - cut.inner_off)
        outer_checksum(piece.data + cut.outer_off, cut.inner_off - cut.outer_off, piece.len - cut.inner_off)
    vnet_clear(frame_vnet(piece))


cdef inline void ip_resize(uint8_t *l3, uint32_t packet_len, uint32_t i) noexcept nogil:
    """The IP header is that of the i-th packet, so many bytes long."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>l3
    if l3[0] >> 4 == 4:
        ip.total_len = htons(<uint16_t>packet_len)
        ip.id = htons(<uint16_t>(ntohs(ip.id) + i))
        ip.checksum = 0
        ip.checksum = checksum_of(l3, (l3[0] & 0x0F) * 4, 0)
    else:
        (<ipv6_hdr *>l3).payload_len = htons(<uint16_t>(packet_len - IPV6_LEN))


cdef inline void l4_resize(const cut_t *cut, uint32_t i, uint8_t *l4, uint8_t *check) noexcept nogil:
    """The L4 header is that of piece i; the partial checksum has the length of the piece instead of the whole."""
    cdef tcp_hdr *tcp = <tcp_hdr *>l4
    cdef uint32_t header_len = cut.headers_len - cut.l4_off
    cdef uint32_t before = header_len + cut.payload_len, now = header_len + piece_payload(cut, i)
    store16(check, partial_adjust(load16(check), sum_change(sum_fold(htonl(before)), sum_fold(htonl(now)))))
    if cut.protocol == PROTO_UDP:
        # The length stands in the header as well as in the pseudo-header, but there it is summed later.
        (<udp_hdr *>l4).length = htons(<uint16_t>now)
        return
    tcp.seq = htonl(ntohl(tcp.seq) + i * cut.size)
    if i + 1 < cut.n:
        tcp.flags &= ~(TCP_FIN | TCP_PSH)
    if i > 0:
        tcp.flags &= ~TCP_CWR

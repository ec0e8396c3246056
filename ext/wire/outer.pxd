"""The outer headers of a tunnel, grown in front of a packet: IP, and for GUE a UDP and a GUE header behind it.

Spec: RFC 2003, RFC 2473, RFC 4213 3; RFC 6040 4.1 (normal mode: DSCP and ECN are copied); RFC 6864 4.1 (DF is set, so
that the IPv4 id may be 0); RFC 6438 (the IPv6 flow label tells flows apart). The UDP checksum is 0 over IPv4, which
says "none", and a real one over IPv6: a zero there (RFC 6935) is for receivers that were told to take it, and an
ordinary socket drops it. Nothing of the inner packet is changed.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memmove

from ext.address cimport ip_is_v4, ip_load, ip_t
from ext.frame cimport VNET_LEN, frame_t, frame_vnet
from ext.order cimport be16, htonl, htons
from ext.wire.checksum cimport checksum_of, sum_pseudo
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6
from ext.wire.gue cimport GUE_LEN, GUE_PORT_FIRST, GUE_PORTS, gue_hdr
from ext.wire.ipv4 cimport IPV4_LEN, OWN_TTL, PROTO_IPV4, PROTO_UDP, ipv4_build, ipv4_hdr
from ext.wire.ipv6 cimport IPV6_LEN, PROTO_IPV6, ipv6_build, ipv6_hdr
from ext.wire.udp cimport UDP_LEN, udp_hdr
from ext.wire.vnet cimport GSO_NONE, vnet_clear, vnet_hdr

cdef struct outer_t:
    ip_t src
    ip_t dst
    be16 gue_port              # 0: IP in IP
    uint32_t hash              # of the flow within


cdef inline uint32_t outer_size(bint v4, bint gue) noexcept nogil:
    """Bytes of outer headers over IPv4 or IPv6."""
    return (IPV4_LEN if v4 else IPV6_LEN) + (UDP_LEN + GUE_LEN if gue else 0)


cdef inline void outer_grow(frame_t *frame, const outer_t *outer) noexcept nogil:
    """The frame's packet is in an outer one, whose headers lie at l3_off; l4_off is still that of the inner L4 header.

    An ordinary frame is whole, and its inner checksum must be: who takes it out of the tunnel may know of no partial
    one. A super-frame, or one that leaves in pieces, has right lengths only modulo 2^16, and over IPv6 no UDP checksum:
    who cuts it calls `outer_lengths` and `outer_checksum` for each piece.
    """
    cdef uint32_t n = outer_size(ip_is_v4(outer.dst), outer.gue_port != 0)
    cdef uint32_t inner_len = frame.l4_off - frame.l3_off + frame.l4_len
    cdef vnet_hdr *vnet
    cdef uint8_t *l3
    memmove(frame_vnet(frame) - n, frame_vnet(frame), VNET_LEN + frame.l3_off)
    frame.data -= n
    # What followed the packet filled a short frame up, and has no use in a longer one.
    frame.len = frame.l3_off + n + inner_len
    frame.l4_off += n
    frame.outer_len = <uint8_t>n
    l3 = frame.data + frame.l3_off
    (<be16 *>(l3 - 2))[0] = ETH_IPV4 if ip_is_v4(outer.dst) else ETH_IPV6
    outer_build(l3, l3 + n, outer)
    outer_lengths(l3, n, inner_len)
    vnet = <vnet_hdr *>frame_vnet(frame)
    if vnet.gso_type != GSO_NONE:
        vnet.hdr_len += n
        vnet.csum_start += n
        return
    vnet_clear(frame_vnet(frame))
    # Of IPv6 it is the outer packet that is cut, whole before it is.
    if frame.cut_len == 0 or frame.family == 6:
        outer_checksum(l3, n, inner_len)


cdef inline void outer_build(uint8_t *l3, const uint8_t *inner, const outer_t *outer) noexcept nogil:
    """Outer headers at l3 for the packet at inner, without lengths and checksums."""
    cdef bint v4 = (inner[0] >> 4) == 4
    cdef uint8_t protocol = PROTO_IPV4 if v4 else PROTO_IPV6
    cdef uint8_t traffic_class = inner[1] if v4 else <uint8_t>(inner[0] << 4) | (inner[1] >> 4)
    cdef uint8_t carried = PROTO_UDP if outer.gue_port else protocol
    cdef uint8_t *behind
    if ip_is_v4(outer.dst):
        ipv4_build(l3, outer.src, outer.dst, carried, traffic_class, 0)
        behind = l3 + IPV4_LEN
    else:
        ipv6_build(l3, outer.src, outer.dst, carried, 0, OWN_TTL)
        (<ipv6_hdr *>l3).ver_class_flow = htonl(
            0x60000000 | (<uint32_t>traffic_class << 20) | (outer.hash & 0xFFFFF))
        behind = l3 + IPV6_LEN
    if outer.gue_port:
        gue_build(behind, protocol, outer)


cdef inline void gue_build(uint8_t *l4, uint8_t protocol, const outer_t *outer) noexcept nogil:
    """UDP and GUE headers at l4; the source port is the flow's, so that its packets stay in order on parallel links."""
    cdef udp_hdr *udp = <udp_hdr *>l4
    cdef gue_hdr *gue = <gue_hdr *>(l4 + UDP_LEN)
    udp.sport = htons(GUE_PORT_FIRST + (outer.hash >> 16) % GUE_PORTS)
    udp.dport = outer.gue_port
    udp.length = 0
    udp.checksum = 0
    gue.variant_len = 0
    gue.protocol = protocol
    gue.flags = 0


cdef inline void outer_lengths(uint8_t *l3, uint32_t outer_len, uint32_t inner_len) noexcept nogil:
    """The outer headers at l3, outer_len bytes of them, say that inner_len bytes follow; so does their IPv4 checksum."""
    cdef ipv4_hdr *v4 = <ipv4_hdr *>l3
    cdef uint32_t ip_len = IPV4_LEN if (l3[0] >> 4) == 4 else IPV6_LEN
    cdef be16 payload_len = htons(<uint16_t>(outer_len - ip_len + inner_len))
    if ip_len == IPV4_LEN:
        v4.total_len = htons(<uint16_t>(outer_len + inner_len))
        v4.checksum = 0
        v4.checksum = checksum_of(l3, IPV4_LEN, 0)
    else:
        (<ipv6_hdr *>l3).payload_len = payload_len
    if outer_len > ip_len:
        (<udp_hdr *>(l3 + ip_len)).length = payload_len


cdef inline void outer_checksum(uint8_t *l3, uint32_t outer_len, uint32_t inner_len) noexcept nogil:
    """The outer UDP checksum covers the inner_len bytes behind the outer headers, where there is one: over IPv6."""
    cdef ipv6_hdr *v6 = <ipv6_hdr *>l3
    cdef udp_hdr *udp = <udp_hdr *>(l3 + IPV6_LEN)
    cdef uint32_t udp_len = outer_len - IPV6_LEN + inner_len
    if (l3[0] >> 4) == 4 or outer_len == IPV6_LEN:
        return
    udp.checksum = 0
    udp.checksum = checksum_of(<uint8_t *>udp, udp_len, sum_pseudo(ip_load(v6.src), ip_load(v6.dst), PROTO_UDP, udp_len))
    if udp.checksum == 0:
        udp.checksum = 0xFFFF

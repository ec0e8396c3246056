"""What a frame is. Every length is checked here, once; after it, offsets and headers are trusted.

Read first: RFC 791 3.1, RFC 8200 3 and 4, RFC 1812 5.2.2. What is malformed is noted in `frame.flaw`, not
dropped: a bridge passes it on untouched, only a router or a balancer has to refuse it. L4 checksums are
not verified: a wrong one stays wrong, and the receiver decides. No payload is read.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.address cimport ip_is_v4, ip_load, ip_of_v4
from ext.debug cimport unlikely
from ext.frame cimport (FOUND_FRAGMENT, FOUND_L3, FOUND_L4, FOUND_LATER, FOUND_PARTIAL, NO_TUNNEL, frame_t,
                        frame_vnet)
from ext.order cimport be16, ntohl, ntohs
from ext.verdict cimport (DROP_BAD_ADDRESS, DROP_BAD_IPV4, DROP_BAD_IPV4_CHECKSUM, DROP_BAD_IPV6, DROP_BAD_IPV6_EXTENSION, DROP_BAD_L4,
                          DROP_BAD_OFFLOAD, DROP_RUNT, DROP_SOURCE_ROUTE, DROP_ZERO_UDP_CHECKSUM, GO_ON, N_DROPS,
                          verdict_t)
from ext.wire.checksum cimport checksum_of
from ext.wire.ethernet cimport (ETH_8021AD, ETH_8021Q, ETH_IPV4, ETH_IPV6, ETH_LEN, MAX_TAGS, TAG_LEN, eth_hdr)
from ext.wire.icmp cimport ICMP_CHECKSUM_OFF, ICMP_LEN
from ext.wire.ipv4 cimport (IPV4_LEN, IPV4_MORE, IPV4_OFFSET, PROTO_ICMP, PROTO_TCP, PROTO_UDP, ipv4_hdr,
                            ipv4_options_route)
from ext.wire.ipv6 cimport (EXT_FRAGMENT, EXT_ROUTING, IPV6_LEN, MAX_EXTENSIONS, PROTO_ICMPV6, ipv6_extension_len,
                            ipv6_frag_hdr, ipv6_hdr, ipv6_is_extension)
from ext.wire.tcp cimport TCP_CHECKSUM_OFF, TCP_LEN, tcp_hdr
from ext.wire.udp cimport UDP_CHECKSUM_OFF, UDP_LEN, udp_hdr
from ext.wire.vnet cimport GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet_hdr


cdef inline verdict_t parse_ethernet(frame_t *frame) noexcept nogil:
    """GO_ON with l3_off, ethertype, n_tags and vid set, or DROP_RUNT."""
    cdef uint32_t off = ETH_LEN
    cdef uint32_t n_tags = 0
    cdef be16 ethertype
    cdef uint16_t vid = 0
    if unlikely(frame.len < ETH_LEN):
        return DROP_RUNT
    ethertype = (<eth_hdr *>frame.data).ethertype
    while unlikely((ethertype == ETH_8021Q or ethertype == ETH_8021AD) and n_tags < MAX_TAGS):
        if frame.len < off + TAG_LEN:
            return DROP_RUNT
        if n_tags == 0:
            vid = ntohs((<be16 *>(frame.data + off))[0]) & 0x0FFF
        ethertype = (<be16 *>(frame.data + off + 2))[0]
        n_tags += 1
        off += TAG_LEN
    frame.l3_off = off
    frame.l4_off = 0
    frame.ethertype = ethertype
    frame.n_tags = n_tags
    frame.vid = vid
    frame.family = 0
    frame.found = 0
    frame.flaw = N_DROPS
    frame.lowered = 0
    frame.rewritten = 0
    frame.shared = False
    frame.outer_len = 0
    frame.merged = 0
    frame.outer_len = 0
    frame.cut_len = 0
    frame.tunnel = NO_TUNNEL
    return GO_ON


cdef inline void parse_ip(frame_t *frame) noexcept nogil:
    """found, family, addresses, protocol, l4_off and ports set as far as the packet is sound; else flaw set."""
    if frame.ethertype == ETH_IPV4:
        frame.family = 4
        frame.flaw = parse_ipv4(frame)
    elif frame.ethertype == ETH_IPV6:
        frame.family = 6
        frame.flaw = parse_ipv6(frame)
    if unlikely((<vnet_hdr *>frame_vnet(frame)).gso_type != GSO_NONE and frame.family
                and not frame.found & FOUND_L4 and frame.flaw == N_DROPS):
        # Only TCP and UDP are segmented by a device, and no part of a packet is.
        frame.flaw = DROP_BAD_OFFLOAD


cdef inline uint8_t parse_ipv4(frame_t *frame) noexcept nogil:
    cdef uint8_t *p = frame.data + frame.l3_off
    cdef ipv4_hdr *ip = <ipv4_hdr *>p
    cdef uint32_t room = frame.len - frame.l3_off
    cdef uint32_t header_len, total_len
    cdef uint16_t frag
    if unlikely(room < IPV4_LEN):
        return DROP_BAD_IPV4
    header_len = (ip.ver_ihl & 0x0F) * 4
    total_len = ntohs(ip.total_len)
    if unlikely((ip.ver_ihl >> 4) != 4 or header_len < IPV4_LEN or header_len > room or total_len < header_len
                or total_len > frame.len - frame.l3_off):
        return DROP_BAD_IPV4
    if unlikely(checksum_of(p, header_len, 0) != 0):
        return DROP_BAD_IPV4_CHECKSUM
    if unlikely(header_len > IPV4_LEN and ipv4_options_route(p + IPV4_LEN, header_len - IPV4_LEN)):
        return DROP_SOURCE_ROUTE
    frame.src = ip_of_v4(ip.src)
    frame.dst = ip_of_v4(ip.dst)
    frame.protocol = ip.protocol
    frame.l4_off = frame.l3_off + header_len
    frame.l4_len = total_len - header_len
    frame.found |= FOUND_L3
    frag = ntohs(ip.frag)
    if unlikely(frag & (IPV4_MORE | IPV4_OFFSET)):
        frame.fragment_id = ntohs(ip.id)
        frame.found |= FOUND_FRAGMENT
        if frag & IPV4_OFFSET:
            frame.found |= FOUND_LATER
            return N_DROPS
    return parse_l4(frame)


cdef inline uint8_t parse_ipv6(frame_t *frame) noexcept nogil:
    cdef uint8_t *p = frame.data + frame.l3_off
    cdef ipv6_hdr *ip = <ipv6_hdr *>p
    cdef uint32_t room = frame.len - frame.l3_off
    cdef uint8_t flaw
    if unlikely(room < IPV6_LEN):
        return DROP_BAD_IPV6
    if unlikely((p[0] >> 4) != 6 or <uint32_t>ntohs(ip.payload_len) + IPV6_LEN > frame.len - frame.l3_off):
        return DROP_BAD_IPV6
    frame.src = ip_load(ip.src)
    frame.dst = ip_load(ip.dst)
    # IPv4-mapped addresses are not for the wire (RFC 4942 2.2), and all tables would take them for IPv4's.
    if unlikely(ip_is_v4(frame.src) or ip_is_v4(frame.dst)):
        return DROP_BAD_ADDRESS
    frame.protocol = ip.next_header
    frame.l4_off = frame.l3_off + IPV6_LEN
    frame.l4_len = ntohs(ip.payload_len)
    if unlikely(ipv6_is_extension(ip.next_header)):
        flaw = parse_extensions(frame)
        if flaw != N_DROPS:
            return flaw
    frame.found |= FOUND_L3
    if unlikely(frame.found & FOUND_LATER):
        return N_DROPS
    return parse_l4(frame)


cdef inline uint8_t parse_extensions(frame_t *frame) noexcept nogil:
    """l4_off, l4_len and protocol moved behind the extension headers, at most MAX_EXTENSIONS of them."""
    cdef uint8_t *p
    cdef uint32_t n_extensions = 0, ext_len
    cdef uint16_t offset_more
    while ipv6_is_extension(frame.protocol):
        if n_extensions == MAX_EXTENSIONS or frame.l4_len < 8:
            return DROP_BAD_IPV6_EXTENSION
        n_extensions += 1
        p = frame.data + frame.l4_off
        ext_len = ipv6_extension_len(frame.protocol, p)
        if ext_len > frame.l4_len:
            return DROP_BAD_IPV6_EXTENSION
        if frame.protocol == EXT_ROUTING and p[2] == 0 and p[3] != 0:
            return DROP_SOURCE_ROUTE
        if frame.protocol == EXT_FRAGMENT:
            offset_more = ntohs((<ipv6_frag_hdr *>p).offset_more)
            # An "atomic" fragment (RFC 6946) is whole: neither offset nor more.
            if offset_more & 0xFFF9:
                # A packet is cut once; a fragment of a fragment is nobody's in earnest.
                if frame.found & FOUND_FRAGMENT:
                    return DROP_BAD_IPV6_EXTENSION
                frame.found |= FOUND_FRAGMENT
                frame.fragment_id = ntohl((<ipv6_frag_hdr *>p).id)
            if offset_more & 0xFFF8:
                frame.found |= FOUND_LATER
        frame.protocol = p[0]
        frame.l4_off += ext_len
        frame.l4_len -= ext_len
        if frame.found & FOUND_LATER:
            return N_DROPS
    return N_DROPS


cdef inline uint8_t parse_l4(frame_t *frame) noexcept nogil:
    """Ports and flags of TCP and UDP; a flaw when a header is cut short or a length impossible."""
    cdef uint8_t *p = frame.data + frame.l4_off
    cdef uint32_t room = frame.len - frame.l4_off
    if room > frame.l4_len:
        room = frame.l4_len
    if frame.protocol == PROTO_TCP:
        if unlikely(room < TCP_LEN or (p[12] >> 4) < 5 or <uint32_t>(p[12] >> 4) * 4 > room):
            return DROP_BAD_L4
        frame.tcp_flags = (<tcp_hdr *>p).flags
        return parse_ports(frame, TCP_CHECKSUM_OFF)
    if frame.protocol == PROTO_UDP:
        if unlikely(room < UDP_LEN or ntohs((<udp_hdr *>p).length) < UDP_LEN):
            return DROP_BAD_L4
        if unlikely(ntohs((<udp_hdr *>p).length) > frame.l4_len and not frame.found & FOUND_FRAGMENT):
            return DROP_BAD_L4
        if unlikely(frame.family == 6 and (<udp_hdr *>p).checksum == 0):
            return DROP_ZERO_UDP_CHECKSUM
        return parse_ports(frame, UDP_CHECKSUM_OFF)
    # That of the other family is a protocol like any that nobody knows.
    if frame.protocol == (PROTO_ICMP if frame.family == 4 else PROTO_ICMPV6):
        if unlikely(room < ICMP_LEN):
            return DROP_BAD_L4
        return parse_offload(frame, ICMP_CHECKSUM_OFF)
    return N_DROPS


cdef inline uint8_t parse_ports(frame_t *frame, uint16_t checksum_off) noexcept nogil:
    """sport and dport, which TCP and UDP have in the same place."""
    cdef udp_hdr *ports = <udp_hdr *>(frame.data + frame.l4_off)
    frame.sport = ports.sport
    frame.dport = ports.dport
    frame.found |= FOUND_L4
    return parse_offload(frame, checksum_off)


cdef inline uint8_t parse_offload(frame_t *frame, uint16_t checksum_off) noexcept nogil:
    """FOUND_PARTIAL when the checksum is still partial; the offload header must agree with the packet."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    if vnet.flags & VNET_NEEDS_CSUM:
        if unlikely(vnet.csum_start != frame.l4_off or vnet.csum_offset != checksum_off):
            return DROP_BAD_OFFLOAD
        frame.found |= FOUND_PARTIAL
        if unlikely(vnet.gso_type != GSO_NONE and not is_super_of(frame, vnet.gso_type)):
            return DROP_BAD_OFFLOAD
    elif unlikely(vnet.gso_type != GSO_NONE):
        return DROP_BAD_OFFLOAD
    return N_DROPS


cdef inline bint is_super_of(const frame_t *frame, uint8_t gso_type) noexcept nogil:
    """Whether the packet makes that kind of super-frame; of one unknown here a rewrite might leave parts stale."""
    gso_type &= ~GSO_ECN
    if frame.protocol == PROTO_TCP:
        return gso_type == (GSO_TCPV4 if frame.family == 4 else GSO_TCPV6)
    return frame.protocol == PROTO_UDP and gso_type == GSO_UDP_L4


cdef inline uint32_t packet_len(const frame_t *frame) noexcept nogil:
    """Bytes of the IP packet on the link; of a super-frame, of its largest segment."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    cdef uint32_t headers = frame.l4_off - frame.l3_off
    if vnet.gso_type == GSO_NONE:
        return headers + frame.l4_len
    if frame.protocol == PROTO_TCP:
        return headers + (frame.data[frame.l4_off + 12] >> 4) * 4 + vnet.gso_size
    return headers + UDP_LEN + vnet.gso_size

"""Addresses, ports and TTL changed in place, with the checksums that cover them.

A complete checksum gains what addresses and ports gained; a partial one (FOUND_PARTIAL) gains the addresses
only, as its ports are summed later, by whoever takes the frame. Payload is never read, so a rewrite costs
the same for 60 bytes and for 64 KiB. The packet must have passed parse.
Spec: RFC 1624; linux/net/core/utils.c: inet_proto_csum_replace.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_load, ip_of_v4, ip_store, ip_t, ip_v4
from ext.debug cimport likely, unlikely
from ext.frame cimport FOUND_FRAGMENT, FOUND_L4, FOUND_LATER, FOUND_PARTIAL, frame_t, frame_vnet
from ext.order cimport be16, load32, store32
from ext.wire.checksum cimport (checksum_adjust, checksum_of, partial_adjust, sum_bytes, sum_change, sum_fold,
                                sum_ip)
from ext.wire.icmp cimport icmp_echo_hdr
from ext.wire.ipv4 cimport PROTO_TCP, PROTO_UDP, ipv4_hdr
from ext.wire.ipv6 cimport ipv6_hdr
from ext.wire.place cimport fragment_renumber
from ext.wire.tcp cimport TCP_CHECKSUM_OFF
from ext.wire.udp cimport UDP_CHECKSUM_OFF, udp_hdr
from ext.wire.vnet cimport GSO_NONE, vnet_clear, vnet_hdr


cdef enum:
    SRC = 0
    DST = 1


cdef inline uint16_t rewrite_address(uint8_t *l3, uint8_t family, uint32_t end, ip_t ip) noexcept nogil:
    """The IP packet at l3 has ip at its end; what a pseudo-header's sum gained by that."""
    cdef ipv4_hdr *header = <ipv4_hdr *>l3
    cdef uint8_t *address = l3 + (12 + 4 * end if family == 4 else 8 + 16 * end)
    cdef ip_t old = ip_of_v4(load32(address)) if family == 4 else ip_load(address)
    cdef uint16_t change = sum_change(sum_fold(sum_ip(old)), sum_fold(sum_ip(ip)))
    if family == 4:
        store32(address, ip_v4(ip))
        header.checksum = checksum_adjust(header.checksum, change)
    else:
        ip_store(address, ip)
    return change


cdef inline void rewrite(frame_t *frame, uint32_t end, ip_t ip, be16 l4_port) noexcept nogil:
    """The packet's end (SRC or DST) is ip and l4_port (of an echo: its identifier), as if it had been sent so."""
    cdef uint16_t change = rewrite_address(frame.data + frame.l3_off, frame.family, end, ip)
    if likely(frame.found & FOUND_L4):
        rewrite_l4(frame, change, &(<udp_hdr *>(frame.data + frame.l4_off)).sport + end, l4_port)
    elif not frame.found & FOUND_LATER:
        rewrite_echo(frame, change, l4_port)
    frame.rewritten |= 1 << end


cdef inline void rewrite_l4(frame_t *frame, uint16_t change, be16 *field, be16 l4_port) noexcept nogil:
    """The L4 checksum follows the addresses, which gained change, and *field becomes l4_port.

    UDP's checksum 0 over IPv4 says "none" and stays (RFC 768), so a sum that comes out as 0 is sent as 0xFFFF.
    """
    cdef be16 *check = <be16 *>(frame.data + frame.l4_off
                                + (TCP_CHECKSUM_OFF if frame.protocol == PROTO_TCP else UDP_CHECKSUM_OFF))
    if frame.found & FOUND_PARTIAL:
        check[0] = partial_adjust(check[0], change)
    elif frame.protocol == PROTO_TCP or check[0] != 0:
        check[0] = checksum_adjust(check[0], sum_fold(<uint64_t>change + sum_change(field[0], l4_port)))
        if frame.protocol == PROTO_UDP and check[0] == 0:
            check[0] = 0xFFFF
    field[0] = l4_port


cdef inline void rewrite_echo(frame_t *frame, uint16_t change, be16 id) noexcept nogil:
    """The echo's identifier is id; its checksum follows that, and in IPv6 the addresses, which gained change."""
    cdef icmp_echo_hdr *icmp = <icmp_echo_hdr *>(frame.data + frame.l4_off)
    if frame.family == 4:
        change = 0
    if frame.found & FOUND_PARTIAL:
        icmp.checksum = partial_adjust(icmp.checksum, change)
    else:
        icmp.checksum = checksum_adjust(icmp.checksum, sum_fold(<uint64_t>change + sum_change(icmp.id, id)))
    icmp.id = id
    echo_of_zeros(frame)


cdef inline void echo_of_zeros(frame_t *frame) noexcept nogil:
    """The adjusted checksum of an echo of nothing but zeros is what it is when they are summed: 0xFFFF.

    Adjusting ends at 0 for them as for all that sums up to 0xFFFF (RFC 1624 section 3). No other message has no bit set:
    a pseudo-header always has some.
    """
    cdef icmp_echo_hdr *icmp = <icmp_echo_hdr *>(frame.data + frame.l4_off)
    if unlikely(icmp.checksum == 0) and frame.family == 4 and sum_bytes(<uint8_t *>icmp, frame.l4_len, 0) == 0:
        icmp.checksum = 0xFFFF


cdef inline uint8_t ttl_of(const frame_t *frame) noexcept nogil:
    """TTL or hop limit as the packet has it now."""
    if frame.family == 4:
        return (<ipv4_hdr *>(frame.data + frame.l3_off)).ttl
    return (<ipv6_hdr *>(frame.data + frame.l3_off)).hop_limit


cdef inline void ttl_change(frame_t *frame, int step) noexcept nogil:
    """TTL or hop limit is step (1 or -1) more; the IPv4 header checksum follows (RFC 1141's special case)."""
    cdef ipv4_hdr *ip = <ipv4_hdr *>(frame.data + frame.l3_off)
    cdef uint16_t old, new
    if frame.family == 4:
        old = (<uint16_t>ip.protocol << 8) | ip.ttl
        ip.ttl += step
        new = (<uint16_t>ip.protocol << 8) | ip.ttl
        ip.checksum = checksum_adjust(ip.checksum, sum_change(old, new))
    else:
        (<ipv6_hdr *>(frame.data + frame.l3_off)).hop_limit += step


cdef inline void restore(frame_t *frame) noexcept nogil:
    """The packet is again as it came in: what an ICMP error must quote (RFC 1812 4.3.2.3, RFC 4443 2.4 c)."""
    if frame.lowered:
        ttl_change(frame, 1)
        frame.lowered = 0
    if frame.found & FOUND_FRAGMENT and frame.rewritten:
        fragment_renumber(frame, frame.fragment_id)
    if frame.rewritten & (1 << SRC):
        rewrite(frame, SRC, frame.src, frame.sport)
    if frame.rewritten & (1 << DST):
        rewrite(frame, DST, frame.dst, frame.dport)
    frame.rewritten = 0


cdef inline void checksum_complete(frame_t *frame) noexcept nogil:
    """A partial L4 checksum of an ordinary frame is finished. Super-frames stay: nobody can sum them here."""
    cdef vnet_hdr *vnet = <vnet_hdr *>frame_vnet(frame)
    cdef uint8_t *l4 = frame.data + frame.l4_off
    cdef be16 check
    if not frame.found & FOUND_PARTIAL or vnet.gso_type != GSO_NONE:
        return
    check = checksum_of(l4, frame.l4_len, 0)
    if frame.protocol == PROTO_UDP and check == 0:
        check = 0xFFFF
    # Parse has seen to it that this is where the protocol has its checksum.
    (<be16 *>(l4 + vnet.csum_offset))[0] = check
    vnet_clear(frame_vnet(frame))
    frame.found &= ~FOUND_PARTIAL


cdef inline void checksum_fill(frame_t *frame, uint16_t check_off, uint32_t l4_len, uint64_t pseudo) noexcept nogil:
    """The L4 checksum of a packet that swlb made, over it and the pseudo-header's sum; no offloads are asked for."""
    cdef uint8_t *l4 = frame.data + frame.l4_off
    (<be16 *>(l4 + check_off))[0] = 0
    (<be16 *>(l4 + check_off))[0] = checksum_of(l4, l4_len, pseudo)
    vnet_clear(frame_vnet(frame))

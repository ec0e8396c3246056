"""The identification of a fragment that an ICMP error quotes, as its sender gave it. Read first: quote.pxd, nat.pxd: renumber."""

from libc.stdint cimport uint8_t, uint16_t

from ext.address cimport ip_t
from ext.frame cimport FOUND_PARTIAL, frame_t
from ext.order cimport htonl, htons, load32, ntohl, ntohs, store32
from ext.tables.fragment cimport fragment_numbered, fragment_t
from ext.tables.tables cimport tables_t
from ext.wire.checksum cimport checksum_adjust, sum_bytes, sum_change, sum_fold
from ext.wire.icmp cimport icmp_hdr
from ext.wire.ipv4 cimport IPV4_MORE, ipv4_hdr
from ext.wire.ipv6 cimport EXT_FRAGMENT, IPV6_LEN, ipv6_hdr

cdef enum:
    ID_OFF = IPV6_LEN + 4      # of the identification, behind the IPv6 header that names a fragment header next


cdef inline void quote_renumber(const tables_t *tables, frame_t *frame, uint8_t *l3, ip_t src) noexcept nogil:
    """The fragment quoted at l3, sent as src's by swlb, has its sender's identification again, while that is remembered."""
    if frame.family == 4:
        if ntohs((<ipv4_hdr *>l3).frag) & IPV4_MORE:
            renumber_ipv4(tables, <ipv4_hdr *>l3, src)
    elif (<ipv6_hdr *>l3).next_header == EXT_FRAGMENT:
        renumber_ipv6(tables, frame, l3, src)


cdef inline void renumber_ipv4(const tables_t *tables, ipv4_hdr *ip, ip_t src) noexcept nogil:
    """The header's own checksum makes up for what its identification gains, so that the error's stays right."""
    cdef const fragment_t *packet = fragment_numbered(&tables.fragments, src, ntohs(ip.id), 0xFFFF, tables.crew.n,
                                                      tables.crew.index)
    cdef uint16_t id
    if packet is NULL:
        return
    id = htons(<uint16_t>packet.id)
    ip.checksum = checksum_adjust(ip.checksum, sum_change(ip.id, id))
    ip.id = id


cdef inline void renumber_ipv6(const tables_t *tables, frame_t *frame, uint8_t *l3, ip_t src) noexcept nogil:
    cdef const fragment_t *packet = fragment_numbered(&tables.fragments, src, ntohl(load32(l3 + ID_OFF)), 0xFFFFFFFF,
                                                      tables.crew.n, tables.crew.index)
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    cdef uint16_t before = sum_fold(sum_bytes(l3 + ID_OFF, 4, 0))
    if packet is NULL:
        return
    store32(l3 + ID_OFF, htonl(packet.id))
    if not frame.found & FOUND_PARTIAL:
        icmp.checksum = checksum_adjust(icmp.checksum, sum_change(before, sum_fold(sum_bytes(l3 + ID_OFF, 4, 0))))

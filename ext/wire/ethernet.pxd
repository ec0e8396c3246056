"""Ethernet II and VLAN tags. Spec: IEEE 802.3 clause 3, IEEE 802.1Q clause 9.

A MAC is carried in the low 48 bits of a uint64, its first byte lowest, so that it compares in one step.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.order cimport be16, load16, load32, store16, store32

cdef enum:
    ETH_LEN = 14
    MACS_LEN = 12          # in front of a tag
    TAG_LEN = 4
    MAX_TAGS = 2
    # EtherTypes in wire order on a little-endian machine
    ETH_IPV4 = 0x0008
    ETH_ARP = 0x0608
    ETH_IPV6 = 0xDD86
    ETH_8021Q = 0x0081
    ETH_8021AD = 0xA888

cdef extern from * nogil:
    """
    #define SWLB_MAC_BROADCAST 0xFFFFFFFFFFFFULL
    """
    const uint64_t MAC_BROADCAST "SWLB_MAC_BROADCAST"

cdef packed struct eth_hdr:
    uint8_t dst[6]
    uint8_t src[6]
    be16 ethertype


cdef inline uint64_t mac_load(const uint8_t *p) noexcept nogil:
    return <uint64_t>load32(p) | (<uint64_t>load16(p + 4) << 32)


cdef inline void mac_store(uint8_t *p, uint64_t mac) noexcept nogil:
    store32(p, <uint32_t>mac)
    store16(p + 4, <uint16_t>(mac >> 32))


cdef inline bint mac_is_group(uint64_t mac) noexcept nogil:
    """Multicast or broadcast: the I/G bit, first bit on the wire (IEEE 802 8.2)."""
    return mac & 1


cdef inline bint mac_is_reserved(uint64_t mac) noexcept nogil:
    """01-80-C2-00-00-00 to 0F: link-local control protocols (IEEE 802.1Q table 8-1)."""
    return (mac & 0xF0FFFFFFFFFFULL) == 0x0000C28001ULL

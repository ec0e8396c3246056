"""The virtio-net header in front of every frame. Spec: virtio 1.2 section 5.1.6; linux/virtio_net.h.

It says whether the L4 checksum is still partial and whether the frame is a super-frame that the next
taker has to segment. Offsets count from the Ethernet header. The machine's byte order (little-endian).
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memset

cdef enum:
    VNET_NEEDS_CSUM = 1    # checksum field holds the folded, not inverted, pseudo-header sum
    GSO_NONE = 0
    GSO_TCPV4 = 1
    GSO_TCPV6 = 4
    GSO_UDP_L4 = 5
    GSO_ECN = 0x80

cdef packed struct vnet_hdr:
    uint8_t flags
    uint8_t gso_type
    uint16_t hdr_len
    uint16_t gso_size
    uint16_t csum_start
    uint16_t csum_offset


cdef inline void vnet_clear(uint8_t *vnet) noexcept nogil:
    """An ordinary frame: checksum complete, no segmentation asked for."""
    memset(vnet, 0, sizeof(vnet_hdr))

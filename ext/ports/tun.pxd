"""A TUN device with a virtio-net header: IP packets without Ethernet. Spec: as ports/tap.pxd; linux/if_tun.h (IFF_TUN).

The pipeline knows frames only, so a packet gets an Ethernet header on its way in and loses it on its way out: it comes
from the one made-up station that is all there is at the other end (STATION), and is for the segment's own MAC, or for a
group. The offload header's offsets, which count from the packet here, move by the header's length.
"""

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from posix.uio cimport iovec, writev
from posix.unistd cimport read

from ext.address cimport ip_load
from ext.debug cimport likely, unlikely
from ext.frame cimport HEAD_LEN, SLOT_LEN, SUPER_LEN, VNET_LEN, frame_t, frame_vnet, slot_frame, slot_vnet
from ext.order cimport load32
from ext.ports.port cimport PORT_TUN, port_count_tx, port_t, room_t
from ext.ports.tap cimport tap_is_gone
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6, ETH_LEN, eth_hdr, mac_store
from ext.wire.nd cimport group_mac
from ext.wire.vnet cimport VNET_NEEDS_CSUM, vnet_hdr

cdef extern from * nogil:
    """
    /* 02:74:75:6e:00:01, locally administered; "tun" in the middle */
    #define SWLB_STATION 0x01006E757402ULL
    """
    const uint64_t STATION "SWLB_STATION"

cdef enum:
    # Offsets of the destination in IPv4 and IPv6
    V4_DST = 16
    V6_DST = 24


cdef inline void tun_open(port_t *port, int fd) noexcept nogil:
    """The port reads and writes fd: a TUN with IFF_NO_PI, IFF_VNET_HDR (10 bytes) and O_NONBLOCK."""
    port.kind = PORT_TUN
    port.fd = fd
    port.rx_burst = tun_rx
    port.tx_burst = tun_tx


cdef inline int tun_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    cdef ssize_t got
    cdef int i = 0
    while i < n:
        got = read(port.fd, slot_vnet(room.slots, i) + ETH_LEN, SLOT_LEN - HEAD_LEN - ETH_LEN)
        if unlikely(got <= VNET_LEN):
            if got < 0 and tap_is_gone(errno):
                return -errno
            break
        burst[i].data = slot_frame(room.slots, i)
        burst[i].len = ETH_LEN + <uint32_t>(got - VNET_LEN)
        ethernet_put(port, &burst[i])
        i += 1
        if got > SUPER_LEN:
            break
    return i


cdef inline void ethernet_put(const port_t *port, frame_t *frame) noexcept nogil:
    """The packet, whose offload header ends where it begins, is a frame with its offload header in front."""
    cdef eth_hdr *eth = <eth_hdr *>frame.data
    cdef vnet_hdr vnet = (<vnet_hdr *>(frame.data + ETH_LEN - VNET_LEN))[0]
    cdef const uint8_t *packet = frame.data + ETH_LEN
    if vnet.flags & VNET_NEEDS_CSUM:
        vnet.csum_start += ETH_LEN
    if vnet.hdr_len:
        vnet.hdr_len += ETH_LEN
    (<vnet_hdr *>frame_vnet(frame))[0] = vnet
    mac_store(eth.dst, mac_of_destination(port, packet, frame.len - ETH_LEN))
    mac_store(eth.src, STATION)
    # What is neither is refused as IPv4 with a wrong version.
    eth.ethertype = ETH_IPV6 if packet[0] >> 4 == 6 else ETH_IPV4


cdef inline uint64_t mac_of_destination(const port_t *port, const uint8_t *packet, uint32_t n) noexcept nogil:
    """The group's MAC of a packet to a group, else the segment's own."""
    cdef uint8_t version = packet[0] >> 4
    if version == 6 and n >= V6_DST + 16 and packet[V6_DST] == 0xFF:
        return group_mac(ip_load(packet + V6_DST))
    if version == 4 and n >= V4_DST + 4 and packet[V4_DST] >> 4 == 0xE:
        # The lower 23 bits of the address (RFC 1112 6.4).
        return <uint64_t>0x5E0001 | (<uint64_t>load32(packet + V4_DST) & <uint64_t>0xFFFF7F00) << 16
    return port.segment_mac


cdef inline int tun_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    cdef int i, dropped = 0
    for i in range(n):
        if likely(tun_write(port.fd, frames[i])):
            port_count_tx(port, frames[i])
            continue
        dropped += 1 + frames[i].merged
    port.tx_dropped += dropped
    return dropped


cdef inline bint tun_write(int fd, const frame_t *frame) noexcept nogil:
    """Whether the frame's packet has left; what is none cannot."""
    cdef const eth_hdr *eth = <const eth_hdr *>frame.data
    cdef vnet_hdr vnet = (<vnet_hdr *>frame_vnet(frame))[0]
    cdef iovec parts[2]
    if eth.ethertype != ETH_IPV4 and eth.ethertype != ETH_IPV6:
        return False
    if vnet.flags & VNET_NEEDS_CSUM:
        vnet.csum_start -= ETH_LEN
    if vnet.hdr_len >= ETH_LEN:
        vnet.hdr_len -= ETH_LEN
    parts[0].iov_base = &vnet
    parts[0].iov_len = VNET_LEN
    parts[1].iov_base = frame.data + ETH_LEN
    parts[1].iov_len = frame.len - ETH_LEN
    return writev(fd, parts, 2) >= 0

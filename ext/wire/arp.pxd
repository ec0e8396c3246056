"""ARP for IPv4 over Ethernet. Spec: RFC 826; RFC 5227 for probes and announcements."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.address cimport ip_t, ip_v4
from ext.order cimport be16, be32
from ext.wire.ethernet cimport ETH_ARP, ETH_LEN, eth_hdr, mac_store

cdef enum:
    ARP_LEN = 28
    ARP_FRAME_LEN = 42
    # In wire order on a little-endian machine
    ARP_ETHERNET = 0x0100
    ARP_IPV4 = 0x0008
    ARP_REQUEST = 0x0100
    ARP_REPLY = 0x0200

cdef packed struct arp_hdr:
    be16 htype
    be16 ptype
    uint8_t hlen
    uint8_t plen
    be16 oper
    uint8_t sender_mac[6]
    be32 sender_ip
    uint8_t target_mac[6]
    be32 target_ip


cdef inline uint32_t arp_build(uint8_t *data, be16 oper, uint64_t sender_mac, ip_t sender_ip,
                               uint64_t target_mac, ip_t target_ip, uint64_t dst_mac) noexcept nogil:
    """An ARP frame at data; its length. A target_mac of 0 is what a request carries."""
    cdef eth_hdr *eth = <eth_hdr *>data
    cdef arp_hdr *arp = <arp_hdr *>(data + ETH_LEN)
    mac_store(eth.dst, dst_mac)
    mac_store(eth.src, sender_mac)
    eth.ethertype = ETH_ARP
    arp.htype = ARP_ETHERNET
    arp.ptype = ARP_IPV4
    arp.hlen = 6
    arp.plen = 4
    arp.oper = oper
    mac_store(arp.sender_mac, sender_mac)
    arp.sender_ip = ip_v4(sender_ip)
    mac_store(arp.target_mac, target_mac)
    arp.target_ip = ip_v4(target_ip)
    return ARP_FRAME_LEN

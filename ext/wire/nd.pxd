"""Neighbour discovery messages. Spec: RFC 4861 4.3, 4.4, 4.6.1, 7.1; RFC 4291 2.7.1 (solicited-node address)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.address cimport ip_equal, ip_is_group, ip_is_zero, ip_load, ip_store, ip_t
from ext.frame cimport FOUND_PARTIAL, frame_t
from ext.order cimport be16
from ext.wire.checksum cimport checksum_of, sum_pseudo
from ext.wire.ethernet cimport ETH_IPV6, ETH_LEN, eth_hdr, mac_load, mac_store
from ext.wire.icmp cimport ICMPV6_ADVERTISEMENT, ICMPV6_SOLICITATION
from ext.wire.ipv6 cimport IPV6_LEN, PROTO_ICMPV6, ipv6_build, ipv6_hdr

cdef enum:
    ND_LEN = 24                # up to and with the target
    ND_HOP_LIMIT = 255
    ND_FRAME_LEN = 86          # of what swlb sends
    OPT_SOURCE_MAC = 1
    OPT_TARGET_MAC = 2
    NA_ROUTER = 0x80           # swlb routes whatever is sent to its MAC (RFC 4861 7.2.4)
    NA_SOLICITED = 0x40
    NA_OVERRIDE = 0x20

cdef packed struct nd_msg:
    uint8_t type
    uint8_t code
    be16 checksum
    uint8_t flags
    uint8_t reserved[3]
    uint8_t target[16]
    uint8_t option_type
    uint8_t option_len         # in units of 8 bytes
    uint8_t mac[6]


cdef inline bint nd_is_sound(const frame_t *frame) noexcept nogil:
    """Whether RFC 4861 7.1.1 and 7.1.2 allow it to be believed; options are walked to their end."""
    cdef nd_msg *nd = <nd_msg *>(frame.data + frame.l4_off)
    cdef uint32_t at = ND_LEN
    cdef uint8_t *options = frame.data + frame.l4_off
    if (<ipv6_hdr *>(frame.data + frame.l3_off)).hop_limit != ND_HOP_LIMIT or frame.l4_len < ND_LEN:
        return False
    if frame.l4_off + frame.l4_len > frame.len or nd.code != 0 or nd.target[0] == 0xFF:
        return False
    if not frame.found & FOUND_PARTIAL and checksum_of(
            options, frame.l4_len, sum_pseudo(frame.src, frame.dst, PROTO_ICMPV6, frame.l4_len)) != 0:
        return False
    while at < frame.l4_len:
        if at + 2 > frame.l4_len or options[at + 1] == 0:
            return False
        at += <uint32_t>options[at + 1] * 8
    if at != frame.l4_len:
        return False
    if nd.type == ICMPV6_ADVERTISEMENT:
        return not (ip_is_group(frame.dst) and nd.flags & NA_SOLICITED)
    # A test for duplicates has no MAC to give yet, and is sent where only rivals listen.
    return not ip_is_zero(frame.src) or (ip_equal(frame.dst, solicited_node(ip_load(nd.target)))
                                         and nd_mac(frame, OPT_SOURCE_MAC) == 0)


cdef inline uint64_t nd_mac(const frame_t *frame, uint8_t option_type) noexcept nogil:
    """The MAC in the option of that type, or 0. The message must be sound."""
    cdef uint8_t *options = frame.data + frame.l4_off
    cdef uint32_t at = ND_LEN
    while at < frame.l4_len:
        if options[at] == option_type and options[at + 1] == 1:
            return mac_load(options + at + 2)
        at += <uint32_t>options[at + 1] * 8
    return 0


cdef inline ip_t all_nodes() noexcept nogil:
    """ff02::1"""
    cdef ip_t ip
    ip.hi = 0x02FF
    ip.lo = 0x0100000000000000ULL
    return ip


cdef inline ip_t solicited_node(ip_t target) noexcept nogil:
    """ff02::1:ffXX:XXXX with the last three bytes of target."""
    cdef ip_t ip
    ip.hi = 0x02FF
    ip.lo = (target.lo & 0xFFFFFF0000000000ULL) | 0xFF01000000ULL
    return ip


cdef inline uint64_t group_mac(ip_t group) noexcept nogil:
    """33:33 and the last four bytes (RFC 2464 7)."""
    return 0x3333 | ((group.lo >> 32) << 16)


cdef inline uint32_t nd_build(uint8_t *data, uint8_t type, uint8_t flags, uint64_t src_mac, uint64_t dst_mac,
                              ip_t src, ip_t dst, ip_t target) noexcept nogil:
    """A whole frame at data, with src_mac as its link-layer address option; its length."""
    cdef eth_hdr *eth = <eth_hdr *>data
    cdef nd_msg *nd = <nd_msg *>(data + ETH_LEN + IPV6_LEN)
    mac_store(eth.dst, dst_mac)
    mac_store(eth.src, src_mac)
    eth.ethertype = ETH_IPV6
    ipv6_build(data + ETH_LEN, src, dst, PROTO_ICMPV6, sizeof(nd_msg), ND_HOP_LIMIT)
    memset(nd, 0, sizeof(nd_msg))
    nd.type = type
    nd.flags = flags
    ip_store(nd.target, target)
    nd.option_type = OPT_SOURCE_MAC if type == ICMPV6_SOLICITATION else OPT_TARGET_MAC
    nd.option_len = 1
    mac_store(nd.mac, src_mac)
    nd.checksum = checksum_of(<uint8_t *>nd, sizeof(nd_msg), sum_pseudo(src, dst, PROTO_ICMPV6, sizeof(nd_msg)))
    return ND_FRAME_LEN

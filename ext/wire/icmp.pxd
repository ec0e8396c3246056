"""ICMP and ICMPv6 headers and types. Spec: RFC 792, RFC 1191 4 (MTU field), RFC 4443, RFC 4861 4."""

from libc.stdint cimport uint8_t

from ext.order cimport be16, be32
from ext.frame cimport FOUND_LATER, frame_t
from ext.wire.ipv4 cimport PROTO_ICMP
from ext.wire.ipv6 cimport PROTO_ICMPV6

cdef enum:
    ICMP_LEN = 8
    ICMP_CHECKSUM_OFF = 2
    ECHO_ID_OFF = 4
    # ICMP
    ICMP_ECHO_REPLY = 0
    ICMP_UNREACHABLE = 3
    ICMP_TOO_BIG_CODE = 4      # ... by a packet with DF
    ICMP_SOURCE_QUENCH = 4
    ICMP_REDIRECT = 5
    ICMP_ECHO = 8
    ICMP_TIME_EXCEEDED = 11
    ICMP_PARAMETER = 12
    # ICMPv6
    ICMPV6_UNREACHABLE = 1
    ICMPV6_TOO_BIG = 2
    ICMPV6_TIME_EXCEEDED = 3
    ICMPV6_LAST_ERROR = 127    # types up to here are errors (RFC 4443 2.1)
    ICMPV6_ECHO = 128
    ICMPV6_ECHO_REPLY = 129
    ICMPV6_SOLICITATION = 135
    ICMPV6_ADVERTISEMENT = 136

cdef packed struct icmp_hdr:
    uint8_t type
    uint8_t code
    be16 checksum
    be32 rest

cdef packed struct icmp_echo_hdr:
    uint8_t type
    uint8_t code
    be16 checksum
    be16 id
    be16 sequence


cdef inline bint icmp_is_error(uint8_t type) noexcept nogil:
    """Errors proper; redirects too, which must not be answered either (RFC 1122 3.2.2)."""
    return (type == ICMP_UNREACHABLE or type == ICMP_SOURCE_QUENCH or type == ICMP_REDIRECT
            or type == ICMP_TIME_EXCEEDED or type == ICMP_PARAMETER)


cdef inline bint icmpv6_is_error(uint8_t type) noexcept nogil:
    return type <= ICMPV6_LAST_ERROR or type == 137


cdef inline bint icmp_is_refusal(const icmp_hdr *icmp, int version) noexcept nogil:
    """Whether its sender says that nobody is there, or nobody may be spoken to: not that a packet was too big."""
    if version == 4:
        return icmp.type == ICMP_UNREACHABLE and icmp.code != ICMP_TOO_BIG_CODE
    return icmp.type == ICMPV6_UNREACHABLE


# What a parsed packet is. Behind the header of any other protocol, and in later fragments, there may be nothing to read.

cdef inline bint is_icmp(const frame_t *frame) noexcept nogil:
    """Whether it has an ICMP header, of the family it belongs to."""
    return (not frame.found & FOUND_LATER
            and ((frame.protocol == PROTO_ICMP and frame.family == 4)
                 or (frame.protocol == PROTO_ICMPV6 and frame.family == 6)))


cdef inline bint is_icmp_error(const frame_t *frame) noexcept nogil:
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    return is_icmp(frame) and (icmp_is_error(icmp.type) if frame.family == 4 else icmpv6_is_error(icmp.type))


cdef inline bint is_echo_request(const frame_t *frame) noexcept nogil:
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    return is_icmp(frame) and icmp.type == (ICMP_ECHO if frame.family == 4 else ICMPV6_ECHO)


cdef inline bint is_echo(const frame_t *frame) noexcept nogil:
    """Whether it is an echo request or its reply."""
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    return (is_echo_request(frame)
            or (is_icmp(frame) and icmp.type == (ICMP_ECHO_REPLY if frame.family == 4 else ICMPV6_ECHO_REPLY)))

"""ICMP errors that swlb owes as a router or as the owner of a VIP, and echo to a VIP.

Read first: RFC 1812 4.3.2 and 5.2.7, RFC 4443 2.4 and 3, RFC 1191 4. Errors about sessions that others sent
are in quote.pxd.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from ext.address cimport ip_may_send, ip_t
from ext.debug cimport unlikely
from ext.frame cimport FOUND_FRAGMENT, FOUND_L3, FOUND_LATER, FOUND_PARTIAL, NO_PORT, frame_t
from ext.forward.reflect cimport frame_cut, reflect
from ext.order cimport htonl, htons, load16
from ext.tables.fragment cimport ECHO, fragment_note_untouched
from ext.tables.route cimport address_on, address_t
from ext.tables.tables cimport drop_answered, tables_t
from ext.verdict cimport DROP_BAD_IPV6_EXTENSION, verdict_t
from ext.wire.checksum cimport checksum_adjust, sum_change, sum_pseudo
from ext.wire.ethernet cimport eth_hdr, mac_is_group, mac_load
from ext.wire.icmp cimport (ICMP_CHECKSUM_OFF, ICMP_ECHO_REPLY, ICMP_LEN, ICMPV6_ECHO_REPLY, icmp_hdr, icmp_is_error,
                            icmpv6_is_error)
from ext.wire.ipv4 cimport IPV4_LEN, OWN_TTL, PROTO_ICMP, ipv4_build, ipv4_hdr
from ext.wire.ipv6 cimport (EXT_DESTINATION, EXT_HOP_BY_HOP, IPV6_LEN, IPV6_NEXT_OFF, PROTO_ICMPV6, ipv6_build,
                            ipv6_extension_len, ipv6_hdr, ipv6_is_extension)
from ext.wire.rewrite cimport checksum_complete, checksum_fill, echo_of_zeros, restore, ttl_change, ttl_of

# What the error says, whatever the family
cdef enum:
    NET_UNREACHABLE = 0
    HOST_UNREACHABLE = 1
    PORT_UNREACHABLE = 2
    TIME_EXCEEDED = 3
    TOO_BIG = 4
    PROHIBITED = 5
    PARAMETER_PROBLEM = 6
    UNKNOWN_OPTION = 7         # of IPv6 only

cdef enum:
    QUOTE_V4 = 548         # the whole error stays within 576 bytes (RFC 1812 4.3.2.3)
    QUOTE_V6 = 1232        # ... within 1280 (RFC 4443 2.4 c)
    TOS_CONTROL = 0xC0     # internetwork control (RFC 1812 4.3.2.5)
    TOS_KEPT = 0x1C        # of the packet's TOS; the lowest two bits are ECN today (RFC 3168 5)
    ERROR_COST = 1000      # thousandths of a token

cdef extern from * nogil:
    """
    #include <stdint.h>
    /* [what][0: IPv4 (RFC 792), 1: IPv6 (RFC 4443)][type, code] */
    static const uint8_t swlb_error_types[8][2][2] = {
        /* NET_UNREACHABLE  */ {{3, 0}, {1, 0}},
        /* HOST_UNREACHABLE */ {{3, 1}, {1, 3}},
        /* PORT_UNREACHABLE */ {{3, 3}, {1, 4}},
        /* TIME_EXCEEDED    */ {{11, 0}, {3, 0}},
        /* TOO_BIG          */ {{3, 4}, {2, 0}},
        /* PROHIBITED       */ {{3, 13}, {1, 1}},
        /* PARAMETER_PROBLEM */ {{12, 0}, {4, 0}},
        /* UNKNOWN_OPTION   */ {{12, 0}, {4, 2}},
    };
    """
    const uint8_t error_types "swlb_error_types"[8][2][2]


cdef inline bint icmp_token(tables_t *tables, int what, uint32_t now_ms) noexcept nogil:
    """Whether one more such error may be sent now: at most icmp_rate a second, bursts of a second's worth.

    TOO_BIG has tokens of its own: who provokes other errors must not keep hosts from learning what fits.
    """
    cdef uint64_t *tokens = &tables.icmp_tokens[what == TOO_BIG]
    icmp_fill(tables, now_ms)
    if tokens[0] < ERROR_COST:
        tables.icmp_limited += 1
        return False
    tokens[0] -= ERROR_COST
    return True


cdef inline void icmp_fill(tables_t *tables, uint32_t now_ms) noexcept nogil:
    """Tokens are there for the time that has passed. Each tick calls it, so that this is never so long that it wraps."""
    cdef uint64_t most = <uint64_t>tables.icmp_rate * ERROR_COST
    cdef uint64_t more = <uint64_t>(now_ms - tables.icmp_filled_ms) * tables.icmp_rate
    cdef int i
    tables.icmp_filled_ms = now_ms
    for i in range(2):
        tables.icmp_tokens[i] = min(tables.icmp_tokens[i] + more, most)


cdef inline bint icmp_may_answer(const frame_t *frame) noexcept nogil:
    """Whether an error may be sent about this packet (RFC 1812 4.3.2.7, RFC 4443 2.4 e)."""
    # Behind the last header of any other protocol there may be nothing to read.
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    if not frame.found & FOUND_L3 or not ip_may_send(frame.src) or mac_is_group(mac_load((<eth_hdr *>frame.data).dst)):
        return False
    # What swlb has made itself, nobody sent.
    if frame.port == NO_PORT:
        return False
    # About later fragments only IPv6 has errors; what a message is that they are of, they do not say.
    if frame.found & FOUND_LATER:
        return frame.family == 6 and frame.protocol != PROTO_ICMPV6
    if frame.protocol == PROTO_ICMP and frame.family == 4:
        return not icmp_is_error(icmp.type)
    if frame.protocol == PROTO_ICMPV6 and frame.family == 6:
        return not icmpv6_is_error(icmp.type)
    return True


cdef inline uint32_t icmp_quote_len(const frame_t *frame) noexcept nogil:
    """How much of the packet an error about it quotes."""
    cdef uint32_t whole = frame.l4_off - frame.l3_off + frame.l4_len
    cdef uint32_t head = frame.len - frame.l3_off
    cdef uint32_t most = QUOTE_V4 if frame.family == 4 else QUOTE_V6
    return min(min(whole, head), most)


cdef inline verdict_t icmp_error(tables_t *tables, frame_t *frame, int what, uint32_t word, int reason,
                                 uint32_t now_ms) noexcept nogil:
    """The frame is dropped for reason, and an error about it goes back in its place where one is due.

    what: NET_UNREACHABLE ... UNKNOWN_OPTION. word: of TOO_BIG the MTU, of the last two over IPv6 where what is wrong stands,
    of others 0. The quoted packet is as its sender sent it. Source is the segment's own address. Without one, or without a
    token, there is no error and the reason is the verdict. The kernel twin hears it from whom it called: it drops what
    seems to come from its own address.
    """
    cdef const address_t *own = address_on(&tables.routes, frame.segment, frame.family == 4)
    if own is NULL or not icmp_may_answer(frame) or not icmp_token(tables, what, now_ms):
        return reason
    drop_answered(tables, frame, reason)
    restore(frame)
    checksum_complete(frame)
    icmp_quote(frame, what, word, frame.dst if frame.port == tables.segments[frame.segment].host_port else own.ip)
    return reflect(tables, frame)


cdef inline void icmp_quote(frame_t *frame, int what, uint32_t word, ip_t own) noexcept nogil:
    """The frame's packet has become an error about itself, from own to its sender."""
    cdef ip_t dst = frame.src
    cdef uint8_t *l3 = frame.data + frame.l3_off
    cdef uint32_t quote = icmp_quote_len(frame)
    cdef uint32_t ip_len = IPV4_LEN if frame.family == 4 else IPV6_LEN
    cdef uint8_t tos = (<ipv4_hdr *>l3).tos
    memmove(l3 + ip_len + ICMP_LEN, l3, quote)
    if frame.family == 4:
        ipv4_build(l3, own, dst, PROTO_ICMP, (tos & TOS_KEPT) | TOS_CONTROL, ICMP_LEN + quote)
    else:
        ipv6_build(l3, own, dst, PROTO_ICMPV6, ICMP_LEN + quote, OWN_TTL)
    frame.l4_off = frame.l3_off + ip_len
    frame.l4_len = ICMP_LEN + quote
    icmp_header(frame, what, word, own, dst, ICMP_LEN + quote)
    frame_cut(frame, frame.l4_off + ICMP_LEN + quote)


cdef inline void icmp_header(frame_t *frame, int what, uint32_t word, ip_t src, ip_t dst,
                             uint32_t l4_len) noexcept nogil:
    """The ICMP header at l4_off says what, its checksum covers the l4_len bytes there."""
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    cdef int version = 0 if frame.family == 4 else 1
    icmp.type = error_types[what][version][0]
    icmp.code = error_types[what][version][1]
    icmp.rest = htonl(word) if what == TOO_BIG or what >= PARAMETER_PROBLEM else 0
    checksum_fill(frame, ICMP_CHECKSUM_OFF, l4_len,
                  0 if frame.family == 4 else sum_pseudo(src, dst, PROTO_ICMPV6, l4_len))


cdef inline uint32_t unknown_option_off(const uint8_t *l3) noexcept nogil:
    """Where the IPv6 packet has an option by which who does not know it is to drop the packet; or 0.

    Parse has walked its chain. There is no option that swlb knows. Spec: RFC 8200 4.2.
    """
    cdef uint32_t end, option, at = IPV6_LEN
    cdef uint8_t kind = l3[IPV6_NEXT_OFF]
    while ipv6_is_extension(kind):
        end = at + ipv6_extension_len(kind, l3 + at)
        option = at + 2
        while option < end and (kind == EXT_DESTINATION or kind == EXT_HOP_BY_HOP):
            if l3[option] >> 6:
                return option
            option += 1 if l3[option] == 0 else 2 + <uint32_t>l3[option + 1]
        kind = l3[at]
        at = end
    return 0


cdef inline verdict_t echo_refuse(tables_t *tables, frame_t *frame, uint32_t option, uint32_t now_ms) noexcept nogil:
    """The echo with the unknown option there is dropped, and its sender told unless the option says not to."""
    if frame.data[frame.l3_off + option] >> 6 == 1:
        return DROP_BAD_IPV6_EXTENSION
    return icmp_error(tables, frame, UNKNOWN_OPTION, option, DROP_BAD_IPV6_EXTENSION, now_ms)


cdef inline void without_extensions(frame_t *frame) noexcept nogil:
    """The IPv6 packet has no extension headers: none is owed to who sent some, and a routing header must not come back
    (RFC 8200 8.4)."""
    cdef ipv6_hdr *ip = <ipv6_hdr *>(frame.data + frame.l3_off)
    cdef uint8_t *behind = frame.data + frame.l3_off + IPV6_LEN
    checksum_complete(frame)
    memmove(behind, frame.data + frame.l4_off, frame.l4_len)
    ip.next_header = frame.protocol
    ip.payload_len = htons(<uint16_t>frame.l4_len)
    frame.l4_off = frame.l3_off + IPV6_LEN
    frame_cut(frame, frame.l4_off + frame.l4_len)


cdef inline verdict_t icmp_echo(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """The request has become its reply: addresses exchanged, type changed, TTL swlb's own. Also in fragments.

    The checksum is adjusted, not computed, so that the first of them is enough for it; the others turn back behind it.
    """
    cdef icmp_hdr *icmp
    cdef uint16_t old
    cdef uint32_t option
    if unlikely(frame.family == 6 and frame.l4_off > frame.l3_off + IPV6_LEN):
        option = unknown_option_off(frame.data + frame.l3_off)
        if option:
            return echo_refuse(tables, frame, option, now_ms)
        if not frame.found & FOUND_FRAGMENT:
            without_extensions(frame)
    icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    old = load16(icmp)
    icmp.type = ICMP_ECHO_REPLY if frame.family == 4 else ICMPV6_ECHO_REPLY
    if not frame.found & FOUND_PARTIAL:
        icmp.checksum = checksum_adjust(icmp.checksum, sum_change(old, load16(icmp)))
        echo_of_zeros(frame)
    if unlikely(frame.found & FOUND_FRAGMENT):
        fragment_note_untouched(&tables.fragments, frame, ECHO, 0, 0, now_ms)
    return turn_back(tables, frame)


cdef inline verdict_t turn_back(tables_t *tables, frame_t *frame) noexcept nogil:
    """The packet goes back to who sent it, from whom it was sent to, with a TTL of swlb's own."""
    cdef uint8_t *l3 = frame.data + frame.l3_off
    cdef uint8_t address[16]
    cdef uint32_t at = 12 if frame.family == 4 else 8
    cdef uint32_t n = 4 if frame.family == 4 else 16
    memcpy(address, l3 + at, n)
    memcpy(l3 + at, l3 + at + n, n)
    memcpy(l3 + at + n, address, n)
    ttl_change(frame, OWN_TTL - ttl_of(frame))
    return reflect(tables, frame)

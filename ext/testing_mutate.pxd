"""Frames as nobody should send them: taken from a corpus of good ones and spoilt, or made up altogether.

Most stay good enough to get past the first check, as bad frames that are all refused at once prove little: after the
damage the IPv4 header checksum and an ICMPv6 checksum are usually put right again.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

from ext.frame cimport FOUND_L3, FOUND_LATER, FRAME_LEN, SUPER_LEN, VNET_LEN, frame_t
from ext.order cimport store16, store32
from ext.testing_sums cimport UNKNOWN, l4_sum
from ext.verdict cimport GO_ON
from ext.wire.checksum cimport checksum_of, sum_pseudo
from ext.wire.ethernet cimport ETH_8021Q, ETH_IPV4, ETH_LEN, TAG_LEN
from ext.wire.icmp cimport ICMP_CHECKSUM_OFF, ICMP_LEN
from ext.wire.ipv4 cimport IPV4_LEN
from ext.wire.ipv6 cimport PROTO_ICMPV6
from ext.wire.parse cimport parse_ethernet, parse_ip

cdef enum:
    WAYS_TO_SPOIL = 11
    N_FIELDS = 20
    MESSAGE_LEN = 65856    # offload header and the longest frame

cdef extern from * nogil:
    """
    #include <stdint.h>
    /* Where untagged frames keep what parse looks at: types, lengths, offsets, protocols (IPv4 and IPv6, TCP and UDP) */
    static const uint8_t swlb_fields[20] = {12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 34, 36, 38, 39, 46, 54, 55, 58, 66};
    """
    const uint8_t fields "swlb_fields"[20]

cdef struct message_t:
    uint8_t bytes[MESSAGE_LEN]     # offload header, frame
    uint32_t len                   # of both
    uint32_t again                 # how often it is to be had once more, as datagrams of a flow follow each other

cdef struct corpus_t:
    const uint8_t **messages
    uint32_t *lengths
    uint32_t n
    uint64_t random


cdef inline uint32_t draw(corpus_t *corpus, uint32_t n) noexcept nogil:
    """A number below n (xorshift64*)."""
    corpus.random ^= corpus.random >> 12
    corpus.random ^= corpus.random << 25
    corpus.random ^= corpus.random >> 27
    return <uint32_t>((corpus.random * 0x2545F4914F6CDD1DULL) >> 32) % n


cdef inline void compose(corpus_t *corpus, message_t *message) noexcept nogil:
    """The next frame: one in sixteen invented, six as they should be, the rest spoilt one to five times.

    Some come again and again, now and then with something about them changed.
    """
    cdef uint32_t i, kind = draw(corpus, 16)
    if message.again and message.len < SUPER_LEN:
        message.again -= 1
        if kind == 0:
            spoil(corpus, message, draw(corpus, WAYS_TO_SPOIL))
            if draw(corpus, 8):
                repair(message)
        return
    message.again = draw(corpus, 1 + draw(corpus, 100)) if draw(corpus, 32) == 0 else 0
    if kind == 0:
        invent(corpus, message)
        return
    i = draw(corpus, corpus.n)
    message.len = corpus.lengths[i]
    memcpy(message.bytes, corpus.messages[i], message.len)
    if draw(corpus, 2):
        other_end(corpus, message)
    if kind > 6:
        for i in range(1 + draw(corpus, 1 + draw(corpus, 5))):
            spoil(corpus, message, draw(corpus, WAYS_TO_SPOIL))
    if draw(corpus, 8):
        repair(message)


cdef inline void invent(corpus_t *corpus, message_t *message) noexcept nogil:
    """Random bytes, mostly few, rarely more than a slot holds; the EtherType is IPv4 now and then."""
    cdef uint32_t i
    message.len = VNET_LEN + draw(corpus, 128 if draw(corpus, 64) else 4096)
    for i in range(message.len):
        message.bytes[i] = <uint8_t>draw(corpus, 256)
    if draw(corpus, 2):
        memset(message.bytes, 0, VNET_LEN)
    if draw(corpus, 2) and message.len >= VNET_LEN + ETH_LEN + 1:
        message.bytes[VNET_LEN] &= 0xFE
        message.bytes[VNET_LEN + 6] &= 0xFE
        store16(message.bytes + VNET_LEN + 12, ETH_IPV4)
        message.bytes[VNET_LEN + ETH_LEN] = 0x45


cdef inline void other_end(corpus_t *corpus, message_t *message) noexcept nogil:
    """Another client, whose address and port differ in their last bits; or the same at another port of the VIP."""
    cdef uint8_t *data = message.bytes + VNET_LEN
    cdef uint32_t address = 29, l4_port = 35
    if message.len < VNET_LEN + 60 or (data[12] != 0x86 and (data[12] != 0x08 or data[13] != 0)):
        return
    if data[12] == 0x86:
        address = 37
        l4_port = 55
    if draw(corpus, 4) == 0:
        data[l4_port + 2] = <uint8_t>draw(corpus, 256)
        return
    data[address] = <uint8_t>(data[address] & 0xF0) | <uint8_t>draw(corpus, 16)
    data[l4_port] = <uint8_t>draw(corpus, 256)


cdef inline void spoil(corpus_t *corpus, message_t *message, uint32_t way) noexcept nogil:
    """One thing about the message is wrong now."""
    cdef uint32_t n = message.len
    cdef uint32_t at = draw(corpus, n if not draw(corpus, 8) else min(n, <uint32_t>140))
    cdef uint32_t other = draw(corpus, corpus.n)
    if way == 0:
        message.bytes[at] ^= 1 << draw(corpus, 8)
    elif way == 1:
        message.bytes[at] = <uint8_t>(draw(corpus, 3) - 1 + (draw(corpus, 2) << 7))
    elif way == 2 and n > VNET_LEN:
        message.len = VNET_LEN + draw(corpus, n - VNET_LEN + 1)
    elif way == 3 or way == 4:
        at = VNET_LEN + fields[draw(corpus, N_FIELDS)]
        if at < n:
            message.bytes[at] = <uint8_t>draw(corpus, 256)
    elif way == 5:
        splice(message, at, corpus.messages[other], corpus.lengths[other])
    elif way == 6:
        lengthen(corpus, message)
    elif way == 7:
        message.bytes[draw(corpus, VNET_LEN)] = <uint8_t>draw(corpus, 256)
    elif way == 8 and corpus.lengths[other] > VNET_LEN + 12 and n > VNET_LEN + 12:
        memcpy(message.bytes + VNET_LEN, corpus.messages[other] + VNET_LEN, 6 if draw(corpus, 2) else 12)
    elif way == 9:
        insert_tag(corpus, message)
    elif way == 10 and n >= at + 4:
        store32(message.bytes + at, draw(corpus, 0xFFFFFFFF))


cdef inline void splice(message_t *message, uint32_t at, const uint8_t *other, uint32_t n) noexcept nogil:
    """From there on it is another message."""
    if at < n:
        memcpy(message.bytes + at, other + at, n - at)
        message.len = n


cdef inline void lengthen(corpus_t *corpus, message_t *message) noexcept nogil:
    """Bytes follow that no header speaks of: a few, or many, or all there may be."""
    cdef uint32_t kind = draw(corpus, 64)
    cdef uint32_t n = draw(corpus, 64)
    if kind < 4:
        n = draw(corpus, 4 * SUPER_LEN)
    elif kind == 4:
        n = FRAME_LEN
    n = min(n, <uint32_t>MESSAGE_LEN - message.len)
    memset(message.bytes + message.len, <int>draw(corpus, 256), n)
    message.len += n


cdef inline void insert_tag(corpus_t *corpus, message_t *message) noexcept nogil:
    """A VLAN tag, half of them of VLAN 0."""
    cdef uint8_t *at = message.bytes + VNET_LEN + 12
    if message.len < VNET_LEN + ETH_LEN or message.len + TAG_LEN > MESSAGE_LEN:
        return
    memmove(at + TAG_LEN, at, message.len - VNET_LEN - 12)
    store16(at, ETH_8021Q)
    store16(at + 2, <uint16_t>(draw(corpus, 4) << 8) if draw(corpus, 2) else 0)
    message.len += TAG_LEN


cdef inline void overlay(frame_t *frame, message_t *message) noexcept nogil:
    """The frame is the message, in its place; what swlb sets itself has a value that means nothing."""
    memset(frame, 0xA5, sizeof(frame_t))
    frame.data = message.bytes + VNET_LEN
    frame.len = message.len - VNET_LEN


cdef inline void repair(message_t *message) noexcept nogil:
    """The IPv4 header checksum and the ICMPv6 checksum are right, if they can be found."""
    cdef frame_t frame
    cdef uint8_t *l3
    cdef uint32_t header_len
    overlay(&frame, message)
    if parse_ethernet(&frame) != GO_ON or frame.len < frame.l3_off + <uint32_t>IPV4_LEN:
        return
    l3 = frame.data + frame.l3_off
    header_len = (l3[0] & 15) * 4
    if frame.ethertype == ETH_IPV4 and IPV4_LEN <= header_len <= frame.len - frame.l3_off:
        store16(l3 + 10, 0)
        store16(l3 + 10, checksum_of(l3, header_len, 0))
        return
    parse_ip(&frame)
    if (frame.found & FOUND_L3 and not frame.found & FOUND_LATER and frame.protocol == PROTO_ICMPV6
            and frame.l4_len >= ICMP_LEN):
        store16(frame.data + frame.l4_off + ICMP_CHECKSUM_OFF, 0)
        store16(frame.data + frame.l4_off + ICMP_CHECKSUM_OFF,
                checksum_of(frame.data + frame.l4_off, frame.l4_len,
                            sum_pseudo(frame.src, frame.dst, frame.protocol, frame.l4_len)))


cdef inline uint32_t parse_tightly(message_t *message) noexcept nogil:
    """The message's L4 sum, parsed in memory that ends where it does."""
    cdef frame_t frame
    cdef uint32_t found, n
    cdef uint8_t *tight
    overlay(&frame, message)
    n = VNET_LEN + frame.len
    tight = <uint8_t *>malloc(n)
    memcpy(tight, message.bytes, n)
    frame.data = tight + VNET_LEN
    found = UNKNOWN
    if parse_ethernet(&frame) == GO_ON:
        parse_ip(&frame)
        found = l4_sum(&frame)
    free(tight)
    return found

"""The fuzzer's judgement of a frame that leaves: whole, as sound as it came, and accounted for.

Read first: ext/testing_fuzz.pyx.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from ext.frame cimport (FOUND_FRAGMENT, FOUND_L3, FOUND_L4, FOUND_PARTIAL, FRAME_LEN, HEAD_LEN, NO_PORT, SLOT_LEN,
                        VNET_LEN, frame_t, frame_vnet)
from ext.order cimport htons, ntohs
from ext.outbox cimport outbox_t
from ext.ports.port cimport BURST, port_t
from ext.testing_mutate cimport MESSAGE_LEN, corpus_t, message_t
from ext.testing_pieces cimport PORTS_LEN, asks_for_nothing, is_partial_and_right, is_piece, is_piece_of
from ext.testing_sums cimport UNKNOWN, l4_sum
from ext.verdict cimport GO_ON, N_DROPS
from ext.wire.checksum cimport sum_bytes, sum_fold, sum_pseudo
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6, ETH_LEN, MACS_LEN, MAX_TAGS, TAG_LEN
from ext.wire.gue cimport GUE_LEN
from ext.wire.ipv4 cimport IPV4_MORE, PROTO_UDP, ipv4_hdr
from ext.wire.parse cimport parse_ethernet, parse_ip
from ext.wire.tag cimport tag_pop, tag_vid
from ext.wire.udp cimport UDP_LEN, udp_hdr
from ext.wire.vnet cimport GSO_NONE, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet_hdr

cdef enum:
    RIGHT = 0xFFFF         # what sound bytes sum up to, their checksum included
    POISON = 0xA5
    MOST_OUTER = 52        # IPv6, UDP and GUE
    N_OUTERS = 5
    CULPRIT_LEN = 128

cdef extern from * nogil:
    """
    /* Bytes that a tunnel grows by: none, IPv4 or IPv6, either with UDP and GUE */
    static const unsigned swlb_outers[5] = {0, 20, 40, 32, 52};
    """
    const uint32_t outers "swlb_outers"[5]

cdef struct fuzz_t:
    corpus_t corpus
    message_t message      # the one made last
    uint8_t within[MESSAGE_LEN]    # a packet taken out of its tunnel
    uint8_t untagged[MESSAGE_LEN + 64]  # a frame with or without the tag of its trunk
    uint8_t *slots[BURST]
    uint32_t left          # frames to come before ports fall silent
    uint32_t got           # frames of this burst,
    uint32_t lens[BURST]   # how long they came in, without the tag of a trunk,
    uint32_t shifts[BURST] # of so many bytes,
    bint sent[BURST]       # those that have left,
    uint32_t sums[BURST]   # and what their L4 summed up to, or UNKNOWN
    uint32_t unplaced      # fragments that are of no frame of the burst as it lies there now: one has left in them
    uint64_t n_sent
    uint64_t n_merged      # datagrams that left in the frame of another
    uint64_t n_tunnelled
    uint64_t n_fragments   # of packets in tunnels
    uint64_t n_pieces      # frames that were cut or completed on their way out
    uint64_t n_tagged      # frames that left by a trunk with a tag
    const outbox_t *outbox
    uint64_t read          # so that no sum of what leaves is optimised away
    const char *fault      # the first
    uint8_t culprit[CULPRIT_LEN]     # how the frame with that fault begins, offload header included


cdef inline uint8_t *slot_data(const fuzz_t *fuzz, uint32_t place) noexcept nogil:
    """Where the Ethernet header of that frame of the burst came in, or begins without the tag of its trunk."""
    return <uint8_t *>fuzz.slots[place] + HEAD_LEN + VNET_LEN + fuzz.shifts[place]


cdef inline uint32_t place_of(const fuzz_t *fuzz, const frame_t *frame) noexcept nogil:
    """Which frame of the burst this is, or is the first piece of; BURST for none."""
    cdef uint32_t i
    for i in range(fuzz.got):
        if fuzz.slots[i] <= frame.data < fuzz.slots[i] + SLOT_LEN:
            return i
        # The same packet may have come more than once.
        if frame.cut_len and not fuzz.sent[i] and is_first_piece_of(frame, slot_data(fuzz, i)):
            return i
    return BURST


cdef inline bint is_first_piece_of(const frame_t *piece, const uint8_t *whole) noexcept nogil:
    """Whether the piece is how the packet in the frame at whole begins, which lies where it came in."""
    cdef const ipv4_hdr *ip = <const ipv4_hdr *>(whole + piece.l3_off)
    cdef const ipv4_hdr *own = <const ipv4_hdr *>(piece.data + piece.l3_off + piece.outer_len)
    cdef uint32_t ip_len = piece.l4_off - piece.l3_off - piece.outer_len
    cdef uint32_t alike = ip_len - 12 + piece.l4_len
    if piece.family == 6:
        return is_outer_of(piece, whole)
    # Of a super-frame the headers of a segment are not the same. In a tunnel the outer ones lie where it was said to be one.
    if piece.outer_len or (<const vnet_hdr *>(whole - VNET_LEN)).gso_type != GSO_NONE:
        alike = ip_len - 12 + PORTS_LEN
    return (ip.ver_ihl == own.ver_ihl and ip.tos == own.tos and ip.id == own.id and ip.ttl == own.ttl
            and (ip.frag == own.frag or (ip.frag | htons(IPV4_MORE)) == own.frag)
            and memcmp(&ip.src, &own.src, alike) == 0)


cdef inline bint is_outer_of(const frame_t *piece, const uint8_t *whole) noexcept nogil:
    """Whether the first piece of an outer packet has the IPv6 packet of that frame within, by addresses and hops."""
    cdef const uint8_t *outer = piece.data + piece.l3_off
    cdef uint8_t carried = outer[9] if outer[0] >> 4 == 4 else outer[40]
    cdef uint32_t at = piece.l4_off + (UDP_LEN + GUE_LEN if carried == PROTO_UDP else 0)
    return memcmp(whole + piece.l3_off + 7, piece.data + at + 7, 33) == 0


cdef inline void judge_tagged(fuzz_t *fuzz, const port_t *port, const frame_t *frame) noexcept nogil:
    """The same of a frame that leaves by a trunk: with the tag of a VLAN that it carries, or with none."""
    cdef frame_t plain = frame[0]
    cdef uint32_t i, place = place_of(fuzz, frame)
    if tag_vid(frame) == 0:
        judge(fuzz, frame, place, is_piece(fuzz.outbox, frame))
        return
    fuzz.n_tagged += 1
    if port.members[tag_vid(frame)] == NO_PORT:
        fuzz.fault = "a frame left by a trunk in a VLAN that is none of its"
        return
    plain.data = fuzz.untagged + VNET_LEN
    memcpy(frame_vnet(&plain), frame_vnet(frame), VNET_LEN + frame.len)
    if place != BURST and frame.data == slot_data(fuzz, place):
        # The tag was there before, as one of priority.
        judge(fuzz, &plain, place, False)
        return
    tag_pop(&plain)
    plain.l3_off -= TAG_LEN
    plain.l4_off -= TAG_LEN
    # It is a first fragment as what it came as, without the tag.
    if place == BURST:
        place = place_of(fuzz, &plain)
    for i in range(fuzz.got if is_piece(fuzz.outbox, frame) else 0):
        # Of the same frame more than one may have come.
        if is_copy_of(&plain, slot_data(fuzz, i)):
            fuzz.sent[i] = True
            place = i
    judge(fuzz, &plain, place, is_piece(fuzz.outbox, frame) and not frame.shared)


cdef inline bint is_copy_of(const frame_t *copy, const uint8_t *whole) noexcept nogil:
    """Whether the frame at whole is the copy, or was with the priority tag that has become the copy's own."""
    cdef uint32_t rest = copy.len - MACS_LEN
    return memcmp(copy.data, whole, MACS_LEN) == 0 and (
        memcmp(copy.data + MACS_LEN, whole + MACS_LEN, rest) == 0
        or memcmp(copy.data + MACS_LEN, whole + MACS_LEN + TAG_LEN, rest) == 0)


cdef inline void judge(fuzz_t *fuzz, const frame_t *frame, uint32_t place, bint is_of_arena) noexcept nogil:
    """The frame, at that place of the burst, is whole and as sound as it was; noted as sent."""
    cdef frame_t seen = frame[0]
    cdef uint32_t sum_now, sum_before = UNKNOWN
    if frame.len > <uint32_t>FRAME_LEN + frame.outer_len or frame.outer_len > MOST_OUTER:
        fuzz.fault = "a frame of impossible length left"
        return
    fuzz.read += sum_bytes(frame_vnet(frame), VNET_LEN + frame.len, 0)
    fuzz.unplaced += place == BURST and frame.cut_len != 0
    if place != BURST:
        fuzz.sent[place] = True
        sum_before = fuzz.sums[place]
    if is_of_arena and not frame.cut_len:
        judge_piece(fuzz, frame)
        return
    if frame.outer_len:
        judge_tunnel(fuzz, frame, sum_before)
        return
    if parse_ethernet(&seen) != GO_ON:
        # Behind as many tags as parse looks at there may be anything; with one of them taken off it is seen.
        if frame.n_tags < <uint32_t>MAX_TAGS:
            fuzz.fault = "a runt left"
        return
    parse_ip(&seen)
    if frame.found & FOUND_L3 and frame.flaw == N_DROPS and seen.flaw != N_DROPS:
        fuzz.fault = "a sound packet came in, a malformed one left"
    if frame.merged:
        judge_merged(fuzz, frame, &seen, place)
        if sum_before != UNKNOWN and sum_before != RIGHT:
            fuzz.fault = "a datagram with a wrong checksum was given others"
    sum_now = l4_sum(&seen)
    if sum_before != UNKNOWN and sum_now != UNKNOWN and sum_now != RIGHT and sum_now != sum_before:
        fuzz.fault = "a checksum that was right is wrong, or a wrong one has changed"


cdef inline void judge_piece(fuzz_t *fuzz, const frame_t *frame) noexcept nogil:
    """The piece is an ordinary frame, and right if what it is of was; that, in a tunnel or not, has been sent."""
    cdef frame_t whole = frame[0], seen = frame[0]
    cdef uint32_t i, n, sum_now, n_right = 0, n_wrong = 0
    fuzz.n_pieces += 1
    if not asks_for_nothing(frame):
        fuzz.fault = "a piece left with an offload asked for"
    for i in range(fuzz.got):
        for n in range(<uint32_t>N_OUTERS):
            whole.data = slot_data(fuzz, i) - outers[n]
            whole.len = fuzz.lens[i] + outers[n]
            if is_piece_of(frame, &whole):
                fuzz.sent[i] = True
                n_right += is_partial_and_right(&whole)
                n_wrong += not is_partial_and_right(&whole)
    if parse_ethernet(&seen) != GO_ON:
        fuzz.fault = "a piece is a runt"
        return
    parse_ip(&seen)
    sum_now = l4_sum(&seen)
    if n_right and not n_wrong and sum_now != UNKNOWN and sum_now != RIGHT:
        fuzz.fault = "a piece has a wrong checksum"


cdef inline void judge_tunnel(fuzz_t *fuzz, const frame_t *frame, uint32_t sum_before) noexcept nogil:
    """Outer and inner packet are both whole, and the inner one as sound as it came."""
    cdef frame_t outer = frame[0], inner = frame[0]
    cdef bint is_super = (<vnet_hdr *>frame_vnet(frame)).gso_type != GSO_NONE
    cdef uint32_t sum_now
    fuzz.n_tunnelled += 1
    fuzz.n_fragments += frame.cut_len != 0
    parse_ethernet(&outer)
    parse_ip(&outer)
    # One outer header of a super-frame is yet to become many.
    if not is_super:
        sum_now = l4_sum(&outer)
        if (not outer.found & FOUND_L3 or outer.flaw != N_DROPS
                or outer.l4_off + outer.l4_len != frame.len or (sum_now != UNKNOWN and sum_now != RIGHT)):
            fuzz.fault = "an outer packet is malformed"
    take_out(fuzz, &inner)
    if parse_ethernet(&inner) != GO_ON:
        fuzz.fault = "a runt left within a tunnel"
        return
    parse_ip(&inner)
    sum_now = l4_sum(&inner)
    if inner.flaw != N_DROPS or not inner.found & FOUND_L3:
        fuzz.fault = "a malformed packet left within a tunnel"
    if sum_before != UNKNOWN and sum_now != UNKNOWN and sum_now != sum_before:
        fuzz.fault = "a checksum within a tunnel has changed"


cdef inline void take_out(fuzz_t *fuzz, frame_t *frame) noexcept nogil:
    """The frame is in fuzz.within, without its outer headers."""
    cdef uint8_t *data = fuzz.within + VNET_LEN
    cdef uint32_t n = frame.outer_len
    cdef vnet_hdr *vnet = <vnet_hdr *>fuzz.within
    memcpy(fuzz.within, frame_vnet(frame), VNET_LEN + frame.l3_off)
    memcpy(data + frame.l3_off, frame.data + frame.l3_off + n, frame.len - frame.l3_off - n)
    (<uint16_t *>(data + frame.l3_off - 2))[0] = ETH_IPV4 if (data[frame.l3_off] >> 4) == 4 else ETH_IPV6
    if vnet.flags & VNET_NEEDS_CSUM:
        vnet.csum_start -= n
    frame.data = data
    frame.len -= n


cdef inline void judge_merged(fuzz_t *fuzz, const frame_t *frame, const frame_t *seen, uint32_t place) noexcept nogil:
    """The super-frame is as a kernel takes it, and its datagrams are of this burst when its first is; they are sent."""
    cdef const vnet_hdr *vnet = <const vnet_hdr *>frame_vnet(frame)
    cdef const udp_hdr *udp = <const udp_hdr *>(frame.data + seen.l4_off)
    cdef uint32_t at, n, size = vnet.gso_size, payload = seen.l4_len - UDP_LEN
    fuzz.n_merged += frame.merged
    if (not seen.found & FOUND_L4 or not seen.found & FOUND_PARTIAL or seen.found & FOUND_FRAGMENT
            or seen.protocol != PROTO_UDP or seen.flaw != N_DROPS or vnet.gso_type != GSO_UDP_L4):
        fuzz.fault = "datagrams left together in what is no super-frame"
        return
    if (size * frame.merged >= payload or payload > size * (frame.merged + 1) or frame.merged >= 64
            or frame.len != seen.l4_off + seen.l4_len or ntohs(udp.length) != seen.l4_len
            or vnet.hdr_len != seen.l4_off + UDP_LEN or udp.checksum != sum_fold(
                sum_pseudo(seen.src, seen.dst, PROTO_UDP, seen.l4_len))):
        fuzz.fault = "a super-frame was put together with a wrong length or checksum"
        return
    if place == BURST:
        return
    for n in range(1, frame.merged + 1):
        at = size * n
        place = member(fuzz, frame, seen, place + 1, at, min(size, payload - at))
        if place == BURST:
            fuzz.fault = "a super-frame has a datagram that did not come in so, or not behind the one before it"
            return
        fuzz.sent[place] = True


cdef inline uint32_t member(fuzz_t *fuzz, const frame_t *frame, const frame_t *seen, uint32_t place, uint32_t at,
                     uint32_t n) noexcept nogil:
    """The first place from there on of a datagram with those n bytes of the frame's payload; BURST when there is none.

    Its checksum was right, or another's to fill in, and TTL and addresses are the frame's.
    """
    cdef const uint8_t *data
    cdef uint32_t l4 = seen.l4_off, hops = ETH_LEN + (8 if seen.family == 4 else 7)
    cdef uint32_t addresses = ETH_LEN + (12 if seen.family == 4 else 8)
    while place < fuzz.got:
        data = slot_data(fuzz, place)
        if (not fuzz.sent[place] and (fuzz.sums[place] == RIGHT or fuzz.sums[place] == UNKNOWN)
                and fuzz.lens[place] >= l4 + UDP_LEN + n and memcmp(data, frame.data, ETH_LEN) == 0
                and data[ETH_LEN + 1] == frame.data[ETH_LEN + 1] and data[hops] == frame.data[hops]
                and memcmp(data + addresses, frame.data + addresses, l4 + 4 - addresses) == 0
                and ntohs((<udp_hdr *>(data + l4)).length) == UDP_LEN + n and (<udp_hdr *>(data + l4)).checksum != 0
                and memcmp(data + l4 + UDP_LEN, frame.data + l4 + UDP_LEN + at, n) == 0):
            return place
        place += 1
    return BURST

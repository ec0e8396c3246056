"""Where in its stream each side of a TCP connection is: what a reset or an ICMP error has to agree with to be believed.

Read first: RFC 9293 3.10.7.4, RFC 5961 3, RFC 5927 4.1. Resets and errors can be made up by who knows addresses and
ports alone. Of each direction is known the block, 64 KiB, in which the last segment that went further has begun.

    bits 48..63  the block: the upper half of a sequence number
    bit 47       RESET: this side has reset the connection. It is not heard any more, or the reset was not its own
    bit 46       DOUBTED: its last segment was too far away to be believed
    bits 0..45   bytes of IP packets seen, modulo 64 TiB; 0: this side has not been heard

The side's word has all of it, so that counting stays one addition, and one comparison says that nothing is new.
A segment moves its side's block forward by a few, or anywhere if it acknowledges what the other side has sent, which one
that was made up does not know; before the connection is established, anywhere. What it does not move it leaves in doubt.
No timer and no state of a session depends on a reset that is not believed; its packet goes its way, as its receiver knows
better (RFC 5961 3.2).
"""

from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.order cimport be32, ntohl
from ext.tables.state cimport CLOSED, ESTABLISHED, FROM_CLIENT, FROM_SERVER, S_NONE, tcp_state
from ext.wire.tcp cimport TCP_ACK, TCP_RST, TCP_SYN, tcp_hdr

cdef enum:
    COUNT_BITS = 46
    BLOCK_BIT = 48
    DOUBTED = 1            # in the bits from COUNT_BITS on
    RESET = 2
    STRIDE = 16            # blocks: what gets lost before swlb in one piece, and how old an answer may be
    FLIGHT = 1024          # blocks, 64 MiB: twice what Linux has on its way at most (tcp_rmem)


cdef inline uint64_t bytes_of(uint64_t word) noexcept nogil:
    """The bytes counted; 0 when the side has not been heard."""
    return word & ((<uint64_t>1 << COUNT_BITS) - 1)


cdef inline bint sequence_is_usual(uint64_t word, be32 seq) noexcept nogil:
    """Whether a segment with that number is in its side's block, of which nothing else is to be said."""
    return word >> COUNT_BITS == (ntohl(seq) >> 16) << (BLOCK_BIT - COUNT_BITS)


cdef inline int sequence_ahead(uint64_t word, be32 seq) noexcept nogil:
    """How many blocks the number is ahead of the side's; negative when behind."""
    return <int16_t><uint16_t>((ntohl(seq) >> 16) - (word >> BLOCK_BIT))


cdef inline bint is_within(uint64_t word, be32 seq, int behind) noexcept nogil:
    """Whether the side may have got as far as that number, at most that many blocks ago."""
    return -behind <= sequence_ahead(word, seq) <= 1


cdef inline bint is_flagged(uint64_t word, uint32_t flag) noexcept nogil:
    return (word >> COUNT_BITS) & flag != 0


cdef inline uint64_t flagged(uint64_t word, uint32_t flag) noexcept nogil:
    return word | (<uint64_t>flag << COUNT_BITS)


cdef inline uint64_t word_at(uint64_t word, be32 seq) noexcept nogil:
    """The same count, in that number's block, and in no doubt."""
    return bytes_of(word) | (<uint64_t>(ntohl(seq) >> 16) << BLOCK_BIT)


cdef inline uint8_t sequence_state(uint64_t *words, const tcp_hdr *tcp, uint8_t state, int direction,
                                   bint direct) noexcept nogil:
    """The state after a segment that is a reset or not usual, not counted yet; S_NONE for a reset that is not believed.

    With `direct` the server's packets are not translated: where it has not been heard, that says nothing.
    """
    cdef int side = FROM_SERVER if direction == FROM_SERVER else FROM_CLIENT
    cdef bint revives
    if tcp.flags & TCP_RST:
        if not reset_is_believed(words, tcp, state, side, direct):
            return S_NONE
        if bytes_of(words[side]) == 0:
            words[side] = word_at(words[side], tcp.seq)
        state = tcp_state(state, direction, tcp.flags)
        if state == CLOSED:
            words[side] = flagged(words[side], RESET)
        return state
    revives = state == CLOSED and is_flagged(words[side], RESET) and (tcp.flags & (TCP_ACK | TCP_SYN)) == TCP_ACK
    if not sequence_move(words, tcp, state, side):
        words[side] = flagged(words[side], DOUBTED)
    elif revives:
        # Who has reset a connection says nothing more in it (RFC 6146 3.5.2.2 lets any packet revive one).
        state = ESTABLISHED
    return tcp_state(state, direction, tcp.flags)


cdef inline bint reset_is_believed(const uint64_t *words, const tcp_hdr *tcp, uint8_t state, int side,
                                   bint direct) noexcept nogil:
    """Whether the side has said so itself, as far as can be known."""
    cdef uint64_t own = words[side], other = words[1 - side]
    if bytes_of(own) and is_within(own, tcp.seq, STRIDE):
        return True
    if bytes_of(own) and state >= ESTABLISHED:
        return False
    if bytes_of(other) == 0:
        return True
    # A SYN that nobody waits for is refused with an acknowledgement and no number of one's own.
    if tcp.flags & TCP_ACK:
        return is_within(other, tcp.ack, STRIDE)
    return state >= ESTABLISHED and not direct


cdef inline bint sequence_move(uint64_t *words, const tcp_hdr *tcp, uint8_t state, int side) noexcept nogil:
    """The side's block is the segment's, if it goes further, and its flags are clear; False if it is not believed."""
    cdef uint64_t own = words[side], other = words[1 - side]
    cdef int ahead = sequence_ahead(own, tcp.seq)
    if bytes_of(own) == 0 or state < ESTABLISHED or (tcp.flags & TCP_SYN and state != ESTABLISHED):
        words[side] = word_at(own, tcp.seq)
    elif -FLIGHT <= ahead <= 0:
        words[side] = bytes_of(own) | (own >> BLOCK_BIT << BLOCK_BIT)
    elif ahead > 0 and ahead <= STRIDE or answers(other, tcp):
        words[side] = word_at(own, tcp.seq)
    else:
        return False
    return True


cdef inline bint answers(uint64_t other, const tcp_hdr *tcp) noexcept nogil:
    """Whether the segment acknowledges what the other side has sent; or is the SYN-ACK to a SYN that was in doubt.

    The latter is a connection that begins anew, and of whose end swlb has not heard.
    """
    if not tcp.flags & TCP_ACK or bytes_of(other) == 0:
        return False
    return is_within(other, tcp.ack, STRIDE) or (tcp.flags & TCP_SYN and is_flagged(other, DOUBTED))


cdef inline bint may_be_acknowledged(uint64_t word, be32 ack) noexcept nogil:
    """Whether the other side may have heard this one get as far as that; of a side that was not heard, anything."""
    return bytes_of(word) == 0 or is_within(word, ack, STRIDE)


cdef inline bint was_sent(uint64_t word, const void *l4) noexcept nogil:
    """Whether a side with that word may have sent the segment with that header, of which 8 bytes are there.

    A doubtful one is let pass: an error that is lost makes a black hole, and its receiver looks at the number itself.
    """
    return bytes_of(word) == 0 or is_flagged(word, DOUBTED) or is_within(word, (<const tcp_hdr *>l4).seq, FLIGHT)

"""No, said so that the sender understands: TCP reset, ICMP port unreachable, or silence.

Read first: RFC 9293 3.5.2 (reset generation), RFC 1122 3.2.2.1.
"""

from libc.stdint cimport uint8_t, uint32_t

from ext.frame cimport FOUND_L4, FOUND_PARTIAL, frame_t
from ext.forward.icmp cimport PORT_UNREACHABLE, icmp_error
from ext.forward.reflect cimport frame_cut, reflect
from ext.order cimport htonl, ntohl
from ext.tables.reset cimport reset_t
from ext.tables.service cimport ANSWER_DROP, ANSWER_UNREACHABLE
from ext.tables.tables cimport drop_answered, tables_t
from ext.verdict cimport verdict_t
from ext.wire.checksum cimport sum_pseudo
from ext.wire.ipv4 cimport IPV4_LEN, OWN_TTL, PROTO_TCP, ipv4_build
from ext.wire.ipv6 cimport IPV6_LEN, ipv6_build
from ext.wire.rewrite cimport checksum_fill
from ext.wire.tcp cimport TCP_ACK, TCP_CHECKSUM_OFF, TCP_FIN, TCP_LEN, TCP_RST, TCP_SYN, tcp_hdr


cdef inline verdict_t refuse(tables_t *tables, frame_t *frame, uint8_t answer, int reason,
                             uint32_t now_ms) noexcept nogil:
    """The frame is dropped for reason; unless answer is ANSWER_DROP its sender is told so.

    In TCP by a reset, unless answer is ANSWER_UNREACHABLE; a reset itself is never answered.
    """
    if answer == ANSWER_DROP or not frame.found & FOUND_L4:
        return reason
    if frame.protocol == PROTO_TCP and answer != ANSWER_UNREACHABLE:
        return tcp_reset(tables, frame, reason)
    if frame.protocol == PROTO_TCP and (<const tcp_hdr *>(frame.data + frame.l4_off)).flags & TCP_RST:
        return reason
    return icmp_error(tables, frame, PORT_UNREACHABLE, 0, reason, now_ms)


cdef inline verdict_t tcp_reset(tables_t *tables, frame_t *frame, int reason) noexcept nogil:
    """The frame is dropped for reason, and the reset it deserves goes back in its place; none for a reset.

    The addresses and ports are the packet's present ones, exchanged: restore() first if they were rewritten.
    """
    cdef const tcp_hdr *tcp = <const tcp_hdr *>(frame.data + frame.l4_off)
    cdef uint8_t flags = tcp.flags
    cdef uint32_t end
    cdef reset_t reset
    if flags & TCP_RST:
        return reason
    drop_answered(tables, frame, reason)
    # The sequence number behind what was sent: SYN and FIN count as one byte each.
    end = ntohl(tcp.seq) + frame.l4_len - (tcp.data_off >> 4) * 4
    end += (flags & TCP_SYN) != 0
    end += flags & TCP_FIN
    reset.src, reset.dst = frame.dst, frame.src
    reset.sport, reset.dport = frame.dport, frame.sport
    reset.seq = tcp.ack if flags & TCP_ACK else 0
    reset.ack = 0 if flags & TCP_ACK else htonl(end)
    reset.flags = TCP_RST if flags & TCP_ACK else TCP_RST | TCP_ACK
    reset_write(frame, &reset)
    return reflect(tables, frame)


cdef inline void reset_write(frame_t *frame, const reset_t *reset) noexcept nogil:
    """The frame's packet, from its l3_off on, is the reset and nothing else; it is of the frame's family."""
    cdef tcp_hdr *tcp
    frame.l4_off = frame.l3_off + (IPV4_LEN if frame.family == 4 else IPV6_LEN)
    frame.l4_len = TCP_LEN
    frame.found &= ~FOUND_PARTIAL
    frame.tcp_flags = reset.flags
    if frame.family == 4:
        ipv4_build(frame.data + frame.l3_off, reset.src, reset.dst, PROTO_TCP, 0, TCP_LEN)
    else:
        ipv6_build(frame.data + frame.l3_off, reset.src, reset.dst, PROTO_TCP, TCP_LEN, OWN_TTL)
    tcp = <tcp_hdr *>(frame.data + frame.l4_off)
    tcp.sport = reset.sport
    tcp.dport = reset.dport
    tcp.seq = reset.seq
    tcp.ack = reset.ack
    tcp.data_off = 0x50
    tcp.flags = reset.flags
    tcp.window = 0
    tcp.urgent = 0
    checksum_fill(frame, TCP_CHECKSUM_OFF, TCP_LEN, sum_pseudo(reset.src, reset.dst, PROTO_TCP, TCP_LEN))
    frame_cut(frame, frame.l4_off + TCP_LEN)

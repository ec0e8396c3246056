"""No, said so that the sender understands: TCP reset, ICMP port unreachable, or silence.

Read first: RFC 9293 3.5.2 (reset generation), RFC 1122 3.2.2.1.
"""

from libc.stdint cimport uint8_t, uint32_t

from ext.address cimport ip_t
from ext.frame cimport FOUND_L4, frame_t
from ext.forward.icmp cimport PORT_UNREACHABLE, icmp_error
from ext.forward.reflect cimport frame_cut, reflect
from ext.order cimport be32, htonl, ntohl
from ext.tables.service cimport ANSWER_DROP
from ext.tables.tables cimport drop_count, tables_t
from ext.verdict cimport verdict_t
from ext.wire.checksum cimport sum_pseudo
from ext.wire.ipv4 cimport IPV4_LEN, OWN_TTL, PROTO_TCP, ipv4_build
from ext.wire.ipv6 cimport IPV6_LEN, ipv6_build
from ext.wire.rewrite cimport checksum_fill
from ext.wire.tcp cimport TCP_ACK, TCP_CHECKSUM_OFF, TCP_FIN, TCP_LEN, TCP_RST, TCP_SYN, tcp_hdr


cdef inline verdict_t refuse(tables_t *tables, frame_t *frame, uint8_t answer, int reason,
                             uint32_t now_ms) noexcept nogil:
    """The frame is dropped for reason; unless answer is ANSWER_DROP its sender is told so."""
    if answer == ANSWER_DROP or not frame.found & FOUND_L4:
        return reason
    if frame.protocol == PROTO_TCP:
        return tcp_reset(tables, frame, reason)
    return icmp_error(tables, frame, PORT_UNREACHABLE, 0, reason, now_ms)


cdef inline verdict_t tcp_reset(tables_t *tables, frame_t *frame, int reason) noexcept nogil:
    """The frame is dropped for reason, and the reset it deserves goes back in its place; none for a reset.

    The addresses and ports are the packet's present ones, exchanged: restore() first if they were rewritten.
    """
    cdef ip_t src = frame.dst
    cdef ip_t dst = frame.src
    cdef tcp_hdr *tcp = <tcp_hdr *>(frame.data + frame.l4_off)
    cdef uint8_t flags = tcp.flags
    cdef be32 ack = tcp.ack
    cdef uint32_t end
    if flags & TCP_RST:
        return reason
    drop_count(tables, frame, reason)
    # The sequence number behind what was sent: SYN and FIN count as one byte each.
    end = ntohl(tcp.seq) + frame.l4_len - (tcp.data_off >> 4) * 4
    end += (flags & TCP_SYN) != 0
    end += flags & TCP_FIN
    frame.l4_off = frame.l3_off + (IPV4_LEN if frame.family == 4 else IPV6_LEN)
    if frame.family == 4:
        ipv4_build(frame.data + frame.l3_off, src, dst, PROTO_TCP, 0, TCP_LEN)
    else:
        ipv6_build(frame.data + frame.l3_off, src, dst, PROTO_TCP, TCP_LEN, OWN_TTL)
    tcp = <tcp_hdr *>(frame.data + frame.l4_off)
    tcp.sport = frame.dport
    tcp.dport = frame.sport
    tcp.seq = ack if flags & TCP_ACK else 0
    tcp.ack = 0 if flags & TCP_ACK else htonl(end)
    tcp.data_off = 0x50
    tcp.flags = TCP_RST if flags & TCP_ACK else TCP_RST | TCP_ACK
    tcp.window = 0
    tcp.urgent = 0
    checksum_fill(frame, TCP_CHECKSUM_OFF, TCP_LEN, sum_pseudo(src, dst, PROTO_TCP, TCP_LEN))
    frame_cut(frame, frame.l4_off + TCP_LEN)
    return reflect(tables, frame)

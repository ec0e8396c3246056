"""TCP header. Spec: RFC 9293 section 3.1."""

from libc.stdint cimport uint8_t

from ext.order cimport be16, be32

cdef enum:
    TCP_LEN = 20
    TCP_CHECKSUM_OFF = 16
    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04
    TCP_PSH = 0x08
    TCP_ACK = 0x10
    TCP_CWR = 0x80

cdef packed struct tcp_hdr:
    be16 sport
    be16 dport
    be32 seq
    be32 ack
    uint8_t data_off           # upper four bits: header length in words
    uint8_t flags
    be16 window
    be16 checksum
    be16 urgent


cdef inline bint is_midstream(uint8_t flags) noexcept nogil:
    """Whether a segment with these flags neither opens nor ends a connection, and is of one."""
    return (flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK


cdef inline bint is_new_connection(uint8_t flags) noexcept nogil:
    """A SYN alone: no ACK, FIN or RST beside it."""
    return (flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN

"""UDP header. Spec: RFC 768; zero checksum over IPv6: RFC 8200 8.1."""

from ext.order cimport be16

cdef enum:
    UDP_LEN = 8
    UDP_CHECKSUM_OFF = 6

cdef packed struct udp_hdr:
    be16 sport
    be16 dport
    be16 length
    be16 checksum

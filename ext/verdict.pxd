"""What becomes of a frame: the names of verdict.h, where each has its meaning.

A decision returns a verdict; `outbox.pxd: carry_out` is the one place that acts on it. Every value below
N_DROPS is a reason to drop, with a counter of its own.
"""

ctypedef int verdict_t

cdef extern from "ext/verdict.h" nogil:
    enum:
        DROP_RUNT
        DROP_UNREAD
        DROP_BAD_OFFLOAD
        DROP_BAD_SOURCE_MAC
        DROP_OWN_SOURCE_MAC
        DROP_RESERVED_MAC
        DROP_SAME_PORT
        DROP_NOWHERE
        DROP_OVERSIZE
        DROP_PORT_DOWN
        DROP_TX_FAILED
        DROP_TAGGED_FOR_US
        DROP_BAD_ARP
        DROP_BAD_ND
        DROP_VIP_GUARDED
        DROP_BAD_IPV4
        DROP_BAD_IPV4_CHECKSUM
        DROP_SOURCE_ROUTE
        DROP_BAD_IPV6
        DROP_BAD_IPV6_EXTENSION
        DROP_BAD_L4
        DROP_ZERO_UDP_CHECKSUM
        DROP_BAD_ADDRESS
        DROP_FRAGMENT
        DROP_TTL_EXPIRED
        DROP_NO_ROUTE
        DROP_TOO_BIG
        DROP_NEIGHBOUR_QUEUE
        DROP_NEIGHBOUR_FAILED
        DROP_NEIGHBOUR_FULL
        DROP_VIP_PROTOCOL
        DROP_NO_SERVICE
        DROP_NO_SERVER
        DROP_ECHO_SILENT
        DROP_ORPHAN
        DROP_SERVER_DOWN
        DROP_SESSION_FULL
        DROP_SESSION_CROWDED
        DROP_SOURCE_PORTS
        DROP_ACCESS_PRIVATE
        DROP_UNMASQUERADABLE
        DROP_HANDOVER_FULL
        DROP_ICMP_NO_SESSION
        DROP_BAD_ICMP
        DROP_TUNNEL_ERROR
        DROP_FORGED_ICMP
        DROP_NOT_MEMBER
        DROP_SOURCE_LIMIT
        DROP_FRAGMENT_PLACE
        DROP_FRAGMENT_OVERLAP
        DROP_FRAGMENT_AGAIN
        DROP_FRAGMENT_QUEUE
        N_DROPS
        SEND
        FLOOD
        FLOOD_STATIONS
        HAND_OVER
        TAKEN
        GO_ON

    const char *const drop_names "swlb_drop_names"[]
    const char *const drop_meanings "swlb_drop_meanings"[]

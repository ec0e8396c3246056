"""A server of a service: whether it may be sent packets or new sessions, and what it has been sent.

The control plane changes what it wants of a server (`ready`, weight, limits), between two turns of the worker; the
worker itself keeps the figures, and SERVER_FULL.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.order cimport be16

cdef enum:
    V4 = 0
    V6 = 1
    # server_t.ready
    SERVER_UP = 1          # checks say so (or there are none)
    SERVER_DRAIN = 2       # no new session
    SERVER_MAINT = 4       # as down, by order
    SERVER_FULL = 8        # it has as many sessions as it may; the worker's own to set
    SERVER_GONE = 16       # it has left the configuration: TCP goes on to its end, all else is scheduled anew
    SHARE_FULL = 256       # server_t.share of a server that does not start slowly
    SERVERS = 65536        # at most
    NO_PLACE = 0xFFFF      # in a group
    NO_POOL = 0xFFFF

cdef struct server_t:
    ip_t ip
    be16 l4_port           # 0: the port the client used
    uint16_t service
    uint16_t weight        # 0: no new session
    uint16_t pool          # of the addresses that may stand for clients; NO_POOL
    uint8_t family         # V4 or V6, of ip
    uint8_t ready
    uint8_t backup         # takes sessions only while no other can
    ip_t answers_as[2]     # what its replies come from, by the client's family: ip, or the VIP where that is not rewritten
    uint32_t path_mtu      # of the way to it, when a router has told; 0: not known
    uint32_t path_ms       # told last then
    uint32_t sessions_active
    uint32_t sessions_inactive
    uint32_t sessions_open # of both
    uint64_t sessions_total
    uint64_t packets[2]    # by direction: FROM_CLIENT, FROM_SERVER
    uint64_t bytes[2]
    uint16_t share         # of its weight that counts now, of SHARE_FULL: less while it starts slowly
    uint16_t table_weight  # its last weight that was not 0: by it the tables of hash and maglev are made
    uint16_t place[2]      # among the members of its service's group, by family of clients; NO_PLACE
    uint32_t limit         # sessions it may have open; 0: any number
    uint32_t lower         # SERVER_FULL is over when it has fewer
    uint32_t opened        # of sessions_open, those that the count of all workers has: with a limit, all (load.pxd)
    uint8_t watched        # its counts of sessions decide who is chosen
    uint32_t epoch         # times it has ceased to serve: what was remembered of it before is void

cdef struct evidence_t:    # of a server, in sessions; what they mean is said in evidence.pxd
    uint64_t answered
    uint64_t repeated
    uint64_t refused
    uint64_t unanswered


cdef inline bint server_serves(const server_t *server) noexcept nogil:
    """Whether packets of known sessions may go to it."""
    return (server.ready & (SERVER_UP | SERVER_MAINT)) == SERVER_UP


cdef inline bint server_takes(const server_t *server) noexcept nogil:
    """Whether it may be given a new session, if it is no backup or backups are in use."""
    return server.ready == SERVER_UP and server.weight > 0

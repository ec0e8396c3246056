"""TCP resets that swlb has yet to send, to servers that are down: the other end of a session is told at once.

Structure: an array that the next tick empties. Full: the reset is not sent, and the server is told when it speaks
again, by its client, to whom the connection is none any more. Owner: the worker.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.address cimport ip_t
from ext.order cimport be16, be32

cdef enum:
    RESETS = 1024

cdef struct reset_t:
    ip_t src
    ip_t dst
    be16 sport
    be16 dport
    be32 seq
    be32 ack
    uint8_t flags
    uint8_t family         # of src and dst
    uint32_t hash          # of the flow, frame_t.hash
    uint16_t server        # to whom it goes, by the way of its requests

cdef struct resets_t:
    reset_t waiting[RESETS]
    uint32_t n


cdef inline void reset_post(resets_t *table, const reset_t *reset) noexcept nogil:
    """The reset is to be sent, if there is room."""
    if table.n < RESETS:
        table.waiting[table.n] = reset[0]
        table.n += 1


cdef inline const reset_t *reset_take(resets_t *table) noexcept nogil:
    """One that is to be sent, until the next is posted; NULL when there is none."""
    if table.n == 0:
        return NULL
    table.n -= 1
    return &table.waiting[table.n]

"""Sessions that give way to others: those that nobody has proven, and those in which nothing more is to be said.

    waiting   half open: TCP in SYN_SENT, SYN_RECV or UNREPLIED. Whoever forges addresses can make any number of them,
              so they have a quota, and are counted exactly
    done      TIME_WAIT, CLOSED, and ONE_WAY; and ESTABLISHED by the client's word alone. They have no quota

Structure: two rings of places, the oldest first; a session is in one from the moment that it came into such a state. It
is not taken out when it leaves it: whoever takes the oldest looks whether it is still so. Full: the oldest is
forgotten, and has to end by itself. A ring has twice the room of the quota, and a tick takes what is stale off the
front. Memory: 32 to 64 bytes for each of the quota, none for a session. Owner: the worker; each of several has its part
of the quota.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.hash cimport power_of_two
from ext.pages cimport map_pages
from ext.tables.state cimport CLOSED, ONE_WAY, SYN_RECV, SYN_SENT, TIME_WAIT, UNREPLIED

cdef struct turn_t:        # of a session to give way
    uint32_t place         # twice that in its table, + 1 in the one of IPv6
    uint32_t created_ms    # whoever is there now is another one if it is not the session's

cdef struct turns_t:
    turn_t *ring
    uint32_t size          # a power of two
    uint32_t first         # modulo size they are the places of the oldest, and behind the newest
    uint32_t last

cdef struct half_open_t:
    uint32_t n             # sessions that are half open
    uint32_t limit
    turns_t waiting
    turns_t done
    uint64_t given_way     # sessions that had to


cdef inline bint is_half_open(uint8_t state) noexcept nogil:
    """Whether nobody but its client has said that the session's client is there."""
    return state == SYN_RECV or state == SYN_SENT or state == UNREPLIED


cdef inline bint is_done(uint8_t state) noexcept nogil:
    """Whether nothing more is to be said in the session, or nobody has answered its one datagram."""
    return state == TIME_WAIT or state == CLOSED or state == ONE_WAY


cdef inline int half_open_init(half_open_t *table, uint32_t limit) noexcept nogil:
    """Nobody is half open, and limit may be; 0, or -1 when memory is out."""
    memset(table, 0, sizeof(half_open_t))
    table.limit = limit
    table.waiting.size = table.done.size = power_of_two(2 * limit)
    table.waiting.ring = <turn_t *>map_pages(<size_t>table.waiting.size * sizeof(turn_t))
    table.done.ring = <turn_t *>map_pages(<size_t>table.done.size * sizeof(turn_t))
    if table.waiting.ring is NULL or table.done.ring is NULL:
        half_open_free(table)
        return -1
    return 0


cdef inline void half_open_free(half_open_t *table) noexcept nogil:
    turns_free(&table.waiting)
    turns_free(&table.done)


cdef inline void turns_free(turns_t *turns) noexcept nogil:
    if turns.ring is not NULL:
        munmap(turns.ring, <size_t>turns.size * sizeof(turn_t))
    turns.ring = NULL


cdef inline bint half_open_is_full(const half_open_t *table) noexcept nogil:
    """Whether as many sessions are half open as may be."""
    return table.n >= table.limit


cdef inline void turn_note(turns_t *turns, uint32_t place, uint32_t created_ms) noexcept nogil:
    """The session will have its turn, behind all others."""
    if turns.last - turns.first == turns.size:
        turns.first += 1
    turns.ring[turns.last & (turns.size - 1)].place = place
    turns.ring[turns.last & (turns.size - 1)].created_ms = created_ms
    turns.last += 1


cdef inline const turn_t *turn_first(const turns_t *turns) noexcept nogil:
    """Whose turn it is, until another is noted; NULL: nobody's."""
    return &turns.ring[turns.first & (turns.size - 1)] if turns.first != turns.last else NULL

"""The workers of one swlb, as one of them sees the others: whose a session is, and how to reach them.

Workers share nothing but this, and two tables that are all workers' (persist.pxd, pin.pxd). A session belongs to the
worker that `crew_owner` names by the client's end point, which both directions carry; the ports' steering program sends
frames to that worker's queue by the same function.
What comes to another all the same (fragments, errors, where there is no steering) is handed over.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from posix.unistd cimport write

from ext.address cimport ip_t
from ext.frame cimport frame_t
from ext.hash cimport hash_ip, key_t
from ext.order cimport be16
from ext.sync cimport fence, load_acquire
from ext.tables.mailbox cimport HANDED, TOLD, mailbox_post, mailbox_post_station, mailbox_t

cdef enum:
    WORKERS = 16
    SERVER_WORDS = 1024
    SERVER_BITS = 65536    # of them

cdef struct crew_t:
    uint32_t n             # workers; 1: everything is this one's
    uint32_t index         # this one's
    uint64_t key           # of crew_owner
    mailbox_t *to[WORKERS]
    mailbox_t *at[WORKERS] # letters from each
    uint32_t *parked[WORKERS]
    int wake_fd[WORKERS]
    uint32_t posted        # a bit for each worker that was sent something since it was last woken
    uint64_t refused       # letters of any kind for which there was no room
    uint64_t servers[SERVER_WORDS]   # by hash: an address that may be a server's


cdef inline uint32_t crew_owner(const crew_t *crew, ip_t client, be16 client_port) noexcept nogil:
    """The worker that has the sessions of that end point. The steering program computes the same (swlb/steering.py)."""
    cdef uint64_t h = (client.hi ^ crew.key) * 0x9E3779B97F4A7C15ULL
    h ^= h >> 32
    h = (h ^ client.lo) * 0x9E3779B97F4A7C15ULL
    h ^= h >> 32
    h = (h ^ client_port) * 0x9E3779B97F4A7C15ULL
    return <uint32_t>((h >> 40) % crew.n)


cdef inline uint32_t server_bit(const crew_t *crew, ip_t ip) noexcept nogil:
    cdef key_t key
    key.a = key.b = crew.key
    return hash_ip(key, ip, 0) % SERVER_BITS


cdef inline void crew_note_server(crew_t *crew, ip_t ip) noexcept nogil:
    """The address is known to be a server's."""
    cdef uint32_t bit = server_bit(crew, ip)
    crew.servers[bit // 64] |= 1ULL << (bit % 64)


cdef inline bint crew_may_be_server(const crew_t *crew, ip_t ip) noexcept nogil:
    """False for an address that is no server's; for one in 65536 (a server) others are taken for one, which only costs."""
    cdef uint32_t bit = server_bit(crew, ip)
    return (crew.servers[bit // 64] >> (bit % 64)) & 1


cdef inline bint crew_hand(crew_t *crew, const frame_t *frame) noexcept nogil:
    """The frame is on its way to its owner; False when the mailbox is full."""
    crew.posted |= 1 << frame.owner
    if mailbox_post(crew.to[frame.owner], HANDED, frame):
        return True
    crew.refused += 1
    return False


cdef inline void crew_tell(crew_t *crew, const frame_t *frame) noexcept nogil:
    """All others will learn what the frame teaches."""
    cdef uint32_t i
    for i in range(crew.n):
        if i != crew.index:
            crew.posted |= 1 << i
            crew.refused += not mailbox_post(crew.to[i], TOLD, frame)


cdef inline void crew_tell_station(crew_t *crew, uint16_t segment, uint16_t port, uint16_t vid,
                                   uint64_t mac) noexcept nogil:
    """All others will know the station."""
    cdef uint32_t i
    for i in range(crew.n):
        if i != crew.index:
            crew.posted |= 1 << i
            crew.refused += not mailbox_post_station(crew.to[i], segment, port, vid, mac)


cdef inline void crew_wake(crew_t *crew) noexcept nogil:
    """Those who were sent something and sleep are awake."""
    cdef uint64_t one = 1
    cdef uint32_t i
    fence()
    for i in range(crew.n):
        if crew.posted >> i & 1 and load_acquire(crew.parked[i]):
            write(crew.wake_fd[i], &one, sizeof(one))
    crew.posted = 0

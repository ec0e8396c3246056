"""How many proven sessions each client address has, ESTABLISHED or TWO_WAY: what nobody can bring about in its name.

Structure: two arrays of counters that all workers share, each with a keyed hash of its own; an address is counted in one
place of both, and the smaller counts (a count-min sketch of Cormode and Muthukrishnan, 2005). So it is never counted
too low. It is counted too high where others are in both of its places: with S addresses and N places that is so for
about (S / N)^2 of them, N being at least the number of sessions. IPv6 is counted by /64, which one host can have whole.
Without a limit there is no array, and nothing is counted.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_is_v4, ip_t
from ext.hash cimport hash_ip, key_t, power_of_two
from ext.pages cimport map_pages
from ext.sync cimport add_shared, load_acquire

cdef enum:
    ARRAYS = 2
    LEAST_PLACES = 65536

cdef struct per_source_t:
    uint32_t *counts[2]    # (ARRAYS)
    uint32_t n_places      # of each, a power of two
    uint32_t limit         # 0: none
    key_t key


cdef inline int per_source_init(per_source_t *table, uint32_t limit, uint32_t sessions, key_t key) noexcept nogil:
    """Nobody has any session, and each address may have limit; 0, or -1 when memory is out."""
    cdef uint32_t i
    memset(table, 0, sizeof(per_source_t))
    if limit == 0:
        return 0
    table.limit = limit
    table.key = key
    table.n_places = power_of_two(max(sessions, <uint32_t>LEAST_PLACES))
    for i in range(<uint32_t>ARRAYS):
        table.counts[i] = <uint32_t *>map_pages(<size_t>table.n_places * sizeof(uint32_t))
        if table.counts[i] is NULL:
            per_source_free(table)
            return -1
    return 0


cdef inline void per_source_free(per_source_t *table) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t>ARRAYS):
        if table.counts[i] is not NULL:
            munmap(table.counts[i], <size_t>table.n_places * sizeof(uint32_t))
        table.counts[i] = NULL


cdef inline uint32_t *per_source_place(const per_source_t *table, ip_t client, uint32_t i) noexcept nogil:
    """Where the client is counted in array i."""
    if not ip_is_v4(client):
        client.lo = 0
    return &table.counts[i][hash_ip(table.key, client, i + 1) & (table.n_places - 1)]


cdef inline void per_source_add(per_source_t *table, ip_t client, int n) noexcept nogil:
    """The client has n more, or fewer."""
    cdef uint32_t i
    for i in range(<uint32_t>ARRAYS):
        add_shared(per_source_place(table, client, i), <uint32_t>n)


cdef inline bint per_source_is_full(const per_source_t *table, ip_t client) noexcept nogil:
    """Whether the client has as many as it may."""
    cdef uint32_t i
    for i in range(<uint32_t>ARRAYS):
        if load_acquire(per_source_place(table, client, i)) < table.limit:
            return False
    return True

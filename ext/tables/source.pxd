"""Addresses of swlb's own that stand for clients, and which port of which is whose.

Structure: per address and protocol an array by port that names the holder, and a bitmap of ports that are taken, in
which the next free one behind the last given is looked for: a port rests for as long as others are free, so that no
server meets an old connection in a new one. With several workers each gives only ports whose replies come to it
(`crew_owner`); the others are in a bitmap of what is not its own to give. A holder is 1 + a place in a session table, or a flow of
masquerade with FLOW set. Full: none is given. Memory is touched only as far as ports are used. Owner: the worker.
Spec: RFC 6056 3.3 (ports are not given in an order that starts at a known one); RFC 4787 4.2.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_equal, ip_is_v4, ip_t
from ext.order cimport be16, htons, ntohs
from ext.pages cimport map_pages
from ext.tables.crew cimport crew_owner, crew_t
from ext.tables.server cimport V4
from ext.tables.service cimport NO_SOURCE
from ext.wire.ipv4 cimport PROTO_TCP, PROTO_UDP

cdef enum:
    SOURCES = 512          # addresses: twice as many as a configuration has, as those that left may still be in use
    POOL_ADDRESSES = 16
    KINDS = 3              # ports of TCP, ports of UDP, identifiers of echo
    PORT_NUMBERS = 65536
    WORDS = 1024           # of a bitmap
    FLOW = 0x80000000

cdef struct held_t:        # of one address and kind
    uint32_t holders[PORT_NUMBERS]
    uint64_t taken[WORDS]

cdef struct source_t:
    ip_t ip
    held_t *held           # KINDS of them
    uint64_t *others       # WORDS of a bitmap: ports that others give, of every kind
    uint32_t n_held        # ports of all kinds
    bint left              # in no pool any more: what holds its ports keeps them to the end

cdef struct pool_t:        # what a service, or a segment that masquerades, may use
    uint16_t sources[POOL_ADDRESSES]
    uint16_t n_sources
    uint16_t first         # ports, both inclusive
    uint16_t last
    uint16_t cursor[KINDS] # port given last

cdef struct sources_t:
    source_t sources[SOURCES]
    pool_t *pools
    uint32_t n_sources
    uint32_t n_pools
    uint32_t room          # for pools


cdef inline uint32_t kind_of(uint8_t protocol) noexcept nogil:
    if protocol == PROTO_TCP:
        return 0
    return 1 if protocol == PROTO_UDP else 2


cdef extern from * nogil:
    int lowest_bit "__builtin_ctzll"(uint64_t word)


cdef inline int sources_init(sources_t *table, uint32_t n_pools) noexcept nogil:
    """No address yet, room for so many pools; 0, or -1 when memory is out."""
    memset(table, 0, sizeof(sources_t))
    table.room = n_pools + 1
    table.pools = <pool_t *>map_pages(table.room * sizeof(pool_t))
    return 0 if table.pools is not NULL else -1


cdef inline void sources_free(sources_t *table) noexcept nogil:
    cdef uint32_t i
    for i in range(table.n_sources):
        source_free(&table.sources[i])
    if table.pools is not NULL:
        munmap(table.pools, table.room * sizeof(pool_t))
    table.pools = NULL
    table.n_sources = 0


cdef inline void source_free(source_t *source) noexcept nogil:
    if source.held is not NULL:
        munmap(source.held, KINDS * sizeof(held_t))
    if source.others is not NULL:
        munmap(source.others, WORDS * sizeof(uint64_t))
    source.held = NULL
    source.others = NULL


cdef inline uint16_t source_add(sources_t *table, ip_t ip) noexcept nogil:
    """The index of the address, made if it is new; NO_SOURCE when there is no room."""
    cdef uint16_t i
    for i in range(table.n_sources):
        if ip_equal(table.sources[i].ip, ip):
            return i
    if table.n_sources == SOURCES:
        return NO_SOURCE
    i = <uint16_t>table.n_sources
    table.sources[i].ip = ip
    table.sources[i].held = <held_t *>map_pages(KINDS * sizeof(held_t))
    table.sources[i].others = <uint64_t *>map_pages(WORDS * sizeof(uint64_t))
    if table.sources[i].held is NULL or table.sources[i].others is NULL:
        source_free(&table.sources[i])
        return NO_SOURCE
    table.n_sources += 1
    return i


cdef inline void source_spare(source_t *source, uint32_t first, uint32_t last) noexcept nogil:
    """Ports from first to last are not ours to give: somebody else gives them."""
    cdef uint32_t number
    for number in range(first, last + 1):
        source.others[number // 64] |= 1ULL << (number % 64)


cdef inline void source_leave_to_others(source_t *source, const crew_t *crew) noexcept nogil:
    """Ports whose replies come to another worker are that one's to give."""
    cdef uint32_t number
    for number in range(<uint32_t>PORT_NUMBERS):
        if crew_owner(crew, source.ip, htons(<uint16_t>number)) != crew.index:
            source_spare(source, number, number)


cdef inline uint32_t held_next(const held_t *held, const uint64_t *others, uint32_t first,
                               uint32_t last) noexcept nogil:
    """The lowest free number from first to last; 0 when there is none."""
    cdef uint32_t at = first
    cdef uint64_t free
    while at <= last:
        free = ~(held.taken[at // 64] | others[at // 64]) >> (at % 64)
        if free:
            at += lowest_bit(free)
            return at if at <= last else 0
        at = (at // 64 + 1) * 64
    return 0


cdef inline bint pool_find(sources_t *table, pool_t *pool, int family, uint32_t kind, uint16_t *source,
                           be16 *l4_port) noexcept nogil:
    """The first address of the family with a free port, and that; False: none is left. It is free until `source_hold`.

    So one host keeps one address as long as it has ports (RFC 4787 4.1, REQ-2).
    """
    cdef uint32_t i, number = 0
    cdef uint16_t index
    cdef const source_t *of
    for i in range(pool.n_sources):
        index = pool.sources[i]
        of = &table.sources[index]
        if ip_is_v4(of.ip) != (family == V4):
            continue
        number = held_next(&of.held[kind], of.others, pool.cursor[kind] + 1, pool.last)
        if number == 0:
            number = held_next(&of.held[kind], of.others, pool.first, pool.cursor[kind])
        if number:
            pool.cursor[kind] = <uint16_t>number
            source[0] = index
            l4_port[0] = htons(<uint16_t>number)
            return True
    return False


cdef inline void source_hold(sources_t *table, uint16_t source, uint32_t kind, be16 l4_port,
                             uint32_t holder) noexcept nogil:
    """The port is the holder's until `source_release`."""
    cdef held_t *held = &table.sources[source].held[kind]
    cdef uint16_t number = ntohs(l4_port)
    held.taken[number // 64] |= 1ULL << (number % 64)
    held.holders[number] = holder
    table.sources[source].n_held += 1


cdef inline void source_release(sources_t *table, uint16_t source, uint32_t kind, be16 l4_port) noexcept nogil:
    cdef held_t *held = &table.sources[source].held[kind]
    cdef uint16_t number = ntohs(l4_port)
    held.taken[number // 64] &= ~(1ULL << (number % 64))
    held.holders[number] = 0
    table.sources[source].n_held -= 1


cdef inline uint32_t source_holder(const sources_t *table, uint16_t source, uint32_t kind, be16 l4_port) noexcept nogil:
    """Who holds the port; 0 for nobody."""
    return table.sources[source].held[kind].holders[ntohs(l4_port)]

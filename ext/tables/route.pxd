"""Where a packet goes next: swlb's own addresses, the networks around them, and the configured routes.

Structure: two short flat arrays, routes sorted by length so that the first match is the longest prefix.
Written by the control plane before the worker starts; afterwards read only.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free

from ext.address cimport ip_equal, ip_in, ip_is_v4, ip_t

cdef struct address_t:
    ip_t ip
    ip_t broadcast         # directed broadcast of an IPv4 network; the address itself otherwise
    uint16_t segment
    bint disputed          # another station has claimed it,
    uint32_t disputed_ms   # last reported then

cdef struct route_t:
    ip_t network
    ip_t mask
    ip_t via               # valid unless connected
    uint16_t segment
    uint16_t prefix_len    # of 128, also for IPv4
    bint connected

cdef struct routes_t:
    address_t *addresses
    route_t *routes
    uint32_t n_addresses
    uint32_t n_routes


cdef inline int routes_init(routes_t *table, uint32_t n_addresses, uint32_t n_routes) noexcept nogil:
    """Room for so many; 0, or -1 when memory is out."""
    table.n_addresses = table.n_routes = 0
    table.addresses = <address_t *>calloc(n_addresses + 1, sizeof(address_t))
    table.routes = <route_t *>calloc(n_routes + 1, sizeof(route_t))
    return 0 if table.addresses is not NULL and table.routes is not NULL else -1


cdef inline void routes_free(routes_t *table) noexcept nogil:
    free(table.addresses)
    free(table.routes)


cdef inline void route_add(routes_t *table, route_t route) noexcept nogil:
    """The route stands before every shorter one; a connected one before others of its length."""
    cdef uint32_t at = table.n_routes
    while at > 0 and (table.routes[at - 1].prefix_len < route.prefix_len
                      or (table.routes[at - 1].prefix_len == route.prefix_len
                          and route.connected and not table.routes[at - 1].connected)):
        table.routes[at] = table.routes[at - 1]
        at -= 1
    table.routes[at] = route
    table.n_routes += 1


cdef inline const route_t *route_lookup(const routes_t *table, ip_t dst) noexcept nogil:
    """The longest match, or NULL."""
    cdef uint32_t i
    for i in range(table.n_routes):
        if ip_in(dst, table.routes[i].network, table.routes[i].mask):
            return &table.routes[i]
    return NULL


cdef inline const address_t *address_find(const routes_t *table, ip_t ip) noexcept nogil:
    """The entry of an address of swlb's own, or NULL."""
    cdef uint32_t i
    for i in range(table.n_addresses):
        if ip_equal(table.addresses[i].ip, ip):
            return &table.addresses[i]
    return NULL


cdef inline const address_t *address_on(const routes_t *table, uint16_t segment, bint v4) noexcept nogil:
    """The segment's first address of the family, or NULL."""
    cdef uint32_t i
    for i in range(table.n_addresses):
        if table.addresses[i].segment == segment and ip_is_v4(table.addresses[i].ip) == v4:
            return &table.addresses[i]
    return NULL


cdef inline bint is_directed_broadcast(const routes_t *table, ip_t ip) noexcept nogil:
    """Whether ip is the broadcast address of a network around swlb, which no router forwards (RFC 2644)."""
    cdef uint32_t i
    for i in range(table.n_addresses):
        if ip_equal(table.addresses[i].broadcast, ip) and not ip_equal(table.addresses[i].ip, ip):
            return True
    return False

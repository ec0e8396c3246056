"""Probes of swlb's own that are sent to a VIP and meant for one server: for which, by the l4_port they come from.

Structure: a word for each port of TCP and of UDP, shared by all workers. The control plane sets one before a probe
leaves by it and clears it afterwards; a worker looks there only when a packet from a kernel twin begins a session. What
follows in the session needs no pin.

A service that is probed so has a double: a service that no client finds, with a double of each server. A session of a
probe is of the double, and so it is forwarded as the service's sessions are, whatever state the server is in, while no
figure of the service or the server counts it, and its idle time is the probe's. The sessions of doubles are beside
limits.sessions: where there is no room for clients, servers would seem to be down. One port has one session at a time,
which bounds them.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from ext.order cimport be16, ntohs
from ext.sync cimport load_acquire
from ext.tables.group cimport group_t
from ext.tables.server cimport NO_PLACE, SERVER_GONE, SERVER_UP, V4, V6, server_t
from ext.tables.service cimport DOWN_KEEP, SERVICE_NONE, is_tunnel, service_t, services_t
from ext.wire.ipv4 cimport PROTO_UDP

cdef enum:
    PINS = 65536

cdef struct pins_t:
    uint32_t of_tcp[PINS]  # index + 1 of the double that the port is for; 0: none
    uint32_t of_udp[PINS]


cdef inline uint32_t *pin_of(pins_t *pins, uint8_t protocol, uint16_t l4_port) noexcept nogil:
    return &pins.of_udp[l4_port] if protocol == PROTO_UDP else &pins.of_tcp[l4_port]


cdef inline server_t *server_pinned(pins_t *pins, const services_t *services, const service_t *service, int family,
                                    be16 l4_port) noexcept nogil:
    """The double that a new session with the service from that port of swlb's own is for; NULL: any server will do."""
    cdef uint32_t pin
    cdef server_t *server
    if pins is NULL:
        return NULL
    pin = load_acquire(pin_of(pins, service.protocol, ntohs(l4_port)))
    if pin == 0 or pin > services.n_servers:
        return NULL
    server = &services.servers[pin - 1]
    if server.ready & SERVER_GONE:
        return NULL
    if services.services[server.service].probes_of != service - services.services + 1:
        return NULL
    return server if server.family == family or is_tunnel(service) else NULL


cdef inline void service_double(services_t *table, uint16_t index, uint16_t double, uint32_t idle_ms) noexcept nogil:
    """The service `double` is the double of service `index`, still without servers. There is room."""
    cdef service_t *made = &table.services[double]
    cdef int i, family
    made[0] = table.services[index]
    made.probes_of = index + 1
    made.on_down = DOWN_KEEP
    made.persistent = False
    made.requests = made.responses = 0
    made.refused = 0
    for family in range(V4, V6 + 1):
        made.vip_index[family] = SERVICE_NONE
        memset(&made.groups[family], 0, sizeof(group_t))
    for i in range(16):
        made.timeout_ms[i] = idle_ms
    table.n_services = max(table.n_services, <uint32_t>double + 1)


cdef inline void server_double(services_t *table, uint16_t index, uint16_t service, uint16_t double) noexcept nogil:
    """The server `double` of that service is the double of server `index`. There is room."""
    cdef server_t *made = &table.servers[double]
    made[0] = table.servers[index]
    made.service = service
    made.ready = SERVER_UP
    made.limit = 0
    made.place[V4] = made.place[V6] = NO_PLACE
    table.n_servers = max(table.n_servers, <uint32_t>double + 1)


cdef inline bint is_double(const services_t *table, const server_t *server) noexcept nogil:
    """Whether its sessions are probes of swlb's own, and no client's (see above)."""
    return table.services[server.service].probes_of != 0

"""A worker's memory, made once before it runs and taken away after; and how its parts are put together.

The control plane says beforehand how many there will be of everything; nothing is allocated later.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.mman cimport munmap
from posix.unistd cimport close

from ext.address cimport ip_is_v4, ip_t
from ext.forward.icmp cimport ERROR_COST
from ext.frame cimport NO_PORT, NO_SEGMENT, SLOT_LEN, slot_frame
from ext.hash cimport key_t
from ext.judge cimport clock_ns, to_ms, worker_t
from ext.outbox cimport ARENA_LEN
from ext.pages cimport map_pages
from ext.ports.memory cimport memory_close, memory_open
from ext.ports.packet cimport packet_open
from ext.ports.port cimport BURST, PORT_PACKET, PORT_TUN, PORTS, port_t
from ext.ports.tap cimport tap_open
from ext.ports.trunk cimport trunk_open, vlan_open
from ext.ports.tun cimport STATION, tun_open
from ext.tables.fdb cimport fdb_free, fdb_init
from ext.tables.flow cimport flows_free, flows_init
from ext.tables.fragment cimport fragments_free, fragments_init
from ext.tables.half_open cimport half_open_free, half_open_init
from ext.tables.neighbour cimport neighbours_free, neighbours_init
from ext.tables.per_source cimport per_source_free, per_source_init
from ext.tables.route cimport address_t, route_add, route_t, routes_free, routes_init
from ext.tables.segment cimport segment_t
from ext.tables.server cimport NO_POOL, SERVERS, V4, V6
from ext.tables.service cimport services_free, services_init
from ext.tables.session cimport sessions_free, sessions_init
from ext.tables.source cimport SOURCES, sources_free, sources_init
from ext.tables.tables cimport tables_t

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags)
    int EFD_CLOEXEC

cdef struct sizes_t:
    uint32_t sessions
    uint32_t half_open
    uint32_t per_source
    uint32_t fragments
    uint32_t neighbours
    uint32_t segments
    uint32_t addresses
    uint32_t routes
    uint32_t services
    uint32_t servers
    uint32_t pools
    uint32_t icmp_rate
    uint32_t neighbour_ms
    uint32_t fragment_ms
    key_t key                  # of every hash

# A port as the control plane wants it.
cdef struct plan_t:
    uint16_t trunk             # of which it is
    uint16_t vid               # the VLAN; 0: it has a device of its own
    bint tells                 # it asks for tags
    int fd                     # of its device; -1: it is of memory
    int kind                   # PORT_TAP, PORT_PACKET or PORT_TUN, also when it is of memory
    uint32_t mtu
    bint host
    bint up
    bint offloads
    bint merges


cdef inline worker_t *worker_new(const sizes_t *sizes) noexcept nogil:
    """A worker with empty tables of these sizes, or NULL when memory or descriptors are out."""
    cdef worker_t *worker = <worker_t *>calloc(1, sizeof(worker_t))
    if worker is NULL:
        return NULL
    worker.wake_fd = eventfd(0, EFD_CLOEXEC)
    worker.done_fd = eventfd(0, EFD_CLOEXEC)
    worker.room.slots = <uint8_t *>map_pages(<size_t>(BURST + 1) * SLOT_LEN)
    worker.outbox.arena = <uint8_t *>map_pages(ARENA_LEN + SLOT_LEN)
    worker.outbox.ring = &worker.ring
    worker.ring.fd = -1
    if (worker.wake_fd < 0 or worker.done_fd < 0 or worker.room.slots is NULL or worker.outbox.arena is NULL
            or tables_init(&worker.tables, sizes) < 0):
        worker_free(worker)
        return NULL
    worker.spare.data = slot_frame(worker.room.slots, BURST)
    return worker


cdef inline int tables_init(tables_t *tables, const sizes_t *sizes) noexcept nogil:
    """Empty tables of these sizes; 0, or -1 when memory is out."""
    tables.segments = <segment_t *>calloc(sizes.segments + 1, sizeof(segment_t))
    tables.ports = <port_t *>calloc(PORTS, sizeof(port_t))
    tables.sessions_limit = sizes.sessions
    tables.opened = <uint32_t *>map_pages(SERVERS * sizeof(uint32_t))
    tables.crew.n = 1
    tables.crew.key = sizes.key.a
    tables.icmp_rate = sizes.icmp_rate
    tables.icmp_tokens[0] = tables.icmp_tokens[1] = <uint64_t>sizes.icmp_rate * ERROR_COST
    tables.icmp_filled_ms = to_ms(clock_ns())
    if (tables.segments is NULL or tables.ports is NULL or tables.opened is NULL or places_init(tables, sizes) < 0
            or routes_init(&tables.routes, sizes.addresses, sizes.addresses + sizes.routes) < 0
            or services_init(&tables.services, sizes.services, sizes.servers, SOURCES, sizes.key) < 0
            or neighbours_init(&tables.neighbours, sizes.neighbours, sizes.neighbour_ms, sizes.key) < 0
            or fragments_init(&tables.fragments, sizes.fragments, sizes.fragment_ms, sizes.key) < 0
            or sources_init(&tables.sources, sizes.pools) < 0
            or half_open_init(&tables.half_open, sizes.half_open) < 0
            or per_source_init(&tables.per_source, sizes.per_source, sizes.sessions, sizes.key) < 0
            or flows_init(&tables.flows, sizes.sessions, &tables.sessions_open, &tables.sources, sizes.key) < 0
            or sessions_init(&tables.sessions[V4], V4, sizes.sessions, &tables.sessions_open, &tables.sources,
                             &tables.half_open, sizes.key) < 0
            or sessions_init(&tables.sessions[V6], V6, sizes.sessions, &tables.sessions_open, &tables.sources,
                             &tables.half_open, sizes.key) < 0):
        return -1
    tables.services.opened = tables.opened
    if sizes.per_source:
        tables.sessions[V4].per_source = tables.sessions[V6].per_source = &tables.per_source
    return 0


cdef inline int places_init(tables_t *tables, const sizes_t *sizes) noexcept nogil:
    """There is room for segments and ports, and nobody is there; 0, or -1 when memory is out."""
    cdef uint32_t i
    for i in range(<uint32_t>PORTS):
        tables.ports[i].index = <uint16_t>i
        tables.ports[i].fd = -1
        tables.ports[i].lost = True
    tables.segments_room = sizes.segments
    for i in range(sizes.segments):
        tables.segments[i].gone = True
        tables.segments[i].host_port = NO_PORT
        tables.segments[i].pool = tables.segments[i].exit_pool = NO_POOL
        if fdb_init(&tables.segments[i].fdb, 1, 1, sizes.key) < 0:
            return -1
    return 0


cdef inline void worker_free(worker_t *worker) noexcept nogil:
    """Nothing of the worker is left, the descriptors of its devices apart: they are their opener's."""
    cdef tables_t *tables = &worker.tables
    cdef uint32_t i
    for i in range(tables.segments_room):
        fdb_free(&tables.segments[i].fdb)
    for i in range(<uint32_t>PORTS if tables.ports is not NULL else 0):
        memory_close(&tables.ports[i])
        free(tables.ports[i].members)
    routes_free(&tables.routes)
    services_free(&tables.services)
    neighbours_free(&tables.neighbours)
    fragments_free(&tables.fragments)
    sessions_free(&tables.sessions[V4])
    sessions_free(&tables.sessions[V6])
    half_open_free(&tables.half_open)
    per_source_free(&tables.per_source)
    flows_free(&tables.flows)
    sources_free(&tables.sources)
    free(tables.segments)
    free(tables.ports)
    if tables.opened is not NULL:
        munmap(tables.opened, SERVERS * sizeof(uint32_t))
    if worker.room.slots is not NULL:
        munmap(worker.room.slots, <size_t>(BURST + 1) * SLOT_LEN)
    if worker.outbox.arena is not NULL:
        munmap(worker.outbox.arena, ARENA_LEN + SLOT_LEN)
    close(worker.wake_fd)
    close(worker.done_fd)
    free(worker)


cdef inline int segment_add(tables_t *tables, uint16_t index, uint64_t mac, uint32_t fdb_limit, uint32_t ageing_ms,
                            key_t key) noexcept nogil:
    """The segment of that index is there, with no ports and an empty FDB; 0, or -1 when memory is out."""
    cdef segment_t *segment = &tables.segments[index]
    fdb_free(&segment.fdb)
    if fdb_init(&segment.fdb, fdb_limit, ageing_ms, key) < 0:
        return -1
    segment.gone = False
    segment.mac = mac
    segment.mtu = 65535
    tables.n_segments = max(tables.n_segments, <uint32_t>index + 1)
    return 0


cdef inline int port_add(tables_t *tables, uint16_t index, uint16_t segment_index, const plan_t *plan) noexcept nogil:
    """The port of that index is there, on the segment, or on none (NO_SEGMENT); 0, or -1 when memory is out."""
    cdef port_t *port = &tables.ports[index]
    port.there = True
    port.lost = False
    port.segment = segment_index
    port.host = plan.host
    port.up = plan.up
    port.offloads = plan.offloads
    port.merges = plan.merges
    port.mtu = plan.mtu
    if port_open(tables, port, plan) < 0 or (plan.tells and trunk_open(port) < 0):
        return -1
    if segment_index != NO_SEGMENT:
        port_join(&tables.segments[segment_index], port, plan)
    tables.n_ports = max(tables.n_ports, <uint32_t>index + 1)
    return 0


cdef inline void port_join(segment_t *segment, port_t *port, const plan_t *plan) noexcept nogil:
    """The port is one of the segment's."""
    port.segment_mac = segment.mac
    segment.ports[segment.n_ports] = port.index
    segment.n_ports += 1
    segment.mtu = min(segment.mtu, plan.mtu)
    if plan.host:
        segment.host_port = port.index
    if plan.kind == PORT_TUN:
        segment.station = STATION


cdef inline int port_open(tables_t *tables, port_t *port, const plan_t *plan) noexcept nogil:
    """Frames come and go as the plan says; -1 when memory is out."""
    if plan.vid:
        return vlan_open(port, &tables.ports[plan.trunk], plan.vid)
    if plan.fd < 0:
        return memory_open(port)
    if plan.kind == PORT_PACKET:
        packet_open(port, plan.fd)
    elif plan.kind == PORT_TUN:
        tun_open(port, plan.fd)
    else:
        tap_open(port, plan.fd)
    return 0


cdef inline void address_add(tables_t *tables, uint16_t segment, ip_t ip, ip_t mask, uint16_t prefix_len) noexcept nogil:
    """The address is swlb's own on the segment, which is routed now; the network around it is connected."""
    cdef address_t *address = &tables.routes.addresses[tables.routes.n_addresses]
    cdef route_t route
    memset(&route, 0, sizeof(route))
    address.ip = address.broadcast = ip
    address.segment = segment
    # A network of two addresses or one has no broadcast address (RFC 3021).
    if ip_is_v4(ip) and prefix_len < 127:
        address.broadcast.lo |= ~mask.lo
    route.mask = mask
    route.network.hi = ip.hi & mask.hi
    route.network.lo = ip.lo & mask.lo
    route.segment = segment
    route.prefix_len = prefix_len
    route.connected = True
    tables.routes.n_addresses += 1
    route_add(&tables.routes, route)
    tables.segments[segment].routed = True

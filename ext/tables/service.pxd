"""VIPs, services and servers: what is balanced, and who may take it.

Structure: flat arrays of fixed size, filled by the control plane before the worker starts. A VIP is found by
a hash, a service by a short chain of matches at its VIP, its servers by its groups (group.pxd), one for each family of
clients. Afterwards the control plane changes only what it wants of a server, between two turns of the worker; or it
puts another such table in the place of this one (inherit.pxd), in which whatever stays has the same index.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.address cimport ip_equal, ip_t
from ext.frame cimport NO_VIP
from ext.hash cimport hash_ip, key_t
from ext.order cimport be16, ntohs
from ext.tables.group cimport group_add, group_free, group_refresh, group_t
from ext.tables.server cimport NO_PLACE, NO_POOL, SERVER_GONE, SHARE_FULL, V4, V6, evidence_t, server_t

cdef enum:
    VIP_BUCKETS = 1024
    SERVICE_NONE = 0xFFFF
    # service_t.refuse, .orphans
    ANSWER_RESET = 0       # TCP reset; ICMP port unreachable where there is none
    ANSWER_DROP = 1
    ANSWER_UNREACHABLE = 2 # ICMP port unreachable
    # service_t.on_down
    DOWN_DEFAULT = 0       # established TCP is reset, all else is scheduled anew
    DOWN_KEEP = 1
    DOWN_RESCHEDULE = 2
    DOWN_RESET = 3
    DOWN_DROP = 4
    # service_t.source_nat
    SOURCE_NEVER = 0
    SOURCE_AUTO = 1        # where the answer would pass swlb by
    SOURCE_ALWAYS = 2
    NO_SOURCE = 0xFFFF
    # service_t.forward: how a request reaches its server
    FORWARD_NAT = 0        # the VIP becomes the server
    FORWARD_DSR = 1        # in a frame to the server's MAC
    FORWARD_IPIP = 2       # in an IP packet to the server
    FORWARD_GUE = 3        # in a UDP datagram to the server
    # service_t.hash_key
    KEY_SOURCE = 0         # the client's address
    KEY_SOURCE_PORT = 1    # and its port
    KEY_DESTINATION_PORT = 2         # the client's address and the port of the VIP
    KEY_FIVE_TUPLE = 3
    KEY_NONE = 4
    # service_t.mss; any other value is the number
    MSS_OFF = 0
    MSS_AUTO = 1
    PATH_MS = 600000       # a path MTU that was learnt is good for this time (RFC 1191 6.3)
    ANNOUNCEMENTS = 3      # of a VIP that became active, one a second
    DEFEND_MS = 10000      # one announcement against a rival in this time (RFC 5227 2.4 c)

cdef struct service_t:
    ip_t vip[2]            # by family; zero when it has none
    uint16_t vip_index[2]  # in vips; SERVICE_NONE when it has none
    uint16_t requests, responses     # datagrams.pxd; 0: sessions do not end by that
    group_t groups[2]      # its servers, by the family of the clients they serve
    uint8_t protocol
    uint8_t refuse
    uint8_t orphans
    uint8_t on_down
    uint8_t source_nat
    uint8_t forward
    uint16_t mss           # largest MSS a SYN may offer: MSS_OFF, MSS_AUTO, or the number
    be16 gue_port
    bint gone              # it is not in the configuration: it has left, or was never there
    uint16_t probes_of     # index + 1 of the service that this is the double of (pin.pxd); 0: a service for clients
    uint8_t scheduler      # SCHEDULE_RR ... of group.pxd
    uint8_t hash_key       # what is hashed, for schedulers that hash
    uint8_t persistent     # its clients come back to their server
    ip_t persistence_mask[2]         # of their addresses, by family
    uint32_t persistence_ms
    uint32_t timeout_ms[16]
    uint64_t refused
    uint8_t flooded        # packets of no session may be of connections that were forwarded without one (stateless.pxd)
    uint32_t flooded_ms    # that was last so then
    uint64_t stateless     # SYNs that were forwarded without a session
    uint64_t stateless_before        # of them, before this flood

cdef struct vip_t:         # or an address that stands for clients, which has no services
    ip_t ip
    uint16_t segment       # whose network holds it; NO_SEGMENT when it is reached by routes only
    uint16_t first_match
    uint16_t next          # in the bucket
    uint16_t source        # place in sources_t of an address that stands for clients; NO_SOURCE for a VIP
    uint8_t active         # at least one service can serve
    uint8_t announcements  # still to be sent
    uint32_t announce_ms
    uint32_t defended_ms
    bint defended

cdef struct match_t:
    uint16_t service
    uint16_t next
    uint16_t l4_first      # host order, both inclusive
    uint16_t l4_last
    uint8_t protocol

cdef struct services_t:
    vip_t *vips
    match_t *matches
    service_t *services
    server_t *servers
    evidence_t *evidence   # by server: apart from what every packet needs
    uint32_t *opened       # by server: sessions open in all workers, if it has a limit; they share it
    uint32_t n_vips
    uint32_t n_matches
    uint32_t n_services    # indices in use, with holes where one has left
    uint32_t n_servers
    uint32_t services_room
    uint32_t servers_room
    key_t key
    uint16_t buckets[VIP_BUCKETS]
    uint64_t answered_from[1024]     # a bit for each l4_port from which servers of services that hash answer


cdef inline int services_init(services_t *table, uint32_t n_services, uint32_t n_servers, uint32_t n_sources,
                              key_t key) noexcept nogil:
    """Room for so many, each service with up to two VIPs; 0, or -1 when memory is out."""
    cdef uint32_t i
    table.n_vips = table.n_matches = table.n_services = table.n_servers = 0
    table.services_room = n_services
    table.servers_room = n_servers
    table.key = key
    memset(table.answered_from, 0, sizeof(table.answered_from))
    memset(table.buckets, 0xFF, sizeof(table.buckets))        # NO_VIP
    table.vips = <vip_t *>calloc(2 * n_services + n_sources + 1, sizeof(vip_t))
    table.matches = <match_t *>calloc(2 * n_services + 1, sizeof(match_t))
    table.services = <service_t *>calloc(n_services + 1, sizeof(service_t))
    table.servers = <server_t *>calloc(n_servers + 1, sizeof(server_t))
    table.evidence = <evidence_t *>calloc(n_servers + 1, sizeof(evidence_t))
    if (table.vips is NULL or table.matches is NULL or table.services is NULL or table.servers is NULL
            or table.evidence is NULL):
        services_free(table)
        return -1
    for i in range(n_services):
        table.services[i].gone = True
        table.services[i].vip_index[V4] = table.services[i].vip_index[V6] = SERVICE_NONE
    for i in range(n_servers):
        table.servers[i].ready = SERVER_GONE
        table.servers[i].pool = NO_POOL
        table.servers[i].place[V4] = table.servers[i].place[V6] = NO_PLACE
    return 0


cdef inline void services_free(services_t *table) noexcept nogil:
    cdef uint32_t i
    if table.services is not NULL:
        for i in range(table.services_room):
            group_free(&table.services[i].groups[V4])
            group_free(&table.services[i].groups[V6])
    free(table.vips)
    free(table.matches)
    free(table.services)
    free(table.servers)
    free(table.evidence)
    table.vips = NULL
    table.matches = NULL
    table.services = NULL
    table.servers = NULL
    table.evidence = NULL


cdef inline uint16_t vip_index(const services_t *table, ip_t ip) noexcept nogil:
    """The place of the VIP of that address, or NO_VIP."""
    cdef uint16_t i = table.buckets[hash_ip(table.key, ip, 0) & (VIP_BUCKETS - 1)]
    while i != NO_VIP and not ip_equal(table.vips[i].ip, ip):
        i = table.vips[i].next
    return i


cdef inline vip_t *vip_find(const services_t *table, ip_t ip) noexcept nogil:
    """The VIP of that address, or NULL."""
    cdef uint16_t i = vip_index(table, ip)
    return &table.vips[i] if i != NO_VIP else NULL


cdef inline service_t *service_find(const services_t *table, const vip_t *vip, uint8_t protocol,
                                    be16 l4_port) noexcept nogil:
    """The service of that port of the VIP, or NULL. Ranges never overlap, so order does not matter."""
    cdef uint16_t i = vip.first_match
    cdef uint16_t port = ntohs(l4_port)
    while i != SERVICE_NONE:
        if (table.matches[i].protocol == protocol
                and table.matches[i].l4_first <= port <= table.matches[i].l4_last):
            return &table.services[table.matches[i].service]
        i = table.matches[i].next
    return NULL


cdef inline vip_t *vip_add(services_t *table, ip_t ip, uint16_t segment) noexcept nogil:
    """The VIP of that address, made if it is new."""
    cdef vip_t *vip = vip_find(table, ip)
    cdef uint16_t *bucket = &table.buckets[hash_ip(table.key, ip, 0) & (VIP_BUCKETS - 1)]
    if vip is not NULL:
        return vip
    vip = &table.vips[table.n_vips]
    vip.ip = ip
    vip.segment = segment
    vip.first_match = SERVICE_NONE
    vip.source = NO_SOURCE
    vip.next = bucket[0]
    bucket[0] = <uint16_t>table.n_vips
    table.n_vips += 1
    return vip


cdef inline void vip_forget(services_t *table, vip_t *vip) noexcept nogil:
    """Nobody finds it any more, and it is not announced; its place is used again with the next table."""
    cdef uint16_t i = <uint16_t>(vip - table.vips)
    cdef uint16_t *link = &table.buckets[hash_ip(table.key, vip.ip, 0) & (VIP_BUCKETS - 1)]
    while link[0] != NO_VIP and link[0] != i:
        link = &table.vips[link[0]].next
    if link[0] == i:
        link[0] = vip.next
    vip.source = NO_SOURCE
    vip.announcements = 0


cdef inline void service_add_vip(services_t *table, service_t *service, int family, ip_t ip, uint16_t segment,
                                 uint16_t l4_first, uint16_t l4_last) noexcept nogil:
    """Those ports of the VIP are the service's."""
    cdef vip_t *vip = vip_add(table, ip, segment)
    cdef match_t *match = &table.matches[table.n_matches]
    service.vip[family] = ip
    service.vip_index[family] = <uint16_t>(vip - table.vips)
    match.service = <uint16_t>(service - table.services)
    match.protocol = service.protocol
    match.l4_first = l4_first
    match.l4_last = l4_last
    match.next = vip.first_match
    vip.first_match = <uint16_t>table.n_matches
    table.n_matches += 1


cdef inline server_t *server_add(services_t *table, service_t *service, uint16_t index, int family) noexcept nogil:
    """The server of that index, which is the service's; NULL when memory is out.

    It serves clients of its own family; at the end of a tunnel, which carries either, those of both.
    """
    cdef server_t *server = &table.servers[index]
    server.family = family
    server.service = <uint16_t>(service - table.services)
    server.share = SHARE_FULL
    if (group_add(&service.groups[family], table.servers, index, family) < 0
            or (is_tunnel(service) and group_add(&service.groups[1 - family], table.servers, index, 1 - family) < 0)):
        return NULL
    table.n_servers = max(table.n_servers, <uint32_t>index + 1)
    return server


cdef inline bint is_tunnel(const service_t *service) noexcept nogil:
    """Whether its requests travel in outer packets."""
    return service.forward >= FORWARD_IPIP


cdef inline void service_recount(services_t *table, service_t *service, int family, uint32_t now_ms) noexcept nogil:
    """Who takes and who serves is right again; the VIP is active or not, and announced if that is new."""
    group_refresh(&service.groups[family], table.servers)
    if service.vip_index[family] != SERVICE_NONE:
        vip_recount(table, &table.vips[service.vip_index[family]], family, now_ms)


cdef inline void vip_recount(services_t *table, vip_t *vip, int family, uint32_t now_ms) noexcept nogil:
    """active is right again; if it has become so, announcements begin."""
    cdef uint16_t i = vip.first_match
    cdef uint8_t active = 0
    while i != SERVICE_NONE:
        if table.services[table.matches[i].service].groups[family].n_serving:
            active = 1
        i = table.matches[i].next
    if active and not vip.active:
        vip_announce(vip, now_ms)
    vip.active = active


cdef inline void vip_announce(vip_t *vip, uint32_t now_ms) noexcept nogil:
    """ANNOUNCEMENTS are due, the first at once."""
    vip.announcements = ANNOUNCEMENTS
    vip.announce_ms = now_ms

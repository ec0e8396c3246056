"""VIPs, services and servers: what is balanced, and who may take it.

Structure: flat arrays of fixed size, filled by the control plane before the worker starts. A VIP is found by
a hash, a service by a short chain of matches at its VIP, servers lie beside each other by service and family.
Afterwards the control plane changes only a server's `ready` bits and weight, between two turns of the worker.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from ext.address cimport ip_equal, ip_t
from ext.frame cimport NO_VIP
from ext.hash cimport hash_ip, key_t
from ext.order cimport be16, ntohs

cdef enum:
    VIP_BUCKETS = 1024
    V4 = 0
    V6 = 1
    SERVICE_NONE = 0xFFFF
    # server_t.ready
    SERVER_UP = 1          # checks say so (or there are none)
    SERVER_DRAIN = 2       # no new session
    SERVER_MAINT = 4       # as down, by order
    # service_t.refuse, .orphans
    ANSWER_RESET = 0
    ANSWER_DROP = 1
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
    NO_POOL = 0xFFFF
    NO_SOURCE = 0xFFFF
    # service_t.forward: how a request reaches its server
    FORWARD_NAT = 0        # the VIP becomes the server
    FORWARD_DSR = 1        # in a frame to the server's MAC
    FORWARD_IPIP = 2       # in an IP packet to the server
    FORWARD_GUE = 3        # in a UDP datagram to the server
    # service_t.mss; any other value is the number
    MSS_OFF = 0
    MSS_AUTO = 1
    PATH_MS = 600000       # a path MTU that was learnt is good for this time (RFC 1191 6.3)
    ANNOUNCEMENTS = 3      # of a VIP that became active, one a second
    DEFEND_MS = 10000      # one announcement against a rival in this time (RFC 5227 2.4 c)

cdef struct server_t:
    ip_t ip
    be16 l4_port           # 0: the port the client used
    uint16_t service
    uint16_t weight
    uint16_t pool          # of the addresses that may stand for clients; NO_POOL
    uint8_t family         # V4 or V6, of ip
    uint8_t ready
    ip_t answers_as[2]     # what its replies come from, by the client's family: ip, or the VIP where that is not rewritten
    uint32_t path_mtu      # of the way to it, when a router has told; 0: not known
    uint32_t path_ms       # told last then
    uint32_t sessions_active
    uint32_t sessions_inactive
    uint64_t sessions_total
    uint64_t packets[2]    # by direction: FROM_CLIENT, FROM_SERVER
    uint64_t bytes[2]

cdef struct service_t:
    ip_t vip[2]            # by family; zero when it has none
    uint16_t vip_index[2]  # in vips; SERVICE_NONE when it has none
    uint16_t first         # in servers, by family
    uint16_t first_v6
    uint16_t n_servers[2]
    uint16_t n_takers[2]   # servers that take new sessions
    uint16_t n_serving[2]  # servers that serve at least known ones
    uint16_t cursor[2]     # rr: the server that was chosen last
    uint8_t protocol
    uint8_t refuse
    uint8_t orphans
    uint8_t on_down
    uint8_t source_nat
    uint8_t forward
    uint16_t mss           # largest MSS a SYN may offer: MSS_OFF, MSS_AUTO, or the number
    be16 gue_port
    uint16_t probes_of     # index + 1 of the service that this is the double of (pin.pxd); 0: a service for clients
    uint32_t timeout_ms[16]
    uint64_t refused

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

cdef struct evidence_t:    # of a server, in sessions; what they mean is said in evidence.pxd
    uint64_t answered
    uint64_t repeated
    uint64_t refused
    uint64_t unanswered

cdef struct services_t:
    vip_t *vips
    match_t *matches
    service_t *services
    server_t *servers
    evidence_t *evidence   # by server: apart from what every packet needs
    uint32_t n_vips
    uint32_t n_matches
    uint32_t n_services
    uint32_t n_servers
    key_t key
    uint16_t buckets[VIP_BUCKETS]


cdef inline int services_init(services_t *table, uint32_t n_services, uint32_t n_servers, uint32_t n_sources,
                              key_t key) noexcept nogil:
    """Room for so many, each service with up to two VIPs; 0, or -1 when memory is out."""
    cdef uint32_t i
    table.n_vips = table.n_matches = table.n_services = table.n_servers = 0
    table.key = key
    for i in range(<uint32_t>VIP_BUCKETS):
        table.buckets[i] = NO_VIP
    table.vips = <vip_t *>calloc(2 * n_services + n_sources + 1, sizeof(vip_t))
    table.matches = <match_t *>calloc(2 * n_services + 1, sizeof(match_t))
    table.services = <service_t *>calloc(n_services + 1, sizeof(service_t))
    table.servers = <server_t *>calloc(n_servers + 1, sizeof(server_t))
    table.evidence = <evidence_t *>calloc(n_servers + 1, sizeof(evidence_t))
    if (table.vips is NULL or table.matches is NULL or table.services is NULL or table.servers is NULL
            or table.evidence is NULL):
        services_free(table)
        return -1
    return 0


cdef inline void services_free(services_t *table) noexcept nogil:
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


cdef inline server_t *service_servers(const services_t *table, const service_t *service, int family) noexcept nogil:
    """The first of the service's servers for clients of the family; the others follow it."""
    return &table.servers[service.first if family == V4 else service.first_v6]


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


cdef inline server_t *server_add(services_t *table, service_t *service, int family) noexcept nogil:
    """A new server of the service that was added last; IPv4 servers before IPv6 ones.

    It serves clients of its own family; at the end of a tunnel, which carries either, those of both.
    """
    cdef server_t *server = &table.servers[table.n_servers]
    server.family = family
    server.service = <uint16_t>(service - table.services)
    server.pool = NO_POOL
    service_count_server(table, service, family)
    if is_tunnel(service):
        service_count_server(table, service, V6 if family == V4 else V4)
    table.n_servers += 1
    return server


cdef inline void service_count_server(const services_t *table, service_t *service, int family) noexcept nogil:
    """The server that is being added is one of those that serve clients of the family."""
    if service.n_servers[family] == 0 and family == V4:
        service.first = <uint16_t>table.n_servers
    elif service.n_servers[family] == 0:
        service.first_v6 = <uint16_t>table.n_servers
    # The choice begins behind the cursor, so the first server is the first chosen.
    service.cursor[family] = service.n_servers[family]
    service.n_servers[family] += 1


cdef inline bint is_tunnel(const service_t *service) noexcept nogil:
    """Whether its requests travel in outer packets."""
    return service.forward >= FORWARD_IPIP


cdef inline bint server_serves(const server_t *server) noexcept nogil:
    """Whether packets of known sessions may go to it."""
    return (server.ready & (SERVER_UP | SERVER_MAINT)) == SERVER_UP


cdef inline bint server_takes(const server_t *server) noexcept nogil:
    """Whether it may be given a new session."""
    return server.ready == SERVER_UP and server.weight > 0


cdef inline void service_recount(services_t *table, service_t *service, int family, uint32_t now_ms) noexcept nogil:
    """n_takers and n_serving are right again; the VIP is active or not, and announced if that is new."""
    cdef server_t *servers = service_servers(table, service, family)
    cdef uint16_t i, takers = 0, serving = 0
    for i in range(service.n_servers[family]):
        takers += server_takes(&servers[i])
        serving += server_serves(&servers[i])
    service.n_takers[family] = takers
    service.n_serving[family] = serving
    if service.vip_index[family] != SERVICE_NONE:
        vip_recount(table, &table.vips[service.vip_index[family]], family, now_ms)


cdef inline void vip_recount(services_t *table, vip_t *vip, int family, uint32_t now_ms) noexcept nogil:
    """active is right again; if it has become so, announcements begin."""
    cdef uint16_t i = vip.first_match
    cdef uint8_t active = 0
    while i != SERVICE_NONE:
        if table.services[table.matches[i].service].n_serving[family]:
            active = 1
        i = table.matches[i].next
    if active and not vip.active:
        vip_announce(vip, now_ms)
    vip.active = active


cdef inline void vip_announce(vip_t *vip, uint32_t now_ms) noexcept nogil:
    """ANNOUNCEMENTS are due, the first at once."""
    vip.announcements = ANNOUNCEMENTS
    vip.announce_ms = now_ms

"""Round robin: the next server in the order of the configuration that takes new sessions.

Spec: linux/net/netfilter/ipvs/ip_vs_rr.c. Weights do not matter but for 0, which takes nothing.
"""

from libc.stdint cimport uint16_t

from ext.tables.service cimport server_t, server_takes, service_servers, service_t, services_t


cdef inline server_t *rr_choose(services_t *table, service_t *service, int family) noexcept nogil:
    """The chosen server, or NULL when none takes sessions. Costs one step per server passed over."""
    cdef server_t *servers = service_servers(table, service, family)
    cdef uint16_t n = service.n_servers[family]
    cdef uint16_t i, at = service.cursor[family]
    if service.n_takers[family] == 0:
        return NULL
    for i in range(n):
        at = at + 1 if at + 1 < n else 0
        if server_takes(&servers[at]):
            service.cursor[family] = at
            return &servers[at]
    return NULL

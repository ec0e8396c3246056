"""A segment: one broadcast domain, its ports and its forwarding database."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ext.ports.port cimport PORTS
from ext.tables.fdb cimport fdb_t

cdef struct segment_t:
    fdb_t fdb
    bint gone              # it is not in the configuration; then it has room for one station, and no ports
    uint64_t mac           # the segment's own, when it has addresses
    uint64_t station       # on a segment without Ethernet: whoever is not swlb has this MAC; 0 where there is Ethernet
    bint routed            # it has addresses: swlb is a router and balancer on it
    uint16_t host_port     # the kernel twin; NO_PORT when there is none
    uint16_t n_ports
    uint16_t ports[PORTS]  # the kernel twin included
    bint vip_guard         # answers by which another station would take a VIP are dropped
    uint32_t mtu           # the smallest of its ports'
    uint64_t moved_ns      # last time a move was reported
    bint private           # only services and masqueraded flows lead into it from others
    bint masquerades       # what its hosts begin leaves it in the name of an address of swlb's own:
    uint16_t pool          # of these, or NO_POOL: of the exit_pool of the segment it leaves by
    uint16_t exit_pool

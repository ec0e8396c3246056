# cython: freethreading_compatible=True
"""swlb._testing_hash: schedulers that hash, for tests. Not in wheels.

Addresses are 16 bytes, l4_ports in host order; a flow is (client, its port,
VIP, its port, protocol).
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint16_t, uint64_t, uintptr_t
from libc.string cimport memset

from ext.address cimport ip_load, ip_t
from ext.frame cimport frame_t
from ext.judge cimport worker_t
from ext.order cimport htons
from ext.schedule.choose cimport schedule, scheduled
from ext.schedule.hash cimport frame_hash, hash_again, is_admitted
from ext.tables.decision cimport choice_begin, choice_t
from ext.tables.group cimport group_t, group_taker
from ext.tables.server cimport server_t
from ext.tables.service cimport service_t


cdef ip_t ip_from(bytes data):
    if len(data) != 16:
        raise ValueError("an address is 16 bytes")
    return ip_load(<const uint8_t *>PyBytes_AS_STRING(data))


cdef frame_t frame_of(tuple flow):
    """What of a packet of the flow is hashed."""
    cdef frame_t frame
    client, client_port, vip, vip_port, protocol = flow
    memset(&frame, 0, sizeof(frame))
    frame.src, frame.sport = ip_from(client), htons(client_port)
    frame.dst, frame.dport = ip_from(vip), htons(vip_port)
    frame.protocol = protocol
    return frame


def flow_hash(uint8_t hash_key, tuple flow) -> int:
    """By the number of the key in HASH_KEYS."""
    cdef frame_t frame = frame_of(flow)
    return frame_hash(hash_key, &frame)


def again(uint64_t of, uint64_t attempt) -> int:
    return hash_again(of, attempt)


def admitted(uint64_t of, uint16_t share) -> bool:
    return bool(is_admitted(of, share))


def schedule_flows(worker, uint16_t index, int family, flows) -> list[tuple[int, int]]:
    """(server, because) that the service's scheduler names for each of the flows, one after the other."""
    cdef uintptr_t address = worker.address
    cdef worker_t *w = <worker_t *>address
    cdef service_t *service = &w.tables.services.services[index]
    cdef server_t *servers = w.tables.services.servers
    cdef int of = 0 if family == 4 else 1
    cdef group_t *group = &service.groups[of]
    cdef frame_t frame
    cdef choice_t choice
    named = []
    for flow in flows:
        frame = frame_of(flow)
        choice_begin(&choice)
        i = schedule(service, of, &frame, servers, &choice)
        scheduled(group, i)
        named.append((group_taker(group, servers, i) - servers, choice.because))
    return named

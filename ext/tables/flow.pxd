"""Flows over the border of a segment that masquerades: which of its hosts speaks with whom, and as whom.

Structure: a flat array, chained by a keyed hash of both ends; from outside a flow is found by its source port, whose
holder it is (source.pxd). The mapping depends on both ends (RFC 4787 4.1: address and port dependent), so nobody else can
use it. A flow that was begun from outside has no source: it is remembered so that its answers are left as they are.
Entries count against the limit of sessions. Full: the insert fails. A sweep passes all of them once a second. Times are
milliseconds modulo 2^32. Owner: the worker.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.mman cimport munmap

from ext.address cimport ip_equal, ip_t
from ext.frame cimport frame_t
from ext.hash cimport hash_ip, key_t, mix, power_of_two
from ext.order cimport be16
from ext.pages cimport map_pages
from ext.sync cimport add_shared
from ext.tables.sequence cimport sequence_is_usual, sequence_state
from ext.tables.source cimport FLOW, kind_of, source_hold, source_holder, source_release, sources_t
from ext.tables.state cimport S_NONE, tcp_state, udp_state
from ext.wire.ipv4 cimport PROTO_TCP, PROTO_UDP
from ext.wire.tcp cimport TCP_RST, tcp_hdr

cdef struct ends_t:        # of a packet, as seen from the segment
    ip_t inside
    ip_t peer
    be16 inside_port       # of an echo, its identifier
    be16 peer_port         # of an echo, 0
    uint8_t protocol

cdef struct flow_t:
    ends_t ends
    uint8_t state          # S_NONE when free
    uint16_t source        # index + 1; 0: begun from outside
    be16 source_port
    uint32_t seen_ms
    uint32_t created_ms
    uint32_t next          # index + 1, in the bucket or in the free list
    uint32_t packets[2]    # by direction: of who began it, of the other
    uint64_t bytes[2]      # and where in its stream that is: sequence.pxd

cdef struct flows_t:
    flow_t *entries
    uint32_t *buckets
    sources_t *sources
    uint32_t *open         # sessions and flows of all tables and workers that share the limit
    uint32_t limit
    uint32_t mask
    uint32_t n
    uint32_t high          # entries from here on were never used
    uint32_t free
    uint32_t swept
    uint32_t timeout_ms[16]
    uint32_t echo_ms
    key_t key


cdef inline int flows_init(flows_t *table, uint32_t limit, uint32_t *open, sources_t *sources, key_t key) noexcept nogil:
    """An empty table, one of those that count in open and hold limit together; 0, or -1 when memory is out."""
    memset(table, 0, sizeof(flows_t))
    table.limit = limit
    table.open = open
    table.sources = sources
    table.key = key
    table.mask = power_of_two(limit) - 1
    table.entries = <flow_t *>map_pages(<size_t>limit * sizeof(flow_t))
    table.buckets = <uint32_t *>map_pages((<size_t>table.mask + 1) * sizeof(uint32_t))
    if table.entries is NULL or table.buckets is NULL:
        flows_free(table)
        return -1
    return 0


cdef inline void flows_free(flows_t *table) noexcept nogil:
    if table.entries is not NULL:
        munmap(table.entries, <size_t>table.limit * sizeof(flow_t))
    if table.buckets is not NULL:
        munmap(table.buckets, (<size_t>table.mask + 1) * sizeof(uint32_t))
    table.entries = NULL
    table.buckets = NULL


cdef inline uint32_t *flow_bucket(const flows_t *table, const ends_t *ends) noexcept nogil:
    cdef uint64_t peer = mix(ends.peer.hi ^ table.key.b, ends.peer.lo ^ table.key.a)
    cdef uint64_t ports = ends.inside_port | (<uint64_t>ends.peer_port << 16) | (<uint64_t>ends.protocol << 32)
    return &table.buckets[hash_ip(table.key, ends.inside, peer ^ ports) & table.mask]


cdef inline bint ends_equal(const ends_t *a, const ends_t *b) noexcept nogil:
    return (a.inside_port == b.inside_port and a.peer_port == b.peer_port and a.protocol == b.protocol
            and ip_equal(a.inside, b.inside) and ip_equal(a.peer, b.peer))


cdef inline flow_t *flow_find(flows_t *table, const ends_t *ends, uint32_t now_ms) noexcept nogil:
    """The flow between the ends, or NULL; one that has expired is gone."""
    cdef uint32_t i = flow_bucket(table, ends)[0]
    while i and not ends_equal(&table.entries[i - 1].ends, ends):
        i = table.entries[i - 1].next
    if i == 0:
        return NULL
    if flow_expired(table, &table.entries[i - 1], now_ms):
        flow_remove(table, &table.entries[i - 1])
        return NULL
    return &table.entries[i - 1]


cdef inline flow_t *flow_of_source(flows_t *table, uint16_t source, be16 source_port, uint8_t protocol, ip_t peer,
                                   be16 peer_port, uint32_t now_ms) noexcept nogil:
    """The flow that the peer answers at the source's port, or NULL."""
    cdef uint32_t holder = source_holder(table.sources, source, kind_of(protocol), source_port)
    cdef flow_t *flow
    if not holder & FLOW:
        return NULL
    flow = &table.entries[(holder & ~<uint32_t>FLOW) - 1]
    if (flow.ends.protocol != protocol or flow.ends.peer_port != peer_port or not ip_equal(flow.ends.peer, peer)
            or flow_expired(table, flow, now_ms)):
        return NULL
    return flow


cdef inline flow_t *flow_insert(flows_t *table, const ends_t *ends, uint32_t now_ms) noexcept nogil:
    """A new flow without a source; NULL when there is no room."""
    cdef uint32_t *bucket = flow_bucket(table, ends)
    cdef flow_t *flow
    cdef uint32_t i
    if add_shared(table.open, 1) > table.limit:
        add_shared(table.open, <uint32_t>-1)
        return NULL
    i = table.free
    if i:
        table.free = table.entries[i - 1].next
    else:
        table.high += 1
        i = table.high
    flow = &table.entries[i - 1]
    memset(flow, 0, sizeof(flow_t))
    flow.ends = ends[0]
    flow.seen_ms = flow.created_ms = now_ms
    flow.next = bucket[0]
    bucket[0] = i
    table.n += 1
    return flow


cdef inline void flow_take_source(flows_t *table, flow_t *flow, uint16_t source, be16 source_port) noexcept nogil:
    """Outside the flow comes from that address and port, which are its own until it ends."""
    flow.source = source + 1
    flow.source_port = source_port
    source_hold(table.sources, source, kind_of(flow.ends.protocol), source_port,
                <uint32_t>(flow - table.entries + 1) | <uint32_t>FLOW)


cdef inline void flow_remove(flows_t *table, flow_t *flow) noexcept nogil:
    """The entry and its source port are free."""
    cdef uint32_t i = <uint32_t>(flow - table.entries) + 1
    cdef uint32_t *link = flow_bucket(table, &flow.ends)
    while link[0] != i:
        link = &table.entries[link[0] - 1].next
    link[0] = flow.next
    if flow.source:
        source_release(table.sources, flow.source - 1, kind_of(flow.ends.protocol), flow.source_port)
    flow.state = S_NONE
    flow.next = table.free
    table.free = i
    table.n -= 1
    add_shared(table.open, <uint32_t>-1)


cdef inline uint32_t flow_timeout_ms(const flows_t *table, const flow_t *flow) noexcept nogil:
    """The idle time its state is allowed."""
    if flow.ends.protocol == PROTO_TCP or flow.ends.protocol == PROTO_UDP:
        return table.timeout_ms[flow.state]
    return table.echo_ms


cdef inline bint flow_expired(const flows_t *table, const flow_t *flow, uint32_t now_ms) noexcept nogil:
    return now_ms - flow.seen_ms >= flow_timeout_ms(table, flow)


cdef inline void flow_follow(flow_t *flow, const frame_t *frame, int direction, uint32_t now_ms) noexcept nogil:
    """The flow's state and counters include this packet, unless it is a reset that is not believed.

    Direction 0: of who began the flow.
    """
    cdef const tcp_hdr *tcp = <const tcp_hdr *>(frame.data + frame.l4_off)
    cdef uint8_t state
    if flow.ends.protocol != PROTO_TCP:
        state = udp_state(flow.state, direction)
    elif frame.tcp_flags & TCP_RST or not sequence_is_usual(flow.bytes[direction], tcp.seq):
        state = sequence_state(flow.bytes, tcp, flow.state, direction, False)
        if state == S_NONE:
            return
    else:
        state = tcp_state(flow.state, direction, frame.tcp_flags)
    flow.state = state
    flow.seen_ms = now_ms
    flow.packets[direction] += 1
    flow.bytes[direction] += frame.l4_off - frame.l3_off + frame.l4_len


cdef inline void flows_sweep(flows_t *table, uint32_t budget, uint32_t now_ms) noexcept nogil:
    """The next budget entries hold no expired flow."""
    cdef flow_t *flow
    budget = min(budget, table.high)
    while budget:
        if table.swept >= table.high:
            table.swept = 0
        flow = &table.entries[table.swept]
        if flow.state != S_NONE and flow_expired(table, flow, now_ms):
            flow_remove(table, flow)
        table.swept += 1
        budget -= 1

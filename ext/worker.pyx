# cython: freethreading_compatible=True
"""swlb._worker: one forwarding loop and the doors to its tables.

A Worker is built once (`add_...`, then `seal`), then either runs in a thread of its own (`run`) or is turned by hand
with a time that the caller chooses (`turn`), as tests do. After `seal` every door works in both cases: while the
worker runs it does what the door asks between two turns. Addresses cross as 16 bytes (IPv4 as ::ffff:a.b.c.d),
MACs as 6, times as nanoseconds of the monotonic clock unless the name says otherwise.
"""

import os
import random
import threading

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.mman cimport munmap
from posix.unistd cimport read, write

from ext.address cimport ip_is_v4, ip_load, ip_store, ip_t
from ext.adopt cimport adoption_t, call_adopt, call_may_adopt
from ext.assembly cimport address_add, plan_t, port_add, segment_add, sizes_t, worker_free, worker_new
from ext.calls cimport (ANY, call_announce, call_copy, call_find_neighbour, call_flush_fdb,
                        call_flush_neighbours, call_flush_sessions, call_set_port, call_set_server, call_set_table,
                        call_stop, request_t)
from ext.forward.source cimport servers_ask
from ext.frame cimport FRAME_LEN, NO_PORT, NO_SEGMENT, VNET_LEN
from ext.hash cimport key_t
from ext.judge cimport call_fn, clock_ns, to_ms, worker_t
from ext.listing cimport (ANY_FAMILY, ROWS, call_list_flows, call_list_sessions, filter_t, listing_t, row_t)
from ext.loop cimport run_loop
from ext.order cimport htons, load32, ntohs
from ext.pages cimport map_pages
from ext.ports.memory cimport RECORD_LEN, memory_put
from ext.ports.packet cimport packet_count_missed
from ext.ports.port cimport PORT_MEMORY, PORT_PACKET, PORT_TAP, PORT_TUN, PORTS, port_t
from ext.schedule.maglev cimport maglev_copy, maglev_fill
from ext.sync cimport load_acquire, store_release
from ext.tables.answered cimport service_note_ports
from ext.tables.crew cimport WORKERS, crew_note_server, crew_t
from ext.tables.decision cimport DECISIONS, NOBODY, decision_t, decisions_t
from ext.tables.event cimport event_t, event_take
from ext.tables.fdb cimport fdb_entry_t
from ext.tables.flow cimport flow_expired, flow_t, flow_timeout_ms, flows_t
from ext.tables.group cimport SCHEDULE_MAGLEV, SCHEDULE_TABLE, group_seal, group_t, has_owners
from ext.tables.load cimport server_watch
from ext.tables.mailbox cimport mailbox_t
from ext.tables.neighbour cimport N_FREE, neighbour_t, neighbours_t
from ext.tables.owners cimport TABLE_LEN
from ext.tables.persist cimport persist_is_over, persist_is_void, persist_t, persists_free, persists_init, persists_t
from ext.tables.persist_life cimport EVERY, LISTED, persists_forget, persists_list
from ext.tables.pin cimport pin_of, pins_t, server_double, service_double
from ext.tables.route cimport route_add, route_t
from ext.tables.segment cimport segment_t
from ext.tables.sequence cimport bytes_of
from ext.tables.server cimport (NO_PLACE, NO_POOL, SERVER_DRAIN, SERVER_FULL, SERVER_MAINT, SERVER_UP, SHARE_FULL, V4, V6,
                                evidence_t, server_t)
from ext.tables.service cimport (FORWARD_NAT, MSS_AUTO, MSS_OFF, NO_SOURCE, server_add,
                                 service_add_vip, service_recount, service_t, services_t, vip_add, vip_announce)
from ext.tables.session cimport account_t, session_server_port, session_t
from ext.tables.session_life cimport session_expired, session_timeout_ms
from ext.tables.source cimport KINDS, POOL_ADDRESSES, pool_t, source_add, source_leave_to_others, source_spare, sources_t
from ext.tables.state cimport N_STATES, S_NONE, state_names, told_state
from ext.tables.tables cimport tables_t
from ext.turn cimport turn
from ext.verdict cimport DROP_NEIGHBOUR_QUEUE, N_DROPS, drop_meanings, drop_names
from ext.wire.ipv4 cimport PROTO_UDP

cdef enum:
    SLICE = 65536              # bytes copied between two turns, so that no frame waits for a long list

SOURCE_NAT = ("never", "auto", "always")
PORT_KINDS = {"tap": PORT_TAP, "packet": PORT_PACKET, "tun": PORT_TUN}
NEIGHBOUR_STATES = ("FREE", "INCOMPLETE", "REACHABLE", "STALE", "PROBE", "FAILED")
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "hash", "maglev", "p2c", "fo", "overflow", "table")  # SCHEDULE_RR ...
HASH_KEYS = ("source", "source_port", "destination_port", "five_tuple", "none")    # KEY_SOURCE ...
FORWARDS = ("nat", "dsr", "ipip", "gue")    # FORWARD_NAT ... FORWARD_GUE
EVENT_KINDS = ("port_lost", "mac_moved", "address_conflict", "vip_conflict", "table_full", "neighbour_lost", "reply_bypasses",
               "unremembered", "syn_flood", "syn_flood_over", "source_limit", "neighbours_full")
BECAUSES = ("scheduler", "persistence", "next", "fallback")    # BECAUSE_SCHEDULER ...


def drop_reasons() -> list[tuple[str, str]]:
    """Every reason for which a frame is dropped, with its meaning, in the order of the counters."""
    return [(drop_names[i].decode().lower(), drop_meanings[i].decode()) for i in range(N_DROPS)]


cdef bytes ip_bytes(ip_t ip):
    cdef uint8_t raw[16]
    ip_store(raw, ip)
    return PyBytes_FromStringAndSize(<char *>raw, 16)


cdef ip_t ip_from(bytes raw):
    if len(raw) != 16:
        raise ValueError("an address is 16 bytes")
    return ip_load(<const uint8_t *>PyBytes_AS_STRING(raw))


cdef bytes mac_bytes(uint64_t mac):
    return PyBytes_FromStringAndSize(<char *>&mac, 6)


cdef uint64_t mac_from(bytes raw):
    if len(raw) != 6:
        raise ValueError("a MAC is 6 bytes")
    return int.from_bytes(raw, "little")


cdef str io_of(const port_t *port):
    """By which system calls the port's frames come and go."""
    if port.kind == PORT_PACKET:
        return "recvmmsg"
    return "io_uring" if port.ring is not NULL else "read/write"


cdef ip_t prefix_mask(object prefix_len):
    """The mask of a prefix of so many of 128 bits."""
    return ip_from(((1 << 128) - (1 << (128 - prefix_len))).to_bytes(16, "big"))


def session_states() -> list[str]:
    """The names of the states that a session is told to be in."""
    return [state_names[i].decode() for i in range(S_NONE + 1, N_STATES) if told_state(i) == i]


cdef int state_of(str name) except -1:
    """The state of that name."""
    for i in range(S_NONE + 1, N_STATES):
        if state_names[i] == name.encode():
            return i
    raise ValueError(f"{name} is no state of a session")


cdef int filter_set(filter_t *filter, client, service, server, state, protocol) except -1:
    """The filter asks for what is given."""
    filter.family = ANY_FAMILY
    if client is not None:
        filter.network, filter.mask = ip_from(client[0]), prefix_mask(client[1])
        filter.family = V4 if ip_is_v4(filter.network) else V6
    filter.service = ANY if service is None else service
    filter.server = ANY if server is None else server
    filter.state = S_NONE if state is None else state_of(state)
    filter.protocol = protocol or 0
    return 0


cdef int place_for(str what, index, uint32_t next, uint32_t room) except -1:
    """The index, or the next when it is None; ValueError where there is no room."""
    cdef uint32_t place = next if index is None else index
    if place >= room:
        raise ValueError(f"no room for {what} {place}: there is room for {room}")
    return place


cdef class Mailboxes:
    """Those between the workers of a crew, as long as one of these lives."""

    cdef mailbox_t *boxes
    cdef size_t n

    def __cinit__(self, size_t n):
        self.n = n
        self.boxes = <mailbox_t *>map_pages(n * sizeof(mailbox_t))
        if self.boxes is NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.boxes is not NULL:
            munmap(self.boxes, self.n * sizeof(mailbox_t))


cdef class Pins:
    """For which server's double each l4_port of swlb's own is (ext/tables/pin.pxd), for all workers that have it."""

    cdef pins_t *pins

    def __cinit__(self):
        self.pins = <pins_t *>map_pages(sizeof(pins_t))
        if self.pins is NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.pins is not NULL:
            munmap(self.pins, sizeof(pins_t))

    def set(self, uint8_t protocol, uint16_t l4_port, index) -> None:
        """New sessions from that port of swlb's own are for the double of that index, or with None for any server."""
        store_release(pin_of(self.pins, protocol, l4_port), 0 if index is None else index + 1)

    def __getitem__(self, key) -> int | None:
        """The index of the double that (protocol, l4_port) is for."""
        pin = load_acquire(pin_of(self.pins, key[0], key[1]))
        return pin - 1 if pin else None


cdef class Persists:
    """Which server each client of a persistent service had (ext/tables/persist.pxd), for all workers that have it."""

    cdef persists_t table

    def __cinit__(self, uint32_t n):
        cdef key_t key
        key.a = int.from_bytes(os.urandom(8), "little")
        key.b = int.from_bytes(os.urandom(8), "little")
        if persists_init(&self.table, n, key) < 0:
            raise MemoryError

    def __dealloc__(self):
        persists_free(&self.table)

    def __len__(self) -> int:
        """How many entries there are, of which some may be over."""
        return load_acquire(&self.table.n)

    @property
    def unremembered(self) -> int:
        """Sessions whose client could not be remembered, as there was no room."""
        return load_acquire(&self.table.n_unremembered)

    def forget(self, *, service=None, server=None) -> int:
        """No client of the service, or of any, comes back to the server, or to any; how many would have.

        Before the index of a service or a server means another, or the service's masks change.
        """
        cdef uint16_t of = EVERY if service is None else service
        cdef uint16_t which = EVERY if server is None else server
        cdef uint32_t n
        with nogil:
            n = persists_forget(&self.table, of, which)
        return n

    cdef list _rows(self, const services_t *services, uint32_t *at, now_ns):
        """Worker.persistence_slices: the next rows, from bucket `at` on, which is then where to go on."""
        cdef bytearray copy = bytearray(LISTED * sizeof(persist_t))
        cdef persist_t *entries = <persist_t *><char *>copy
        cdef uint32_t i, n, now_ms
        with nogil:
            n = persists_list(&self.table, at, entries)
        now_ms = to_ms(clock_ns() if now_ns is None else now_ns)
        rows = [persist_row(services, &entries[i], now_ms) for i in range(n)]
        return [row for row in rows if row is not None]


cdef tuple persist_row(const services_t *services, const persist_t *entry, uint32_t now_ms):
    """What Worker.persistence_slices tells of an entry; None where its client would not come back."""
    cdef const service_t *service = &services.services[entry.service]
    if (entry.service >= services.n_services or persist_is_void(services, entry)
            or persist_is_over(service, entry, now_ms)):
        return None
    # A worker's clock may be a moment ahead.
    age_ms = max(<int32_t>(now_ms - entry.used_ms), 0)
    left_ms = None if entry.holders else service.persistence_ms - age_ms
    return (entry.service, ip_bytes(entry.client), entry.server, age_ms, left_ms, entry.holders)


cdef dict _decision(const decision_t *d):
    return {"at_ns": d.at_ns, "protocol": d.protocol, "client": ip_bytes(d.client), "client_port": ntohs(d.client_port),
            "vip_port": ntohs(d.vip_port), "server": d.server, "named": None if d.named == NOBODY else d.named,
            "scheduler": SCHEDULERS[d.scheduler], "hash_key": HASH_KEYS[d.hash_key], "because": BECAUSES[d.because],
            "backup": bool(d.backup), "mid_stream": bool(d.mid_stream), "candidates": d.candidates,
            "active": d.active, "inactive": d.inactive, "weight": d.weight, "share": d.share}


def link(workers, *, uint64_t key) -> None:
    """Workers that were built alike are one crew: each session belongs to one of them, by the client's end point.

    `key` is the steering program's. `limits.sessions` holds for all together.
    """
    cdef Worker worker, other, first = workers[0]
    cdef uint32_t i, j, n = len(workers)
    cdef Mailboxes mailboxes = Mailboxes(n * n)
    cdef crew_t *crew
    if not 1 <= n <= WORKERS:
        raise ValueError(f"1 to {WORKERS} workers")
    for i, worker in enumerate(workers):
        worker._unsealed()
        worker.mailboxes = mailboxes
        crew = &worker.w.tables.crew
        crew.n, crew.index, crew.key = n, i, key
        for j, other in enumerate(workers):
            crew.to[j] = &mailboxes.boxes[i * n + j]
            crew.at[j] = &mailboxes.boxes[j * n + i]
            crew.parked[j] = &other.w.parked
            crew.wake_fd[j] = other.w.wake_fd
        for j in range(worker.w.tables.services.n_servers):
            crew_note_server(crew, worker.w.tables.services.servers[j].ip)
        for j in range(2):
            worker.w.tables.sessions[j].open = &first.w.tables.sessions_open
            worker.w.tables.sessions[j].per_source = first.w.tables.sessions[j].per_source
        worker.w.tables.services.opened = first.w.tables.opened
        for j in range(worker.w.tables.sources.n_sources):
            source_leave_to_others(&worker.w.tables.sources.sources[j], crew)
        worker.first = first


cdef class Worker:
    """A forwarding loop with its ports, segments, services and tables."""

    cdef worker_t *w
    cdef Mailboxes mailboxes   # of the crew it is linked with
    cdef Pins pins             # kept alive
    cdef Persists persists     # the same
    cdef Worker first          # of the crew: it has the counts of sessions
    cdef object lock           # one call at a time
    cdef bint sealed
    cdef bint running
    cdef uint32_t sessions_limit
    cdef uint32_t fragments_limit
    cdef key_t key

    def __cinit__(self, *, sessions=1000000, half_open=65536, per_source=0, fragments=4096, neighbours=8192, icmp_errors=1000, neighbour_ns=60 * 10**9,
                  fragment_ns=30 * 10**9, n_segments=1, n_addresses=0, n_routes=0, n_services=0, n_servers=0, n_pools=None,
                  ring=True):
        """Room for so many of everything; `sessions` over both families, `half_open` of them; `icmp_errors` a second.
        One client address may have `per_source` sessions; 0: any number.

        With `ring` TAPs are read and written through io_uring while `run` runs, if the kernel lets us.
        """
        cdef sizes_t sizes
        self.key.a = int.from_bytes(os.urandom(8), "little")
        self.key.b = int.from_bytes(os.urandom(8), "little")
        self.lock = threading.Lock()
        sizes.sessions, sizes.half_open, sizes.fragments, sizes.neighbours = sessions, half_open, fragments, neighbours
        sizes.segments, sizes.addresses, sizes.routes = n_segments, n_addresses, n_routes
        sizes.services, sizes.servers, sizes.icmp_rate = n_services, n_servers, icmp_errors
        sizes.per_source = per_source
        sizes.pools = n_services + n_segments if n_pools is None else n_pools
        sizes.neighbour_ms, sizes.fragment_ms = neighbour_ns // 10**6, fragment_ns // 10**6
        sizes.key = self.key
        self.w = worker_new(&sizes)
        if self.w is NULL:
            raise MemoryError
        self.w.rings = ring

    def __dealloc__(self):
        if self.w is not NULL:
            worker_free(self.w)

    @property
    def address(self) -> int:
        """Where the worker lies in memory, for swlb._testing; 0 is never it."""
        return <uintptr_t>self.w

    # ---- building, before seal ----

    cdef int _unsealed(self) except -1:
        if self.sealed:
            raise RuntimeError("the worker is sealed")
        return 0

    # What is added has the index that the caller chooses, or else the next.

    def add_segment(self, *, bytes mac, ageing_ns=300 * 10**9, fdb_limit=8192, vip_guard=False, index=None) -> int:
        """A segment with that MAC of its own and an empty FDB; its index.

        With `vip_guard` ARP and neighbour discovery answers by which another station would take a VIP are dropped.
        """
        self._unsealed()
        index = place_for("segment", index, self.w.tables.n_segments, self.w.tables.segments_room)
        if segment_add(&self.w.tables, index, mac_from(mac), fdb_limit, ageing_ns // 10**6, self.key) < 0:
            raise MemoryError
        self.w.tables.segments[<int>index].vip_guard = vip_guard
        return index

    def add_port(self, segment, *, fd=None, kind="tap", mtu=1500, host=False, up=True, offloads=True,
                 merges=False, trunk=None, vid=0, tells=False, index=None) -> int:
        """A port of the segment: the device behind fd (which stays the caller's to close), or of memory; its index.

        `kind` is one of PORT_KINDS; with "tun" the segment is one without Ethernet. A port without `offloads` gets
        no super-frame and no partial checksum. One that `merges` takes UDP super-frames, into which datagrams are put
        together. With a `vid` it is that VLAN of the port of index `trunk`, and needs no device; a trunk itself may be on no
        segment (None). A port that `tells` carries no tag but of its VLANs; trunks do.
        """
        cdef plan_t plan
        self._unsealed()
        index = place_for("port", index, self.w.tables.n_ports, PORTS)
        plan.fd, plan.kind, plan.mtu = -1 if fd is None else fd, PORT_KINDS[kind], mtu
        plan.host, plan.up, plan.offloads, plan.merges = host, up, offloads, merges
        plan.trunk, plan.vid, plan.tells = NO_PORT if trunk is None else trunk, vid, tells
        if port_add(&self.w.tables, index, NO_SEGMENT if segment is None else segment, &plan) < 0:
            raise MemoryError
        return index

    def add_address(self, segment, bytes ip, prefix_len) -> None:
        """An address of swlb's own on the segment (prefix_len of 128 bits), and the network around it."""
        self._unsealed()
        address_add(&self.w.tables, segment, ip_from(ip), prefix_mask(prefix_len), prefix_len)

    def add_route(self, bytes network, prefix_len, bytes via, segment) -> None:
        """Packets to the network (prefix_len of 128 bits) go to `via` on the segment."""
        cdef route_t route
        self._unsealed()
        memset(&route, 0, sizeof(route))
        route.network = ip_from(network)
        route.mask = prefix_mask(prefix_len)
        route.prefix_len = prefix_len
        route.via = ip_from(via)
        route.segment = segment
        route_add(&self.w.tables.routes, route)

    def add_service(self, *, vips, protocol, l4_first, l4_last, refuse, orphans, on_down, timeouts_ns,
                    source_nat="never", forward="nat", mss="off", gue_port=6080, scheduler="rr", hash_key="source",
                    persistence_ns=None, persistence_masks=(128, 128), requests=0, responses=0, index=None) -> int:
        """A service at `vips`: (address, segment or None) each; timeouts_ns by state, N_STATES of them; its index.

        `forward` is one of FORWARDS; `mss` is "off", "auto" (what fits the way to the server), or the most a SYN offers.
        `scheduler` is one of SCHEDULERS, `hash_key` of HASH_KEYS. Clients that are alike in so many of the 128 bits of
        their addresses (of IPv4, of IPv6) come back to their server until they had no session for persistence_ns.
        `requests` and `responses` say after how many datagrams a session ends (ext/tables/datagrams.pxd); 0: not by that.
        """
        cdef services_t *services = &self.w.tables.services
        cdef service_t *service
        cdef int i
        self._unsealed()
        index = place_for("service", index, services.n_services, services.services_room)
        service = &services.services[<uint32_t>index]
        service.gone = False
        service.protocol = protocol
        service.refuse = refuse
        service.orphans = orphans
        service.on_down = on_down
        service.requests, service.responses = requests, responses
        service.source_nat = SOURCE_NAT.index(source_nat)
        service.forward = FORWARDS.index(forward)
        service.mss = {"off": MSS_OFF, "auto": MSS_AUTO}.get(mss, mss)
        service.gue_port = htons(gue_port)
        service.scheduler = SCHEDULERS.index(scheduler)
        service.hash_key = HASH_KEYS.index(hash_key)
        service.persistent = persistence_ns is not None
        service.persistence_ms = (persistence_ns or 0) // 10**6
        for i in range(2):
            service.persistence_mask[i] = prefix_mask(persistence_masks[i])
        for i, timeout in enumerate(timeouts_ns):
            service.timeout_ms[i] = timeout // 10**6
        for address, segment in vips:
            service_add_vip(services, service, V4 if ip_is_v4(ip_from(address)) else V6, ip_from(address),
                            NO_SEGMENT if segment is None else segment, l4_first, l4_last)
        services.n_services = max(services.n_services, <uint32_t>index + 1)
        return index

    def add_pool(self, addresses, *, first, last, spare=None) -> int:
        """Addresses that may stand for clients, (address, segment or None) each, with the ports from first to last; its index.

        One without segment is swlb's own already; for the others swlb answers on their segment. Pools may overlap. Of its
        own addresses the ports `spare` (first, last) are the kernel's, which gives them to its own connections.
        """
        cdef sources_t *sources = &self.w.tables.sources
        cdef pool_t *pool = &sources.pools[sources.n_pools]
        cdef uint16_t source
        self._unsealed()
        if len(addresses) > POOL_ADDRESSES or sources.n_pools + 1 >= sources.room:
            raise ValueError(f"at most {POOL_ADDRESSES} addresses in a pool, and {sources.room - 1} pools")
        for address, segment in addresses:
            source = source_add(sources, ip_from(address))
            if source == NO_SOURCE:
                raise MemoryError
            vip_add(&self.w.tables.services, ip_from(address), NO_SEGMENT if segment is None else segment).source = source
            if segment is None and spare:
                source_spare(&sources.sources[source], spare[0], spare[1])
            pool.sources[pool.n_sources] = source
            pool.n_sources += 1
        pool.first, pool.last = first, last
        for kind in range(KINDS):
            pool.cursor[<int>kind] = random.randrange(first, last + 1)
        sources.n_pools += 1
        return sources.n_pools - 1

    def guard_segment(self, segment, *, private=False, masquerade=False, pool=None) -> None:
        """Nothing but services leads into a private segment from others; what a masquerading one's hosts begin leaves it
        in the name of the pool's addresses, or of the exit pool of the segment it leaves by."""
        cdef segment_t *of = &self.w.tables.segments[<uint32_t>segment]
        self._unsealed()
        of.private, of.masquerades, of.pool = private, masquerade, NO_POOL if pool is None else pool
        self.w.tables.guarded = self.w.tables.guarded or private or masquerade

    def set_exit_pool(self, segment, pool) -> None:
        """What is masqueraded and leaves by the segment is so in the name of the pool's addresses."""
        self._unsealed()
        self.w.tables.segments[<uint32_t>segment].exit_pool = pool

    def set_flow_timeouts(self, *, timeouts_ns, echo_ns) -> None:
        """How long masqueraded flows may be idle, by state, and echo."""
        self._unsealed()
        for i, timeout in enumerate(timeouts_ns):
            self.w.tables.flows.timeout_ms[<int>i] = timeout // 10**6
        self.w.tables.flows.echo_ms = echo_ns // 10**6

    def add_server(self, service, *, bytes ip, l4_port, weight, ready, table_weight=None, share=SHARE_FULL, pool=None,
                   backup=False, limit=0, lower=0, index=None) -> int:
        """A server of the service; l4_port 0 keeps the client's; its index.

        It has the family of the VIP whose clients it serves; at the end of a tunnel either, and serves clients of both.
        Where nothing is translated, a port of its own means nothing.
        `pool` has the addresses that may stand for clients towards it, where the service's source_nat says so. A `backup`
        takes sessions while no other can. With `limit` it takes none while it has so many open, until it has fewer than
        `lower`.
        """
        cdef services_t *services = &self.w.tables.services
        cdef service_t *of = &services.services[service]
        cdef server_t *server
        cdef int family = V4 if ip_is_v4(ip_from(ip)) else V6
        self._unsealed()
        index = place_for("server", index, services.n_servers, services.servers_room)
        server = server_add(services, of, index, family)
        if server is NULL:
            raise MemoryError
        server.ip = ip_from(ip)
        crew_note_server(&self.w.tables.crew, server.ip)
        server.l4_port = htons(l4_port) if of.forward == FORWARD_NAT else 0
        for family in range(2):
            server.answers_as[family] = server.ip if of.forward == FORWARD_NAT else of.vip[family]
        server.weight = weight
        server.table_weight = weight if table_weight is None else table_weight
        server.share = share
        server.ready = ready
        server.backup = backup
        server.limit, server.lower = limit, lower
        server.pool = NO_POOL if pool is None else pool
        return index

    def add_double(self, service, *, idle_ns, index=None, servers=None) -> int:
        """The service, which has all its servers, can be probed through its VIP: each has a double, in the same order.

        The index of the first. Sessions of probes end after idle_ns without a packet. Of `n_services` and `n_servers`
        doubles are part. `servers` has the index of each server's double, by the server's.
        """
        cdef services_t *services = &self.w.tables.services
        self._unsealed()
        index = place_for("service", index, services.n_services, services.services_room)
        if servers is None:
            own = [i for i in range(services.n_servers) if services.servers[<uint32_t>i].service == service]
            servers = {server: services.n_servers + number for number, server in enumerate(own)}
        service_double(services, service, index, idle_ns // 10**6)
        for server, double in servers.items():
            server_double(services, server, index, place_for("server", double, double, services.servers_room))
        return min(servers.values(), default=services.n_servers)

    def use_pins(self, Pins pins) -> None:
        """A session that a kernel twin begins from a port with a pin is with the server whose double that names."""
        self._unsealed()
        self.pins = pins
        self.w.tables.pins = pins.pins

    def use_persists(self, Persists persists) -> None:
        """Which server a client had is kept there, for all workers of a crew in the same; needed by persistent services."""
        self._unsealed()
        self.persists = persists
        self.w.tables.persists = &persists.table
        self.w.tables.sessions[V4].persists = self.w.tables.sessions[V6].persists = &persists.table

    def seal(self, *, like=(), now_ns=None) -> None:
        """Building is over: every VIP knows whether it is active, and is announced.

        Tables of maglev that one of the workers `like` this one has, under the same index, are taken from there.
        """
        cdef services_t *services = &self.w.tables.services
        cdef uint32_t i, now_ms = to_ms(clock_ns() if now_ns is None else now_ns)
        cdef int family
        self._unsealed()
        for i in range(services.services_room):
            if services.services[i].persistent and self.persists is None:
                raise RuntimeError("a persistent service, and no Persists")
            for family in range(2):
                services.services[i].groups[family].random = random.getrandbits(64)
                services.services[i].groups[family].all_active = services.services[i].protocol == PROTO_UDP
                if group_seal(&services.services[i].groups[family], services.services[i].scheduler) < 0:
                    raise MemoryError
                service_recount(services, &services.services[i], family, now_ms)
                self._make_table(i, family, like)
        for i in range(services.n_servers):
            server_watch(services, &services.servers[i])
        for i in range(services.n_matches):
            if has_owners(services.services[services.matches[i].service].scheduler):
                service_note_ports(services, <uint16_t>i)
        for i in range(services.n_vips):
            vip_announce(&services.vips[i], now_ms)
        servers_ask(&self.w.tables, now_ms)
        self.sealed = True

    # ---- another configuration ----

    def may_adopt(self, Worker image) -> None:
        """ValueError when `adopt` could not be done."""
        cdef adoption_t adoption
        if image is self or not (self.sealed and image.sealed) or image.running:
            raise ValueError("expected another worker, sealed and not running")
        adoption.image = image.w
        self._call(call_may_adopt, &adoption)
        if adoption.refused is not NULL:
            raise ValueError(adoption.refused.decode())

    def adopt(self, Worker image, *, now_ns=None) -> None:
        """What there is, is as the image has it; whatever stays has the same index there, and goes on (ext/adopt.pxd).

        Limits of sessions, fragments and neighbours stay what they were. A server that stays is as `set_server` said
        last. Afterwards the image is good for nothing; ports that left are not read any more when this returns.
        """
        cdef adoption_t adoption
        self.may_adopt(image)
        adoption.image = image.w
        adoption.now_ms = self._now_ms(now_ns)
        self._call(call_adopt, &adoption)
        if image.pins is not None:
            self.pins = image.pins

    # ---- running ----

    def run(self) -> None:
        """Frames are forwarded until `stop`, not at all after it; call it in a thread of its own. Without the GIL."""
        # Under the lock: a call that another thread is doing by itself is over before the loop begins.
        with self.lock:
            if self.w.stopping:
                return
            self.running = True
        with nogil:
            run_loop(self.w)

    def stop(self) -> None:
        """No frame is forwarded any more, `run` returns soon or has yet to begin and will do nothing."""
        cdef uint64_t one = 1
        with self.lock:
            # Between two turns, as any call: whoever calls after this finds the tables at rest.
            self._do(call_stop, NULL)
            # The loop may have gone to sleep since.
            write(self.w.wake_fd, &one, sizeof(one))
            self.running = False

    def turn(self, now_ns) -> int:
        """One turn at that time, in this thread; how many frames moved. Not while `run` is running."""
        cdef uint64_t now = now_ns
        cdef int moved
        if self.running:
            raise RuntimeError("the worker is running")
        with nogil:
            moved = turn(self.w, now)
        return moved

    cdef int _call(self, call_fn fn, void *argument) except -1:
        """fn was run between two turns."""
        with self.lock:
            self._do(fn, argument)
        return 0

    cdef int _do(self, call_fn fn, void *argument) except -1:
        """The same for who holds the lock."""
        cdef uint64_t one = 1
        if not self.running:
            fn(self.w, argument)
            return 0
        self.w.call.fn = fn
        self.w.call.argument = argument
        store_release(&self.w.call.pending, 1)
        with nogil:
            write(self.w.wake_fd, &one, sizeof(one))
            # A signal may end the read; the loop may still be using the argument.
            while read(self.w.done_fd, &one, sizeof(one)) < 0:
                pass
        return 0

    cdef bytearray _copied(self, const void *source, size_t n):
        """n bytes of a table, in slices, each as it was between two turns."""
        cdef bytearray copy = bytearray(n)
        cdef char *target = copy
        cdef size_t at = 0
        cdef request_t request
        while at < n:
            request.source = <const uint8_t *>source + at
            request.target = <uint8_t *>target + at
            request.n = min(n - at, <size_t>SLICE)
            self._call(call_copy, &request)
            at += request.n
        return copy

    cdef uint32_t _now_ms(self, now_ns):
        return to_ms(clock_ns() if now_ns is None else now_ns)

    # ---- changing ----

    def set_server(self, index, *, ready, weight, share=SHARE_FULL, limit=0, lower=0, now_ns=None) -> None:
        """The server has these ready bits, this weight, and of it this share of SHARE_FULL; its service and VIP follow.

        With `limit` it takes no session while it has so many open, until it has fewer than `lower`.
        """
        cdef request_t request
        cdef server_t *server = &self.w.tables.services.servers[<uint16_t>index]
        request.index = index
        request.flags = ready
        request.other = weight
        request.share = share
        request.limit, request.lower = limit, lower
        request.now_ms = self._now_ms(now_ns)
        table_weight = server.table_weight
        self._call(call_set_server, &request)
        if server.table_weight != table_weight:
            for family in range(2):
                self._make_table(server.service, family, ())

    cdef int _make_table(self, uint16_t service, uint16_t family, like) except -1:
        """The group of the service for clients of that family has its table by the weights as they are, if it is maglev's."""
        cdef group_t *group = &self.w.tables.services.services[service].groups[family]
        cdef server_t *servers = self.w.tables.services.servers
        cdef services_t *others
        cdef Worker worker
        cdef uint16_t *table
        cdef int failed
        if group.kind != SCHEDULE_MAGLEV:
            return 0
        for worker in like:
            others = &worker.w.tables.services
            if service < others.n_services and maglev_copy(&table, group, servers, &others.services[service].groups[family],
                                                           others.servers):
                return self._swap_table(service, family, table, TABLE_LEN)
        # Weights change by calls of the control plane only, and so by nobody meanwhile.
        with nogil:
            failed = maglev_fill(&table, group, servers)
        if failed:
            raise MemoryError
        return self._swap_table(service, family, table, TABLE_LEN if table is not NULL else 0)

    cdef int _swap_table(self, uint16_t service, uint16_t family, uint16_t *table, size_t n) except -1:
        """The group has that table of n places, and the one it had is free."""
        cdef request_t request
        request.index, request.other = service, family
        request.target, request.n = <uint8_t *>table, n
        self._call(call_set_table, &request)
        free(request.target)
        return 0

    def set_table(self, service, family, servers) -> None:
        """New sessions of clients of the family (4 or 6) are for these servers, by index, in turn or by their hash.

        Only of a service whose scheduler is "table". Without any, servers take turns.
        """
        cdef group_t *group = &self.w.tables.services.services[<uint16_t>service].groups[V4 if family == 4 else V6]
        cdef server_t *all_servers = self.w.tables.services.servers
        cdef uint16_t *table = NULL
        cdef uint32_t i, index, n_servers = self.w.tables.services.n_servers
        cdef uint32_t n = len(servers)
        cdef int of = V4 if family == 4 else V6
        if group.kind != SCHEDULE_TABLE or n > TABLE_LEN:
            raise ValueError(f"expected a service with a table, and at most {TABLE_LEN} servers in it")
        if n:
            table = <uint16_t *>malloc(n * sizeof(uint16_t))
            if table is NULL:
                raise MemoryError
        try:
            for i in range(n):
                index = servers[i]
                if index >= n_servers or all_servers[index].service != service or all_servers[index].place[of] == NO_PLACE:
                    raise ValueError(f"server {index} serves no client of the service and the family")
                table[i] = all_servers[index].place[of]
        except:
            free(table)
            raise
        self._swap_table(service, of, table, n)

    def table(self, service, family) -> list[int]:
        """The server, by index, in each place of the table for clients of the family (4 or 6); none without a table."""
        cdef group_t *group = &self.w.tables.services.services[<uint16_t>service].groups[V4 if family == 4 else V6]
        cdef uint32_t i
        # It is replaced by calls of the control plane only.
        return [group.members[group.owners.table[i]] for i in range(group.owners.n_places)]

    def set_port(self, index, *, up, mtu) -> None:
        """The port is up or down and has that MTU."""
        cdef request_t request
        request.index = index
        request.flags = up
        request.mtu = mtu
        self._call(call_set_port, &request)

    def announce(self, segment, *, now_ns=None) -> None:
        """The VIPs of the segment are announced again, within 100 ms."""
        cdef request_t request
        request.index = segment
        request.now_ms = self._now_ms(now_ns)
        self._call(call_announce, &request)

    def flush_fdb(self, segment) -> int:
        """No station is known on the segment; how many were."""
        cdef request_t request
        request.index = segment
        self._call(call_flush_fdb, &request)
        return request.n

    def flush_neighbours(self, segment) -> int:
        """No neighbour is known on the segment; how many were."""
        cdef request_t request
        request.index = segment
        self._call(call_flush_neighbours, &request)
        return request.n

    def flush_sessions(self, *, service=None, server=None, now_ns=None) -> int:
        """Sessions of the service, or of the server, or all, are gone; how many."""
        cdef request_t request
        request.index = ANY if service is None else service
        request.other = ANY if server is None else server
        request.now_ms = self._now_ms(now_ns)
        self._call(call_flush_sessions, &request)
        return request.n

    # ---- looking ----

    def events(self) -> list[dict]:
        """What happened since the last call, oldest first, and how many more were lost in all."""
        cdef event_t event
        taken = []
        while event_take(&self.w.tables.events, &event):
            taken.append({"kind": EVENT_KINDS[event.kind], "segment": None if event.segment == NO_SEGMENT else event.segment,
                          "port": None if event.port == NO_PORT else event.port, "mac": mac_bytes(event.mac),
                          "ip": ip_bytes(event.ip), "at_ns": event.at_ns})
        return taken

    def drops(self) -> list[int]:
        """Frames dropped, by reason, in the order of drop_reasons()."""
        counts = [self.w.tables.drops[i] for i in range(N_DROPS)]
        counts[DROP_NEIGHBOUR_QUEUE] += self.w.tables.neighbours.overflows
        return counts

    def counters(self) -> dict[str, int]:
        """Figures of the loop and its tables that are not about one port, server or session."""
        cdef tables_t *tables = &self.w.tables
        return {"turns": self.w.turns, "sleeps": self.w.sleeps, "icmp_errors_limited": tables.icmp_limited,
                "events_lost": tables.events.lost, "sessions": tables.sessions[V4].n + tables.sessions[V6].n,
                "sessions_held": tables.sessions_open, "half_open": tables.half_open.n,
                "given_way": tables.half_open.given_way,
                "neighbours": tables.neighbours.n}

    def port(self, index) -> dict:
        """The port's state and counters; moves are stations that came to it from another port."""
        cdef port_t *port = &self.w.tables.ports[index]
        cdef uint32_t moves = 0
        if port.kind == PORT_PACKET:
            packet_count_missed(port)
        if port.segment != NO_SEGMENT:
            moves = self.w.tables.segments[port.segment].fdb.moves[port.index]
        return {"up": bool(port.up), "lost": bool(port.lost), "mtu": port.mtu, "rx_frames": port.rx_frames,
                "rx_bytes": port.rx_bytes, "rx_dropped": port.rx_dropped + port.missed, "tx_frames": port.tx_frames,
                "tx_bytes": port.tx_bytes, "tx_dropped": port.tx_dropped, "made": port.made,
                "io": io_of(&self.w.tables.ports[port.trunk] if port.vid else port), "moves": moves}

    def server(self, index) -> dict:
        """The server's counters; packets and bytes as seen from it: in is from clients. `full`: it has all it may have."""
        cdef server_t *server = &self.w.tables.services.servers[index]
        cdef evidence_t *evidence = &self.w.tables.services.evidence[index]
        return {"sessions_active": server.sessions_active, "sessions_inactive": server.sessions_inactive,
                "sessions_open": server.sessions_open, "full": (server.ready & SERVER_FULL) != 0,
                "sessions_total": server.sessions_total, "packets_in": server.packets[0],
                "packets_out": server.packets[1], "bytes_in": server.bytes[0], "bytes_out": server.bytes[1],
                "answered": evidence.answered, "repeated": evidence.repeated, "refused": evidence.refused,
                "unanswered": evidence.unanswered}

    def service(self, index) -> dict[str, int]:
        """The service's own counters; `refused` are packets that would have begun a session, and nobody could have it.

        `stateless` are SYNs that were forwarded without one, above the quota of half-open sessions.
        """
        cdef service_t *service = &self.w.tables.services.services[index]
        return {"refused": service.refused, "stateless": service.stateless}

    def wanted(self, index) -> dict[str, int]:
        """What `set_server` said last of the server, or `add_server` if that was the last."""
        cdef server_t *server = &self.w.tables.services.servers[index]
        return {"ready": server.ready & (SERVER_UP | SERVER_DRAIN | SERVER_MAINT), "weight": server.weight,
                "table_weight": server.table_weight, "share": server.share}

    def fdb(self, segment, *, now_ns=None) -> list[tuple[bytes, int, int, int]]:
        """(MAC, VLAN, port, age in ms) of every station known on the segment; VLAN 0 is none."""
        cdef segment_t *of = &self.w.tables.segments[segment]
        cdef bytearray copy = self._copied(of.fdb.entries, of.fdb.limit * sizeof(fdb_entry_t))
        cdef fdb_entry_t *entries = <fdb_entry_t *><char *>copy
        cdef uint32_t i, now_ms = self._now_ms(now_ns)
        return [(mac_bytes(entries[i].key & 0xFFFFFFFFFFFFULL), <uint16_t>(entries[i].key >> 48), entries[i].port,
                 <uint32_t>(now_ms - entries[i].seen_ms)) for i in range(of.fdb.limit) if entries[i].port != NO_PORT]

    def neighbours(self, *, now_ns=None) -> list[tuple[int, bytes, bytes, str, int]]:
        """(segment, address, MAC, state, ms since its last sign of life) of every neighbour."""
        cdef neighbours_t *table = &self.w.tables.neighbours
        cdef uint32_t i, high = table.high
        cdef bytearray copy = self._copied(table.entries, high * sizeof(neighbour_t))
        cdef neighbour_t *entries = <neighbour_t *><char *>copy
        # After the copy: nothing in it is younger than now.
        cdef uint32_t now_ms = self._now_ms(now_ns)
        return [(entries[i].segment, ip_bytes(entries[i].ip), mac_bytes(entries[i].mac),
                 NEIGHBOUR_STATES[entries[i].state], <uint32_t>(now_ms - entries[i].alive_ms))
                for i in range(high) if entries[i].state != N_FREE]

    def neighbour_state(self, segment, bytes ip) -> str:
        """One of NEIGHBOUR_STATES; FREE when it is not known."""
        cdef ip_t address = ip_from(ip)
        cdef request_t request
        request.index = segment
        request.source = <const uint8_t *>&address
        self._call(call_find_neighbour, &request)
        return NEIGHBOUR_STATES[request.n]

    def session_slices(self, *, client=None, service=None, server=None, state=None, protocol=None, now_ns=None):
        """(protocol, client, client port, VIP port, server index, server port, state, age, idle, time left in ms,
        packets in, packets out, bytes in, bytes out, source address or None, source port) of every session, in lists that
        each were so between two turns; some are empty.

        Only of sessions of which all is true that is given: `client`, of that network (address, prefix_len of 128 bits);
        `service` and `server`, of that index; `state`, one of session_states(); `protocol`, its number.
        A session that comes or goes while they are taken may or may not be there.
        """
        cdef listing_t listing
        cdef bytearray rows = bytearray(ROWS * sizeof(row_t))
        cdef char *target = rows
        filter_set(&listing.filter, client, service, server, state, protocol)
        for family in (V4, V6):
            if listing.filter.family not in (family, ANY_FAMILY):
                continue
            listing.family, listing.at, listing.end = family, 0, 1
            while listing.at < listing.end:
                listing.target = <uint8_t *>target
                self._call(call_list_sessions, &listing)
                yield self._session_rows(<const row_t *>target, listing.n, now_ns)

    def sessions(self, *, now_ns=None) -> list[tuple]:
        """The same as one list."""
        return [row for rows in self.session_slices(now_ns=now_ns) for row in rows]

    cdef list _session_rows(self, const row_t *rows, uint32_t n, now_ns):
        cdef services_t *services = &self.w.tables.services
        cdef uint32_t i
        cdef const session_t *s
        cdef const account_t *a
        # After the copy: nothing in it is younger than now.
        cdef uint32_t now_ms = self._now_ms(now_ns)
        listed = []
        for i in range(n):
            s, a = &rows[i].session, &rows[i].account
            if session_expired(services, s, now_ms):
                continue
            source = ip_bytes(self.w.tables.sources.sources[a.source - 1].ip) if a.source else None
            listed.append((s.protocol, ip_bytes(rows[i].client), ntohs(s.client_port), ntohs(s.vip_port), s.server,
                           ntohs(session_server_port(s, &services.servers[s.server])), state_names[told_state(s.state)].decode(),
                           <uint32_t>(now_ms - a.created_ms), <uint32_t>(now_ms - s.seen_ms),
                           session_timeout_ms(services, s) - <uint32_t>(now_ms - s.seen_ms),
                           a.packets[0], a.packets[1], bytes_of(a.bytes[0]), bytes_of(a.bytes[1]),
                           source, ntohs(a.source_port)))
        return listed

    def persistence_slices(self, *, now_ns=None):
        """(service index, client as masked, server index, ms since it was used, ms left or None, sessions) of every client
        that would come back to its server, in lists that take little time each. Of all workers that share the table.

        None is left while sessions of the client's are there.
        """
        cdef uint32_t at = 0
        while self.persists is not None and at < self.persists.table.n_buckets and len(self.persists):
            yield self.persists._rows(&self.w.tables.services, &at, now_ns)

    def flows(self, *, now_ns=None) -> list[tuple]:
        """The rows of flow_slices as one list."""
        return [row for rows in self.flow_slices(now_ns=now_ns) for row in rows]

    def flow_slices(self, *, client=None, service=None, server=None, state=None, protocol=None, now_ns=None):
        """(protocol, host, host's port, peer, peer's port, state, age, idle, time left in ms, packets and bytes out and in,
        source or None, source port) of what crosses the borders of segments that masquerade, as session_slices has them.

        Out is the direction of who began it: the host, or the peer where there is no source. That is the client.
        """
        cdef listing_t listing
        cdef bytearray rows = bytearray(ROWS * sizeof(flow_t))
        cdef char *target = rows
        filter_set(&listing.filter, client, service, server, state, protocol)
        listing.at, listing.end = 0, 1
        while listing.at < listing.end:
            listing.target = <uint8_t *>target
            self._call(call_list_flows, &listing)
            yield self._flow_rows(<const flow_t *>target, listing.n, now_ns)

    cdef list _flow_rows(self, const flow_t *flows, uint32_t n, now_ns):
        cdef flows_t *table = &self.w.tables.flows
        cdef uint32_t i
        cdef const flow_t *f
        # After the copy: nothing in it is younger than now.
        cdef uint32_t now_ms = self._now_ms(now_ns)
        rows = []
        for i in range(n):
            f = &flows[i]
            if flow_expired(table, f, now_ms):
                continue
            source = ip_bytes(self.w.tables.sources.sources[f.source - 1].ip) if f.source else None
            rows.append((f.ends.protocol, ip_bytes(f.ends.inside), ntohs(f.ends.inside_port), ip_bytes(f.ends.peer),
                         ntohs(f.ends.peer_port), state_names[told_state(f.state)].decode(), <uint32_t>(now_ms - f.created_ms),
                         <uint32_t>(now_ms - f.seen_ms), flow_timeout_ms(table, f) - <uint32_t>(now_ms - f.seen_ms),
                         f.packets[0], f.packets[1], bytes_of(f.bytes[0]), bytes_of(f.bytes[1]),
                         source, ntohs(f.source_port)))
        return rows

    def decisions(self) -> list[dict]:
        """The last choices of a server for a new session, oldest first; `server` and `named` are indices.

        Those of servers whose index another has now are left out.
        """
        cdef bytearray copy = self._copied(&self.w.tables.decisions, sizeof(decisions_t))
        cdef const decisions_t *all = <const decisions_t *><char *>copy
        cdef uint32_t n = min(all.written, <uint32_t>DECISIONS)
        return [_decision(&all.ring[(all.written - n + i) % DECISIONS]) for i in range(n)
                if all.ring[(all.written - n + i) % DECISIONS].server != NOBODY]

    # ---- memory ports ----

    def put(self, index, bytes frame, bytes vnet=bytes(VNET_LEN)) -> bool:
        """The frame waits at the memory port to be received by the next turn; False when the port is full."""
        cdef port_t *port = &self.w.tables.ports[index]
        if port.kind != PORT_MEMORY or len(vnet) != VNET_LEN or len(frame) > FRAME_LEN:
            raise ValueError("expected a memory port, a 10-byte offload header and a frame of at most 65846 bytes")
        return memory_put(port, <const uint8_t *>PyBytes_AS_STRING(vnet), <const uint8_t *>PyBytes_AS_STRING(frame),
                          len(frame))

    def take(self, index) -> list[tuple[bytes, bytes]]:
        """(offload header, frame) of every frame that left by the memory port since the last call."""
        cdef port_t *port = &self.w.tables.ports[index]
        cdef char *at = <char *>port.memory.outgoing
        cdef char *end = at + port.memory.outgoing_len
        frames = []
        while at < end:
            n = load32(at)
            frames.append((at[4:4 + VNET_LEN], at[RECORD_LEN:RECORD_LEN + n]))
            at += RECORD_LEN + n
        port.memory.outgoing_len = 0
        return frames

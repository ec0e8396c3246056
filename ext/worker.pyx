# cython: freethreading_compatible=True
"""swlb._worker: one forwarding loop and the doors to its tables.

A Worker is built once (`add_...`, then `seal`), then either runs in a thread of its own (`run`) or is turned by hand
with a time that the caller chooses (`turn`), as tests do. After `seal` every door works in both cases: while the
worker runs it does what the door asks between two turns. Addresses cross as 16 bytes (IPv4 as ::ffff:a.b.c.d),
MACs as 6, times as nanoseconds of the monotonic clock unless the name says otherwise.
"""

import os
import threading

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.unistd cimport read, write

from ext.address cimport ip_is_v4, ip_load, ip_store, ip_t
from ext.forward.icmp cimport ERROR_COST
from ext.frame cimport NO_PORT, NO_SEGMENT, SLOT_LEN, TAIL_LEN, VNET_LEN
from ext.hash cimport hash_ip, key_t
from ext.loop cimport call_fn, clock_ns, run_loop, to_ms, turn, worker_t
from ext.order cimport htons, load32, ntohs
from ext.ports.memory cimport RECORD_LEN, memory_close, memory_open, memory_put
from ext.ports.port cimport BURST, PORT_MEMORY, PORTS, port_t
from ext.ports.tap cimport tap_open
from ext.sync cimport store_release
from ext.tables.event cimport event_t, event_take
from ext.tables.fdb cimport FDB_PORTS, fdb_entry_t, fdb_forget_port, fdb_free, fdb_init
from ext.tables.fragment cimport fragments_free, fragments_init
from ext.tables.neighbour cimport (N_FREE, neighbour_remove, neighbour_t, neighbours_free, neighbours_init,
                                   neighbours_t)
from ext.tables.route cimport address_t, route_add, route_t, routes_free, routes_init, routes_t
from ext.tables.segment cimport segment_t
from ext.tables.service cimport (SERVICE_NONE, V4, V6, VIP_BUCKETS, match_t, server_t, service_recount, service_t,
                                 services_free, services_init, services_t, vip_announce, vip_find, vip_t)
from ext.tables.session cimport (session_at, session_client, session_expired, session_remove, session_server_port,
                                 session_t, session_timeout_ms, sessions_free, sessions_init, sessions_t)
from ext.tables.state cimport S_NONE, state_names
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_NEIGHBOUR_QUEUE, N_DROPS, drop_meanings, drop_names

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags)
    int EFD_CLOEXEC

cdef enum:
    SLICE = 65536              # bytes copied between two turns, so that no frame waits for a long list
    ANY = 0xFFFF

NEIGHBOUR_STATES = ("FREE", "INCOMPLETE", "REACHABLE", "STALE", "PROBE", "FAILED")
EVENT_KINDS = ("port_lost", "mac_moved", "address_conflict", "vip_conflict", "table_full", "neighbour_lost")


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


cdef ip_t prefix_mask(object prefix_len):
    """The mask of a prefix of so many of 128 bits."""
    return ip_from(((1 << 128) - (1 << (128 - prefix_len))).to_bytes(16, "big"))


# What a call that the loop runs between two turns is given, and what it leaves in n.
cdef struct request_t:
    const uint8_t *source
    uint8_t *target
    size_t n
    uint16_t index
    uint16_t other
    uint16_t flags
    uint32_t mtu
    uint32_t now_ms


cdef void call_copy(worker_t *worker, void *argument) noexcept nogil:
    """n bytes of a table, as they are between two turns."""
    cdef request_t *request = <request_t *>argument
    memcpy(request.target, request.source, request.n)


cdef void call_set_server(worker_t *worker, void *argument) noexcept nogil:
    """Server `index` has the ready bits `flags` and the weight `other`."""
    cdef request_t *request = <request_t *>argument
    cdef services_t *services = &worker.tables.services
    cdef server_t *server = &services.servers[request.index]
    server.ready = <uint8_t>request.flags
    server.weight = request.other
    service_recount(services, &services.services[server.service], server.family, request.now_ms)


cdef void call_set_port(worker_t *worker, void *argument) noexcept nogil:
    """Port `index` is up or not (flags) and has that MTU; stations behind one that went down are forgotten."""
    cdef request_t *request = <request_t *>argument
    cdef port_t *port = &worker.tables.ports[request.index]
    cdef segment_t *segment = &worker.tables.segments[port.segment]
    cdef uint32_t i
    port.up = request.flags != 0
    port.mtu = request.mtu
    if not port.up:
        fdb_forget_port(&segment.fdb, port.index)
    segment.mtu = port.mtu
    for i in range(segment.n_ports):
        segment.mtu = min(segment.mtu, worker.tables.ports[segment.ports[i]].mtu)


cdef void call_announce(worker_t *worker, void *argument) noexcept nogil:
    """The VIPs of segment `index` are announced again."""
    cdef request_t *request = <request_t *>argument
    cdef uint32_t i
    for i in range(worker.tables.services.n_vips):
        if worker.tables.services.vips[i].segment == request.index:
            vip_announce(&worker.tables.services.vips[i], request.now_ms)


cdef void call_flush_fdb(worker_t *worker, void *argument) noexcept nogil:
    """No station is known on segment `index`; how many were."""
    cdef request_t *request = <request_t *>argument
    cdef uint32_t port
    request.n = worker.tables.segments[request.index].fdb.n
    for port in range(<uint32_t>FDB_PORTS):
        fdb_forget_port(&worker.tables.segments[request.index].fdb, port)


cdef void call_flush_neighbours(worker_t *worker, void *argument) noexcept nogil:
    """No neighbour is known on segment `index`; how many were."""
    cdef request_t *request = <request_t *>argument
    cdef neighbour_t *entry
    cdef uint32_t i
    request.n = 0
    for i in range(worker.tables.neighbours.limit):
        entry = &worker.tables.neighbours.entries[i]
        if entry.state != N_FREE and entry.segment == request.index:
            neighbour_remove(&worker.tables.neighbours, entry)
            request.n += 1


cdef void call_flush_sessions(worker_t *worker, void *argument) noexcept nogil:
    """Sessions of service `index` (ANY: of all) with server `other` (ANY: with any) are gone; how many."""
    cdef request_t *request = <request_t *>argument
    cdef services_t *services = &worker.tables.services
    cdef session_t *session
    cdef uint32_t i
    cdef int family
    request.n = 0
    for family in range(2):
        for i in range(worker.tables.sessions[family].high):
            session = session_at(&worker.tables.sessions[family], i)
            if (session.state != S_NONE and (request.other == ANY or request.other == session.server)
                    and (request.index == ANY or request.index == services.servers[session.server].service)):
                session_remove(&worker.tables.sessions[family], services, session)
                request.n += 1


cdef class Worker:
    """A forwarding loop with its ports, segments, services and tables."""

    cdef worker_t *w
    cdef object lock           # one call at a time
    cdef bint sealed
    cdef bint running
    cdef uint32_t sessions_limit
    cdef uint32_t fragments_limit
    cdef key_t key

    def __cinit__(self, *, sessions=1000000, fragments=4096, neighbours=8192, icmp_errors=1000, neighbour_ns=60 * 10**9,
                  fragment_ns=30 * 10**9, n_segments=1, n_addresses=0, n_routes=0, n_services=0, n_servers=0):
        """Room for so many of everything; `sessions` over both families; `icmp_errors` a second."""
        cdef tables_t *tables
        self.lock = threading.Lock()
        self.w = <worker_t *>calloc(1, sizeof(worker_t))
        if self.w is NULL:
            raise MemoryError
        self.w.wake_fd = eventfd(0, EFD_CLOEXEC)
        self.w.done_fd = eventfd(0, EFD_CLOEXEC)
        self.key.a = int.from_bytes(os.urandom(8), "little")
        self.key.b = int.from_bytes(os.urandom(8), "little")
        tables = &self.w.tables
        tables.segments = <segment_t *>calloc(n_segments, sizeof(segment_t))
        tables.ports = <port_t *>calloc(PORTS, sizeof(port_t))
        self.w.room.slots = <uint8_t *>calloc(BURST + 1, SLOT_LEN)
        self.w.room.tail = <uint8_t *>calloc(1, TAIL_LEN)
        if tables.segments is NULL or tables.ports is NULL or self.w.room.slots is NULL or self.w.room.tail is NULL:
            raise MemoryError
        self.w.spare.data = self.w.room.slots + BURST * SLOT_LEN + VNET_LEN
        if (routes_init(&tables.routes, n_addresses, n_addresses + n_routes) < 0
                or services_init(&tables.services, n_services, n_servers, self.key) < 0
                or neighbours_init(&tables.neighbours, neighbours, neighbour_ns // 10**6, self.key) < 0
                or fragments_init(&tables.fragments, fragments, self.key) < 0
                or sessions_init(&tables.sessions[V4], V4, sessions, self.key) < 0
                or sessions_init(&tables.sessions[V6], V6, sessions, self.key) < 0):
            raise MemoryError
        tables.sessions_limit = sessions
        tables.fragment_ms = fragment_ns // 10**6
        tables.icmp_rate = icmp_errors
        tables.icmp_tokens = <uint64_t>icmp_errors * ERROR_COST
        tables.icmp_filled_ms = to_ms(clock_ns())

    def __dealloc__(self):
        cdef uint32_t i
        if self.w is NULL:
            return
        for i in range(self.w.tables.n_segments):
            fdb_free(&self.w.tables.segments[i].fdb)
        for i in range(self.w.tables.n_ports):
            memory_close(&self.w.tables.ports[i])
        routes_free(&self.w.tables.routes)
        services_free(&self.w.tables.services)
        neighbours_free(&self.w.tables.neighbours)
        fragments_free(&self.w.tables.fragments)
        sessions_free(&self.w.tables.sessions[V4])
        sessions_free(&self.w.tables.sessions[V6])
        free(self.w.tables.segments)
        free(self.w.tables.ports)
        free(self.w.room.slots)
        free(self.w.room.tail)
        os.close(self.w.wake_fd)
        os.close(self.w.done_fd)
        free(self.w)

    @property
    def address(self) -> int:
        """Where the worker lies in memory, for swlb._testing; 0 is never it."""
        return <uintptr_t>self.w

    # ---- building, before seal ----

    cdef int _unsealed(self) except -1:
        if self.sealed:
            raise RuntimeError("the worker is sealed")
        return 0

    def add_segment(self, *, bytes mac, ageing_ns=300 * 10**9, fdb_limit=8192) -> int:
        """A segment with that MAC of its own and an empty FDB; its index."""
        cdef uint32_t index = self.w.tables.n_segments
        cdef segment_t *segment = &self.w.tables.segments[index]
        self._unsealed()
        if fdb_init(&segment.fdb, fdb_limit, ageing_ns // 10**6, self.key) < 0:
            raise MemoryError
        segment.mac = mac_from(mac)
        segment.host_port = NO_PORT
        segment.mtu = 65535
        self.w.tables.n_segments += 1
        return index

    def add_port(self, segment, *, fd=None, mtu=1500, host=False, up=True) -> int:
        """A port of the segment: the TAP behind fd (which stays the caller's to close), or of memory; its index."""
        cdef uint32_t index = self.w.tables.n_ports
        cdef port_t *port = &self.w.tables.ports[index]
        cdef segment_t *of = &self.w.tables.segments[segment]
        self._unsealed()
        if index >= PORTS:
            raise ValueError(f"more than {PORTS} ports")
        port.index = index
        port.segment = segment
        port.host = host
        port.up = up
        port.mtu = mtu
        if fd is not None:
            tap_open(port, fd)
        elif memory_open(port) < 0:
            raise MemoryError
        of.ports[of.n_ports] = index
        of.n_ports += 1
        of.mtu = min(of.mtu, port.mtu)
        if host:
            of.host_port = index
        self.w.tables.n_ports += 1
        return index

    def add_address(self, segment, bytes ip, prefix_len) -> None:
        """An address of swlb's own on the segment (prefix_len of 128 bits), and the network around it."""
        cdef routes_t *routes = &self.w.tables.routes
        cdef address_t *address = &routes.addresses[routes.n_addresses]
        cdef route_t route
        cdef ip_t mask = prefix_mask(prefix_len)
        self._unsealed()
        memset(&route, 0, sizeof(route))
        address.ip = address.broadcast = ip_from(ip)
        address.segment = segment
        if ip_is_v4(address.ip) and prefix_len < 127:
            address.broadcast.lo |= ~mask.lo
        route.mask = mask
        route.network.hi = address.ip.hi & mask.hi
        route.network.lo = address.ip.lo & mask.lo
        route.segment = segment
        route.prefix_len = prefix_len
        route.connected = True
        routes.n_addresses += 1
        route_add(routes, route)
        self.w.tables.segments[segment].routed = True

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

    def add_service(self, *, vips, protocol, l4_first, l4_last, refuse, orphans, on_down, timeouts_ns) -> int:
        """A service at `vips`: (address, segment or None) each; timeouts_ns by state, N_STATES of them; its index."""
        cdef services_t *services = &self.w.tables.services
        cdef uint32_t index = services.n_services
        cdef service_t *service = &services.services[index]
        cdef int i, family
        self._unsealed()
        service.protocol = protocol
        service.refuse = refuse
        service.orphans = orphans
        service.on_down = on_down
        service.vip_index[V4] = service.vip_index[V6] = SERVICE_NONE
        for i, timeout in enumerate(timeouts_ns):
            service.timeout_ms[i] = timeout // 10**6
        for address, segment in vips:
            family = V4 if ip_is_v4(ip_from(address)) else V6
            service.vip[family] = ip_from(address)
            service.vip_index[family] = self._vip(ip_from(address), NO_SEGMENT if segment is None else segment)
            self._match(service.vip_index[family], index, protocol, l4_first, l4_last)
        services.n_services += 1
        return index

    cdef uint16_t _vip(self, ip_t ip, uint16_t segment):
        """The index of the VIP, made if it is new."""
        cdef services_t *services = &self.w.tables.services
        cdef vip_t *vip = vip_find(services, ip)
        cdef uint16_t *bucket
        if vip is NULL:
            bucket = &services.buckets[hash_ip(services.key, ip, 0) & (VIP_BUCKETS - 1)]
            vip = &services.vips[services.n_vips]
            vip.ip = ip
            vip.segment = segment
            vip.first_match = SERVICE_NONE
            vip.next = bucket[0]
            bucket[0] = services.n_vips
            services.n_vips += 1
        return <uint16_t>(vip - services.vips)

    cdef void _match(self, uint16_t vip, uint16_t service, uint8_t protocol, uint16_t first, uint16_t last):
        """Those ports of the VIP are the service's."""
        cdef services_t *services = &self.w.tables.services
        cdef match_t *match = &services.matches[services.n_matches]
        match.service = service
        match.protocol = protocol
        match.l4_first = first
        match.l4_last = last
        match.next = services.vips[vip].first_match
        services.vips[vip].first_match = services.n_matches
        services.n_matches += 1

    def add_server(self, service, *, bytes ip, l4_port, weight, ready) -> int:
        """A server of the service added last; l4_port 0 keeps the client's; IPv4 servers before IPv6; its index."""
        cdef services_t *services = &self.w.tables.services
        cdef uint32_t index = services.n_servers
        cdef server_t *server = &services.servers[index]
        cdef service_t *of = &services.services[service]
        self._unsealed()
        if service != services.n_services - 1:
            raise ValueError("servers are added right after their service")
        server.ip = ip_from(ip)
        server.family = V4 if ip_is_v4(server.ip) else V6
        if server.family == V4 and of.n_servers[V6]:
            raise ValueError("IPv4 servers are added before IPv6 ones")
        server.l4_port = htons(l4_port)
        server.service = service
        server.weight = weight
        server.ready = ready
        if of.n_servers[server.family] == 0:
            if server.family == V4:
                of.first = index
            else:
                of.first_v6 = index
        of.n_servers[server.family] += 1
        # The choice begins behind the cursor, so the first server is the first chosen.
        of.cursor[server.family] = of.n_servers[server.family] - 1
        services.n_servers += 1
        return index

    def seal(self, *, now_ns=None) -> None:
        """Building is over: every VIP knows whether it is active, and is announced."""
        cdef services_t *services = &self.w.tables.services
        cdef uint32_t i, now_ms = to_ms(clock_ns() if now_ns is None else now_ns)
        cdef int family
        self._unsealed()
        for i in range(services.n_services):
            for family in range(2):
                service_recount(services, &services.services[i], family, now_ms)
        for i in range(services.n_vips):
            vip_announce(&services.vips[i], now_ms)
        self.sealed = True

    # ---- running ----

    def run(self) -> None:
        """Frames are forwarded until `stop`; call it in a thread of its own. Without the GIL."""
        self.running = True
        with nogil:
            run_loop(self.w)

    def stop(self) -> None:
        """`run` returns soon."""
        cdef uint64_t one = 1
        with self.lock:
            store_release(&self.w.stopping, 1)
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

    cdef int _call(self, call_fn fn, request_t *request) except -1:
        """fn was run between two turns."""
        cdef uint64_t one = 1
        with self.lock:
            if not self.running:
                fn(self.w, request)
                return 0
            self.w.call.fn = fn
            self.w.call.argument = request
            store_release(&self.w.call.pending, 1)
            with nogil:
                write(self.w.wake_fd, &one, sizeof(one))
                read(self.w.done_fd, &one, sizeof(one))
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

    def set_server(self, index, *, ready, weight, now_ns=None) -> None:
        """The server has these ready bits and this weight; its service and VIP follow."""
        cdef request_t request
        request.index = index
        request.flags = ready
        request.other = weight
        request.now_ms = self._now_ms(now_ns)
        self._call(call_set_server, &request)

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

    def flush_sessions(self, *, service=None, server=None) -> int:
        """Sessions of the service, or of the server, or all, are gone; how many."""
        cdef request_t request
        request.index = ANY if service is None else service
        request.other = ANY if server is None else server
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
                "neighbours": tables.neighbours.n}

    def port(self, index) -> dict:
        """The port's state and counters."""
        cdef port_t *port = &self.w.tables.ports[index]
        return {"up": bool(port.up), "lost": bool(port.lost), "mtu": port.mtu, "rx_frames": port.rx_frames,
                "rx_bytes": port.rx_bytes, "rx_dropped": port.rx_dropped, "tx_frames": port.tx_frames,
                "tx_bytes": port.tx_bytes, "tx_dropped": port.tx_dropped}

    def server(self, index) -> dict:
        """The server's counters; packets and bytes as seen from it: in is from clients."""
        cdef server_t *server = &self.w.tables.services.servers[index]
        return {"sessions_active": server.sessions_active, "sessions_inactive": server.sessions_inactive,
                "sessions_total": server.sessions_total, "packets_in": server.packets[0],
                "packets_out": server.packets[1], "bytes_in": server.bytes[0], "bytes_out": server.bytes[1]}

    def fdb(self, segment, *, now_ns=None) -> list[tuple[bytes, int, int, int]]:
        """(MAC, VLAN, port, age in ms) of every station known on the segment; VLAN 0 is none."""
        cdef segment_t *of = &self.w.tables.segments[segment]
        cdef bytearray copy = self._copied(of.fdb.entries, of.fdb.limit * sizeof(fdb_entry_t))
        cdef fdb_entry_t *entries = <fdb_entry_t *><char *>copy
        cdef uint32_t i, now_ms = self._now_ms(now_ns)
        return [(mac_bytes(entries[i].key & 0xFFFFFFFFFFFFULL), <uint16_t>(entries[i].key >> 48), entries[i].port,
                 <uint32_t>(now_ms - entries[i].seen_ms)) for i in range(of.fdb.limit) if entries[i].port != NO_PORT]

    def fdb_moves(self, segment) -> int:
        """How often a station on the segment has changed its port."""
        return self.w.tables.segments[segment].fdb.moves

    def neighbours(self, *, now_ns=None) -> list[tuple[int, bytes, bytes, str, int]]:
        """(segment, address, MAC, state, ms since its last sign of life) of every neighbour."""
        cdef neighbours_t *table = &self.w.tables.neighbours
        cdef bytearray copy = self._copied(table.entries, table.limit * sizeof(neighbour_t))
        cdef neighbour_t *entries = <neighbour_t *><char *>copy
        cdef uint32_t i, now_ms = self._now_ms(now_ns)
        return [(entries[i].segment, ip_bytes(entries[i].ip), mac_bytes(entries[i].mac),
                 NEIGHBOUR_STATES[entries[i].state], <uint32_t>(now_ms - entries[i].alive_ms))
                for i in range(table.limit) if entries[i].state != N_FREE]

    def sessions(self, *, now_ns=None) -> list[tuple]:
        """(protocol, client, client port, VIP port, server index, server port, state, age, idle, time left in ms,
        packets in, packets out, bytes in, bytes out) of every session."""
        cdef uint32_t now_ms = self._now_ms(now_ns)
        return self._sessions(V4, now_ms) + self._sessions(V6, now_ms)

    cdef list _sessions(self, int family, uint32_t now_ms):
        cdef sessions_t *table = &self.w.tables.sessions[family]
        cdef services_t *services = &self.w.tables.services
        cdef uint32_t i, high = table.high
        cdef bytearray copy = self._copied(table.entries, <size_t>high * table.stride + sizeof(session_t))
        cdef char *entries = copy
        cdef session_t *s
        rows = []
        for i in range(high):
            s = <session_t *>(entries + <size_t>i * table.stride)
            if s.state == S_NONE or session_expired(services, s, now_ms):
                continue
            rows.append((s.protocol, ip_bytes(session_client(table, s)), ntohs(s.client_port), ntohs(s.vip_port), s.server,
                         ntohs(session_server_port(s, &services.servers[s.server])), state_names[s.state].decode(),
                         <uint32_t>(now_ms - s.created_ms), <uint32_t>(now_ms - s.seen_ms),
                         session_timeout_ms(services, s) - <uint32_t>(now_ms - s.seen_ms),
                         s.packets[0], s.packets[1], s.bytes[0], s.bytes[1]))
        return rows

    # ---- memory ports ----

    def put(self, index, bytes frame, bytes vnet=bytes(VNET_LEN)) -> bool:
        """The frame waits at the memory port to be received by the next turn; False when the port is full."""
        cdef port_t *port = &self.w.tables.ports[index]
        if port.kind != PORT_MEMORY or len(vnet) != VNET_LEN or len(frame) > TAIL_LEN:
            raise ValueError("expected a memory port, a 10-byte offload header and a frame of at most 66048 bytes")
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

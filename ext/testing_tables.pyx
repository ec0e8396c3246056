# cython: freethreading_compatible=True
"""swlb._testing_tables: the worker's tables one by one, for tests that compare each with a dict; and sizes. Not in wheels.

Methods have the names of the functions they call, without the table's. `audit()` is None, or says what is broken.
Addresses are 16 bytes, MACs 6, times in milliseconds modulo 2^32. Sessions and services are in testing_sessions.pyx.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.address cimport ip_load, ip_store, ip_t
from ext.frame cimport NO_PORT, SLOT_LEN, VNET_LEN, frame_t
from ext.hash cimport key_t
from ext.tables cimport audit, event, fdb, neighbour, route, waiting
from ext.tables.server cimport server_t
from ext.tables.persist cimport persist_t, persists_bucket_t
from ext.tables.session cimport account_t, bucket_t, session_t
from ext.wire cimport arp, ethernet, icmp, ipv4, ipv6, nd
from ext.wire.ethernet cimport mac_load
from ext.wire.gue cimport gue_hdr
from ext.wire.tcp cimport tcp_hdr
from ext.wire.udp cimport udp_hdr
from ext.wire.vnet cimport vnet_hdr


cdef const uint8_t *raw(bytes data):
    return <const uint8_t *>PyBytes_AS_STRING(data)


cdef bytes ip_bytes(ip_t ip):
    cdef uint8_t out[16]
    ip_store(out, ip)
    return PyBytes_FromStringAndSize(<char *>out, 16)


cdef ip_t ip_from(bytes data):
    if len(data) != 16:
        raise ValueError("an address is 16 bytes")
    return ip_load(raw(data))


cdef key_t key_from(tuple pair):
    cdef key_t key
    key.a, key.b = pair
    return key


cdef object said(const char *wrong):
    return None if wrong is NULL else wrong.decode()


cdef class Fdb:
    cdef fdb.fdb_t table

    def __cinit__(self, uint32_t limit, uint32_t ageing_ms, tuple key=(1, 2)):
        if fdb.fdb_init(&self.table, limit, ageing_ms, key_from(key)) < 0:
            raise MemoryError

    def __dealloc__(self):
        fdb.fdb_free(&self.table)

    def learn(self, bytes mac, uint16_t vid, uint16_t port, uint32_t now_ms) -> str:
        """known, new or moved."""
        return ("known", "new", "moved")[fdb.fdb_learn(&self.table, mac_load(raw(mac)), vid, port, now_ms)]

    def lookup(self, bytes mac, uint16_t vid, uint32_t now_ms) -> int | None:
        port = fdb.fdb_lookup(&self.table, mac_load(raw(mac)), vid, now_ms)
        return None if port == NO_PORT else port

    def remove(self, bytes mac, uint16_t vid) -> bool:
        cdef uint32_t i = fdb.fdb_find(&self.table, fdb.fdb_key(mac_load(raw(mac)), vid))
        if i != <uint32_t>fdb.FDB_NONE:
            fdb.fdb_remove(&self.table, i)
        return i != <uint32_t>fdb.FDB_NONE

    def age(self, uint32_t now_ms): fdb.fdb_age(&self.table, now_ms)
    def forget_port(self, uint16_t port): fdb.fdb_forget_port(&self.table, port)
    def audit(self): return said(audit.fdb_audit(&self.table))
    def n_of(self, uint16_t port): return self.table.n_of[port]
    def __len__(self): return self.table.n

    @property
    def moves(self): return [self.table.moves[port] for port in range(fdb.FDB_PORTS)]

    @property
    def evictions(self): return self.table.evictions


cdef class Neighbours:
    cdef neighbour.neighbours_t table
    cdef uint8_t *slot

    def __cinit__(self, uint32_t limit, uint32_t silent_ms=60000, tuple key=(1, 2)):
        self.slot = <uint8_t *>calloc(1, SLOT_LEN)
        if self.slot is NULL or neighbour.neighbours_init(&self.table, limit, silent_ms, key_from(key)) < 0:
            raise MemoryError

    def __dealloc__(self):
        neighbour.neighbours_free(&self.table)
        free(self.slot)

    cdef neighbour.neighbour_t *at(self, uint16_t segment, bytes ip):
        return neighbour.neighbour_find(&self.table, segment, ip_from(ip))

    def find(self, uint16_t segment, bytes ip) -> tuple | None:
        """(MAC as an integer, state, frames that wait), or None."""
        entry = self.at(segment, ip)
        return None if entry is NULL else (entry.mac, entry.state, entry.waiting.n)

    def create(self, uint16_t segment, bytes ip, uint32_t now_ms) -> bool:
        return neighbour.neighbour_create(&self.table, segment, ip_from(ip), now_ms) is not NULL

    def alive(self, uint16_t segment, bytes ip, bytes mac, uint32_t now_ms) -> bool:
        entry = self.at(segment, ip)
        if entry is not NULL:
            neighbour.neighbour_alive(&self.table, entry, mac_load(raw(mac)), now_ms)
        return entry is not NULL

    def remove(self, uint16_t segment, bytes ip) -> bool:
        entry = self.at(segment, ip)
        if entry is not NULL:
            neighbour.neighbour_remove(&self.table, entry)
        return entry is not NULL

    def wait(self, uint16_t segment, bytes ip, uint32_t number) -> bool:
        """A frame that carries the number waits."""
        cdef frame_t frame
        memset(&frame, 0, sizeof(frame))
        frame.data = self.slot + VNET_LEN
        frame.len = 60
        frame.fragment_id = number
        return bool(neighbour.neighbour_wait(&self.table, self.at(segment, ip), &frame))

    def next(self) -> int | None:
        """The number of the next frame that is ready to go; its place is free again."""
        cdef uint32_t place = waiting.queue_take(&self.table.waiting, &self.table.waiting.ready)
        if not place:
            return None
        number = waiting.waiting_frame(&self.table.waiting, place).fragment_id
        waiting.waiting_free(&self.table.waiting, place)
        return number

    def held(self): return self.table.waiting.n
    def audit(self): return said(audit.neighbours_audit(&self.table))
    def __len__(self): return self.table.n

    @property
    def overflows(self): return self.table.overflows


cdef class Routes:
    cdef route.routes_t table

    def __cinit__(self, uint32_t n_addresses, uint32_t n_routes):
        if route.routes_init(&self.table, n_addresses, n_routes) < 0:
            raise MemoryError

    def __dealloc__(self):
        route.routes_free(&self.table)

    def add_address(self, bytes ip, bytes broadcast, uint16_t segment):
        cdef route.address_t *address = &self.table.addresses[self.table.n_addresses]
        address.ip = ip_from(ip)
        address.broadcast = ip_from(broadcast)
        address.segment = segment
        self.table.n_addresses += 1

    def add(self, bytes network, bytes mask, uint16_t prefix_len, bytes via, uint16_t segment, bint connected):
        cdef route.route_t made
        made.network, made.mask, made.via = ip_from(network), ip_from(mask), ip_from(via)
        made.prefix_len, made.segment, made.connected = prefix_len, segment, connected
        route.route_add(&self.table, made)

    def lookup(self, bytes dst) -> tuple | None:
        """(prefix length, via, segment, connected), or None."""
        cdef const route.route_t *found = route.route_lookup(&self.table, ip_from(dst))
        if found is NULL:
            return None
        return found.prefix_len, ip_bytes(found.via), found.segment, bool(found.connected)

    def address_find(self, bytes ip) -> int | None:
        """The segment of an address of swlb's own."""
        cdef const route.address_t *found = route.address_find(&self.table, ip_from(ip))
        return None if found is NULL else found.segment

    def address_on(self, uint16_t segment, bint v4) -> bytes | None:
        cdef const route.address_t *found = route.address_on(&self.table, segment, v4)
        return None if found is NULL else ip_bytes(found.ip)

    def is_directed_broadcast(self, bytes ip): return bool(route.is_directed_broadcast(&self.table, ip_from(ip)))


cdef class Events:
    cdef event.events_t *table

    def __cinit__(self):
        self.table = <event.events_t *>calloc(1, sizeof(event.events_t))
        if self.table is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)

    def post(self, uint16_t kind, uint64_t mac):
        cdef event.event_t made
        memset(&made, 0, sizeof(made))
        made.kind, made.mac = kind, mac
        event.event_post(self.table, made)

    def take(self) -> tuple | None:
        """(kind, MAC), or None."""
        cdef event.event_t taken
        return (taken.kind, taken.mac) if event.event_take(self.table, &taken) else None

    def begin_at(self, uint32_t count):
        """As if so many events had come and gone."""
        self.table.written = self.table.read = count

    @property
    def lost(self): return self.table.lost


# ---- sizes ----

SIZEOF = {"eth_hdr": sizeof(ethernet.eth_hdr), "arp_hdr": sizeof(arp.arp_hdr), "ipv4_hdr": sizeof(ipv4.ipv4_hdr),
          "ipv6_hdr": sizeof(ipv6.ipv6_hdr), "ipv6_frag_hdr": sizeof(ipv6.ipv6_frag_hdr), "nd_msg": sizeof(nd.nd_msg),
          "icmp_hdr": sizeof(icmp.icmp_hdr), "tcp_hdr": sizeof(tcp_hdr), "udp_hdr": sizeof(udp_hdr),
          "vnet_hdr": sizeof(vnet_hdr), "session_t": sizeof(session_t), "bucket_t": sizeof(bucket_t),
          "server_t": sizeof(server_t), "persist_t": sizeof(persist_t), "persists_bucket_t": sizeof(persists_bucket_t),
          "ip_t": sizeof(ip_t), "frame_t": sizeof(frame_t), "gue_hdr": sizeof(gue_hdr)}


cdef dict offsets():
    """Where fields lie that C code outside Cython, or a comment, relies on."""
    cdef account_t account
    cdef nd.nd_msg msg
    cdef ipv4.ipv4_hdr v4
    cdef ipv6.ipv6_hdr v6
    cdef arp.arp_hdr ask
    cdef tcp_hdr tcp
    cdef udp_hdr udp
    cdef vnet_hdr vnet
    return {"account_t.client": <char *>&account.client - <char *>&account,
            "nd_msg.target": <char *>&msg.target - <char *>&msg, "nd_msg.mac": <char *>&msg.mac - <char *>&msg,
            "ipv4_hdr.src": <char *>&v4.src - <char *>&v4, "ipv6_hdr.src": <char *>&v6.src - <char *>&v6,
            "arp_hdr.sender_ip": <char *>&ask.sender_ip - <char *>&ask,
            "tcp_hdr.checksum": <char *>&tcp.checksum - <char *>&tcp,
            "udp_hdr.checksum": <char *>&udp.checksum - <char *>&udp,
            "vnet_hdr.csum_start": <char *>&vnet.csum_start - <char *>&vnet}


OFFSETOF = offsets()
LENGTHS = {"SLOT_LEN": SLOT_LEN, "VNET_LEN": VNET_LEN}

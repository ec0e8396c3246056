# cython: freethreading_compatible=True
"""swlb._testing: the door through which pytest reaches the functions a frame goes through. Not in wheels.

Each `def` has the name of the function it calls and nothing of its own. IP addresses are 16 bytes (IPv4 as
::ffff:a.b.c.d), MACs 6 bytes; a be16 or be32 is the raw integer, as C sees it. Tables are in testing_tables.pyx.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

# Not `from ... cimport ... as`: what is renamed there, cythonize does not see as a dependency.
cimport ext.hash as hashing
cimport ext.tables.sequence as sequences
cimport ext.tables.state as states
cimport ext.wire.fragment as fragmenting
cimport ext.wire.parse as parsing
cimport ext.wire.rewrite as rewriting
cimport ext.wire.segment as segmenting
from ext cimport address, order
from ext.address cimport ip_load, ip_store, ip_t
from ext.frame cimport (FOUND_FRAGMENT, FOUND_L3, FOUND_L4, FOUND_LATER, FOUND_PARTIAL, VNET_LEN,
                        frame_t)
from ext.hash cimport key_t
from ext.verdict cimport GO_ON, N_DROPS, drop_names, verdict_t
from ext.wire cimport arp, checksum, ethernet, icmp, ipv4, ipv6, mss, nd, tcp


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


# ---- order, address, hash ----

def htons(uint16_t value): return order.htons(value)
def ntohs(uint16_t value): return order.ntohs(value)
def htonl(uint32_t value): return order.htonl(value)
def ntohl(uint32_t value): return order.ntohl(value)
def load16(bytes data): return order.load16(raw(data))
def load32(bytes data): return order.load32(raw(data))
def load64(bytes data): return order.load64(raw(data))

def ip_of_v4(bytes data): return ip_bytes(address.ip_of_v4(order.load32(raw(data))))
def ip_is_v4(bytes ip): return bool(address.ip_is_v4(ip_from(ip)))
def ip_v4(bytes ip): return int(address.ip_v4(ip_from(ip))).to_bytes(4, "little")
def ip_equal(bytes a, bytes b): return bool(address.ip_equal(ip_from(a), ip_from(b)))
def ip_is_zero(bytes ip): return bool(address.ip_is_zero(ip_from(ip)))
def ip_in(bytes ip, bytes net, bytes mask): return bool(address.ip_in(ip_from(ip), ip_from(net), ip_from(mask)))
def ip_is_group(bytes ip): return bool(address.ip_is_group(ip_from(ip)))
def ip_is_loopback(bytes ip): return bool(address.ip_is_loopback(ip_from(ip)))
def ip_is_link_local(bytes ip): return bool(address.ip_is_link_local(ip_from(ip)))
def ip_may_send(bytes ip): return bool(address.ip_may_send(ip_from(ip)))

def hash_ip(tuple key, bytes ip, uint64_t word): return hashing.hash_ip(key_from(key), ip_from(ip), word)
def hash_word(tuple key, uint64_t word): return hashing.hash_word(key_from(key), word)
def power_of_two(uint32_t n): return hashing.power_of_two(n)


# ---- checksum ----

def sum_add(uint64_t total, uint64_t word): return checksum.sum_add(total, word)
def sum_fold(uint64_t total): return checksum.sum_fold(total)
def sum_bytes(bytes data, uint64_t total=0): return checksum.sum_bytes(raw(data), len(data), total)
def checksum_of(bytes data, uint64_t total=0): return checksum.checksum_of(raw(data), len(data), total)
def sum_ip(bytes ip): return checksum.sum_ip(ip_from(ip))
def sum_pseudo(bytes src, bytes dst, uint8_t protocol, uint32_t l4_len):
    return checksum.sum_pseudo(ip_from(src), ip_from(dst), protocol, l4_len)
def sum_change(uint16_t old, uint16_t new): return checksum.sum_change(old, new)
def checksum_adjust(uint16_t check, uint16_t change): return checksum.checksum_adjust(check, change)
def partial_adjust(uint16_t check, uint16_t change): return checksum.partial_adjust(check, change)


# ---- headers ----

def mac_load(bytes data): return ethernet.mac_load(raw(data))
def mac_store(uint64_t mac):
    cdef uint8_t out[6]
    ethernet.mac_store(out, mac)
    return PyBytes_FromStringAndSize(<char *>out, 6)
def mac_is_group(bytes mac): return bool(ethernet.mac_is_group(ethernet.mac_load(raw(mac))))
def mac_is_reserved(bytes mac): return bool(ethernet.mac_is_reserved(ethernet.mac_load(raw(mac))))

def ipv4_options_route(bytes options): return bool(ipv4.ipv4_options_route(raw(options), len(options)))
def ipv4_build(bytes src, bytes dst, uint8_t protocol, uint8_t tos, uint16_t payload_len):
    cdef uint8_t out[ipv4.IPV4_LEN]
    ipv4.ipv4_build(out, ip_from(src), ip_from(dst), protocol, tos, payload_len)
    return PyBytes_FromStringAndSize(<char *>out, ipv4.IPV4_LEN)
def ipv6_is_extension(uint8_t next_header): return bool(ipv6.ipv6_is_extension(next_header))
def ipv6_build(bytes src, bytes dst, uint8_t next_header, uint16_t payload_len, uint8_t hop_limit):
    cdef uint8_t out[ipv6.IPV6_LEN]
    ipv6.ipv6_build(out, ip_from(src), ip_from(dst), next_header, payload_len, hop_limit)
    return PyBytes_FromStringAndSize(<char *>out, ipv6.IPV6_LEN)
def icmp_is_error(uint8_t type): return bool(icmp.icmp_is_error(type))
def icmpv6_is_error(uint8_t type): return bool(icmp.icmpv6_is_error(type))

def arp_build(uint16_t oper, bytes sender_mac, bytes sender_ip, bytes target_mac, bytes target_ip, bytes dst_mac):
    cdef uint8_t out[arp.ARP_FRAME_LEN]
    n = arp.arp_build(out, order.htons(oper), ethernet.mac_load(raw(sender_mac)), ip_from(sender_ip),
                      ethernet.mac_load(raw(target_mac)), ip_from(target_ip), ethernet.mac_load(raw(dst_mac)))
    return PyBytes_FromStringAndSize(<char *>out, n)
def nd_build(uint8_t type, uint8_t flags, bytes src_mac, bytes dst_mac, bytes src, bytes dst, bytes target):
    cdef uint8_t out[nd.ND_FRAME_LEN]
    n = nd.nd_build(out, type, flags, ethernet.mac_load(raw(src_mac)), ethernet.mac_load(raw(dst_mac)),
                    ip_from(src), ip_from(dst), ip_from(target))
    return PyBytes_FromStringAndSize(<char *>out, n)
def all_nodes(): return ip_bytes(nd.all_nodes())
def solicited_node(bytes target): return ip_bytes(nd.solicited_node(ip_from(target)))
def group_mac(bytes group): return mac_store(nd.group_mac(ip_from(group)))
def nd_is_sound(bytes frame, bytes vnet=bytes(VNET_LEN)):
    cdef Held held = Held(frame, vnet)
    return bool(nd.nd_is_sound(&held.frame))
def nd_mac(bytes frame, uint8_t option_type):
    cdef Held held = Held(frame, bytes(VNET_LEN))
    return mac_store(nd.nd_mac(&held.frame, option_type))


# ---- states ----

STATES = tuple(states.state_names[i].decode() for i in range(<int>states.N_STATES))
TCP_NEXT = tuple(tuple(tuple(states.tcp_next[d][e][s] for s in range(10)) for e in range(4)) for d in range(3))

def tcp_state(uint8_t state, int direction, uint8_t flags): return states.tcp_state(state, direction, flags)


def sequence_state(list words, uint32_t seq, uint32_t ack, uint8_t flags, uint8_t state, int direction,
                   bint direct=False) -> int:
    """The words are as they are after it; seq and ack in host order."""
    cdef uint64_t both[2]
    cdef tcp.tcp_hdr hdr
    both[0], both[1] = words
    hdr.seq, hdr.ack, hdr.flags = order.htonl(seq), order.htonl(ack), flags
    state = sequences.sequence_state(both, &hdr, state, direction, direct)
    words[:] = both[0], both[1]
    return state


def udp_state(uint8_t state, int direction): return states.udp_state(state, direction)
def is_closing(uint8_t state): return bool(states.is_closing(state))


# ---- a whole frame ----

DROP_NAMES = tuple(drop_names[i].decode() for i in range(<int>N_DROPS))
FOUND = {"L3": FOUND_L3, "L4": FOUND_L4, "FRAGMENT": FOUND_FRAGMENT, "LATER": FOUND_LATER, "PARTIAL": FOUND_PARTIAL}


cdef class Held:
    """A parsed frame in memory of just its size, so that a sanitizer sees a step too far; or followed by `behind`."""

    cdef frame_t frame
    cdef uint8_t *room
    cdef verdict_t verdict

    def __cinit__(self, bytes data, bytes vnet, bytes behind=b""):
        cdef uint32_t n = len(data)
        self.room = <uint8_t *>malloc(VNET_LEN + n + len(behind))
        if self.room is NULL or len(vnet) != VNET_LEN:
            raise ValueError("out of memory, or an offload header that is not 10 bytes")
        memcpy(self.room, raw(vnet), VNET_LEN)
        memcpy(self.room + VNET_LEN, raw(data), n)
        memcpy(self.room + VNET_LEN + n, raw(behind), len(behind))
        self.frame.data = self.room + VNET_LEN
        self.frame.len = n
        self.verdict = parsing.parse_ethernet(&self.frame)
        if self.verdict == GO_ON:
            parsing.parse_ip(&self.frame)

    def __dealloc__(self):
        free(self.room)

    cdef tuple pair(self):
        """(offload header, frame) as they are now."""
        return (PyBytes_FromStringAndSize(<char *>self.room, VNET_LEN),
                PyBytes_FromStringAndSize(<char *>self.frame.data, self.frame.len))


def parse(bytes frame, bytes vnet=bytes(VNET_LEN), bytes behind=b"") -> dict:
    """What parse found. Only what `found` vouches for is given; `verdict` and `flaw` are names, or None."""
    cdef Held held = Held(frame, vnet, behind)
    cdef frame_t *f = &held.frame
    if held.verdict != GO_ON:
        return {"verdict": DROP_NAMES[held.verdict]}
    seen = {"verdict": None, "l3_off": f.l3_off, "vid": f.vid, "ethertype": order.ntohs(f.ethertype),
            "n_tags": f.n_tags, "family": f.family, "found": f.found,
            "flaw": None if f.flaw == N_DROPS else DROP_NAMES[f.flaw]}
    if f.found & FOUND_L3:
        seen.update(l4_off=f.l4_off, l4_len=f.l4_len, protocol=f.protocol, src=ip_bytes(f.src), dst=ip_bytes(f.dst))
    if f.found & FOUND_L4:
        seen.update(sport=order.ntohs(f.sport), dport=order.ntohs(f.dport))
        if f.protocol == ipv4.PROTO_TCP:
            seen["tcp_flags"] = f.tcp_flags
    if f.found & FOUND_FRAGMENT:
        seen["fragment_id"] = f.fragment_id
    return seen


def rewrite(bytes frame, bytes vnet, uint32_t end, bytes ip, uint16_t l4_port) -> tuple:
    """(offload header, frame) with the end (0 source, 1 destination) as given."""
    cdef Held held = Held(frame, vnet)
    rewriting.rewrite(&held.frame, end, ip_from(ip), order.htons(l4_port))
    return held.pair()


def ttl_change(bytes frame, int step) -> bytes:
    cdef Held held = Held(frame, bytes(VNET_LEN))
    rewriting.ttl_change(&held.frame, step)
    return held.pair()[1]


def restore(bytes frame, bytes vnet, bytes src, bytes dst, uint16_t sport, uint16_t dport) -> tuple:
    """(offload header, frame) after both ends were rewritten, TTL was lowered, and all of it was taken back."""
    cdef Held held = Held(frame, vnet)
    rewriting.rewrite(&held.frame, rewriting.SRC, ip_from(src), order.htons(sport))
    rewriting.rewrite(&held.frame, rewriting.DST, ip_from(dst), order.htons(dport))
    rewriting.ttl_change(&held.frame, -1)
    held.frame.lowered = 1
    rewriting.restore(&held.frame)
    return held.pair()


def mss_clamp(bytes frame, uint16_t most, bytes vnet=bytes(VNET_LEN)) -> bytes:
    cdef Held held = Held(frame, vnet)
    mss.mss_clamp(&held.frame, most)
    return held.pair()[1]


def may_cut(bytes frame, uint32_t most, bytes vnet=bytes(VNET_LEN)) -> bool:
    cdef Held held = Held(frame, vnet)
    return bool(fragmenting.may_cut(&held.frame, most))


def in_pieces(bytes frame, uint16_t most) -> list[bytes]:
    """The pieces of at most so many bytes of IP packet, each made in memory of just the size that it may have."""
    cdef Held held = Held(frame, bytes(VNET_LEN))
    cdef frame_t piece
    cdef uint32_t at = 0, room = held.frame.l3_off + most
    cdef uint8_t *slot = <uint8_t *>malloc(VNET_LEN + room)
    held.frame.cut_len = most
    made = []
    while at < held.frame.l4_len:
        piece.data = slot + VNET_LEN
        at = fragmenting.fragment_make(&held.frame, &piece, at)
        made.append(PyBytes_FromStringAndSize(<char *>piece.data, piece.len))
    free(slot)
    return made


def checksum_complete(bytes frame, bytes vnet) -> tuple:
    cdef Held held = Held(frame, vnet)
    rewriting.checksum_complete(&held.frame)
    return held.pair()


def pieces(bytes frame, bytes vnet, uint8_t outer_len=0) -> list:
    """The frames that an unfinished frame, outer_len bytes of a tunnel in it, stands for; None when it is malformed."""
    cdef Held held = Held(frame, vnet)
    cdef segmenting.cut_t cut
    cdef frame_t piece
    cdef uint8_t *room
    held.frame.outer_len = outer_len
    assert held.verdict == GO_ON and segmenting.is_unfinished(&held.frame)
    if not segmenting.cut_plan(&cut, &held.frame):
        return None
    out = []
    for i in range(cut.n):
        room = <uint8_t *>malloc(VNET_LEN + segmenting.piece_len(&cut, i))
        piece.data = room + VNET_LEN
        segmenting.piece_write(&cut, i, &piece)
        assert room[:VNET_LEN] == bytes(VNET_LEN)
        out.append(PyBytes_FromStringAndSize(<char *>piece.data, piece.len))
        free(room)
    assert held.pair() == (vnet, frame), "the frame has changed"
    return out

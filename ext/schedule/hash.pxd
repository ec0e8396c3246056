"""The hash of a flow, and modulo: the scheduler `hash`.

The hash knows no secret: it is the same on every machine and after every start, so that two machines, or one before
and after, name the same server for a flow. (Who knows the servers can work out whom a client will get.) It is made of
these numbers and nothing else, all of 64 bits; mix(a, b) is the 128-bit product, its upper half XORed into its lower:

    of an address        mix(first 8 bytes ^ K1, last 8 bytes ^ K2), read as little-endian numbers; IPv4 as ::ffff:a.b.c.d
    source               client = of the client's address; mix(client, K3)
    source_port          mix(client ^ client port, K3)
    destination_port     mix(client ^ VIP port << 16, K3)
    five_tuple           mix(client ^ client port ^ VIP port << 16 ^ protocol << 32 ^ mix(of the VIP's address, K4), K3)
    once more            mix(hash ^ K4, attempt ^ K1), when whom it names takes no session

`hash` names the member whose part of the sum of weights, in the order of the configuration, has the number that is
left when the hash is divided by the sum. When the sum changes, so does nearly everything: maglev is for who minds.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.frame cimport frame_t
from ext.hash cimport mix
from ext.order cimport be16, ntohs
from ext.tables.group cimport group_t
from ext.tables.owners cimport owners_at
from ext.tables.server cimport SHARE_FULL
from ext.tables.service cimport KEY_DESTINATION_PORT, KEY_FIVE_TUPLE, KEY_SOURCE_PORT

# From wyhash, where they were chosen for as many bits set as not in every byte.
cdef extern from * nogil:
    """
    #define SWLB_K1 0xA0761D6478BD642FULL
    #define SWLB_K2 0xE7037ED1A0B428DBULL
    #define SWLB_K3 0x8EBC6AF09C88C6E3ULL
    #define SWLB_K4 0x589965CC75374CC3ULL
    """
    const uint64_t K1 "SWLB_K1"
    const uint64_t K2 "SWLB_K2"
    const uint64_t K3 "SWLB_K3"
    const uint64_t K4 "SWLB_K4"


cdef inline uint64_t address_hash(ip_t ip) noexcept nogil:
    return mix(ip.hi ^ K1, ip.lo ^ K2)


cdef inline uint64_t flow_hash(uint8_t hash_key, ip_t client, be16 client_port, ip_t vip, be16 vip_port,
                               uint8_t protocol) noexcept nogil:
    """The hash of what hash_key says of a client's flow to a VIP."""
    cdef uint64_t hash = address_hash(client)
    if hash_key == KEY_SOURCE_PORT or hash_key == KEY_FIVE_TUPLE:
        hash ^= ntohs(client_port)
    if hash_key == KEY_DESTINATION_PORT or hash_key == KEY_FIVE_TUPLE:
        hash ^= <uint64_t>ntohs(vip_port) << 16
    if hash_key == KEY_FIVE_TUPLE:
        hash ^= <uint64_t>protocol << 32 ^ mix(address_hash(vip), K4)
    return mix(hash, K3)


cdef inline uint64_t frame_hash(uint8_t hash_key, const frame_t *frame) noexcept nogil:
    """The same of a client's packet."""
    return flow_hash(hash_key, frame.src, frame.sport, frame.dst, frame.dport, frame.protocol)


cdef inline uint64_t hash_again(uint64_t hash, uint64_t attempt) noexcept nogil:
    """Another hash of the same flow; attempt is from 1 on."""
    return mix(hash ^ K4, attempt ^ K1)


cdef inline bint is_admitted(uint64_t hash, uint16_t share) noexcept nogil:
    """Whether a server with that share of SHARE_FULL has a flow of that hash already. One that it has it keeps."""
    return share >= SHARE_FULL or mix(hash ^ K2, K4) >> 56 < share


cdef inline uint16_t hash_owner(const group_t *group, uint64_t hash) noexcept nogil:
    """The place that the hash names, of those that have a part of the sum; there are some."""
    return owners_at(&group.owners, group.n_members, <uint32_t>(hash % group.owners.sums[group.n_members - 1]))

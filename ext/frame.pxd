"""A frame on its way through the switch.

The bytes lie in a slot, in one piece: HEAD_LEN bytes that a tunnel may grow into, the virtio-net header, the Ethernet
header VNET_LEN behind that, so that an IPv4 header comes to lie on an 8-byte boundary. A slot has room for the largest
super-frame, so that no read cuts one; of its memory only as much is touched as frames have been long. Parse sees to it that every header lies
within the frame, and after it offsets are trusted.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.order cimport be16
from ext.address cimport ip_t

cdef enum:
    VNET_LEN = 10
    HEAD_LEN = 64          # in front of the virtio-net header: outer headers of a tunnel are 52 bytes at most
    # The largest frame is 14 + 8 (tags) + 65535 bytes. An odd number of cache lines, so that the first lines of
    # the slots of a burst, which is what is looked at, do not fall on each other in the cache.
    SLOT_LEN = 65984
    FRAME_LEN = 65846      # of these the frame may have
    SUPER_LEN = 2048       # a longer frame is a super-frame (or a jumbo): worth a cache of its own
    NO_PORT = 0xFFFF
    NO_SEGMENT = 0xFFFF
    NO_VIP = 0xFFFF
    NO_TUNNEL = 0xFFFF

# What parse found (frame_t.found)
cdef enum:
    FOUND_L3 = 1           # IPv4 or IPv6 header whole: src, dst, l4_off, protocol are valid
    FOUND_L4 = 2           # TCP or UDP header whole: sport, dport are valid
    FOUND_FRAGMENT = 4     # part of a fragmented packet
    FOUND_LATER = 8        # ... and not its first: there is no L4 header
    FOUND_PARTIAL = 16     # L4 checksum is a partial sum, to be finished by whoever takes the frame

cdef struct frame_t:
    uint8_t *data          # Ethernet header, in a slot: slot_frame, or less where a tunnel has grown
    uint32_t len           # bytes of the whole frame from the Ethernet header on
    uint16_t port          # came in by; NO_PORT for one that swlb made
    uint16_t segment       # came in on
    uint16_t out_port      # leaves by (verdict SEND)
    uint16_t out_segment   # leaves on (verdict FLOOD)
    uint8_t handed         # came from another worker
    uint8_t owner          # worker it belongs to (verdict HAND_OVER)
    uint8_t priority       # of the VLAN tag that was taken off: PCP and DEI, for the one that is put on; else 0
    uint8_t waited         # for the first fragment of its packet
    # From here on set by parse
    uint8_t runt           # too short for an Ethernet header
    uint16_t l3_off        # start of the IP or ARP header
    uint16_t l4_off        # start of the header behind IP and its extensions
    uint16_t vid           # VLAN of the outermost tag; 0 for none and for priority tags
    be16 ethertype         # behind all tags
    uint8_t n_tags
    uint8_t family         # 4, 6, or 0 when not IP
    uint8_t found
    uint8_t protocol       # of what lies at l4_off
    uint8_t tcp_flags
    uint8_t flaw           # drop reason for IP that is malformed; N_DROPS when it is not
    uint32_t l4_len        # bytes from l4_off to the end of the packet
    ip_t src               # as they came in; a rewrite changes the packet, not these
    ip_t dst
    be16 sport
    be16 dport
    uint16_t vip           # place of the VIP it is sent to, when FOUND_L3; NO_VIP for none
    uint32_t hash          # of the client's end point, when FOUND_L4: session_hash; waited: fragment_t.number
    uint32_t fragment_id   # IPv4 or IPv6 identification, when FOUND_FRAGMENT; of an outer packet in pieces, its own
    # Set on the way out
    ip_t next_hop          # where it waits to go
    uint8_t lowered        # TTL was lowered by swlb
    uint8_t rewritten      # bit SRC, bit DST: that end no longer is as it came in
    uint8_t shared         # leaves by several ports, so that none may change it
    uint8_t outer_len      # bytes of outer headers between Ethernet and the inner IP header, when a tunnel has grown
    uint16_t merged        # how many more datagrams it carries than the one it came as
    uint16_t cut_len       # bytes each piece of the IPv4 packet may have, or, of IPv6, of the outer one; 0: it leaves whole
    uint16_t tunnel        # server at the other end of the tunnel it is to leave through; NO_TUNNEL for none


cdef inline uint8_t *frame_vnet(const frame_t *frame) noexcept nogil:
    """The virtio-net header, VNET_LEN bytes."""
    return <uint8_t *>frame.data - VNET_LEN


cdef inline uint8_t *slot_frame(uint8_t *slots, size_t i) noexcept nogil:
    """Where the Ethernet header of a frame in slot i begins."""
    return slots + i * SLOT_LEN + HEAD_LEN + VNET_LEN


cdef inline uint8_t *slot_vnet(uint8_t *slots, size_t i) noexcept nogil:
    """Where a frame in slot i is read to: its virtio-net header."""
    return slots + i * SLOT_LEN + HEAD_LEN

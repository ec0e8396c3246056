/* What becomes of a frame. The one list of reasons for which a frame is dropped: name and meaning.
 *
 * The lower-case name is what `swlb show drops` prints; adding a line here adds a counter there.
 */
#ifndef SWLB_VERDICT_H
#define SWLB_VERDICT_H

#define SWLB_DROPS(X) \
    X(RUNT, "shorter than an Ethernet header") \
    X(UNREAD, "the kernel could not hand it over whole: longer than 64 KiB, or a super-frame of an unknown kind") \
    X(BAD_OFFLOAD, "offload header (virtio-net) that contradicts the frame") \
    X(BAD_SOURCE_MAC, "group or zero MAC as source") \
    X(OWN_SOURCE_MAC, "a segment's own MAC as source, from outside: a loop or a clone") \
    X(RESERVED_MAC, "to 01-80-C2-00-00-00..0F, which a bridge must not forward") \
    X(SAME_PORT, "its destination is on the port it came from") \
    X(NOWHERE, "no other port of the segment is there to take it") \
    X(OVERSIZE, "larger than the MTU of the port it would leave by") \
    X(PORT_DOWN, "the port it would leave by is down") \
    X(TX_FAILED, "the kernel refused to take it") \
    X(TAGGED_FOR_US, "VLAN-tagged and addressed to the segment itself") \
    X(BAD_ARP, "ARP that contradicts itself or lies about its sender") \
    X(BAD_ND, "neighbour discovery that RFC 4861 says to ignore") \
    X(VIP_GUARDED, "ARP or ND answer by which another station would take a guarded VIP") \
    X(BAD_IPV4, "IPv4 header: version, length or total length impossible") \
    X(BAD_IPV4_CHECKSUM, "IPv4 header checksum wrong") \
    X(SOURCE_ROUTE, "IPv4 source route or IPv6 type 0 routing header") \
    X(BAD_IPV6, "IPv6 header: version or length impossible") \
    X(BAD_IPV6_EXTENSION, "IPv6 extension headers cut short or too many, or an option that stops an echo") \
    X(BAD_L4, "TCP, UDP or ICMP header cut short or impossible") \
    X(ZERO_UDP_CHECKSUM, "UDP over IPv6 without a checksum") \
    X(BAD_ADDRESS, "source or destination that no router may forward") \
    X(FRAGMENT, "fragment whose first part was not seen in time, or went nowhere") \
    X(TTL_EXPIRED, "TTL or hop limit used up") \
    X(NO_ROUTE, "no route to the destination") \
    X(TOO_BIG, "larger than the next link's MTU, and not to be fragmented") \
    X(NEIGHBOUR_QUEUE, "oldest of too many frames that waited for one neighbour") \
    X(NEIGHBOUR_FAILED, "the next hop does not answer ARP or neighbour solicitation") \
    X(NEIGHBOUR_FULL, "no room to remember another neighbour") \
    X(VIP_PROTOCOL, "to a VIP, neither TCP nor UDP nor ICMP") \
    X(NO_SERVICE, "to a port of a VIP that no service has") \
    X(NO_SERVER, "the service has no server that could take it") \
    X(ECHO_SILENT, "echo to a VIP none of whose services can serve") \
    X(ORPHAN, "in mid-stream and of no known session") \
    X(SERVER_DOWN, "its session's server went down") \
    X(SESSION_FULL, "the session table is full") \
    X(SESSION_CROWDED, "too many sessions of one client address and port") \
    X(SOURCE_PORTS, "no address and port left to stand for its client") \
    X(ACCESS_PRIVATE, "into a private segment, and not through a service") \
    X(UNMASQUERADABLE, "out of a segment that masquerades, and no flow that can be told from others") \
    X(HANDOVER_FULL, "the worker whose session it is of has too many frames to take") \
    X(ICMP_NO_SESSION, "ICMP error about no session of ours") \
    X(BAD_ICMP, "ICMP error whose quoted packet cannot be read") \
    X(TUNNEL_ERROR, "ICMP error about a tunnel's packet that its client need not hear of") \
    X(FORGED_ICMP, "ICMP error about a packet that was not sent") \
    X(NOT_MEMBER, "of a VLAN that its port carries for no segment; untagged counts as one") \
    X(SOURCE_LIMIT, "its client has as many established sessions as one address may") \
    X(FRAGMENT_PLACE, "fragment with a length or an offset that no packet's has") \
    X(FRAGMENT_OVERLAP, "of a packet two fragments of which overlap, or contradict each other about its end") \
    X(FRAGMENT_AGAIN, "fragment that had come before") \
    X(FRAGMENT_QUEUE, "oldest of too many fragments that waited for the first of their packet")

enum swlb_verdict {
#define SWLB_DROP_ENUM(name, meaning) DROP_##name,
    SWLB_DROPS(SWLB_DROP_ENUM)
#undef SWLB_DROP_ENUM
    N_DROPS,
    SEND = 64,      /* out by frame.out_port */
    FLOOD,          /* out by every port of frame.out_segment but frame.port */
    FLOOD_STATIONS, /* the same, but not to the kernel twin: an unknown unicast destination is not it */
    HAND_OVER,      /* to frame.owner, the worker that has its session */
    TAKEN,          /* nothing leaves now: it waits for a neighbour, or was for us, or was counted */
    GO_ON           /* no verdict yet: the next step decides */
};

static const char *const swlb_drop_names[] = {
#define SWLB_DROP_NAME(name, meaning) #name,
    SWLB_DROPS(SWLB_DROP_NAME)
#undef SWLB_DROP_NAME
};

static const char *const swlb_drop_meanings[] = {
#define SWLB_DROP_MEANING(name, meaning) meaning,
    SWLB_DROPS(SWLB_DROP_MEANING)
#undef SWLB_DROP_MEANING
};

_Static_assert(N_DROPS < SEND, "verdicts that send must lie above every drop reason");
#endif

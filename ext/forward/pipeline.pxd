"""Where a frame goes: the table of contents of forward/. Reads top to bottom.

    forward      malformed? learn. A segment without addresses is a plain switch:
      bridge     to the port behind which the destination is
    addressed    ARP and neighbour discovery (local); fragments that may not go on, or not yet (pieces); then, by destination
                 address,
      balance      a VIP: session, or a server for a new one, or no; then request, where the ways to forward part
      answer       an address that stands for others: a server or a peer answers it
      reply        a session's server answering its client (nat; down, when the server is)
      resume       the same after a restart, when nobody remembers the session, where it can be nobody else's; or in a flood
      quote        an ICMP error about a session; quote_tunnel: about a packet that swlb itself sent to a server
      gateway      to the segment's MAC: for the kernel twin, or routed on, unless a border (masquerade) says otherwise
      to_station   out of the kernel twin of a segment without Ethernet
      bridge       all else: untouched, but for what is too large for its port (fit)
"""

from libc.stdint cimport uint32_t, uint64_t

from ext.address cimport ip_is_link_local, ip_may_send
from ext.debug cimport likely, unlikely
from ext.forward.answer cimport to_source
from ext.forward.balance cimport balance
from ext.forward.bridge cimport bridge, learn
from ext.forward.down cimport reply
from ext.forward.fit cimport bridge_fit
from ext.forward.handover cimport hand_over, is_reply_of_another
from ext.forward.local cimport arp, neighbour_discovery
from ext.forward.masquerade cimport cross_border
from ext.forward.output cimport leave, route_out, to_host
from ext.forward.pieces cimport in_pieces
from ext.forward.quote cimport quote_to_client
from ext.forward.quote_tunnel cimport quote_of_tunnel
from ext.forward.request cimport is_translated, later_fragment, reply_heard
from ext.forward.resume cimport flooded_reply, session_resume
from ext.frame cimport FOUND_FRAGMENT, FOUND_L3, FOUND_L4, FOUND_LATER, NO_VIP, frame_t
from ext.tables.crew cimport crew_tell
from ext.tables.route cimport address_find, is_directed_broadcast
from ext.tables.segment cimport segment_t
from ext.tables.server cimport V4, V6
from ext.tables.service cimport NO_SOURCE, vip_t
from ext.tables.session cimport session_of_reply, session_t
from ext.tables.session_life cimport session_expired
from ext.tables.tables cimport tables_t
from ext.verdict cimport (DROP_BAD_ADDRESS, DROP_BAD_SOURCE_MAC, DROP_OWN_SOURCE_MAC, DROP_RESERVED_MAC, DROP_RUNT,
                          DROP_TAGGED_FOR_US, GO_ON, N_DROPS, verdict_t)
from ext.wire.ethernet cimport ETH_ARP, eth_hdr, mac_is_group, mac_is_reserved, mac_load
from ext.wire.icmp cimport ICMPV6_ADVERTISEMENT, ICMPV6_SOLICITATION, icmp_hdr, is_icmp, is_icmp_error


cdef inline verdict_t forward(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """What becomes of a frame that came in by frame.port on frame.segment, and that foresee has parsed."""
    cdef segment_t *segment = &tables.segments[frame.segment]
    cdef eth_hdr *eth = <eth_hdr *>frame.data
    cdef uint64_t src
    if unlikely(frame.runt):
        return DROP_RUNT
    src = mac_load(eth.src)
    if unlikely(src == 0 or mac_is_group(src)):
        return DROP_BAD_SOURCE_MAC
    if unlikely(mac_is_reserved(mac_load(eth.dst))):
        return DROP_RESERVED_MAC
    if segment.routed and src == segment.mac:
        if frame.port != segment.host_port:
            return DROP_OWN_SOURCE_MAC
    else:
        learn(tables, segment, frame, src, now_ms)
    if not segment.routed:
        return bridge(tables, segment, frame, now_ms)
    return addressed(tables, segment, frame, now_ms)


cdef inline verdict_t addressed(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """The same on a segment where swlb has addresses and may have VIPs."""
    cdef uint64_t dst = mac_load((<eth_hdr *>frame.data).dst)
    cdef verdict_t verdict
    # Behind a priority tag a second one may still name a VLAN, so two tags are never for us.
    if unlikely(frame.vid != 0 or frame.n_tags > 1):
        return DROP_TAGGED_FOR_US if dst == segment.mac else bridge(tables, segment, frame, now_ms)
    if unlikely(frame.ethertype == ETH_ARP):
        teach(tables, frame)
        return arp(tables, segment, frame, now_ms)
    if unlikely(frame.flaw != N_DROPS and dst == segment.mac):
        return frame.flaw
    if likely(frame.found & FOUND_L3):
        if unlikely(is_neighbour_discovery(frame)):
            teach(tables, frame)
            return neighbour_discovery(tables, segment, frame, now_ms)
        if unlikely(frame.found & FOUND_FRAGMENT):
            verdict = in_pieces(tables, segment, frame, now_ms)
            if verdict != GO_ON:
                return verdict
        if frame.vip != NO_VIP:
            verdict = to_vip(tables, segment, frame, &tables.services.vips[frame.vip], now_ms)
            if likely(verdict != GO_ON):
                return verdict
        verdict = of_session(tables, segment, frame, now_ms)
        if verdict != GO_ON:
            return verdict
    if dst == segment.mac and frame.family:
        if frame.port != segment.host_port:
            return gateway(tables, frame, now_ms)
        if segment.station:
            return to_station(tables, segment, frame, now_ms)
    return bridge_fit(tables, segment, frame, now_ms)


cdef inline verdict_t to_station(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """Out of the kernel twin of a segment without Ethernet, which sends to its own MAC as it knows no other."""
    frame.out_segment = frame.segment
    return leave(tables, frame, segment.station, now_ms)


cdef inline void teach(tables_t *tables, const frame_t *frame) noexcept nogil:
    """Other workers will learn from the frame what this one does."""
    if unlikely(tables.crew.n > 1) and not frame.handed:
        crew_tell(&tables.crew, frame)


cdef inline bint is_neighbour_discovery(const frame_t *frame) noexcept nogil:
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    return (frame.family == 6 and is_icmp(frame) and frame.flaw == N_DROPS
            and (icmp.type == ICMPV6_SOLICITATION or icmp.type == ICMPV6_ADVERTISEMENT))


cdef inline verdict_t to_vip(tables_t *tables, segment_t *segment, frame_t *frame, vip_t *vip,
                             uint32_t now_ms) noexcept nogil:
    """Balanced, whatever MAC it was sent to: a station may remember another owner of the VIP.

    GO_ON only for what is sent to an address that swlb has itself, and that stands for clients, too.
    """
    if unlikely(frame.flaw != N_DROPS):
        return frame.flaw
    if unlikely(not ip_may_send(frame.src) or mac_is_group(mac_load((<eth_hdr *>frame.data).dst))):
        return DROP_BAD_ADDRESS
    if unlikely(vip.source != NO_SOURCE):
        return to_source(tables, segment, frame, vip, now_ms)
    return balance(tables, segment, frame, vip, now_ms)


cdef inline verdict_t of_session(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """The way back of a session, or GO_ON when the packet belongs to none."""
    cdef int family = V4 if frame.family == 4 else V6
    cdef session_t *session
    cdef verdict_t verdict
    if likely(frame.found & FOUND_L4):
        session = session_of_reply(&tables.sessions[family], &tables.services, frame.hash, frame.dst, frame.dport,
                                   frame.protocol, frame.src, frame.sport)
        if unlikely(session is NULL) and is_reply_of_another(tables, frame, frame.src, frame.dst, frame.dport):
            return hand_over(tables, frame, now_ms)
        if unlikely(session is NULL):
            session = session_resume(tables, frame, family, now_ms)
            if unlikely(tables.n_flooded != 0) and session is NULL:
                verdict = flooded_reply(tables, segment, frame, family, &session, now_ms)
                if verdict != GO_ON:
                    return verdict
        if (session is NULL or frame.flaw != N_DROPS
                or session_expired(&tables.services, session, now_ms)):
            return GO_ON
        if unlikely(not is_translated(tables, session)):
            return reply_heard(tables, segment, frame, session, now_ms)
        return reply(tables, segment, frame, session, now_ms)
    if frame.found & FOUND_LATER:
        return later_fragment(tables, segment, frame, GO_ON, now_ms)
    if frame.flaw == N_DROPS and is_icmp_error(frame):
        verdict = quote_of_tunnel(tables, frame, now_ms)
        return verdict if verdict != GO_ON else quote_to_client(tables, segment, frame, now_ms)
    return GO_ON


cdef inline verdict_t gateway(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """An IP packet sent to the segment's MAC: for swlb's kernel, or to be routed (RFC 1812 5.3.7 for what may not)."""
    cdef verdict_t verdict
    if unlikely(not ip_may_send(frame.src) or is_directed_broadcast(&tables.routes, frame.src)):
        return DROP_BAD_ADDRESS
    if address_find(&tables.routes, frame.dst) is not NULL:
        return to_host(tables, frame, frame.segment, now_ms)
    # What names no host as a sender names none as a destination either.
    if unlikely(not ip_may_send(frame.dst) or ip_is_link_local(frame.dst) or ip_is_link_local(frame.src)
                or is_directed_broadcast(&tables.routes, frame.dst)):
        return DROP_BAD_ADDRESS
    if unlikely(tables.guarded):
        verdict = cross_border(tables, frame, now_ms)
        if verdict != GO_ON:
            return verdict
    return route_out(tables, frame, frame.dst, True, now_ms)

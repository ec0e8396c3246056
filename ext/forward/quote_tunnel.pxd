"""ICMP errors about packets that swlb itself sent to a server, through a tunnel: what they mean to the client within.

Read first: RFC 2003 4, RFC 2473 8. The error quotes the outer packet; the inner one behind it is the client's, as it
sent it. An error is believed when that is of a session with that server, and such as its client can have sent, as anybody
may invent one. "Too big" says how
large a packet gets to the server, which is remembered for PATH_MS, and the client hears what is left of that without the
outer headers; unless its packets may be taken apart, which they will be. "Unreachable", for whatever reason, and "time
exceeded" mean to the client that the host is not reached. All other errors are for the kernel twin.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memmove

from ext.address cimport ip_equal, ip_load, ip_of_v4, ip_t
from ext.forward.fit cimport told_mtu
from ext.forward.handover cimport hand_over, is_of_another
from ext.forward.icmp cimport HOST_UNREACHABLE, TOO_BIG, icmp_quote, icmp_token
from ext.forward.output cimport neighbour_output, to_host
from ext.forward.quote_read cimport error_is_sound, quote_is_forged, quote_read, quote_t
from ext.frame cimport FOUND_L3, VNET_LEN, frame_t, frame_vnet
from ext.order cimport be16, ntohl, ntohs
from ext.tables.route cimport address_find, address_on, address_t, route_lookup, route_t
from ext.tables.server cimport V4, V6, server_t
from ext.tables.service cimport FORWARD_GUE, FORWARD_IPIP, services_t
from ext.tables.session cimport session_account, session_hash, session_of_request, session_t
from ext.tables.session_life cimport session_expired
from ext.tables.state cimport FROM_CLIENT
from ext.tables.tables cimport tables_t
from ext.verdict cimport (DROP_BAD_ICMP, DROP_FORGED_ICMP, DROP_ICMP_NO_SESSION, DROP_NO_ROUTE, DROP_TUNNEL_ERROR, GO_ON,
                          verdict_t)
from ext.wire.ethernet cimport ETH_IPV4, ETH_IPV6
from ext.wire.gue cimport GUE_LEN, gue_hdr
from ext.wire.icmp cimport (ICMP_LEN, ICMP_TIME_EXCEEDED, ICMP_TOO_BIG_CODE, ICMP_UNREACHABLE, ICMPV6_TIME_EXCEEDED,
                            ICMPV6_TOO_BIG, ICMPV6_UNREACHABLE, icmp_hdr)
from ext.wire.ipv4 cimport IPV4_DONT, IPV4_LEN, PROTO_ICMP, PROTO_IPV4, PROTO_UDP, ipv4_hdr
from ext.wire.ipv6 cimport IPV6_LEAST_MTU, IPV6_LEN, PROTO_ICMPV6, PROTO_IPV6, ipv6_hdr
from ext.wire.udp cimport UDP_LEN, udp_hdr
from ext.wire.vnet cimport vnet_clear

cdef enum:
    # Less is not believed: it would cost more than a path of today can be so narrow for (Linux: ip_rt_min_pmtu).
    LEAST_PATH_V4 = 552
    UNSAID_PATH = 576          # of an error by a router that names no MTU (RFC 1191 5)

cdef struct outer_quote_t:
    ip_t dst                   # the server
    uint32_t outer_len
    uint32_t inner_off         # from the frame's start
    uint32_t inner_room        # bytes of the inner packet that are quoted
    be16 gue_port              # 0: IP in IP
    uint8_t inner_family


cdef inline bint outer_read(const frame_t *frame, outer_quote_t *outer) noexcept nogil:
    """Whether the error quotes a packet from its receiver with another packet within; then outer says what."""
    cdef uint32_t room = min(frame.l4_len, frame.len - frame.l4_off)
    cdef uint8_t *l3 = frame.data + frame.l4_off + ICMP_LEN
    cdef uint32_t ip_len = IPV4_LEN if frame.family == 4 else IPV6_LEN
    cdef uint8_t protocol
    cdef ip_t src
    if room < ICMP_LEN + ip_len or (l3[0] >> 4) != frame.family or (frame.family == 4 and l3[0] != 0x45):
        return False
    if frame.family == 4:
        src = ip_of_v4((<ipv4_hdr *>l3).src)
        outer.dst = ip_of_v4((<ipv4_hdr *>l3).dst)
        protocol = (<ipv4_hdr *>l3).protocol
    else:
        src = ip_load((<ipv6_hdr *>l3).src)
        outer.dst = ip_load((<ipv6_hdr *>l3).dst)
        protocol = (<ipv6_hdr *>l3).next_header
    outer.outer_len = ip_len
    outer.gue_port = 0
    if protocol == PROTO_UDP and room >= ICMP_LEN + ip_len + UDP_LEN + GUE_LEN:
        outer.outer_len += UDP_LEN + GUE_LEN
        outer.gue_port = (<udp_hdr *>(l3 + ip_len)).dport
        protocol = (<gue_hdr *>(l3 + ip_len + UDP_LEN)).protocol
    outer.inner_off = frame.l4_off + ICMP_LEN + outer.outer_len
    outer.inner_room = room - ICMP_LEN - outer.outer_len
    outer.inner_family = 4 if protocol == PROTO_IPV4 else 6
    return ip_equal(src, frame.dst) and (protocol == PROTO_IPV4 or protocol == PROTO_IPV6)


cdef inline bint is_end_of(const services_t *services, const server_t *server, const outer_quote_t *outer) noexcept nogil:
    """Whether swlb sends such outer packets to that server."""
    cdef uint8_t forward = services.services[server.service].forward
    if not ip_equal(server.ip, outer.dst):
        return False
    if outer.gue_port:
        return forward == FORWARD_GUE and services.services[server.service].gue_port == outer.gue_port
    return forward == FORWARD_IPIP


cdef inline bint is_of_tunnel(const services_t *services, const outer_quote_t *outer) noexcept nogil:
    """Whether the outer packet went to the end of one of swlb's tunnels. A walk past all servers, as errors are few."""
    cdef uint32_t i
    for i in range(services.n_servers):
        if is_end_of(services, &services.servers[i], outer):
            return True
    return False


cdef inline verdict_t quote_of_tunnel(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """The error has become one to the client, or is dropped; GO_ON when it is not about a tunnel."""
    cdef outer_quote_t outer
    cdef quote_t quote
    cdef frame_t inner = frame[0]
    cdef session_t *session
    cdef int what = error_means(frame)
    cdef int family
    if (what < 0 or address_find(&tables.routes, frame.dst) is NULL or not outer_read(frame, &outer)
            or not is_of_tunnel(&tables.services, &outer)):
        return GO_ON
    # As if the error quoted the inner packet itself.
    inner.family = outer.inner_family
    inner.l4_off = <uint16_t>(outer.inner_off - ICMP_LEN)
    inner.l4_len = outer.inner_room + ICMP_LEN
    if not quote_read(&inner, &quote):
        return DROP_BAD_ICMP
    family = V4 if outer.inner_family == 4 else V6
    session = session_of_request(&tables.sessions[family], &tables.services,
                                 session_hash(&tables.sessions[family], quote.src, quote.sport, quote.protocol),
                                 quote.src, quote.sport, quote.protocol, quote.dst, quote.dport)
    if session is NULL and is_of_another(tables, frame, quote.src, quote.sport):
        return hand_over(tables, frame, now_ms)
    if (session is NULL or session_expired(&tables.services, session, now_ms)
            or not is_end_of(&tables.services, &tables.services.servers[session.server], &outer)):
        return DROP_ICMP_NO_SESSION
    if quote_is_forged(&quote, session_account(&tables.sessions[family], session).bytes, FROM_CLIENT):
        return DROP_FORGED_ICMP
    if not error_is_sound(frame):
        return DROP_BAD_ICMP
    return tell_client(tables, frame, &outer, what, now_ms)


cdef inline int error_means(const frame_t *frame) noexcept nogil:
    """What the error says to the sender of the packet within: TOO_BIG, HOST_UNREACHABLE, or nothing: -1."""
    cdef const icmp_hdr *icmp = <const icmp_hdr *>(frame.data + frame.l4_off)
    if frame.family == 4:
        if icmp.type == ICMP_UNREACHABLE and icmp.code == ICMP_TOO_BIG_CODE:
            return TOO_BIG
        return HOST_UNREACHABLE if icmp.type == ICMP_UNREACHABLE or icmp.type == ICMP_TIME_EXCEEDED else -1
    if icmp.type == ICMPV6_TOO_BIG:
        return TOO_BIG
    return HOST_UNREACHABLE if icmp.type == ICMPV6_UNREACHABLE or icmp.type == ICMPV6_TIME_EXCEEDED else -1


cdef inline verdict_t tell_client(tables_t *tables, frame_t *frame, const outer_quote_t *outer, int what,
                                  uint32_t now_ms) noexcept nogil:
    """The error is about the inner packet, on its way to who sent that, where swlb's own address is its sender.

    To swlb's own kernel, whose probe it was, the VIP is: the kernel drops what seems to come from its own address.
    """
    cdef const route_t *route
    cdef const address_t *own
    cdef ip_t vip
    cdef uint32_t mtu = 0
    if what == TOO_BIG:
        mtu = path_learn(&tables.services, frame, outer, now_ms) - outer.outer_len
    vip = unwrap(frame, outer)
    if what == TOO_BIG and frame.family == 4 and not (
            ntohs((<ipv4_hdr *>(frame.data + frame.l3_off)).frag) & IPV4_DONT):
        return DROP_TUNNEL_ERROR
    route = route_lookup(&tables.routes, frame.src)
    if route is NULL:
        return DROP_NO_ROUTE
    own = address_on(&tables.routes, route.segment, frame.family == 4)
    if own is NULL or not icmp_token(tables, what, now_ms):
        return DROP_TUNNEL_ERROR
    if address_find(&tables.routes, frame.src) is not NULL:
        icmp_quote(frame, what, told_mtu(frame, mtu), vip)
        return to_host(tables, frame, frame.segment, now_ms)
    frame.out_segment = route.segment
    frame.next_hop = frame.src if route.connected else route.via
    icmp_quote(frame, what, told_mtu(frame, mtu), own.ip)
    # To a client, of whom nobody needs to know when it does not answer; and no error is owed about an error.
    frame.dst = frame.src
    frame.protocol = PROTO_ICMP if frame.family == 4 else PROTO_ICMPV6
    return neighbour_output(tables, frame, now_ms)


cdef inline uint32_t path_learn(services_t *services, const frame_t *frame, const outer_quote_t *outer,
                                uint32_t now_ms) noexcept nogil:
    """The path MTU that the error tells of, which from now on holds for all servers at that address."""
    cdef uint32_t mtu = ntohl((<icmp_hdr *>(frame.data + frame.l4_off)).rest)
    cdef uint32_t i
    cdef server_t *server
    if frame.family == 4:
        mtu &= 0xFFFF
        mtu = max(mtu if mtu else <uint32_t>UNSAID_PATH, <uint32_t>LEAST_PATH_V4)
    else:
        mtu = max(mtu, <uint32_t>IPV6_LEAST_MTU)
    for i in range(services.n_servers):
        server = &services.servers[i]
        if ip_equal(server.ip, outer.dst) and (server.path_mtu == 0 or mtu <= server.path_mtu):
            server.path_mtu = mtu
            server.path_ms = now_ms
    return mtu


cdef inline ip_t unwrap(frame_t *frame, const outer_quote_t *outer) noexcept nogil:
    """The frame is the inner packet, as far as it was quoted, as if its sender had sent it to swlb; to which VIP."""
    cdef uint32_t forth = outer.inner_off - frame.l3_off
    cdef uint8_t *l3
    memmove(frame_vnet(frame) + forth, frame_vnet(frame), VNET_LEN + frame.l3_off)
    frame.data += forth
    vnet_clear(frame_vnet(frame))
    l3 = frame.data + frame.l3_off
    frame.family = outer.inner_family
    frame.found = FOUND_L3
    (<be16 *>(l3 - 2))[0] = ETH_IPV4 if frame.family == 4 else ETH_IPV6
    frame.len = frame.l3_off + outer.inner_room
    # Behind the quoted packet there may be extensions of the error (RFC 4884).
    if frame.family == 4:
        frame.src = ip_of_v4((<ipv4_hdr *>l3).src)
        frame.l4_off = frame.l3_off + (l3[0] & 15) * 4
        frame.len = min(frame.len, frame.l3_off + <uint32_t>ntohs((<ipv4_hdr *>l3).total_len))
    else:
        frame.src = ip_load((<ipv6_hdr *>l3).src)
        frame.l4_off = frame.l3_off + IPV6_LEN
        frame.len = min(frame.len, frame.l4_off + <uint32_t>ntohs((<ipv6_hdr *>l3).payload_len))
    frame.l4_len = frame.len - frame.l4_off if frame.len > frame.l4_off else 0
    return ip_of_v4((<ipv4_hdr *>l3).dst) if frame.family == 4 else ip_load((<ipv6_hdr *>l3).dst)

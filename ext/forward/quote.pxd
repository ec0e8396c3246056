"""ICMP errors about sessions: translated inside and out, so that the receiver recognises its own packet.

Read first: ext/forward/quote_read.pxd, RFC 5508 4.2 and 7, RFC 792, RFC 4443 2.4. Only 8 bytes of the quoted transport header are sure to be
there; they have the sequence number of TCP, which must be one that the quoted sender can have used (RFC 5927 4.1). A
session is neither kept alive nor ended by an error. An error with a wrong checksum says nothing; those of the quoted
packet gain what changed, so a wrong one stays wrong, as not all who quote a packet have left it as it was.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_equal, ip_t
from ext.forward.handover cimport hand_over, is_of_another, is_reply_of_another
from ext.forward.nat cimport account_of, reply_out
from ext.forward.output cimport route_out
from ext.forward.quote_piece cimport quote_renumber
from ext.forward.quote_read cimport error_is_sound, quote_is_forged, quote_read, quote_t
from ext.forward.request cimport is_translated, untouched_out
from ext.frame cimport FOUND_PARTIAL, frame_t
from ext.order cimport be16, load16, store16
from ext.tables.datagrams cimport ends_by_count, service_of, session_answered_last
from ext.tables.evidence cimport evidence_of_refusal
from ext.tables.route cimport address_find
from ext.tables.segment cimport segment_t
from ext.tables.server cimport SERVER_GONE, V4, V6, server_t
from ext.tables.service cimport FORWARD_NAT, SERVICE_NONE, service_find, service_t, services_t, vip_find
from ext.tables.session cimport (account_t, session_account, session_client, session_hash, session_of_reply,
                                 session_of_request, session_of_source, session_server_port, session_t)
from ext.tables.session_life cimport session_expired
from ext.tables.state cimport FROM_CLIENT, FROM_SERVER
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_BAD_ICMP, DROP_FORGED_ICMP, DROP_ICMP_NO_SESSION, GO_ON, verdict_t
from ext.wire.checksum cimport checksum_adjust, sum_bytes, sum_change, sum_fold
from ext.wire.ethernet cimport eth_hdr, mac_load
from ext.wire.icmp cimport ECHO_ID_OFF, ICMP_CHECKSUM_OFF, icmp_hdr, icmp_is_refusal
from ext.wire.ipv4 cimport PROTO_ICMP, PROTO_TCP, PROTO_UDP
from ext.wire.rewrite cimport DST, SRC, rewrite_address
from ext.wire.tcp cimport TCP_CHECKSUM_OFF
from ext.wire.udp cimport UDP_CHECKSUM_OFF

cdef inline uint32_t quote_port_off(const quote_t *quote, uint32_t end) noexcept nogil:
    """Where the quoted transport header has the port of that end, or an echo's identifier."""
    return 2 * end if quote.protocol == PROTO_TCP or quote.protocol == PROTO_UDP else <uint32_t>ECHO_ID_OFF


cdef inline uint32_t quote_check_off(const quote_t *quote) noexcept nogil:
    if quote.protocol == PROTO_TCP:
        return TCP_CHECKSUM_OFF
    return UDP_CHECKSUM_OFF if quote.protocol == PROTO_UDP else ICMP_CHECKSUM_OFF


cdef inline void quote_rewrite(frame_t *frame, quote_t *quote, uint32_t end, ip_t ip, be16 l4_port) noexcept nogil:
    """The quoted packet's end is ip and l4_port; its checksums, where quoted, and the error's own follow."""
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    cdef uint32_t covered = <uint32_t>(quote.l4 - quote.l3) + min(quote.l4_room, <uint32_t>20)
    cdef uint16_t before = sum_fold(sum_bytes(quote.l3, covered, 0))
    cdef uint32_t check_off = quote_check_off(quote), port_off = quote_port_off(quote, end)
    cdef uint16_t old_port = load16(quote.l4 + port_off)
    cdef be16 check
    cdef uint16_t change = rewrite_address(quote.l3, frame.family, end, ip)
    if quote.protocol == PROTO_ICMP:
        change = 0
    store16(quote.l4 + port_off, l4_port)
    if quote.l4_room >= check_off + <uint32_t>2 and not (quote.protocol == PROTO_UDP
                                                          and load16(quote.l4 + check_off) == 0):
        change = sum_fold(<uint64_t>change + sum_change(old_port, l4_port))
        check = checksum_adjust(load16(quote.l4 + check_off), change)
        store16(quote.l4 + check_off, 0xFFFF if quote.protocol == PROTO_UDP and check == 0 else check)
    if not frame.found & FOUND_PARTIAL:
        icmp.checksum = checksum_adjust(icmp.checksum,
                                        sum_change(before, sum_fold(sum_bytes(quote.l3, covered, 0))))


cdef inline void error_rewrite(frame_t *frame, uint32_t end, ip_t ip) noexcept nogil:
    """The error itself comes from or goes to ip; an ICMPv6 checksum covers that, an ICMP one does not."""
    cdef icmp_hdr *icmp = <icmp_hdr *>(frame.data + frame.l4_off)
    cdef uint16_t change = rewrite_address(frame.data + frame.l3_off, frame.family, end, ip)
    if frame.family == 6 and not frame.found & FOUND_PARTIAL:
        icmp.checksum = checksum_adjust(icmp.checksum, change)


cdef inline verdict_t quote_to_server(tables_t *tables, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """An error sent to a VIP, about a packet that the server sent: on to the server, which sees its own packet.

    A server that has the VIP itself sent it so, and gets the error as it is.
    """
    cdef quote_t quote
    cdef session_t *session
    cdef server_t *server
    cdef const account_t *account
    cdef ip_t source
    cdef uint32_t hash
    cdef int family = V4 if frame.family == 4 else V6
    if not quote_read(frame, &quote) or not ip_equal(quote.src, frame.dst):
        return DROP_BAD_ICMP
    hash = session_hash(&tables.sessions[family], quote.dst, quote.dport, quote.protocol)
    session = session_of_request(&tables.sessions[family], &tables.services, hash, quote.dst, quote.dport,
                                 quote.protocol, quote.src, quote.sport)
    if session is not NULL and ends_by_count(service_of(&tables.services, session)):
        session = session_answered_last(&tables.sessions[family], &tables.services, hash, session)
    if session is NULL and is_of_another(tables, frame, quote.dst, quote.dport):
        return hand_over(tables, frame, now_ms)
    if session is NULL or session_expired(&tables.services, session, now_ms):
        return DROP_ICMP_NO_SESSION
    account = session_account(&tables.sessions[family], session)
    if quote_is_forged(&quote, account.bytes, FROM_SERVER):
        return DROP_FORGED_ICMP
    if not is_translated(tables, session):
        frame.hash = hash
        return untouched_out(tables, frame, session.server, now_ms)
    if not error_is_sound(frame):
        return DROP_BAD_ICMP
    server = &tables.services.servers[session.server]
    quote_renumber(tables, frame, quote.l3, quote.src)
    quote_rewrite(frame, &quote, SRC, server.ip, session_server_port(session, server))
    error_rewrite(frame, DST, server.ip)
    if account.source:
        source = tables.sources.sources[account.source - 1].ip
        quote_rewrite(frame, &quote, DST, source, account.source_port)
        # Of a router on the way to the client no address needs to be hidden.
        if ip_equal(frame.src, quote.dst):
            error_rewrite(frame, SRC, source)
    return route_out(tables, frame, server.ip, False, now_ms)


cdef inline verdict_t quote_of_none(tables_t *tables, const segment_t *segment, const frame_t *frame,
                                    const quote_t *quote) noexcept nogil:
    """An error about no session: dropped where swlb would have to route it and it speaks of what is balanced.

    One for swlb itself (its checks call servers too) or for a neighbour on the bridge is not: GO_ON.
    """
    if mac_load((<eth_hdr *>frame.data).dst) != segment.mac or address_find(&tables.routes, frame.dst) is not NULL:
        return GO_ON
    if (is_balanced(&tables.services, quote.protocol, quote.dst, quote.dport)
            or is_balanced(&tables.services, quote.protocol, quote.src, quote.sport)):
        return DROP_ICMP_NO_SESSION
    return GO_ON


cdef inline bint is_balanced(const services_t *services, uint8_t protocol, ip_t ip, be16 l4_port) noexcept nogil:
    """Whether ip is a VIP, or a server that is called at that port. A walk past all servers, as errors are few."""
    cdef uint32_t i
    if vip_find(services, ip) is not NULL:
        return True
    for i in range(services.n_servers):
        if services.servers[i].ready & SERVER_GONE:
            continue
        if ip_equal(services.servers[i].ip, ip) and is_called_at(services, &services.servers[i], protocol, l4_port):
            return True
    return False


cdef inline bint is_called_at(const services_t *services, const server_t *server, uint8_t protocol,
                              be16 l4_port) noexcept nogil:
    """Whether the server is called at that port: its own, or any of the service's when it has none."""
    cdef const service_t *service = &services.services[server.service]
    cdef uint16_t vip = service.vip_index[server.family]
    if service.protocol != protocol or service.forward != FORWARD_NAT:
        return False
    if server.l4_port:
        return server.l4_port == l4_port
    return vip != SERVICE_NONE and service_find(services, &services.vips[vip], protocol, l4_port) == service


cdef inline verdict_t quote_to_client(tables_t *tables, segment_t *segment, frame_t *frame,
                                      uint32_t now_ms) noexcept nogil:
    """An error about a packet that the client sent: on to the client as the VIP's, if a server sent it.

    GO_ON when it is about no session and none of swlb's business. A router between swlb and the server keeps its
    address as sender.
    """
    cdef quote_t quote
    cdef session_t *session
    cdef server_t *server
    cdef ip_t vip
    cdef int family = V4 if frame.family == 4 else V6
    if not quote_read(frame, &quote) or not ip_equal(quote.src, frame.dst):
        return GO_ON
    session = session_of_reply(&tables.sessions[family], &tables.services,
                               session_hash(&tables.sessions[family], quote.src, quote.sport, quote.protocol),
                               quote.src, quote.sport, quote.protocol, quote.dst, quote.dport)
    if session is NULL and is_reply_of_another(tables, frame, quote.dst, quote.src, quote.sport):
        return hand_over(tables, frame, now_ms)
    if session is NULL or session_expired(&tables.services, session, now_ms):
        return quote_of_none(tables, segment, frame, &quote)
    if quote_is_forged(&quote, account_of(tables, frame, session).bytes, FROM_CLIENT):
        return DROP_FORGED_ICMP
    if not is_translated(tables, session):
        return GO_ON
    if not error_is_sound(frame):
        return DROP_BAD_ICMP
    server = &tables.services.servers[session.server]
    vip = tables.services.services[server.service].vip[family]
    quote_rewrite(frame, &quote, DST, vip, session.vip_port)
    if ip_equal(frame.src, server.ip):
        server_complains(tables, frame, session)
        error_rewrite(frame, SRC, vip)
    return reply_out(tables, segment, frame, now_ms)


cdef inline void server_complains(tables_t *tables, const frame_t *frame, const session_t *session) noexcept nogil:
    """The session's server itself sent the error: evidence, where it says that there is nobody."""
    if icmp_is_refusal(<const icmp_hdr *>(frame.data + frame.l4_off), frame.family):
        evidence_of_refusal(&tables.services, session, account_of(tables, frame, session))


cdef inline verdict_t quote_of_source(tables_t *tables, frame_t *frame, uint16_t source, uint32_t now_ms) noexcept nogil:
    """An error about a packet sent by an address that stands for clients: on to the client, as about its own packet.

    GO_ON when it is about no session.
    """
    cdef quote_t quote
    cdef session_t *session
    cdef server_t *server
    cdef ip_t vip, client
    cdef int family = V4 if frame.family == 4 else V6
    if not quote_read(frame, &quote) or not ip_equal(quote.src, frame.dst):
        return GO_ON
    session = session_of_source(&tables.sessions[family], &tables.services, source, quote.sport, quote.protocol, quote.dst,
                                quote.dport)
    if session is NULL and is_reply_of_another(tables, frame, quote.dst, quote.src, quote.sport):
        return hand_over(tables, frame, now_ms)
    if session is NULL or session_expired(&tables.services, session, now_ms):
        return GO_ON
    if quote_is_forged(&quote, account_of(tables, frame, session).bytes, FROM_CLIENT):
        return DROP_FORGED_ICMP
    if not error_is_sound(frame):
        return DROP_BAD_ICMP
    server = &tables.services.servers[session.server]
    vip = tables.services.services[server.service].vip[family]
    client = session_client(&tables.sessions[family], session)
    quote_renumber(tables, frame, quote.l3, quote.src)
    quote_rewrite(frame, &quote, SRC, client, session.client_port)
    quote_rewrite(frame, &quote, DST, vip, session.vip_port)
    error_rewrite(frame, DST, client)
    if ip_equal(frame.src, server.ip):
        server_complains(tables, frame, session)
        error_rewrite(frame, SRC, vip)
    return route_out(tables, frame, client, False, now_ms)

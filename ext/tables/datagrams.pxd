"""Sessions of UDP that end by counting datagrams, as services say by `requests` and `responses`.

    spent       the client has sent `requests` datagrams since its server was chosen, or the session is answered: its
                next datagram is scheduled anew. It stays for replies that are still due
    answered    the server has sent `responses` datagrams for each of the client's: it is CLOSED, and stays as long as
                that state may be idle, for ICMP errors about the last reply

So a client's end point has a session with each server that was chosen for it, and at most one in which its next
datagram goes on. When a server is chosen again its session goes on, with what it has counted: replies of before count
for it. Where servers have the VIP themselves all of them answer as one, and the session with the last is the only one.
What this file does not do: choose (forward/choice.pxd), and end sessions (session_life.pxd).
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.order cimport be16, load64
from ext.tables.service cimport FORWARD_NAT, service_t, services_t
from ext.tables.session cimport (IN_BUCKET, account_t, bucket_after, session_account, session_client, session_home,
                                 session_is_of, session_t, session_word, sessions_t)
from ext.tables.session_life cimport session_crowded, session_remove
from ext.tables.state cimport CLOSED, FROM_CLIENT, FROM_SERVER

cdef enum:
    ANY_SERVER = 0xFFFF    # no server has this index


cdef inline const service_t *service_of(const services_t *services, const session_t *session) noexcept nogil:
    return &services.services[services.servers[session.server].service]


cdef inline bint ends_by_count(const service_t *service) noexcept nogil:
    """Whether its sessions may be spent."""
    return (service.requests | service.responses) != 0


cdef inline bint session_is_spent(const sessions_t *table, const services_t *services,
                                  const session_t *session) noexcept nogil:
    """Whether the client's next datagram is scheduled anew. Of a session whose service ends none by count: no."""
    cdef const service_t *service = service_of(services, session)
    if not ends_by_count(service):
        return False
    return session.state == CLOSED or (
        service.requests != 0 and session_account(table, session).packets[FROM_CLIENT] % service.requests == 0)


cdef inline bint session_is_answered(const sessions_t *table, const services_t *services,
                                     const session_t *session) noexcept nogil:
    """Whether the server has sent all that was due."""
    cdef const account_t *account = session_account(table, session)
    cdef uint32_t responses = service_of(services, session).responses
    return responses != 0 and account.packets[FROM_SERVER] >= <uint64_t>account.packets[FROM_CLIENT] * responses


cdef inline session_t *session_with(const sessions_t *table, const services_t *services, uint32_t hash, ip_t client,
                                    be16 client_port, uint8_t protocol, be16 vip_port, uint16_t service,
                                    uint16_t server) noexcept nogil:
    """The session of that client, whose hash it is, with that server of the service; or NULL.

    For ANY_SERVER the one that is not spent. Where servers have the VIP themselves, that with whichever server.
    """
    cdef uint64_t word = session_word(table, hash, client, client_port, vip_port)
    cdef bint translated = services.services[service].forward == FORWARD_NAT
    cdef uint32_t at = session_home(table, hash)
    cdef uint32_t i, probe = 0
    cdef session_t *session
    while probe < table.probes:
        for i in range(<uint32_t>IN_BUCKET):
            session = &table.buckets[at].sessions[i]
            if (load64(session) != word or not session_is_of(table, session, client, protocol)
                    or services.servers[session.server].service != service):
                continue
            if server == ANY_SERVER and not session_is_spent(table, services, session):
                return session
            if server != ANY_SERVER and (session.server == server or not translated):
                return session
        if table.buckets[at].passed == 0:
            return NULL
        at = bucket_after(table, at)
        probe += 1
    return NULL


cdef inline session_t *session_answered_last(const sessions_t *table, const services_t *services, uint32_t hash,
                                             session_t *of) noexcept nogil:
    """Of the sessions that the client of one, whose hash it is, has with its service, that with the last reply.

    As far as is known: of those in which replies came, the one that was silent for the shortest time.
    """
    cdef uint64_t word = load64(of)
    cdef ip_t client = session_client(table, of)
    cdef uint32_t at = session_home(table, hash)
    cdef uint32_t i, probe = 0
    cdef session_t *session
    cdef session_t *last = NULL
    while probe < table.probes:
        for i in range(<uint32_t>IN_BUCKET):
            session = &table.buckets[at].sessions[i]
            if (load64(session) == word and session_is_of(table, session, client, of.protocol)
                    and service_of(services, session) == service_of(services, of)
                    and session_account(table, session).packets[FROM_SERVER]
                    and (last is NULL or <int32_t>(session.seen_ms - last.seen_ms) > 0)):
                last = session
        if table.buckets[at].passed == 0:
            break
        at = bucket_after(table, at)
        probe += 1
    if last is NULL:
        return of
    return last


cdef inline void session_make_room(sessions_t *table, services_t *services, uint32_t hash, ip_t client,
                                   be16 client_port, uint32_t now_ms) noexcept nogil:
    """The end point may have one more session, if one of it is spent: the one that was silent longest is given up."""
    cdef uint64_t word = session_word(table, hash, client, client_port, 0)
    cdef uint32_t at = session_home(table, hash)
    cdef uint32_t i, probe
    cdef session_t *session
    cdef session_t *silent = NULL
    if not session_crowded(table, hash, client, client_port):
        return
    for probe in range(table.probes):
        for i in range(<uint32_t>IN_BUCKET):
            session = &table.buckets[at].sessions[i]
            if (session.protocol and (load64(session) ^ word) << 16 == 0 and session_is_spent(table, services, session)
                    and (silent is NULL or now_ms - session.seen_ms > now_ms - silent.seen_ms)):
                silent = session
        if table.buckets[at].passed == 0:
            break
        at = bucket_after(table, at)
    if silent is not NULL:
        session_remove(table, services, silent, now_ms)

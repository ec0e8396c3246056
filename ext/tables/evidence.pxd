"""What traffic itself says of a server: who was answered, and who was not although an answer was due.

    answered     the client has acknowledged the server's SYN-ACK; a datagram of the server's came back
    repeated     the client has asked for its connection again, for nothing had come from the server
    refused      the server reset the connection that was asked for, or sent an ICMP error that says it is not there
    unanswered   the session ended and the server had said nothing in it: TCP that counts as repeated left out

A session counts at most once as each of them. All of it is counted where a session changes its state, is asked for
again, or ends; a packet of an established one costs nothing. Where replies go past swlb, what comes back is known only
from what the client does next, so `refused` and `unanswered` stay 0 there.
Structure: an array beside that of the servers. Owner: the worker that has the session; readers add up.
"""

from libc.stdint cimport uint8_t, uint32_t

from ext.tables.server cimport evidence_t
from ext.tables.service cimport FORWARD_NAT, services_t
from ext.tables.session cimport account_t, session_t
from ext.tables.state cimport CLOSED, ESTABLISHED, FROM_CLIENT, FROM_SERVER, ONE_SIDED, ONE_WAY, SYN_RECV, TWO_WAY

cdef enum:
    REPEAT_MS = 500        # a client waits for a second (RFC 6298 2.1); what comes sooner is the same packet twice


cdef inline void evidence_of_change(services_t *services, const session_t *session, const account_t *account,
                                    uint8_t state, int direction) noexcept nogil:
    """A packet in that direction, counted already, brings the session into another state."""
    cdef evidence_t *evidence = &services.evidence[session.server]
    if session.state == SYN_RECV:
        if state == ESTABLISHED:
            # Heard on both sides, an acknowledgement of nothing is no answer.
            evidence.answered += direction == ONE_SIDED or account.packets[FROM_SERVER] != 0
        elif state == CLOSED and direction == FROM_SERVER:
            evidence.refused += account.packets[FROM_SERVER] == 1
    elif session.state == ONE_WAY and state == TWO_WAY:
        evidence.answered += direction == FROM_SERVER


cdef inline void evidence_of_repeat(services_t *services, const session_t *session, const account_t *account,
                                    uint32_t now_ms) noexcept nogil:
    """The client's SYN, not counted yet, has come before."""
    if (session.state == SYN_RECV and account.packets[FROM_SERVER] == 0 and account.packets[FROM_CLIENT] == 1
            and now_ms - session.seen_ms >= REPEAT_MS):
        services.evidence[session.server].repeated += 1


cdef inline void evidence_of_refusal(services_t *services, const session_t *session,
                                     const account_t *account) noexcept nogil:
    """The server itself has said in an ICMP error that it cannot be had."""
    if ((session.state == SYN_RECV or session.state == ONE_WAY) and account.packets[FROM_SERVER] == 0
            and account.packets[FROM_CLIENT] == 1):
        services.evidence[session.server].refused += 1


cdef inline void evidence_of_end(services_t *services, const session_t *session,
                                 const account_t *account) noexcept nogil:
    """The session has expired."""
    cdef evidence_t *evidence = &services.evidence[session.server]
    if services.services[services.servers[session.server].service].forward != FORWARD_NAT or account.packets[FROM_SERVER]:
        return
    evidence.unanswered += (session.state == ONE_WAY
                            or (session.state == SYN_RECV and account.packets[FROM_CLIENT] == 1))

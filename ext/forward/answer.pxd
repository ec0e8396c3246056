"""What is sent to an address that stands for others: the answer of a server, or of a peer of a masqueraded host.

Read first: ext/tables/source.pxd. When such an address is swlb's own as well, what is about nobody is the kernel's.
"""

from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.forward.down cimport reply
from ext.forward.handover cimport hand_over, is_of_another, is_reply_of_another
from ext.forward.icmp cimport icmp_echo
from ext.forward.masquerade cimport answer_enters
from ext.forward.quote cimport quote_of_source
from ext.forward.quote_tunnel cimport quote_of_tunnel
from ext.forward.refuse cimport refuse
from ext.forward.request cimport later_fragment
from ext.frame cimport FOUND_FRAGMENT, FOUND_L4, FOUND_LATER, frame_t
from ext.tables.route cimport address_find
from ext.tables.segment cimport segment_t
from ext.tables.server cimport V4, V6
from ext.tables.service cimport ANSWER_RESET, vip_t
from ext.tables.session cimport session_of_source, session_t
from ext.tables.session_life cimport session_expired
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_FRAGMENT, DROP_ICMP_NO_SESSION, DROP_ORPHAN, DROP_VIP_PROTOCOL, GO_ON, verdict_t
from ext.wire.icmp cimport is_echo_request, is_icmp_error


cdef inline verdict_t to_source(tables_t *tables, segment_t *segment, frame_t *frame, const vip_t *vip,
                                uint32_t now_ms) noexcept nogil:
    """A packet to an address that stands for clients: the answer of a server, an error, or none of a session.

    GO_ON for the last when the address is one that swlb's kernel has, too.
    """
    cdef int family = V4 if frame.family == 4 else V6
    cdef bint own = address_find(&tables.routes, frame.dst) is not NULL
    cdef session_t *session
    cdef verdict_t verdict
    if unlikely(frame.found & FOUND_LATER):
        return later_fragment(tables, segment, frame, GO_ON if own else <int>DROP_FRAGMENT, now_ms)
    if unlikely(not frame.found & FOUND_L4):
        return icmp_to_source(tables, frame, vip.source, own, now_ms)
    session = session_of_source(&tables.sessions[family], &tables.services, vip.source, frame.dport, frame.protocol,
                                frame.src, frame.sport)
    if likely(session is not NULL and not session_expired(&tables.services, session, now_ms)):
        return reply(tables, segment, frame, session, now_ms)
    verdict = of_flow_or_another(tables, frame, vip.source, now_ms)
    if verdict != GO_ON or own:
        return verdict
    return refuse(tables, frame, ANSWER_RESET, DROP_ORPHAN, now_ms)


cdef inline verdict_t of_flow_or_another(tables_t *tables, frame_t *frame, uint16_t source, uint32_t now_ms) noexcept nogil:
    """The answer to a flow of masquerade, or one whose session or flow another worker has; GO_ON when it is neither."""
    cdef verdict_t verdict
    if tables.guarded:
        verdict = answer_enters(tables, frame, source, now_ms)
        if verdict != GO_ON:
            return verdict
        if frame.found & FOUND_L4 and is_of_another(tables, frame, frame.dst, frame.dport):
            return hand_over(tables, frame, now_ms)
    elif is_reply_of_another(tables, frame, frame.src, frame.dst, frame.dport):
        return hand_over(tables, frame, now_ms)
    return GO_ON


cdef inline verdict_t icmp_to_source(tables_t *tables, frame_t *frame, uint16_t source, bint own,
                                     uint32_t now_ms) noexcept nogil:
    """Errors go to whom they are about; echo is answered, as the address is there to be tested."""
    cdef verdict_t verdict = GO_ON
    cdef bint error = is_icmp_error(frame) and not frame.found & FOUND_FRAGMENT
    if error and own:
        verdict = quote_of_tunnel(tables, frame, now_ms)
    if error and verdict == GO_ON:
        verdict = quote_of_source(tables, frame, source, now_ms)
    if verdict == GO_ON and tables.guarded:
        verdict = answer_enters(tables, frame, source, now_ms)
    if verdict != GO_ON or own:
        return verdict
    if error:
        return DROP_ICMP_NO_SESSION
    if is_echo_request(frame) and not frame.found & FOUND_FRAGMENT:
        return icmp_echo(tables, frame, now_ms)
    return DROP_VIP_PROTOCOL

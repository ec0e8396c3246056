"""Who was given a new session, and because of what.

The last DECISIONS choices are kept for people to look at: a ring, in which the oldest gives way. What is written is what
was so before the session began. Owner: the worker; the control plane copies the ring between two turns.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_t
from ext.frame cimport frame_t
from ext.order cimport be16
from ext.tables.group cimport group_t
from ext.tables.server cimport server_t
from ext.tables.service cimport service_t
from ext.wire.ipv4 cimport PROTO_TCP
from ext.wire.tcp cimport is_new_connection

cdef enum:
    # choice_t.because
    BECAUSE_SCHEDULER = 0      # its scheduler named the server
    BECAUSE_PERSISTENCE = 1    # the client had been there
    BECAUSE_NEXT = 2           # whom the scheduler named could not tell the session from another
    BECAUSE_FALLBACK = 3       # whom the hash names takes no new session
    BECAUSE_PROBE = 4          # it is a probe of swlb's own, for that server's double
    NOBODY = 0xFFFF            # choice_t.named, decision_t.server
    DECISIONS = 1024           # all of them are copied at once (SLICE of worker.pyx)

cdef struct choice_t:
    server_t *server           # NULL: nobody
    uint8_t because
    uint32_t hold              # by what the session is to hold the client's entry of persistence; 0: by nothing
    bint standing_in           # an address of swlb's own is to stand for the client there
    uint16_t named             # index of the server that was named first, where another was chosen; NOBODY: not known

cdef struct decision_t:
    ip_t client
    uint64_t at_ns
    be16 client_port
    be16 vip_port
    uint16_t server            # index; NOBODY: another's since
    uint16_t named             # as in choice_t
    uint16_t candidates        # servers that might have been given the session
    uint16_t weight
    uint16_t share
    uint8_t protocol
    uint8_t because
    uint8_t scheduler          # SCHEDULE_RR ...
    uint8_t hash_key           # KEY_SOURCE ...
    uint8_t backup             # it is one
    uint8_t mid_stream         # the client's first packet that was seen began no connection
    uint32_t active            # sessions that it had
    uint32_t inactive

cdef struct decisions_t:
    decision_t ring[DECISIONS]
    decision_t draft           # in no place of the ring before its session has begun
    uint32_t written


cdef inline void choice_begin(choice_t *choice) noexcept nogil:
    """Nobody is chosen, and nothing is known of why yet."""
    choice.server = NULL
    choice.because = BECAUSE_SCHEDULER
    choice.hold = 0
    choice.standing_in = False
    choice.named = NOBODY


cdef inline void choice_passes(choice_t *choice, uint8_t because, uint16_t index) noexcept nogil:
    """The server of that index was named first and is passed over."""
    choice.because = because
    if choice.named == NOBODY:
        choice.named = index


cdef inline void decision_write(decisions_t *decisions, const frame_t *frame, const choice_t *choice,
                                const service_t *service, int family, uint16_t index, uint64_t now_ns) noexcept nogil:
    """Why the server of that index is chosen is written down; it counts once `decision_keep` says so."""
    cdef decision_t *decision = &decisions.draft
    cdef const group_t *group = &service.groups[family]
    cdef const server_t *server = choice.server
    decision.client = frame.src
    decision.at_ns = now_ns
    decision.client_port = frame.sport
    decision.vip_port = frame.dport
    decision.server = index
    decision.named = choice.named
    decision.candidates = group.n_takers
    decision.weight = server.weight
    decision.share = server.share
    decision.protocol = frame.protocol
    decision.because = choice.because
    decision.scheduler = service.scheduler
    decision.hash_key = service.hash_key
    decision.backup = server.backup
    decision.mid_stream = frame.protocol == PROTO_TCP and not is_new_connection(frame.tcp_flags)
    decision.active = server.sessions_active
    decision.inactive = server.sessions_inactive


cdef inline void decision_keep(decisions_t *decisions, const choice_t *choice) noexcept nogil:
    """What was written last is a decision, as its session has begun. Probes are not scheduled, and not kept."""
    if choice.because != BECAUSE_PROBE:
        decisions.ring[decisions.written % DECISIONS] = decisions.draft
        decisions.written += 1

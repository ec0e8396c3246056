"""Long tables for the control plane, part after part: which sessions are wanted is decided here, before they are copied.

A call looks at few entries and leaves few rows, so that frames never wait for a list, however long it is or however few
are wanted of it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.address cimport ip_in, ip_is_v4, ip_t
from ext.calls cimport ANY
from ext.judge cimport worker_t
from ext.tables.flow cimport flow_t, flows_t
from ext.tables.server cimport V4
from ext.tables.service cimport services_t
from ext.tables.session cimport IN_BUCKET, PAGE, account_t, session_account, session_at, session_client, session_t, sessions_t
from ext.tables.state cimport S_NONE, told_state
from ext.wire.ipv4 cimport PROTO_ICMP, PROTO_TCP, PROTO_UDP

cdef enum:
    ROWS = 192             # PAGE * IN_BUCKET: a page of sessions, all of them
    PAGES_AT_ONCE = 8      # pages looked at where nobody is wanted: 32 KiB
    FLOWS_AT_ONCE = 512    # the same of flows: 48 KiB
    ANY_FAMILY = 2

cdef struct filter_t:      # what all wanted sessions have
    uint8_t family         # of the client: V4, V6, or ANY_FAMILY, and then of any network
    ip_t network
    ip_t mask              # of its address
    uint16_t service       # index, or ANY
    uint16_t server
    uint8_t state          # S_NONE: any
    uint8_t protocol       # 0: any; PROTO_ICMP: neither TCP nor UDP

cdef struct listing_t:
    filter_t filter
    uint8_t *target        # room for ROWS
    uint32_t n             # rows that the call has left there
    uint32_t at            # where the next call goes on
    uint32_t end           # where there is nothing more
    uint16_t family        # of sessions

cdef struct row_t:         # a session as call_list_sessions leaves it
    session_t session
    account_t account
    ip_t client


cdef inline bint is_wanted(const filter_t *filter, uint8_t protocol, uint8_t state) noexcept nogil:
    """Whether it may be so, by what every session and flow has."""
    if filter.protocol and protocol != filter.protocol:
        if filter.protocol != PROTO_ICMP or protocol == PROTO_TCP or protocol == PROTO_UDP:
            return False
    return filter.state == S_NONE or filter.state == told_state(state)


cdef inline bint is_client_wanted(const filter_t *filter, ip_t client) noexcept nogil:
    """Whether the client is of the network; IPv4 is in no network of IPv6."""
    return filter.family == ANY_FAMILY or (
        ip_in(client, filter.network, filter.mask) and ip_is_v4(client) == (filter.family == V4))


cdef inline bint is_session_wanted(const filter_t *filter, const services_t *services, const sessions_t *table,
                                   const session_t *session) noexcept nogil:
    """Whether the session has all that the filter asks for; what costs most is looked at last."""
    return (is_wanted(filter, session.protocol, session.state)
            and (filter.server == ANY or filter.server == session.server)
            and (filter.service == ANY or filter.service == services.servers[session.server].service)
            and is_client_wanted(filter, session_client(table, session)))


cdef inline void call_list_sessions(worker_t *worker, void *argument) noexcept nogil:
    """The wanted sessions of pages from `at` on are in target as row_t: of one page, or of none of PAGES_AT_ONCE."""
    cdef listing_t *listing = <listing_t *>argument
    cdef sessions_t *table = &worker.tables.sessions[listing.family]
    cdef uint32_t looked = 0
    listing.n = 0
    listing.end = table.n_pages
    while listing.at < table.n_pages and listing.n == 0 and looked < PAGES_AT_ONCE:
        if table.n_of[listing.at]:
            list_page(listing, &worker.tables.services, table)
            looked += 1
        listing.at += 1


cdef inline void list_page(listing_t *listing, const services_t *services, const sessions_t *table) noexcept nogil:
    """Those of page `at` are in target."""
    cdef row_t *rows = <row_t *>listing.target
    cdef const session_t *session
    cdef uint32_t place
    for place in range(listing.at * PAGE * IN_BUCKET, (listing.at + 1) * PAGE * IN_BUCKET):
        session = session_at(table, place)
        if session.protocol and is_session_wanted(&listing.filter, services, table, session):
            rows[listing.n].session = session[0]
            rows[listing.n].account = session_account(table, session)[0]
            rows[listing.n].client = session_client(table, session)
            listing.n += 1


cdef inline void call_list_flows(worker_t *worker, void *argument) noexcept nogil:
    """The wanted flows from `at` on are in target as flow_t: ROWS of them, or those of FLOWS_AT_ONCE entries."""
    cdef listing_t *listing = <listing_t *>argument
    cdef const flows_t *table = &worker.tables.flows
    cdef flow_t *rows = <flow_t *>listing.target
    cdef const flow_t *flow
    cdef uint32_t last = min(table.high, listing.at + <uint32_t>FLOWS_AT_ONCE)
    listing.n = 0
    listing.end = table.high
    while listing.at < last and listing.n < ROWS:
        flow = &table.entries[listing.at]
        if flow.state != S_NONE and is_flow_wanted(&listing.filter, flow):
            rows[listing.n] = flow[0]
            listing.n += 1
        listing.at += 1


cdef inline bint is_flow_wanted(const filter_t *filter, const flow_t *flow) noexcept nogil:
    """Whether the flow has all that the filter asks for. It is no service's; its client is who began it."""
    return (filter.service == ANY and filter.server == ANY
            and is_wanted(filter, flow.ends.protocol, flow.state)
            and is_client_wanted(filter, flow.ends.inside if flow.source else flow.ends.peer))

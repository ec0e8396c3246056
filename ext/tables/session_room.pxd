"""Room for a session where there is none: somebody who is not proven, or with whom nothing is left to do, gives way.

Read first: half_open.pxd. Nobody who has been answered ever gives way to a stranger.
"""

from libc.stdint cimport uint32_t

from ext.tables.half_open cimport (half_open_is_full, half_open_t, is_done, is_half_open, turn_first, turn_t, turns_t)
from ext.tables.pin cimport is_double
from ext.tables.service cimport FORWARD_NAT, services_t
from ext.tables.session cimport account_t, session_account, session_at, session_t, sessions_t
from ext.tables.session_life cimport session_give_way
from ext.tables.state cimport ESTABLISHED, FROM_SERVER

cdef enum:
    TURNS_A_TICK = 4096
    TURNS = 256            # stale ones that are passed by for one session; the next goes on behind them


cdef inline bint quota_make_room(sessions_t *both, services_t *services, uint32_t now_ms) noexcept nogil:
    """One more session may be half open: there is room, or the oldest has given way. `both`: the tables, by family."""
    cdef half_open_t *half_open = both[0].half_open
    return not half_open_is_full(half_open) or oldest_gives_way(both, services, &half_open.waiting, now_ms)


cdef inline bint table_make_room(sessions_t *both, services_t *services, uint32_t now_ms) noexcept nogil:
    """Somebody has given way: who was done, or else who was half open. False: all are proven."""
    cdef half_open_t *half_open = both[0].half_open
    return (oldest_gives_way(both, services, &half_open.done, now_ms)
            or oldest_gives_way(both, services, &half_open.waiting, now_ms))


cdef inline bint oldest_gives_way(sessions_t *both, services_t *services, turns_t *turns,
                                  uint32_t now_ms) noexcept nogil:
    """The first of these whose turn it still is is gone; False: there is none."""
    cdef sessions_t *table
    cdef session_t *session
    cdef const turn_t *turn
    cdef uint32_t i
    for i in range(<uint32_t>TURNS):
        turn = turn_first(turns)
        if turn is NULL:
            return False
        turns.first += 1
        table = &both[turn.place & 1]
        session = session_at(table, turn.place >> 1)
        if (turn_is_of(table, session, turn)
                and may_give_way(table, services, session, turns == &table.half_open.waiting)):
            session_give_way(table, services, session, now_ms)
            table.half_open.given_way += 1
            return True
    return False


cdef inline bint turn_is_of(const sessions_t *table, const session_t *session, const turn_t *turn) noexcept nogil:
    """Whether the session is the one that was noted."""
    return session.protocol != 0 and session_account(table, session).created_ms == turn.created_ms


cdef inline bint may_give_way(const sessions_t *table, const services_t *services, const session_t *session,
                              bint waiting) noexcept nogil:
    """Whether the session is in the state in which it would be noted there, and none of swlb's own probes.

    One that is done has its turn among those, too: in the place of one that waits it would make no room in the quota.
    """
    if is_double(services, &services.servers[session.server]):
        return False
    if waiting:
        return is_half_open(session.state)
    return is_done(session.state) or is_claimed(table, services, session)


cdef inline bint is_claimed(const sessions_t *table, const services_t *services,
                            const session_t *session) noexcept nogil:
    """Whether it is established by its client's word alone, although its server would have been heard."""
    cdef const account_t *account = session_account(table, session)
    return (session.state == ESTABLISHED and account.packets[FROM_SERVER] == 0
            and services.services[services.servers[session.server].service].forward == FORWARD_NAT)


cdef inline void turns_clear(sessions_t *both, turns_t *turns) noexcept nogil:
    """No stale turn is the first, unless there are very many: so many are looked at."""
    cdef const turn_t *turn
    cdef const sessions_t *table
    cdef const session_t *session
    cdef uint32_t i
    for i in range(<uint32_t>TURNS_A_TICK):
        turn = turn_first(turns)
        if turn is NULL:
            return
        table = &both[turn.place & 1]
        session = session_at(table, turn.place >> 1)
        if turn_is_of(table, session, turn) and is_half_open(session.state):
            return
        turns.first += 1

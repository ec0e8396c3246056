"""The scheduler of a service at work: which server a new session is offered first, and which next.

A choice takes constant or logarithmic time in the number of servers, unless its scheduler's own file says that it
must look at all of them.
"""

from libc.stdint cimport uint8_t, uint32_t

from ext.debug cimport likely
from ext.frame cimport frame_t
from ext.schedule.fallback cimport hashed_choose
from ext.schedule.hash cimport frame_hash
from ext.schedule.p2c cimport p2c_choose
from ext.schedule.rr cimport rr_choose, rr_chosen
from ext.schedule.table cimport table_choose
from ext.schedule.wrr cimport wrr_choose, wrr_chosen, wrr_passed
from ext.tables.contest cimport contest_winner
from ext.tables.decision cimport BECAUSE_NEXT, BECAUSE_SCHEDULER, choice_passes, choice_t
from ext.tables.group cimport SCHEDULE_P2C, SCHEDULE_RR, SCHEDULE_TABLE, SCHEDULE_WRR, group_t, has_contest, is_hashed
from ext.tables.server cimport server_t
from ext.tables.service cimport KEY_NONE, service_t


cdef inline uint32_t schedule(service_t *service, int family, const frame_t *frame, server_t *servers,
                              choice_t *choice) noexcept nogil:
    """The number of the taker that the scheduler names for the packet, which begins a session; the group has room."""
    cdef group_t *group = &service.groups[family]
    choice.because = BECAUSE_SCHEDULER
    if likely(group.kind == SCHEDULE_RR):
        return rr_choose(group)
    if is_hashed(group.kind):
        return hashed_choose(group, servers, frame_hash(service.hash_key, frame), choice)
    if group.kind == SCHEDULE_WRR:
        return wrr_choose(group)
    if group.kind == SCHEDULE_P2C:
        return p2c_choose(group, servers)
    if has_contest(group.kind):
        return contest_winner(&group.contest)
    return table_choose(service, group, frame, servers, choice)


cdef inline bint names_again(const service_t *service, int family) noexcept nogil:
    """Whether whom the scheduler names for a flow follows from the flow, so that it names that server again."""
    cdef uint8_t kind = service.groups[family].kind
    return is_hashed(kind) or (kind == SCHEDULE_TABLE and service.hash_key != KEY_NONE)


cdef inline uint32_t schedule_next(group_t *group, uint32_t i, choice_t *choice) noexcept nogil:
    """The taker behind that one, as that one cannot have the session."""
    choice_passes(choice, BECAUSE_NEXT, group.members[group.takers[i]])
    if group.kind == SCHEDULE_WRR:
        wrr_passed(group)
    return i + 1 if i + 1 < group.n_takers else 0


cdef inline void scheduled(group_t *group, uint32_t i) noexcept nogil:
    """The taker of that number has got the session."""
    if group.kind == SCHEDULE_RR:
        rr_chosen(group, i)
    elif group.kind == SCHEDULE_WRR:
        wrr_chosen(group, i)

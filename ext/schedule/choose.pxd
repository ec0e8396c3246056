"""The scheduler of a service at work: which server a new session is offered first, and which next.

A choice takes constant or logarithmic time in the number of servers, unless its scheduler's own file says that it
must look at all of them.
"""

from libc.stdint cimport uint32_t

from ext.frame cimport frame_t
from ext.schedule.rr cimport rr_choose, rr_chosen
from ext.tables.decision cimport BECAUSE_NEXT, BECAUSE_SCHEDULER, NOBODY, choice_t
from ext.tables.group cimport SCHEDULE_RR, group_t
from ext.tables.server cimport server_t
from ext.tables.service cimport service_t


cdef inline uint32_t schedule(service_t *service, int family, const frame_t *frame, server_t *servers,
                              choice_t *choice) noexcept nogil:
    """The number of the taker that the scheduler names for the packet, which begins a session; there are takers."""
    choice.because = BECAUSE_SCHEDULER
    return rr_choose(&service.groups[family])


cdef inline uint32_t schedule_next(const group_t *group, uint32_t i, choice_t *choice) noexcept nogil:
    """The taker behind that one, as that one cannot have the session."""
    choice.because = BECAUSE_NEXT
    if choice.named == NOBODY:
        choice.named = group.members[group.takers[i]]
    return i + 1 if i + 1 < group.n_takers else 0


cdef inline void scheduled(group_t *group, uint32_t i) noexcept nogil:
    """The taker of that number has got the session."""
    if group.kind == SCHEDULE_RR:
        rr_chosen(group, i)

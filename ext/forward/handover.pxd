"""Frames that belong to another worker: found where no session is known here. With one worker nothing is.

Read first: ext/tables/crew.pxd.
"""

from libc.stdint cimport uint32_t

from ext.address cimport ip_t
from ext.debug cimport likely
from ext.frame cimport FOUND_FRAGMENT, frame_t
from ext.order cimport be16
from ext.tables.crew cimport crew_may_be_server, crew_owner
from ext.tables.fragment cimport OWNER, fragment_note_untouched
from ext.tables.tables cimport tables_t
from ext.verdict cimport HAND_OVER, verdict_t


cdef inline bint is_of_another(tables_t *tables, frame_t *frame, ip_t client, be16 client_port) noexcept nogil:
    """Whether another worker has the sessions of that client's end point; then frame.owner is it."""
    if likely(tables.crew.n == 1) or frame.handed:
        return False
    frame.owner = crew_owner(&tables.crew, client, client_port)
    return frame.owner != tables.crew.index


cdef inline bint is_reply_of_another(tables_t *tables, frame_t *frame, ip_t server, ip_t client,
                                     be16 client_port) noexcept nogil:
    """The same for what a server sent; what others send to each other is nobody's in particular."""
    return (tables.crew.n > 1 and crew_may_be_server(&tables.crew, server)
            and is_of_another(tables, frame, client, client_port))


cdef inline verdict_t hand_over(tables_t *tables, const frame_t *frame, uint32_t now_ms) noexcept nogil:
    """To frame.owner, and its later fragments with it."""
    if frame.found & FOUND_FRAGMENT:
        fragment_note_untouched(&tables.fragments, frame, OWNER, frame.owner, 0, now_ms)
    return HAND_OVER

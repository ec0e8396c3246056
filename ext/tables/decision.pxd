"""Who was given a new session, and because of what."""

from libc.stdint cimport uint8_t, uint32_t

from ext.tables.server cimport server_t

cdef enum:
    # choice_t.because
    BECAUSE_SCHEDULER = 0      # its scheduler named the server
    BECAUSE_PERSISTENCE = 1    # the client had been there
    BECAUSE_NEXT = 2           # whom the scheduler named could not tell the session from another
    BECAUSE_FALLBACK = 3       # whom the hash names takes no new session
    BECAUSE_PROBE = 4          # it is a probe of swlb's own, for that server's double

cdef struct choice_t:
    server_t *server           # NULL: nobody
    uint8_t because
    uint32_t hold              # by what the session is to hold the client's entry of persistence; 0: by nothing
    bint standing_in           # an address of swlb's own is to stand for the client there

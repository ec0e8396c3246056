"""What follows when a server has more or fewer sessions."""

from ext.tables.server cimport server_t
from ext.tables.service cimport services_t


cdef inline void server_load_changed(services_t *services, server_t *server) noexcept nogil:
    """Its counts of sessions have changed."""
    pass

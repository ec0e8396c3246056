"""Memory in whole pages, which costs nothing until it is touched."""

from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap


cdef inline void *map_pages(size_t n) noexcept nogil:
    """n zeroed bytes that cost nothing until touched, or NULL. To be given back with munmap."""
    cdef void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return p if p != MAP_FAILED else NULL

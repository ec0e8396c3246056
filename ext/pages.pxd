"""Memory in whole pages, which costs nothing until it is touched."""

from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap

cdef extern from "<sys/mman.h>" nogil:
    int MADV_HUGEPAGE
    int madvise(void *p, size_t n, int advice)


cdef inline void *map_pages(size_t n) noexcept nogil:
    """n zeroed bytes that cost nothing until touched, or NULL. To be given back with munmap."""
    cdef void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return p if p != MAP_FAILED else NULL


cdef inline void *map_table(size_t n) noexcept nogil:
    """The same for a table that is looked up at random: in huge pages where the kernel has some, so that a look-up
    does not wait for the page table, too (measured at a million sessions: a third off)."""
    cdef void *p = map_pages(n)
    if p is not NULL:
        madvise(p, n, MADV_HUGEPAGE)
    return p

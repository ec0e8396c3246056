"""Memory in whole pages, which costs nothing until it is touched."""

from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap

cdef extern from "<sys/mman.h>" nogil:
    """
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE 14
    #endif
    """
    int madvise(void *address, size_t n, int advice)
    int MADV_HUGEPAGE


cdef inline void *map_pages(size_t n) noexcept nogil:
    """n zeroed bytes that cost nothing until touched, or NULL. To be given back with munmap."""
    cdef void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return p if p != MAP_FAILED else NULL


cdef inline void *map_huge_pages(size_t n) noexcept nogil:
    """The same for what is read at random: in pages of 2 MiB where the kernel has them, touched as a whole."""
    cdef void *p = map_pages(n)
    if p is not NULL:
        # A kernel that does not know the advice gives small pages, which do as well.
        madvise(p, n, MADV_HUGEPAGE)
    return p

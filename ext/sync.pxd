"""The few values that two threads touch, and how. Everything else belongs to one thread."""

from libc.stdint cimport uint32_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint32_t swlb_load_acquire(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void swlb_store_release(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint32_t swlb_add(uint32_t *p, uint32_t v) { return __atomic_add_fetch(p, v, __ATOMIC_RELAXED); }
    static inline void swlb_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    uint32_t load_acquire "swlb_load_acquire"(const uint32_t *p)
    void store_release "swlb_store_release"(uint32_t *p, uint32_t value)
    # What *p is after value was added, modulo 2^32.
    uint32_t add_shared "swlb_add"(uint32_t *p, uint32_t value)
    # All stores before are seen by whoever does not see the loads after.
    void fence "swlb_fence"()

"""The few values that two threads touch, and how. Everything else belongs to one thread."""

from libc.stdint cimport uint32_t

cdef extern from * nogil:
    """
    #include <sched.h>
    #include <stdint.h>
    static inline uint32_t swlb_load_acquire(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void swlb_store_release(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint32_t swlb_add(uint32_t *p, uint32_t v) { return __atomic_add_fetch(p, v, __ATOMIC_RELAXED); }
    static inline void swlb_lock(uint32_t *p) {
        while (__atomic_exchange_n(p, 1, __ATOMIC_ACQUIRE)) {
            /* Who has it may have lost its core. */
            for (unsigned n = 1; __atomic_load_n(p, __ATOMIC_RELAXED); n++)
                if (n % 256 == 0)
                    sched_yield();
        }
    }
    static inline void swlb_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    uint32_t load_acquire "swlb_load_acquire"(const uint32_t *p)
    void store_release "swlb_store_release"(uint32_t *p, uint32_t value)
    # What *p is after value was added, modulo 2^32.
    uint32_t add_shared "swlb_add"(uint32_t *p, uint32_t value)
    # *p, which was 0, is 1: the caller's, until unlock_shared. For a few instructions at most.
    void lock_shared "swlb_lock"(uint32_t *p)
    # All stores before are seen by whoever does not see the loads after.
    void fence "swlb_fence"()


cdef inline void unlock_shared(uint32_t *p) noexcept nogil:
    """What was changed under the lock is seen by whoever has it next."""
    store_release(p, 0)

"""Checks that vanish: `SWLB_ASSERT` is compiled in by -DSWLB_DEBUG only; and hints to the compiler."""

cdef extern from "ext/debug.h" nogil:
    void SWLB_ASSERT(bint expression)

cdef extern from * nogil:
    """
    #define swlb_likely(e) __builtin_expect(!!(e), 1)
    #define swlb_unlikely(e) __builtin_expect(!!(e), 0)
    /* A function that does nothing else than this gcc takes for one without any effect, and leaves its calls out. */
    static inline void swlb_prefetch(const void *address) {
        __builtin_prefetch(address);
        __asm__ volatile("");
    }
    """
    bint likely "swlb_likely"(bint expression)
    bint unlikely "swlb_unlikely"(bint expression)
    void prefetch "swlb_prefetch"(const void *address)

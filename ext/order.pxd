"""Byte order, and bytes that need not be aligned. Read this first.

`be16` and `be32` are as on the wire; every other integer is the machine's. Only this file swaps.
Loads and stores go through memcpy: a cast pointer to an odd address is undefined behaviour in C, and
the compiler makes one instruction of either.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

ctypedef uint16_t be16
ctypedef uint32_t be32

cdef extern from * nogil:
    """
    #include <string.h>
    #include <stdint.h>
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "swlb lays out IPv4-mapped addresses and virtio-net headers for a little-endian machine"
    #endif
    static inline uint16_t swlb_swap16(uint16_t v) { return __builtin_bswap16(v); }
    static inline uint32_t swlb_swap32(uint32_t v) { return __builtin_bswap32(v); }
    static inline uint16_t swlb_load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
    static inline uint32_t swlb_load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    static inline uint64_t swlb_load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    static inline void swlb_store16(void *p, uint16_t v) { memcpy(p, &v, 2); }
    static inline void swlb_store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
    static inline void swlb_store64(void *p, uint64_t v) { memcpy(p, &v, 8); }
    """
    be16 htons "swlb_swap16"(uint16_t value)
    uint16_t ntohs "swlb_swap16"(be16 value)
    be32 htonl "swlb_swap32"(uint32_t value)
    uint32_t ntohl "swlb_swap32"(be32 value)
    uint16_t load16 "swlb_load16"(const void *p)
    uint32_t load32 "swlb_load32"(const void *p)
    uint64_t load64 "swlb_load64"(const void *p)
    void store16 "swlb_store16"(void *p, uint16_t value)
    void store32 "swlb_store32"(void *p, uint32_t value)
    void store64 "swlb_store64"(void *p, uint64_t value)

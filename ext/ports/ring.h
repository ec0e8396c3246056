/* The io_uring system calls, and names that older kernel headers lack. Spec: io_uring_setup(2), io_uring_enter(2). */
#ifndef SWLB_RING_H
#define SWLB_RING_H

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

static inline int swlb_ring_setup(unsigned entries, struct io_uring_params *params) {
    return (int)syscall(__NR_io_uring_setup, entries, params);
}

static inline int swlb_ring_register(int fd, unsigned opcode, const void *argument, unsigned n) {
    return (int)syscall(__NR_io_uring_register, fd, opcode, argument, n);
}

static inline int swlb_ring_enter(int fd, unsigned submit, unsigned least, unsigned flags) {
    return (int)syscall(__NR_io_uring_enter, fd, submit, least, flags, (void *)0, 0);
}

#endif

// limit plain|batched TAP_A TAP_B: every frame of one TAP is written to the other, unchanged, in both directions.
//
// What a userspace switch over TAP devices could reach at best: the frame is not looked at, so all that is left are the
// kernel's two copies and the system calls around them. Nothing is learned, counted or checked.
//
//   plain     read() until a device is empty, then write() of each frame
//   batched   one io_uring_enter() a turn: it carries the writes of the last turn and the reads of the next one
//
// Prints "ready" when the devices are there. Ends by a signal only. Exit code 1: the reason is on stderr; 2: wrong
// words; 3: the kernel has no io_uring, or none for us.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef TUN_F_USO4  // Linux 6.2
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

enum {
    PORTS = 2,
    BURST = 32,               // frames of one port in one turn; as swlb
    BANKS = 2,                // one is written out while the other is read into
    SLOT_LEN = 1029 * 64,     // a super-frame of 64 KiB with its headers, in whole cache lines
    SUPER_LEN = 2048,         // longer than any frame of 1500 bytes MTU: a super-frame
    SUPER_READS = 3,          // a burst of super-frames would only push each other out of the cache
    RING_LEN = 256,           // PORTS * BURST reads and as many writes, rounded up to a power of two
    IDLE_ROUNDS = 8,          // the clock is read after so many rounds without a frame
    IDLE_NS = 50000,          // and after so long without one we sleep
    NO_IO_URING = 3,
};

static uint8_t (*room)[SLOT_LEN];  // BANKS * PORTS * BURST slots

static void fail(const char *what, int exit_code) {
    fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
    exit(exit_code);
}

static void say_ready(void) {
    puts("ready");
    fflush(stdout);
}

static uint8_t *slot(int bank, int port, int i) {
    return room[(bank * PORTS + port) * BURST + i];
}

// A new TAP that gives and takes super-frames, as far as the kernel knows them.
static int open_tap(const char *name) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        fail(name, 1);
    if (ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0 && ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
        fail(name, 1);
    return fd;
}

// ---- waiting: yield while it may be over soon, sleep when it is not ----

typedef struct {
    uint64_t last_ns;  // when the last frame came
    int rounds;        // without one, since the clock was read
} patience_t;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

// Called after a turn that moved n_frames: returns when it is worth to look again.
static void wait_for_frames(patience_t *patience, const int fds[PORTS], int n_frames) {
    if (n_frames) {
        patience->last_ns = 0;
        return;
    }
    sched_yield();  // on few cores those who send and answer need ours
    if (++patience->rounds < IDLE_ROUNDS)
        return;
    patience->rounds = 0;
    if (!patience->last_ns)
        patience->last_ns = now_ns();
    else if (now_ns() - patience->last_ns > IDLE_NS) {
        struct pollfd ports[PORTS] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
        poll(ports, PORTS, -1);
        patience->last_ns = 0;
    }
}

// ---- plain ----

// All that waits at fds[port] goes to the other port; how many frames.
static int move_burst(const int fds[PORTS], int port) {
    int len[BURST], n = 0;
    while (n < BURST && (len[n] = read(fds[port], slot(0, port, n), SLOT_LEN)) > 0)
        if (len[n++] > SUPER_LEN)
            break;
    for (int i = 0; i < n; i++)
        // A device that takes nothing drops the frame, as a switch would.
        if (write(fds[!port], slot(0, port, i), len[i]) < 0)
            continue;
    return n;
}

static void run_plain(const int fds[PORTS]) {
    patience_t patience = {0};
    say_ready();
    for (;;)
        wait_for_frames(&patience, fds, move_burst(fds, 0) + move_burst(fds, 1));
}

// ---- batched ----

typedef struct {
    int fd;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    unsigned *sq_tail, *cq_head, *cq_tail;  // shared with the kernel
    unsigned sq_mask, cq_mask;
    unsigned tail;                          // of what we have written down, told to the kernel by ring_enter
} ring_t;

static void *ring_map(const ring_t *ring, size_t len, off_t what) {
    void *mapped = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, what);
    if (mapped == MAP_FAILED)
        fail("mapping the ring", 1);
    return mapped;
}

// A ring that knows the devices and the slots by number, which spares a look-up and pinning pages for each operation.
static ring_t ring_open(const int fds[PORTS]) {
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    ring_t ring = {.fd = syscall(SYS_io_uring_setup, RING_LEN, &params)};
    if (ring.fd < 0)
        fail("io_uring", NO_IO_URING);

    size_t sq_len = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    size_t cq_len = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    uint8_t *sq = ring_map(&ring, sq_len, IORING_OFF_SQ_RING);
    uint8_t *cq = ring_map(&ring, cq_len, IORING_OFF_CQ_RING);
    ring.sqes = ring_map(&ring, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring.cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
    ring.sq_tail = (unsigned *)(sq + params.sq_off.tail);
    ring.cq_head = (unsigned *)(cq + params.cq_off.head);
    ring.cq_tail = (unsigned *)(cq + params.cq_off.tail);
    ring.sq_mask = params.sq_entries - 1;
    ring.cq_mask = params.cq_entries - 1;
    for (unsigned i = 0; i < params.sq_entries; i++)
        ((unsigned *)(sq + params.sq_off.array))[i] = i;

    struct iovec slots = {room, (size_t)BANKS * PORTS * BURST * SLOT_LEN};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, fds, PORTS) < 0)
        fail("registering the devices", NO_IO_URING);
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &slots, 1) < 0)
        fail("registering the slots", NO_IO_URING);
    return ring;
}

// One more operation for the next ring_enter. With RWF_NOWAIT it is done or refused there, never parked in the kernel.
static struct io_uring_sqe *ring_add(ring_t *ring, int opcode, int port, uint8_t *frame, int len) {
    struct io_uring_sqe *sqe = &ring->sqes[ring->tail++ & ring->sq_mask];
    *sqe = (struct io_uring_sqe){.opcode = opcode, .flags = IOSQE_FIXED_FILE, .fd = port, .addr = (uintptr_t)frame,
                                 .len = len, .rw_flags = RWF_NOWAIT};
    return sqe;
}

// All that was added is done; the results of the reads are in len, by port and place. Writes give none: one that
// failed is a frame dropped.
static void ring_enter(ring_t *ring, unsigned n_added, int len[PORTS][BURST]) {
    __atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
    while (syscall(SYS_io_uring_enter, ring->fd, n_added, 0, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        if (errno != EINTR)
            fail("io_uring_enter", 1);
    unsigned head = *ring->cq_head, tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
        const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
        if (cqe->user_data)  // a read's: its place in len, counted from 1
            (&len[0][0])[cqe->user_data - 1] = cqe->res;
    }
    __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
}

static int add_reads(ring_t *ring, int bank, int port, int n, int len[PORTS][BURST]) {
    for (int i = 0; i < n; i++) {
        len[port][i] = 0;
        ring_add(ring, IORING_OP_READ_FIXED, port, slot(bank, port, i), SLOT_LEN)->user_data = port * BURST + i + 1;
    }
    return n;
}

// The frames that came in go out with the next ring_enter; how many. `asked` becomes the number of reads of the next
// turn: twice as many when every read gave a frame, else one more than came, so that few are in vain.
static int add_writes(ring_t *ring, int bank, int port, int *asked, const int len[BURST]) {
    int n = 0, most = BURST;
    for (int i = 0; i < *asked; i++) {
        if (len[i] <= 0)
            continue;
        // A write that succeeds needs no completion: nobody would read it.
        ring_add(ring, IORING_OP_WRITE_FIXED, !port, slot(bank, port, i), len[i])->flags |= IOSQE_CQE_SKIP_SUCCESS;
        n++;
        if (len[i] > SUPER_LEN)
            most = SUPER_READS;
    }
    *asked = n == *asked ? n * 2 : n + 1;
    if (*asked > most)
        *asked = most;
    return n;
}

static void run_batched(const int fds[PORTS]) {
    ring_t ring = ring_open(fds);
    patience_t patience = {0};
    int asked[PORTS] = {1, 1}, len[PORTS][BURST];
    unsigned n_writes = 0;
    say_ready();
    for (int bank = 0;; bank = !bank) {
        // The writes of the last turn are in the ring already, and first: their slots are in the other bank.
        unsigned n_reads = 0;
        for (int port = 0; port < PORTS; port++)
            n_reads += add_reads(&ring, bank, port, asked[port], len);
        ring_enter(&ring, n_writes + n_reads, len);
        n_writes = 0;
        for (int port = 0; port < PORTS; port++)
            n_writes += add_writes(&ring, bank, port, &asked[port], len[port]);
        wait_for_frames(&patience, fds, n_writes);
    }
}

int main(int n_words, char **words) {
    bool batched = n_words == 4 && !strcmp(words[1], "batched");
    if (n_words != 4 || !(batched || !strcmp(words[1], "plain"))) {
        fprintf(stderr, "usage: limit plain|batched TAP_A TAP_B\n");
        return 2;
    }
    int fds[PORTS] = {open_tap(words[2]), open_tap(words[3])};
    size_t room_len = (size_t)BANKS * PORTS * BURST * SLOT_LEN;
    room = mmap(NULL, room_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        fail("memory", 1);
    (batched ? run_batched : run_plain)(fds);
}

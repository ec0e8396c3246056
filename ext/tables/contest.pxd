"""A contest: which of n contestants has the least load for its weight, known at any time.

Structure: a tournament tree in one array. Node i plays its children 2i and 2i + 1 against each other, from n on lie the
contestants themselves, and node 1 has the winner of all. When a load changes, the matches on the way from that contestant
to node 1 are played again: O(log n). Of equals the one with the lower number wins, wherever it lies in the tree.
Loads are compared exactly, as load * weight of the other: below 2^40 times below 2^24 fits 64 bits.
Made for the most contestants there may be; owner: the group.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cdef struct contest_t:
    uint16_t *nodes            # by node: the number of the contestant that has won there
    uint64_t *loads            # by contestant
    uint32_t n


cdef inline int contest_init(contest_t *contest, uint32_t most) noexcept nogil:
    """Room for so many contestants; 0, or -1 when memory is out."""
    contest.n = 0
    contest.nodes = <uint16_t *>calloc(2 * most + 2, sizeof(uint16_t))
    contest.loads = <uint64_t *>calloc(most + 1, sizeof(uint64_t))
    return 0 if contest.nodes is not NULL and contest.loads is not NULL else -1


cdef inline void contest_free(contest_t *contest) noexcept nogil:
    free(contest.nodes)
    free(contest.loads)


cdef inline uint32_t contest_winner(const contest_t *contest) noexcept nogil:
    """The number of the contestant that has won; there is one."""
    return contest.nodes[1]


cdef inline uint16_t contest_match(const contest_t *contest, const uint32_t *weights, uint32_t node) noexcept nogil:
    """The better of those that have won at the node's children."""
    cdef uint16_t a = contest.nodes[2 * node], b = contest.nodes[2 * node + 1]
    cdef uint64_t load_a = contest.loads[a] * weights[b], load_b = contest.loads[b] * weights[a]
    if load_a == load_b:
        return min(a, b)
    return a if load_a < load_b else b


cdef inline void contest_begin(contest_t *contest, const uint32_t *weights, uint32_t n) noexcept nogil:
    """The winner among the first n, whose loads are set."""
    cdef uint32_t i
    contest.n = n
    for i in range(n):
        contest.nodes[n + i] = <uint16_t>i
    for i in range(n - 1 if n else 0, 0, -1):
        contest.nodes[i] = contest_match(contest, weights, i)


cdef inline void contest_again(contest_t *contest, const uint32_t *weights, uint32_t i, uint64_t load) noexcept nogil:
    """The winner is right again, as contestant i has another load."""
    cdef uint32_t node = (contest.n + i) >> 1
    cdef uint16_t before
    contest.loads[i] = load
    while node:
        before = contest.nodes[node]
        contest.nodes[node] = contest_match(contest, weights, node)
        # Who had not won there and does not win either has changed nothing further up.
        if before != i and contest.nodes[node] != i:
            return
        node >>= 1

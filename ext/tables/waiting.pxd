"""Frames that wait for something: a place for each, queues of those that wait for the same, one of those that may go.

Structure: a flat array of places, chained by index + 1 (0 ends); all that are taken are in a list by age as well. Full:
whoever adds makes room before, by giving up the oldest. Ageing: the holder's, who knows what its queue waits for. Owner: the
worker.

    waiting    in its holder's queue, in the order of coming
    ready      in the pool's queue; the place stays taken until the frame has left
    free       in the free list
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport munmap

from ext.frame cimport SLOT_LEN, VNET_LEN, frame_t, frame_vnet, slot_frame
from ext.pages cimport map_pages

cdef struct queue_t:
    uint32_t first
    uint32_t last
    uint32_t n

cdef struct waiting_t:
    frame_t frame
    uint32_t next          # in its queue or the free list
    uint32_t holder        # who has the queue, index + 1; 0 once it is ready
    uint32_t older
    uint32_t newer

cdef struct waitings_t:
    waiting_t *places
    uint8_t *bytes         # as many slots, touched only as far as frames are long
    uint32_t limit
    uint32_t free
    uint32_t oldest
    uint32_t newest
    uint32_t n             # places taken
    queue_t ready          # frames that need wait no longer


cdef inline int waitings_init(waitings_t *pool, uint32_t limit) noexcept nogil:
    """Room for limit frames; 0, or -1 when memory is out."""
    cdef uint32_t i
    memset(pool, 0, sizeof(waitings_t))
    pool.limit = limit
    pool.places = <waiting_t *>calloc(limit, sizeof(waiting_t))
    pool.bytes = <uint8_t *>map_pages(<size_t>limit * SLOT_LEN)
    if pool.places is NULL or pool.bytes is NULL:
        return -1
    for i in range(limit):
        pool.places[i].next = i + 2 if i + 1 < limit else 0
    pool.free = 1
    return 0


cdef inline void waitings_free(waitings_t *pool) noexcept nogil:
    free(pool.places)
    if pool.bytes is not NULL:
        munmap(pool.bytes, <size_t>pool.limit * SLOT_LEN)
    memset(pool, 0, sizeof(waitings_t))


cdef inline void queue_append(waitings_t *pool, queue_t *queue, uint32_t i) noexcept nogil:
    pool.places[i - 1].next = 0
    if queue.last:
        pool.places[queue.last - 1].next = i
    else:
        queue.first = i
    queue.last = i
    queue.n += 1


cdef inline uint32_t queue_take(waitings_t *pool, queue_t *queue) noexcept nogil:
    """The first place of the queue, which it leaves; 0 when there is none."""
    cdef uint32_t i = queue.first
    if i:
        queue.first = pool.places[i - 1].next
        queue.n -= 1
        if not queue.first:
            queue.last = 0
    return i


cdef inline bint waiting_add(waitings_t *pool, queue_t *queue, uint32_t holder, const frame_t *frame) noexcept nogil:
    """A copy of the frame is the last of the holder's queue; False when no place is free."""
    cdef uint32_t i = pool.free
    cdef waiting_t *place
    if not i:
        return False
    place = &pool.places[i - 1]
    pool.free = place.next
    place.frame = frame[0]
    place.frame.data = slot_frame(pool.bytes, i - 1)
    memcpy(frame_vnet(&place.frame), frame_vnet(frame), VNET_LEN + frame.len)
    place.holder = holder
    place.newer = 0
    place.older = pool.newest
    if pool.newest:
        pool.places[pool.newest - 1].newer = i
    else:
        pool.oldest = i
    pool.newest = i
    pool.n += 1
    queue_append(pool, queue, i)
    return True


cdef inline void waiting_free(waitings_t *pool, uint32_t i) noexcept nogil:
    """The place, which is in no queue any more, is free."""
    cdef waiting_t *place = &pool.places[i - 1]
    if place.older:
        pool.places[place.older - 1].newer = place.newer
    else:
        pool.oldest = place.newer
    if place.newer:
        pool.places[place.newer - 1].older = place.older
    else:
        pool.newest = place.older
    place.holder = 0
    place.next = pool.free
    pool.free = i
    pool.n -= 1


cdef inline void waiting_release(waitings_t *pool, queue_t *queue) noexcept nogil:
    """The queue is empty, and its frames are the last of those that are ready, in their order."""
    cdef uint32_t i = queue.first
    if not i:
        return
    while i:
        pool.places[i - 1].holder = 0
        i = pool.places[i - 1].next
    if pool.ready.last:
        pool.places[pool.ready.last - 1].next = queue.first
    else:
        pool.ready.first = queue.first
    pool.ready.last = queue.last
    pool.ready.n += queue.n
    memset(queue, 0, sizeof(queue_t))


cdef inline uint32_t waiting_oldest(const waitings_t *pool) noexcept nogil:
    """The place of the frame that has waited longest, and is not ready; 0 when there is none."""
    cdef uint32_t i = pool.oldest
    while i and not pool.places[i - 1].holder:
        i = pool.places[i - 1].newer
    return i


cdef inline frame_t *waiting_frame(const waitings_t *pool, uint32_t i) noexcept nogil:
    return &pool.places[i - 1].frame

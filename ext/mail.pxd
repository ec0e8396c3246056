"""Letters of other workers: their frames judged, what they heard learned. With one worker there are none.

Read first: ext/tables/crew.pxd and mailbox.pxd.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from ext.debug cimport unlikely
from ext.forward.foresee cimport foresee
from ext.forward.pipeline cimport forward
from ext.frame cimport VNET_LEN, frame_t, frame_vnet, slot_frame
from ext.judge cimport judge, worker_t
from ext.outbox cimport settle
from ext.ports.port cimport BURST, is_there
from ext.tables.crew cimport crew_t
from ext.tables.fdb cimport FDB_MOVED, fdb_learn, fdb_t
from ext.tables.mailbox cimport (HANDED, STATION, letter_t, mailbox_drop, mailbox_first, mailbox_is_empty,
                                 mailbox_t)
from ext.tables.tables cimport tables_t
from ext.verdict cimport DROP_PORT_DOWN


cdef inline bint has_mail(const crew_t *crew) noexcept nogil:
    cdef uint32_t i
    for i in range(crew.n):
        if i != crew.index and not mailbox_is_empty(crew.at[i]):
            return True
    return False


cdef inline int take_mail(worker_t *worker, uint32_t now_ms) noexcept nogil:
    """What other workers sent is dealt with, a burst of each at most; how many frames of theirs were judged."""
    cdef uint32_t i
    cdef int moved = 0
    for i in range(worker.tables.crew.n):
        if i != worker.tables.crew.index:
            moved += take_letters(worker, worker.tables.crew.at[i], now_ms)
    return moved


cdef inline int take_letters(worker_t *worker, mailbox_t *box, uint32_t now_ms) noexcept nogil:
    cdef letter_t *letter
    cdef int taken = 0, n = 0
    while taken < BURST:
        letter = mailbox_first(box)
        if letter is NULL:
            break
        if unlikely(not is_there(&worker.tables.ports[letter.port], letter.segment)):
            worker.tables.drops[DROP_PORT_DOWN] += letter.kind == HANDED
        elif letter.kind == HANDED:
            worker.burst[n].data = slot_frame(worker.room.slots, n)
            letter_open(letter, &worker.burst[n])
            n += 1
        else:
            learn_from(worker, letter, now_ms)
        mailbox_drop(box, letter)
        taken += 1
    judge(worker, n, now_ms)
    settle(&worker.outbox)
    return n


cdef inline void letter_open(const letter_t *letter, frame_t *frame) noexcept nogil:
    """The frame, where frame.data is, is as it came to the other worker."""
    memcpy(frame_vnet(frame), letter + 1, VNET_LEN + letter.len)
    frame.len = letter.len
    frame.port = letter.port
    frame.segment = letter.segment
    frame.handed = True
    frame.priority = letter.priority
    frame.waited = False


cdef inline void learn_from(worker_t *worker, const letter_t *letter, uint32_t now_ms) noexcept nogil:
    """This worker knows what another has heard; what is to be done about it is the other's."""
    cdef tables_t *tables = &worker.tables
    cdef fdb_t *fdb = &tables.segments[letter.segment].fdb
    if letter.kind == STATION:
        if fdb_learn(fdb, letter.mac, letter.vid, letter.port, now_ms) == FDB_MOVED:
            fdb.moves[letter.port] -= 1
        return
    letter_open(letter, &worker.spare)
    tables.overhearing = True
    foresee(tables, &worker.spare)
    forward(tables, &worker.spare, now_ms)
    tables.overhearing = False

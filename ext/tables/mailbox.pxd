"""From one worker to another: a bounded queue of letters, one writer, one reader, no lock.

Structure: a run of bytes used as a ring; a letter lies in it in one piece, what is left at the end is skipped.
Full: the letter is refused, and whoever sends it counts that; nobody waits.

    HANDED    a frame that belongs to the other worker: judged there as if it had come there
    TOLD      a frame that teaches (ARP, neighbour discovery): learned from, its verdict is the sender's
    STATION   a station was heard: MAC, VLAN and port
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ext.debug cimport unlikely
from ext.frame cimport VNET_LEN, frame_t, frame_vnet
from ext.sync cimport load_acquire, store_release

cdef enum:
    MAILBOX_LEN = 1048576  # a power of two; sixteen of the largest frames
    HANDED = 1
    TOLD = 2
    STATION = 3
    SKIP = 4               # nothing more before the end of the ring

cdef struct letter_t:
    uint64_t mac
    uint32_t len           # of the frame; its bytes, the offload header before them, follow
    uint16_t kind
    uint16_t port
    uint16_t segment
    uint16_t vid
    uint8_t priority       # of the frame
    uint8_t apart[11]      # to 32 bytes, by which the ring divides

cdef struct mailbox_t:
    uint8_t bytes[MAILBOX_LEN]
    uint32_t written       # bytes in all, modulo 2^32; only the sender stores it
    uint8_t apart[60]      # keeps the two in cache lines of their own
    uint32_t read          # only the receiver stores it
    uint8_t beyond[60]     # to 64 bytes, so that letters of the next box are aligned as those of this one


cdef inline letter_t *mailbox_place(mailbox_t *box, uint32_t n) noexcept nogil:
    """Room for a letter of n bytes in one piece, or NULL."""
    cdef uint32_t at = box.written & (MAILBOX_LEN - 1)
    cdef uint32_t left = MAILBOX_LEN - at
    cdef uint32_t used = box.written - load_acquire(&box.read)
    if n > left:
        if used + left + n > MAILBOX_LEN:
            return NULL
        (<letter_t *>(box.bytes + at)).kind = SKIP
        box.written += left
        return <letter_t *>box.bytes
    return <letter_t *>(box.bytes + at) if used + n <= MAILBOX_LEN else NULL


cdef inline uint32_t letter_len(uint32_t frame_len) noexcept nogil:
    """Bytes of the ring that a letter with such a frame takes: whole ones of sizeof(letter_t), so that SKIP always fits."""
    return (sizeof(letter_t) + VNET_LEN + frame_len + sizeof(letter_t) - 1) // sizeof(letter_t) * sizeof(letter_t)


cdef inline bint mailbox_post(mailbox_t *box, uint16_t kind, const frame_t *frame) noexcept nogil:
    """A copy of the frame is on its way; False when there is no room."""
    cdef uint32_t n = letter_len(frame.len)
    cdef letter_t *letter = mailbox_place(box, n)
    if unlikely(letter is NULL):
        return False
    letter.len = frame.len
    letter.kind = kind
    letter.port = frame.port
    letter.segment = frame.segment
    letter.priority = frame.priority
    memcpy(letter + 1, frame_vnet(frame), VNET_LEN + frame.len)
    store_release(&box.written, box.written + n)
    return True


cdef inline bint mailbox_post_station(mailbox_t *box, uint16_t segment, uint16_t port, uint16_t vid,
                                      uint64_t mac) noexcept nogil:
    """The other worker will know the station; False when there is no room."""
    cdef letter_t *letter = mailbox_place(box, letter_len(0))
    if unlikely(letter is NULL):
        return False
    letter.len = 0
    letter.kind = STATION
    letter.port = port
    letter.segment = segment
    letter.vid = vid
    letter.mac = mac
    store_release(&box.written, box.written + letter_len(0))
    return True


cdef inline bint mailbox_is_empty(const mailbox_t *box) noexcept nogil:
    return load_acquire(&box.written) == box.read


cdef inline letter_t *mailbox_first(mailbox_t *box) noexcept nogil:
    """The oldest letter, which stays until `mailbox_drop`; NULL when there is none."""
    cdef letter_t *letter
    while not mailbox_is_empty(box):
        letter = <letter_t *>(box.bytes + (box.read & (MAILBOX_LEN - 1)))
        if letter.kind != SKIP:
            return letter
        store_release(&box.read, box.read + MAILBOX_LEN - (box.read & (MAILBOX_LEN - 1)))
    return NULL


cdef inline void mailbox_drop(mailbox_t *box, const letter_t *letter) noexcept nogil:
    """The letter's room is free."""
    store_release(&box.read, box.read + letter_len(letter.len))

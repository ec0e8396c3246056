# cython: freethreading_compatible=True
"""swlb._testing_fragments: the table of packets in fragments, for tests that compare it with a slow twin. Not in wheels.

Addresses are 16 bytes, times in milliseconds modulo 2^32. `audit()` is None, or says what is broken.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from ext.address cimport ip_load, ip_store, ip_t
from ext.frame cimport frame_t
from ext.hash cimport key_t
from ext.tables cimport audit_waiting, fragment
from ext.wire.place cimport place_t


cdef bytes ip_bytes(ip_t ip):
    cdef uint8_t out[16]
    ip_store(out, ip)
    return PyBytes_FromStringAndSize(<char *>out, 16)


cdef ip_t ip_from(bytes data):
    if len(data) != 16:
        raise ValueError("an address is 16 bytes")
    return ip_load(<const uint8_t *>PyBytes_AS_STRING(data))


cdef class Fragments:
    cdef fragment.fragments_t table

    def __cinit__(self, uint32_t limit, uint32_t timeout_ms, tuple key=(1, 2)):
        cdef key_t hashed
        hashed.a, hashed.b = key
        if fragment.fragments_init(&self.table, limit, timeout_ms, hashed) < 0:
            raise MemoryError

    def __dealloc__(self):
        fragment.fragments_free(&self.table)

    cdef frame_t frame(self, tuple packet):
        """Of (source, destination, identification, IPv4 protocol)."""
        cdef frame_t frame
        src, dst, identification, protocol = packet
        memset(&frame, 0, sizeof(frame))
        frame.family = 4
        frame.src, frame.dst = ip_from(src), ip_from(dst)
        frame.fragment_id, frame.protocol = identification, protocol
        return frame

    def begin(self, tuple packet, bint first, uint32_t now_ms) -> bool:
        """The packet begins; False when there is no room for it."""
        cdef frame_t frame = self.frame(packet)
        cdef fragment.fragment_t *victim = fragment.fragment_victim(&self.table, &frame, first, now_ms)
        if victim is not NULL:
            fragment.fragment_begin(&self.table, victim, &frame, now_ms)
        return victim is not NULL

    def add(self, tuple packet, uint32_t at, uint32_t n, bint more, uint32_t now_ms) -> str:
        """fresh, again or overlap: the packet's fragment of n bytes that lies there."""
        cdef frame_t frame = self.frame(packet)
        cdef place_t place
        place.at, place.n, place.more, place.before = at, n, more, 0
        return ("fresh", "again", "overlap")[
            fragment.fragment_add(fragment.fragment_find(&self.table, &frame, now_ms), &place)]

    def note(self, tuple packet, uint8_t ends, bytes src, bytes dst, uint32_t now_ms):
        cdef frame_t frame = self.frame(packet)
        fragment.fragment_note(&self.table, &frame, ends, ip_from(src), ip_from(dst), now_ms)

    def find(self, tuple packet, uint32_t now_ms) -> tuple | None:
        """(state, ends, source, destination), or None."""
        cdef frame_t frame = self.frame(packet)
        cdef const fragment.fragment_t *found = fragment.fragment_find(&self.table, &frame, now_ms)
        return None if found is NULL else (("gone", "early", "known", "whole")[found.state], found.ends,
                                           ip_bytes(found.rewritten[0]), ip_bytes(found.rewritten[1]))

    def audit(self) -> str | None:
        cdef const char *wrong = audit_waiting.fragments_audit(&self.table)
        return None if wrong is NULL else wrong.decode()

    @property
    def room(self): return (self.table.mask + 1) * fragment.WAYS

"""Answers are made in place of the frame they answer, so that one frame in is at most one frame out."""

from libc.stdint cimport uint32_t

from ext.frame cimport frame_t
from ext.tables.tables cimport tables_t
from ext.verdict cimport SEND, verdict_t
from ext.wire.ethernet cimport eth_hdr, mac_load, mac_store


cdef inline void frame_cut(frame_t *frame, uint32_t length) noexcept nogil:
    """The frame ends after length bytes."""
    frame.len = length


cdef inline verdict_t reflect(tables_t *tables, frame_t *frame) noexcept nogil:
    """The frame goes back the way it came, from the segment's own MAC."""
    cdef eth_hdr *eth = <eth_hdr *>frame.data
    mac_store(eth.dst, mac_load(eth.src))
    mac_store(eth.src, tables.segments[frame.segment].mac)
    frame.out_port = frame.port
    frame.out_segment = frame.segment
    return SEND

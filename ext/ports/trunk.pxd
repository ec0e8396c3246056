"""A port that carries several VLANs, its trunk; and `port.VID`, which is a port of its own in all but the device.

A frame that comes by a trunk is its VLAN's port's from then on, without the tag, so that everything behind this knows
untagged frames and ports only: whoever sends by such a port sends by the trunk, with the tag (outbox.pxd). Untagged and
priority-tagged frames are the trunk's own segment's, if it is in one. A second tag stays, and is carried as any
tag is on a switch. A port in a segment with VLANs asks for tags, too, if it is no trunk: it carries none.
Spec: IEEE 802.1Q 6.9 and 8.6.2 (ingress); a service tag (802.1ad) counts as none.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport malloc

from ext.debug cimport likely, unlikely
from ext.frame cimport NO_PORT, NO_SEGMENT, frame_t
from ext.ports.port cimport PORT_VLAN, VLANS, port_t
from ext.tables.fdb cimport fdb_forget_port
from ext.tables.tables cimport drop_count, tables_t
from ext.verdict cimport DROP_NOT_MEMBER, DROP_RUNT, GO_ON, verdict_t
from ext.wire.ethernet cimport ETH_LEN
from ext.wire.tag cimport PRIORITY_SHIFT, tag_pop, tag_vid


cdef inline int trunk_open(port_t *port) noexcept nogil:
    """The port asks for tags, and has no VLANs as yet if it had none; 0, or -1 when memory is out."""
    cdef uint32_t i
    if port.members is not NULL:
        return 0
    port.members = <uint16_t *>malloc(VLANS * sizeof(uint16_t))
    if port.members is NULL:
        return -1
    for i in range(<uint32_t>VLANS):
        port.members[i] = NO_PORT
    return 0


cdef inline int vlan_open(port_t *port, port_t *trunk, uint16_t vid) noexcept nogil:
    """The port is that VLAN of the trunk; 0, or -1 when memory is out."""
    if trunk_open(trunk) < 0:
        return -1
    port.kind = PORT_VLAN
    port.fd = -1
    port.vid = vid
    port.trunk = trunk.index
    port.vlans = trunk.vlans = True
    trunk.members[vid] = port.index
    return 0


cdef inline bint is_vlan_of(const port_t *port, const port_t *trunk) noexcept nogil:
    return port.there and port.vid and port.trunk == trunk.index


cdef inline int tell_apart(tables_t *tables, const port_t *port, frame_t *burst, int n) noexcept nogil:
    """Each frame of the port's burst is its VLAN's, and what is of none is dropped; how many are left, in front."""
    cdef verdict_t verdict
    cdef int i, kept = 0
    for i in range(n):
        verdict = to_member(tables, port, &burst[i])
        if unlikely(verdict != GO_ON):
            drop_count(tables, &burst[i], verdict)
            continue
        if unlikely(kept != i):
            burst[kept] = burst[i]
        kept += 1
    return kept


cdef inline verdict_t to_member(tables_t *tables, const port_t *port, frame_t *frame) noexcept nogil:
    """GO_ON with the frame at the port that its tag names, without the tag; or why it is dropped."""
    cdef port_t *member
    cdef uint16_t vid
    if unlikely(frame.len < ETH_LEN):
        return DROP_RUNT
    vid = tag_vid(frame)
    if vid == 0:
        return GO_ON if likely(port.segment != NO_SEGMENT) else DROP_NOT_MEMBER
    if unlikely(port.members[vid] == NO_PORT):
        return DROP_NOT_MEMBER
    member = &tables.ports[port.members[vid]]
    member.rx_frames += 1
    member.rx_bytes += frame.len
    frame.priority = <uint8_t>(tag_pop(frame) >> PRIORITY_SHIFT)
    frame.port = member.index
    frame.segment = member.segment
    return GO_ON


cdef inline void port_state(tables_t *tables, port_t *port, bint up, uint32_t mtu) noexcept nogil:
    """The port, and with it its VLANs, is up or not and has that MTU; nobody is known behind one that is down."""
    cdef uint32_t i
    port_set(tables, port, up, mtu)
    for i in range(tables.n_ports):
        if is_vlan_of(&tables.ports[i], port):
            tables.ports[i].lost = port.lost
            port_set(tables, &tables.ports[i], up, mtu)


cdef inline void port_set(tables_t *tables, port_t *port, bint up, uint32_t mtu) noexcept nogil:
    """The same of the one port, and of its segment, if it is in one."""
    cdef uint32_t i
    port.up = up
    port.mtu = mtu
    if port.segment == NO_SEGMENT:
        return
    if not up:
        fdb_forget_port(&tables.segments[port.segment].fdb, port.index)
    for i in range(tables.segments[port.segment].n_ports):
        mtu = min(mtu, tables.ports[tables.segments[port.segment].ports[i]].mtu)
    tables.segments[port.segment].mtu = mtu

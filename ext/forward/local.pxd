"""ARP and neighbour discovery for swlb's own addresses and VIPs, and what their frames tell about others.

Read first: RFC 826, RFC 5227 2.4 (conflicts), RFC 4861 7.2.3 to 7.2.5. Requests for what is swlb's are answered
in place; everything else is bridged on, after the neighbour table has heard it. On a segment with `vip_guard`, answers of
others in a VIP's name end here: a server of direct server return must not take the VIP from the switch before it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ext.address cimport ip_equal, ip_is_zero, ip_load, ip_may_send, ip_of_v4, ip_t, ip_v4
from ext.forward.bridge cimport bridge
from ext.forward.reflect cimport frame_cut, reflect
from ext.frame cimport frame_t, frame_vnet
from ext.tables.event cimport EVENT_ADDRESS_CONFLICT, EVENT_VIP_CONFLICT
from ext.tables.neighbour cimport (REACHABLE, STALE, neighbour_alive, neighbour_answers, neighbour_create,
                                   neighbour_find, neighbour_t)
from ext.tables.route cimport address_find, address_t
from ext.tables.segment cimport segment_t
from ext.tables.service cimport vip_find, vip_t
from ext.tables.tables cimport report, tables_t
from ext.verdict cimport DROP_BAD_ARP, DROP_BAD_ND, DROP_VIP_GUARDED, SEND, verdict_t
from ext.wire.arp cimport ARP_ETHERNET, ARP_IPV4, ARP_LEN, ARP_REPLY, ARP_REQUEST, arp_hdr
from ext.wire.ethernet cimport eth_hdr, mac_is_group, mac_load, mac_store
from ext.wire.icmp cimport ICMPV6_ADVERTISEMENT
from ext.wire.nd cimport (NA_OVERRIDE, NA_ROUTER, NA_SOLICITED, OPT_SOURCE_MAC, OPT_TARGET_MAC, all_nodes,
                          group_mac, nd_build, nd_is_sound, nd_mac, nd_msg)
from ext.wire.vnet cimport vnet_clear


cdef inline bint is_ours(tables_t *tables, uint16_t segment, ip_t ip) noexcept nogil:
    """Whether swlb answers for ip on the segment: an address of its own there, or a VIP that belongs there."""
    cdef const address_t *own = address_find(&tables.routes, ip)
    cdef vip_t *vip
    if own is not NULL:
        return own.segment == segment
    vip = vip_find(&tables.services, ip)
    return vip is not NULL and vip.segment == segment


cdef inline void heard(tables_t *tables, const frame_t *frame, ip_t ip, uint64_t mac, bint create,
                       uint32_t now_ms) noexcept nogil:
    """Someone on the segment says that ip is at mac: believed if it may be, reported if it is ours.

    A neighbour swlb knows is updated; one it does not know is remembered only when create says so.
    """
    cdef segment_t *segment = &tables.segments[frame.segment]
    cdef neighbour_t *entry
    if mac == segment.mac or mac == 0 or mac_is_group(mac) or not ip_may_send(ip):
        return
    if is_ours(tables, frame.segment, ip):
        conflict(tables, frame, ip, mac, now_ms)
        return
    entry = neighbour_find(&tables.neighbours, frame.segment, ip)
    if entry is NULL and create:
        entry = neighbour_create(&tables.neighbours, frame.segment, ip, now_ms)
    if entry is not NULL:
        neighbour_alive(&tables.neighbours, entry, mac, now_ms)


cdef inline void conflict(tables_t *tables, const frame_t *frame, ip_t ip, uint64_t mac, uint32_t now_ms) noexcept nogil:
    """Another station claims what is ours: reported, and a VIP defended, once in DEFEND_MS (upkeep counts it)."""
    cdef address_t *own = <address_t *>address_find(&tables.routes, ip)
    cdef vip_t *vip = vip_find(&tables.services, ip)
    # An address of swlb's own may stand for clients, and then is among the VIPs, too.
    if own is NULL:
        if vip.defended:
            return
        vip.defended = True
        vip.defended_ms = vip.announce_ms = now_ms
        if vip.announcements == 0:
            vip.announcements = 1
        report(tables, EVENT_VIP_CONFLICT, frame.segment, frame.port, mac, ip)
        return
    if not own.disputed:
        own.disputed = True
        own.disputed_ms = now_ms
        report(tables, EVENT_ADDRESS_CONFLICT, frame.segment, frame.port, mac, ip)


cdef inline bint is_guarded(const tables_t *tables, const segment_t *segment, const frame_t *frame, ip_t ip) noexcept nogil:
    """Whether nobody but swlb may answer for ip on the segment: a VIP that belongs there, when VIPs are guarded."""
    cdef const vip_t *vip
    if not segment.vip_guard or frame.port == segment.host_port:
        return False
    vip = vip_find(&tables.services, ip)
    return vip is not NULL and vip.segment == frame.segment


cdef inline verdict_t arp(tables_t *tables, segment_t *segment, frame_t *frame, uint32_t now_ms) noexcept nogil:
    """A request for what is ours becomes its reply; all other ARP is bridged on."""
    cdef arp_hdr *msg = <arp_hdr *>(frame.data + frame.l3_off)
    cdef uint64_t sender_mac
    cdef ip_t sender, target
    cdef bint ours
    if frame.len < frame.l3_off + <uint32_t>ARP_LEN:
        return DROP_BAD_ARP
    if msg.htype != ARP_ETHERNET or msg.ptype != ARP_IPV4 or msg.hlen != 6 or msg.plen != 4:
        return DROP_BAD_ARP
    # Reverse and inverse ARP (RFC 903, RFC 2390) are between others, and say nothing of who has an address.
    if msg.oper != ARP_REQUEST and msg.oper != ARP_REPLY:
        return bridge(tables, segment, frame, now_ms)
    sender_mac = mac_load(msg.sender_mac)
    sender = ip_of_v4(msg.sender_ip)
    target = ip_of_v4(msg.target_ip)
    if mac_is_group(sender_mac) or sender_mac == 0:
        return DROP_BAD_ARP
    ours = is_ours(tables, frame.segment, target)
    heard(tables, frame, sender, sender_mac, ours and msg.oper == ARP_REQUEST, now_ms)
    # A request in a VIP's name is let through: a server that asks so for its client's MAC could not answer otherwise.
    if msg.oper == ARP_REPLY or ip_equal(sender, target):
        if is_guarded(tables, segment, frame, sender):
            return DROP_VIP_GUARDED
    # A station that asks for an address as if it had it already is a rival, not a client.
    if msg.oper != ARP_REQUEST or not ours or ip_equal(sender, target):
        return bridge(tables, segment, frame, now_ms)
    msg.oper = ARP_REPLY
    msg.target_ip = msg.sender_ip
    mac_store(msg.target_mac, sender_mac)
    msg.sender_ip = ip_v4(target)
    mac_store(msg.sender_mac, segment.mac)
    vnet_clear(frame_vnet(frame))
    frame_cut(frame, frame.l3_off + ARP_LEN)
    return reflect(tables, frame)


cdef inline void advertised(tables_t *tables, const frame_t *frame, ip_t target, uint32_t now_ms) noexcept nogil:
    """What an advertisement says of its target is believed as far as RFC 4861 7.2.5 lets it.

    Without a MAC in it the one that is known holds, and none is learnt. Only "override" replaces one that is in use;
    without that, the one in use is in doubt, as is one that nobody has asked for.
    """
    cdef uint8_t flags = (<nd_msg *>(frame.data + frame.l4_off)).flags
    cdef neighbour_t *entry = neighbour_find(&tables.neighbours, frame.segment, target)
    cdef uint64_t mac = nd_mac(frame, OPT_TARGET_MAC)
    cdef bint new
    if entry is not NULL and not neighbour_answers(entry):
        entry = NULL
    if mac == 0 and is_ours(tables, frame.segment, target):
        mac = mac_load((<eth_hdr *>frame.data).src)
    elif mac == 0 and entry is not NULL:
        mac = entry.mac
    new = entry is NULL or entry.mac != mac
    if entry is not NULL and new and not flags & NA_OVERRIDE:
        if entry.state == REACHABLE:
            entry.state = STALE
        return
    heard(tables, frame, target, mac, False, now_ms)
    entry = neighbour_find(&tables.neighbours, frame.segment, target)
    if new and entry is not NULL and entry.state == REACHABLE and not flags & NA_SOLICITED:
        entry.state = STALE


cdef inline verdict_t neighbour_discovery(tables_t *tables, segment_t *segment, frame_t *frame,
                                          uint32_t now_ms) noexcept nogil:
    """A solicitation for what is ours becomes its advertisement; all others are bridged on."""
    cdef nd_msg *msg = <nd_msg *>(frame.data + frame.l4_off)
    cdef ip_t target
    if not nd_is_sound(frame):
        return DROP_BAD_ND
    target = ip_load(msg.target)
    if msg.type == ICMPV6_ADVERTISEMENT:
        advertised(tables, frame, target, now_ms)
        return DROP_VIP_GUARDED if is_guarded(tables, segment, frame, target) else bridge(tables, segment, frame, now_ms)
    if not is_ours(tables, frame.segment, target):
        heard(tables, frame, frame.src, nd_mac(frame, OPT_SOURCE_MAC), False, now_ms)
        return bridge(tables, segment, frame, now_ms)
    heard(tables, frame, frame.src, nd_mac(frame, OPT_SOURCE_MAC), True, now_ms)
    return advertise(tables, frame, target)


cdef inline verdict_t advertise(tables_t *tables, frame_t *frame, ip_t target) noexcept nogil:
    """The solicitation has become the advertisement that answers it (RFC 4861 7.2.4).

    One from the unspecified address is a test for duplicates: the answer goes to all nodes.
    """
    cdef uint64_t mac = tables.segments[frame.segment].mac
    cdef uint64_t asker = mac_load((<eth_hdr *>frame.data).src)
    cdef ip_t everyone = all_nodes()
    if ip_is_zero(frame.src):
        frame_cut(frame, nd_build(frame.data, ICMPV6_ADVERTISEMENT, NA_ROUTER | NA_OVERRIDE, mac, group_mac(everyone),
                                  target, everyone, target))
    else:
        frame_cut(frame, nd_build(frame.data, ICMPV6_ADVERTISEMENT, NA_ROUTER | NA_SOLICITED | NA_OVERRIDE, mac, asker,
                                  target, frame.src, target))
    vnet_clear(frame_vnet(frame))
    frame.out_port = frame.port
    return SEND

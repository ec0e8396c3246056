"""A network interface that is there already, through an AF_PACKET socket. Spec: packet(7), linux/net/packet/.

The frames of a burst come and go in one system call each. They have a virtio-net header (PACKET_VNET_HDR), so that
super-frames and partial checksums pass whole; for an interface that has no offloads the kernel does what is asked for
on its way out. A VLAN tag, which the kernel takes off on the way in, is put back. How the socket is made, and how the
kernel itself is kept out of the conversation, is swlb/packets.py.

Not taken: a TPACKET_V3 ring, which is no faster with super-frames in it; AF_XDP, which takes segmentation offload away
from the other end of a veth (linux/drivers/net/veth.c: veth_xdp_set), and so bulk with it.
"""

from libc.errno cimport EAGAIN, EINTR, EINVAL, ENODEV, errno
from libc.stdint cimport uint16_t, uint32_t

from ext.debug cimport likely, unlikely
from ext.frame cimport HEAD_LEN, SLOT_LEN, VNET_LEN, frame_t, frame_vnet, slot_frame, slot_vnet
from ext.order cimport be16, htons
from ext.ports.port cimport BURST, PORT_PACKET, port_count_tx, port_learn_want, port_t, room_t
from ext.wire.ethernet cimport ETH_8021Q
from ext.wire.tag cimport tag_push

cdef extern from "ext/ports/packet.h" nogil:
    struct msghdr:
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct tpacket_auxdata:
        uint32_t tp_status
        uint16_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    struct place_t "swlb_place":
        char control[1]
    enum:
        MSG_DONTWAIT
        MSG_TRUNC
        TP_STATUS_VLAN_VALID
        TP_STATUS_VLAN_TPID_VALID
    int recvmmsg(int fd, mmsghdr *messages, unsigned int n, int flags, void *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int n, int flags)
    void message_set "swlb_message"(mmsghdr *message, place_t *place, void *data, size_t n)
    const tpacket_auxdata *message_auxdata "swlb_auxdata"(mmsghdr *message)
    int bound_to "swlb_bound_to"(int fd)
    unsigned int missed_since "swlb_missed"(int fd)


cdef inline void packet_open(port_t *port, int fd) noexcept nogil:
    """The port reads and writes fd: an AF_PACKET socket of the device, with PACKET_VNET_HDR and PACKET_AUXDATA."""
    port.kind = PORT_PACKET
    port.fd = fd
    port.want = 1
    port.rx_burst = packet_rx
    port.tx_burst = packet_tx


cdef inline void packet_count_missed(port_t *port) noexcept nogil:
    """port.missed includes what the kernel had no room for until now. For the control plane, one thread at a time."""
    port.missed += missed_since(port.fd)


cdef inline int packet_rx(port_t *port, room_t *room, frame_t *burst, int n) noexcept nogil:
    cdef mmsghdr messages[BURST]
    cdef place_t places[BURST]
    cdef const tpacket_auxdata *said
    cdef uint32_t i, longest = 0, n_whole = 0, want = min(<uint32_t>port.want, <uint32_t>n)
    cdef int got
    for i in range(want):
        message_set(&messages[i], &places[i], slot_vnet(room.slots, i), SLOT_LEN - HEAD_LEN)
        messages[i].msg_hdr.msg_control = places[i].control
        messages[i].msg_hdr.msg_controllen = sizeof(place_t) - <size_t>(places[i].control - <char *>&places[i])
    got = recvmmsg(port.fd, messages, want, MSG_DONTWAIT, NULL)
    if got <= 0:
        port.want = 1
        return packet_rx_failed(port)
    for i in range(<uint32_t>got):
        if unlikely(messages[i].msg_hdr.msg_flags & MSG_TRUNC or messages[i].msg_len < VNET_LEN):
            port.unread += 1
            continue
        burst[n_whole].data = slot_frame(room.slots, i)
        burst[n_whole].len = messages[i].msg_len - VNET_LEN
        said = message_auxdata(&messages[i])
        if unlikely(said is not NULL and said.tp_status & TP_STATUS_VLAN_VALID):
            tag_put_back(&burst[n_whole], said)
        longest = max(longest, burst[n_whole].len)
        n_whole += 1
    port_learn_want(port, want, <uint32_t>got, longest)
    return <int>n_whole


cdef inline int packet_rx_failed(port_t *port) noexcept nogil:
    """What rx_burst returns for errno: 0, or that the device is gone."""
    if errno == EINVAL:
        # A super-frame of a kind that the header has no word for; it is off the queue.
        port.unread += 1
        return 0
    # When the device goes down the socket says so, once; when it then goes altogether, nothing more
    # (linux/net/packet/af_packet.c: packet_notifier).
    if errno == EINTR or (errno == EAGAIN and port.up) or bound_to(port.fd) >= 0:
        return 0
    return -ENODEV


cdef inline void tag_put_back(frame_t *frame, const tpacket_auxdata *said) noexcept nogil:
    """The frame has its outermost VLAN tag again."""
    tag_push(frame, htons(said.tp_vlan_tpid) if said.tp_status & TP_STATUS_VLAN_TPID_VALID else <be16>ETH_8021Q,
             said.tp_vlan_tci)


cdef inline int packet_tx(port_t *port, frame_t **frames, int n) noexcept nogil:
    cdef mmsghdr messages[BURST]
    cdef place_t places[BURST]
    cdef int i, sent, at = 0, dropped = 0
    for i in range(n):
        message_set(&messages[i], &places[i], frame_vnet(frames[i]), VNET_LEN + frames[i].len)
    while at < n:
        sent = sendmmsg(port.fd, &messages[at], n - at, MSG_DONTWAIT)
        if likely(sent > 0):
            for i in range(at, at + sent):
                port_count_tx(port, frames[i])
            at += sent
        elif errno == EAGAIN:
            # The socket is full, and so it is for the rest.
            for i in range(at, n):
                dropped += 1 + frames[i].merged
            at = n
        else:
            dropped += 1 + frames[at].merged
            at += 1
    port.tx_dropped += dropped
    return dropped

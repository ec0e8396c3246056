/* AF_PACKET as ports/packet.pxd uses it: the room for one frame's particulars, and where the kernel puts them. */
#ifndef SWLB_PACKET_H
#define SWLB_PACKET_H

#include <linux/if_packet.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef SOL_PACKET
#define SOL_PACKET 263
#endif

struct swlb_place {
    struct iovec frame;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
};

/* The message's frame is to be read to, or written from, n bytes at data. */
static inline void swlb_message(struct mmsghdr *message, struct swlb_place *place, void *data, size_t n) {
    place->frame.iov_base = data;
    place->frame.iov_len = n;
    message->msg_hdr = (struct msghdr){.msg_iov = &place->frame, .msg_iovlen = 1};
    message->msg_len = 0;
}

/* What the kernel says beside a frame that was read; NULL when it has said nothing. */
static inline const struct tpacket_auxdata *swlb_auxdata(struct mmsghdr *message) {
    struct cmsghdr *said = CMSG_FIRSTHDR(&message->msg_hdr);
    if (!said || said->cmsg_level != SOL_PACKET || said->cmsg_type != PACKET_AUXDATA)
        return NULL;
    return (const struct tpacket_auxdata *)CMSG_DATA(said);
}

/* The device that the socket is bound to; -1 once it is gone. */
static inline int swlb_bound_to(int fd) {
    struct sockaddr_ll address = {0};
    socklen_t n = sizeof(address);
    return getsockname(fd, (struct sockaddr *)&address, &n) < 0 ? -1 : address.sll_ifindex;
}

/* How many frames the kernel has thrown away since it was asked last, for want of room in the socket. */
static inline unsigned swlb_missed(int fd) {
    struct tpacket_stats stats = {0};
    socklen_t n = sizeof(stats);
    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &n) < 0 ? 0 : stats.tp_drops;
}

#endif

"""What passes a host's device, taken by a raw socket and judged by dpkt and scapy, never by our own parser."""

import errno
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass, field, replace

import dpkt
from scapy.utils import checksum

from netns.running import Host

# linux/if_packet.h, linux/filter.h, asm-generic/socket.h
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
AUXDATA = struct.Struct("=IIIHHHH")
TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID = 8, 16
ETH_P_ALL = 3
ARPHRD_NONE = 65534  # linux/if_arp.h: a TUN
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
BPF_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
FRAMES_MAX = 4096
FRAME_LEN_MAX = 1 << 17

# EtherTypes of what is in a tunnel, by the protocol that says so.
INSIDE = {socket.IPPROTO_IPIP: b"\x08\x00", socket.IPPROTO_IPV6: b"\x86\xdd"}

# Which protocols are judged, and whether their checksum covers a pseudo-header.
PSEUDO_HEADERS = {
    4: {socket.IPPROTO_TCP: True, socket.IPPROTO_UDP: True, socket.IPPROTO_ICMP: False},
    6: {socket.IPPROTO_TCP: True, socket.IPPROTO_UDP: True, socket.IPPROTO_ICMPV6: True},
}


@dataclass(frozen=True)
class Captured:
    """A frame as the kernel showed it, with MACs of 0 where it had none; `tag`: the VLAN tag taken off, (TPID, TCI)."""

    data: bytes
    outgoing: bool
    checksum_pending: bool
    tag: tuple[int, int] | None


@dataclass
class Capture:
    """The frames taken so far, FRAMES_MAX at most."""

    frames: list[Captured] = field(default_factory=list)

    def packets(self, *, outgoing: bool | None = None) -> list[Captured]:
        """The IPv4 and IPv6 frames, those of one direction only if asked."""
        return [
            frame
            for frame in self.frames
            if frame.data[12:14] in (b"\x08\x00", b"\x86\xdd") and outgoing in (None, frame.outgoing)
        ]


@contextmanager
def capturing(host: Host, *, one_in: int = 1) -> Iterator[Capture]:
    """Within the block the frames of the host's device are taken, at random one in so many."""
    capture = Capture()
    ending = threading.Event()
    with closing(host.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sock:
        if one_in > 1:
            _attach_sampler(sock, one_in)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.settimeout(0.05)
        sock.bind((host.device, ETH_P_ALL))

        def take() -> None:
            while len(capture.frames) < FRAMES_MAX:
                if ending.is_set():
                    # What passed within the block waits by now. Silence may never come: others are checked, too.
                    sock.setblocking(False)
                try:
                    capture.frames.append(_received(sock))
                except BlockingIOError:
                    return
                except OSError as error:
                    # The latter is said once when the device goes down, or is down already; it may come up again.
                    if not isinstance(error, TimeoutError) and error.errno != errno.ENETDOWN:
                        raise

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield capture
        finally:
            ending.set()
            thread.join()


def tcp_of(frame: Captured) -> dpkt.tcp.TCP | None:
    """The frame's TCP segment, if it has one."""
    segment = dpkt.ethernet.Ethernet(frame.data).data.data
    return segment if isinstance(segment, dpkt.tcp.TCP) else None


def unwrapped(frame: Captured, gue_port: int = 6080) -> Captured:
    """The frame without the outer headers of IPIP or GUE, or as it is where it has none."""
    packet = dpkt.ethernet.Ethernet(frame.data).data
    start = 14 + (packet.hl * 4 if packet.v == 4 else 40)
    protocol = packet.p if packet.v == 4 else packet.nxt
    if protocol == socket.IPPROTO_UDP and struct.unpack_from("!H", frame.data, start + 2) == (gue_port,):
        protocol, start = frame.data[start + 9], start + 12
    if protocol not in INSIDE:
        return frame
    return replace(frame, data=frame.data[:12] + INSIDE[protocol] + frame.data[start:])


def _received(sock: socket.socket) -> Captured:
    data, control, _, address = sock.recvmsg(FRAME_LEN_MAX, 256)
    status = tci = tpid = 0
    for _level, _kind, auxdata in control:
        status, _len, _snaplen, _mac, _net, tci, tpid = AUXDATA.unpack_from(auxdata)
    if address[3] == ARPHRD_NONE:
        data = bytes(12) + address[1].to_bytes(2) + data
    tag = (tpid, tci) if status & TP_STATUS_VLAN_VALID else None
    return Captured(data, address[2] == PACKET_OUTGOING, bool(status & TP_STATUS_CSUMNOTREADY), tag)


def _attach_sampler(sock: socket.socket, one_in: int) -> None:
    """The socket gets frames whose random number is small enough."""
    program = [(0x20, 0, 0, BPF_RANDOM), (0x25, 1, 0, 0xFFFFFFFF // one_in), (0x06, 0, 0, 1 << 18), (0x06, 0, 0, 0)]
    code = create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), addressof(code)))


def wrong_checksums(frames: list[Captured]) -> list[str]:
    """What is wrong with the checksums of whole TCP, UDP and ICMP packets over IPv4 and IPv6, a sentence each.

    Where the kernel says that a checksum is yet to be completed, it must be the pseudo-header's sum.
    """
    return [f"{wrong}: {frame.data[:80].hex()}" for frame in frames if (wrong := _wrong_checksum(frame))]


def _wrong_checksum(frame: Captured) -> str | None:
    packet = dpkt.ethernet.Ethernet(frame.data).data
    start = 14 + (packet.hl * 4 if packet.v == 4 else 40)
    if packet.v == 4 and checksum(frame.data[14:start]) != 0:
        return "IPv4 header"
    protocol, length = (packet.p, packet.len - packet.hl * 4) if packet.v == 4 else (packet.nxt, packet.plen)
    if protocol not in PSEUDO_HEADERS[packet.v] or (packet.v == 4 and (packet.mf or packet.offset)):
        return None
    payload = frame.data[start : start + length]
    if packet.v == 4 and protocol == socket.IPPROTO_UDP and payload[6:8] == bytes(2):
        return None  # RFC 768: there is none
    # RFC 9293 3.1, RFC 8200 8.1
    numbers = struct.pack("!HH", protocol, length) if packet.v == 4 else struct.pack("!II", length, protocol)
    pseudo = packet.src + packet.dst + numbers if PSEUDO_HEADERS[packet.v][protocol] else b""
    if not frame.checksum_pending:
        return "complete checksum" if checksum(pseudo + payload) != 0 else None
    (found,) = struct.unpack_from("!H", payload, 16 if protocol == socket.IPPROTO_TCP else 6)
    return None if found == ~checksum(pseudo) & 0xFFFF else "partial checksum"

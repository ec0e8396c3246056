"""The frames the sender builds, judged by scapy, and the C structures it hands to the kernel."""

import ctypes

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from .flood import MMsgHdr, ethernet_frame, udp_packet

FRAME = ethernet_frame(b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02", udp_packet(("10.0.1.10", 40000), ("10.0.1.100", 9000)))


def test_frame_is_60_bytes_long() -> None:
    assert len(FRAME) == 60


def test_frame_says_what_it_was_asked_to() -> None:
    frame = Ether(FRAME)
    assert (frame.dst, frame.src) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (frame[IP].src, frame[UDP].sport) == ("10.0.1.10", 40000)
    assert (frame[IP].dst, frame[UDP].dport) == ("10.0.1.100", 9000)


def test_both_checksums_are_what_scapy_computes() -> None:
    blank = Ether(FRAME)
    del blank[IP].chksum, blank[UDP].chksum
    assert bytes(blank) == FRAME


def test_messages_lie_as_far_apart_as_the_kernel_reads_them() -> None:
    # struct mmsghdr on 64-bit Linux: 56 bytes of msghdr, the length, and padding. Misplaced, one call sends one frame.
    assert ctypes.sizeof(MMsgHdr) == 64

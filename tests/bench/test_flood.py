"""The frames the sender builds, judged by scapy, and the C structures it hands to the kernel."""

import ctypes
import socket
from collections import Counter

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from swlb.bench import flood
from swlb.bench.flood import BATCH, MMsgHdr, ethernet_frame, resolve, source_ports, udp_packet
from swlb.bench.servers import datagrams


def frame(l4_source: int = 40000) -> bytes:
    packet = udp_packet(("10.0.1.10", l4_source), ("10.0.1.100", 9000))
    return ethernet_frame(b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02", packet)


def test_frame_is_60_bytes_long() -> None:
    assert len(frame()) == 60


def test_frame_says_what_it_was_asked_to() -> None:
    seen = Ether(frame())
    assert (seen.dst, seen.src) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (seen[IP].src, seen[UDP].sport) == ("10.0.1.10", 40000)
    assert (seen[IP].dst, seen[UDP].dport) == ("10.0.1.100", 9000)


# With port 0xC624 the UDP checksum comes out as 0, which has to be sent as 0xFFFF (RFC 768).
@pytest.mark.parametrize("l4_source", [*source_ports(64), 1, 0xFFFF, 0xC624])
def test_both_checksums_of_every_flow_are_what_scapy_computes(l4_source: int) -> None:
    blank = Ether(frame(l4_source))
    del blank[IP].chksum, blank[UDP].chksum
    assert bytes(blank) == frame(l4_source)


def test_who_refuses_datagrams_is_looked_for_to_the_end(monkeypatch) -> None:
    monkeypatch.setattr(flood, "RESOLVE_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        closed.bind(("127.0.0.1", 0))
        l4_port = closed.getsockname()[1]
        closed.close()
        udp.connect(("127.0.0.1", l4_port))
        # The loopback has no neighbours.
        with pytest.raises(TimeoutError, match=r"nobody answers for 127\.0\.0\.1"):
            resolve(udp, "127.0.0.1")


@pytest.mark.parametrize("flows", [1, 2, 64])
def test_the_flows_of_a_batch_take_turns_and_send_equally_much(flows: int) -> None:
    ports = source_ports(flows)
    assert set(Counter(ports).values()) == {BATCH // flows}
    assert len(set(ports[:flows])) == flows


def test_a_number_of_flows_that_would_not_send_equally_much_is_refused() -> None:
    with pytest.raises(ValueError, match="divides 64"):
        source_ports(3)


def test_messages_lie_as_far_apart_as_the_kernel_reads_them() -> None:
    # struct mmsghdr on 64-bit Linux: 56 bytes of msghdr, the length, and padding. Misplaced, one call sends one frame.
    assert ctypes.sizeof(MMsgHdr) == 64


def test_a_super_frame_counts_as_the_datagrams_in_it():
    alone, together = 3 * (20 + 8 + 18), 20 + 8 + 5 * 18
    assert datagrams(3 + 1, alone + together) == 3 + 5

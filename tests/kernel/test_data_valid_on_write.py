"""DATA_VALID in the header of a frame that is written is ignored: the receiver verifies the checksum itself.

On a read the flag says that the kernel has verified the sum. tun does not believe it from us, so a checksum that
is wrong stays wrong: the frame is dropped at the receiver and counted there. Whoever rewrites a frame must leave
a checksum that is right, and forwarding the flag as it came repairs nothing and breaks nothing.
"""

import socket
import struct
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

DATA_VALID = 2
VNET_HDR_LEN = 10
ETHER = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
DATAGRAM = bytes(ETHER / IP(src="10.99.0.2", dst="10.99.0.1") / UDP(sport=4000, dport=5000) / b"payload")
CHECKSUM_OFF = 14 + 20 + 6


def udp_checksum_errors() -> int:
    """Of the calling thread's namespace; /proc/net would be the one of the main thread."""
    lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(dict(zip(names, values, strict=True))["InCsumErrors"])


def with_wrong_checksum(frame: bytes) -> bytes:
    (checksum,) = struct.unpack_from("!H", frame, CHECKSUM_OFF)
    return frame[:CHECKSUM_OFF] + struct.pack("!H", checksum ^ 0x5555) + frame[CHECKSUM_OFF + 2 :]


@pytest.fixture
def receiver(tap):
    """A socket for the datagram; the test runs inside the namespace."""
    with namespace(tap.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("10.99.0.1", 5000))
        receiver.setblocking(False)
        yield receiver


def test_a_wrong_checksum_is_dropped_and_counted_in_spite_of_data_valid(tap, receiver):
    before = udp_checksum_errors()
    tap.write(bytes([DATA_VALID]) + bytes(VNET_HDR_LEN - 1) + with_wrong_checksum(DATAGRAM))
    # UDP verifies when the datagram is fetched.
    with pytest.raises(BlockingIOError):
        receiver.recv(100)
    assert udp_checksum_errors() == before + 1


def test_a_right_checksum_is_delivered_without_any_flag(tap, receiver):
    tap.write(bytes(VNET_HDR_LEN) + DATAGRAM)
    assert receiver.recv(100) == b"payload"

"""A UDP super-frame written into a TAP reaches a socket as the datagrams it was put together from.

UDP segmentation offload (USO): one write with gso_type UDP_L4 and gso_size stands for up to 64 datagrams of that size,
the last of which may be shorter. A socket that did not ask for UDP_GRO gets them one by one, and so does a program that
knows nothing of all this. It does not depend on TUNSETOFFLOAD, which rules only what the kernel may hand to us (this
device has TUN_F_CSUM and no more).
"""

import socket
import struct
import subprocess

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from swlb.namespaces import namespace
from tests.oracle.checksum import partial_checksum
from tests.oracle.segment import cut

pytestmark = pytest.mark.root

NEEDS_CSUM, UDP_L4 = 1, 5
OURS = {4: "10.99.0.2", 6: "fd99::2"}
THEIRS = {4: "10.99.0.1", 6: "fd99::1"}
PORT = 5000
UDP_GRO = 104  # linux/udp.h
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def both(tap):
    """The TAP with an IPv6 address as well."""
    subprocess.run(["ip", "netns", "exec", tap.netns, "sysctl", "-qw", f"net.ipv6.conf.{tap.name}.disable_ipv6=0"],
                   check=True)
    tap.ip(f"address add {THEIRS[6]}/64 dev {tap.name} nodad")
    return tap


@pytest.fixture
def receiver(both, request):
    """A bound socket of the test's family."""
    family = request.getfixturevalue("family")
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with namespace(both.netns), socket.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.bind((THEIRS[family], PORT))
        sock.settimeout(1)
        yield sock


def super_frame(family: int, payload: bytes, size: int) -> tuple[bytes, bytes]:
    """Offload header and frame."""
    ip = IP(src=OURS[4], dst=THEIRS[4], flags="DF") if family == 4 else IPv6(src=OURS[6], dst=THEIRS[6])
    packet = ip / UDP(sport=4000, dport=PORT, chksum=0) / payload
    packet[UDP].chksum = partial_checksum(bytes(packet))
    l4_off = 14 + (20 if family == 4 else 40)
    frame = bytes(Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / packet)
    return struct.pack("<BBHHHH", NEEDS_CSUM, UDP_L4, l4_off + 8, size, l4_off, 6), frame


def received(sock: socket.socket) -> list[bytes]:
    """Every datagram that is there."""
    got = [sock.recv(70_000)]
    sock.setblocking(False)
    try:
        while True:
            got.append(sock.recv(70_000))
    except BlockingIOError:
        return got


@FAMILIES
@pytest.mark.parametrize(("size", "n", "last"), [(100, 5, 100), (100, 5, 37), (1, 2, 1), (1400, 46, 1), (9, 64, 3)])
def test_a_super_frame_is_received_as_its_datagrams(both, receiver, family, size, n, last):
    payload = bytes(i * 7 % 251 for i in range(size * (n - 1) + last))
    both.write(b"".join(super_frame(family, payload, size)))
    assert received(receiver) == [payload[at:at + size] for at in range(0, len(payload), size)]


@FAMILIES
def test_our_oracle_cuts_a_super_frame_as_the_kernel_does(both, receiver, family):
    frame = super_frame(family, bytes(range(250)) * 4, 300)
    both.write(b"".join(frame))
    assert received(receiver) == [bytes(Ether(piece)[UDP].payload) for piece in cut(*frame)]


@FAMILIES
def test_a_socket_with_udp_gro_gets_a_super_frame_whole(both, receiver, family):
    receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    both.write(b"".join(super_frame(family, bytes(500), 100)))
    assert received(receiver) == [bytes(500)]

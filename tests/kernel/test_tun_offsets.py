"""The virtio-net header of a TUN counts from the packet, and a device without ARP sends to its own MAC.

Both matter to a segment without Ethernet: offsets move by 14 bytes on the way to the pipeline and back, and the kernel
twin of such a segment, a TAP with IFF_NOARP, asks nobody for a MAC.
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest
import pytun
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from swlb.namespaces import namespace
from tests.oracle.checksum import partial_checksum

pytestmark = pytest.mark.root

TUNSETOFFLOAD, CSUM_TSO_USO = 0x400454D0, 0x6F
VNET = struct.Struct("<BBHHHH")
NEEDS_CSUM, UDP_L4 = 1, 5
UDP_SEGMENT = 103


@pytest.fixture
def tun(netns) -> Iterator[pytun.TunTapDevice]:
    """10.99.0.1/24 in a namespace of its own, without IPv6."""
    subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    with namespace(netns):
        device = pytun.TunTapDevice(name="tun7", flags=pytun.IFF_TUN | pytun.IFF_NO_PI | pytun.IFF_VNET_HDR)
    fcntl.ioctl(device.fileno(), TUNSETOFFLOAD, CSUM_TSO_USO)
    for command in ("link set tun7 up", "address add 10.99.0.1/24 dev tun7"):
        subprocess.run(["ip", "-n", netns, *command.split()], check=True)
    yield device
    device.close()


def read(fd: int) -> bytes:
    assert select.select([fd], [], [], 1)[0], "nothing came within a second"
    return os.read(fd, 70_000)


def udp_socket(netns: str) -> socket.socket:
    with namespace(netns):
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def test_the_offsets_of_what_is_read_count_from_the_packet(tun, netns):
    with udp_socket(netns) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
        sock.sendto(bytes(2500), ("10.99.0.2", 9))
        data = read(tun.fileno())
    flags, kind, _, size, start, offset = VNET.unpack_from(data)
    assert (flags, kind, size, start, offset) == (NEEDS_CSUM, UDP_L4, 1000, 20, 6)
    assert IP(data[10:])[UDP].len == 2508


def test_the_offsets_of_what_is_written_count_from_the_packet(tun, netns):
    packet = IP(src="10.99.0.2", dst="10.99.0.1") / UDP(sport=1, dport=9) / Raw(bytes(range(250)) * 10)
    packet[UDP].chksum = partial_checksum(bytes(packet))
    with udp_socket(netns) as sock:
        sock.bind(("10.99.0.1", 9))
        sock.settimeout(1)
        os.write(tun.fileno(), VNET.pack(NEEDS_CSUM, UDP_L4, 28, 1000, 20, 6) + bytes(packet))
        assert [len(sock.recv(5000)) for _ in range(3)] == [1000, 1000, 500]


def test_a_device_without_arp_sends_to_its_own_mac(netns):
    subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    with namespace(netns):
        device = pytun.TunTapDevice(name="tap7", flags=pytun.IFF_TAP | pytun.IFF_NO_PI)
    try:
        for command in ("link set tap7 address 02:00:00:00:00:07 arp off up", "address add 10.99.0.1/24 dev tap7"):
            subprocess.run(["ip", "-n", netns, *command.split()], check=True)
        with udp_socket(netns) as sock:
            sock.sendto(b"hello", ("10.99.0.2", 9))
        frame = read(device.fileno())
    finally:
        device.close()
    assert frame[:14] == bytes.fromhex("020000000007" "020000000007" "0800")

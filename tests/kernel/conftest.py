"""A bare TAP in a quiet namespace, made without any code of swlb: here Linux is on trial, not we."""

import errno
import fcntl
import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import pytun
from uring import Ring

TUNSETOFFLOAD = 0x400454D0
TUN_F_CSUM = 0x01


@dataclass(frozen=True)
class BareTap:
    """The namespace has 10.99.0.1/24 on the device (MAC 02:..:01) and knows 10.99.0.2 at MAC 02:..:02: that is us."""

    fd: int
    name: str
    netns: str

    def read(self, size: int = 70_000) -> bytes:
        """The next frame with its virtio-net header; waits a second at most for it."""
        assert select.select([self.fd], [], [], 1)[0], "no frame came within a second"
        return os.read(self.fd, size)

    def write(self, data: bytes) -> int:
        return os.write(self.fd, data)

    def ip(self, command: str) -> str:
        return subprocess.run(
            ["ip", "-n", self.netns, *command.split()], check=True, capture_output=True, text=True
        ).stdout


@pytest.fixture
def tap(netns: str) -> Iterator[BareTap]:
    """Up, with checksum offload, in a namespace without IPv6, so that every frame read is one the test caused."""
    for scope in ("all", "default"):
        sysctl = f"net.ipv6.conf.{scope}.disable_ipv6=1"
        subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-qw", sysctl], check=True)
    device = pytun.TunTapDevice(name="swlbk%d", flags=pytun.IFF_TAP | pytun.IFF_NO_PI | pytun.IFF_VNET_HDR)
    try:
        os.set_blocking(device.fileno(), False)
        fcntl.ioctl(device.fileno(), TUNSETOFFLOAD, TUN_F_CSUM)
        subprocess.run(["ip", "link", "set", device.name, "netns", netns], check=True)
        bare = BareTap(fd=device.fileno(), name=device.name, netns=netns)
        bare.ip(f"link set {bare.name} address 02:00:00:00:00:01 up")
        bare.ip(f"address add 10.99.0.1/24 dev {bare.name}")
        bare.ip(f"neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev {bare.name} nud permanent")
        yield bare
    finally:
        device.close()


@pytest.fixture
def ring() -> Iterator[Ring]:
    """An io_uring, where the kernel lets us have one."""
    try:
        made = Ring()
    except OSError as refusal:
        if refusal.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        pytest.skip(f"io_uring is refused here: {refusal}")
    with made:
        yield made

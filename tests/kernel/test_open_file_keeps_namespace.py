"""An open /dev/net/tun keeps alive the namespace it was opened in; so does a socket.

The file of a TAP belongs to the namespace of the thread that opened /dev/net/tun, for good, and the device is
created there. Opened inside the target namespace, it would keep the namespace, and with it the device, alive
after `ip netns delete`: the operator has removed it, and nothing ends. Hence swlb opens at home and moves the
device, and asks for a device's state through sockets that it closes at once.
"""

import fcntl
import os
import select
import socket
import subprocess

import pytest
import pytun

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

TUNGETDEVNETNS = 0x54E3


def survives(tun_fd: int, netns: str) -> bool:
    """Whether the device still exists a while after its namespace's name was deleted."""
    subprocess.run(["ip", "netns", "delete", netns], check=True)
    poll = select.poll()
    poll.register(tun_fd, select.POLLIN)
    if poll.poll(500):
        return False
    os.close(fcntl.ioctl(tun_fd, TUNGETDEVNETNS))  # EBADFD if it did not
    return True


def test_a_tap_opened_inside_a_namespace_outlives_its_deletion(netns):
    with namespace(netns):
        device = pytun.TunTapDevice(name="inside", flags=pytun.IFF_TAP | pytun.IFF_NO_PI)
    try:
        assert survives(device.fileno(), netns)
    finally:
        device.close()


def test_a_socket_held_in_a_namespace_keeps_it_and_its_devices(tap):
    with namespace(tap.netns):
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with held:
        assert survives(tap.fd, tap.netns)


def test_a_tap_moved_into_a_namespace_does_not_outlive_its_deletion(tap):
    assert not survives(tap.fd, tap.netns)

"""A file that is registered with a ring keeps its device, though its descriptor is closed, until it is unregistered.

A TAP that does not persist goes with its last file, and the ring holds one. Hence swlb unregisters before it closes
its ring: the kernel lets go of what a closed ring held only some time later, and an operator who ended swlb and
starts it again at once would find the names of its devices taken.
"""

import subprocess

import pytest
import pytun

pytestmark = pytest.mark.root


@pytest.fixture
def device(netns) -> pytun.TunTapDevice:
    """A TAP in the namespace; the test closes it."""
    made = pytun.TunTapDevice(name="swlbk%d", flags=pytun.IFF_TAP | pytun.IFF_NO_PI)
    subprocess.run(["ip", "link", "set", made.name, "netns", netns], check=True)
    return made


def exists(name: str, netns: str) -> bool:
    return subprocess.run(["ip", "-n", netns, "link", "show", name], check=False, capture_output=True).returncode == 0


def test_a_device_goes_with_its_descriptor(device, netns):
    name = device.name
    assert exists(name, netns)
    device.close()
    assert not exists(name, netns)


def test_a_registered_file_keeps_the_device_until_it_is_unregistered(device, netns, ring):
    name = device.name
    ring.register(device.fileno())
    device.close()
    assert exists(name, netns)
    ring.unregister()
    assert not exists(name, netns)


def test_a_registered_file_that_is_taken_out_keeps_nothing(device, netns, ring):
    name = device.name
    ring.register(-1, device.fileno())
    ring.replace(1, -1)
    device.close()
    assert not exists(name, netns)


def test_a_file_may_be_put_where_none_was_registered(device, netns, ring):
    name = device.name
    ring.register(-1, -1)
    ring.replace(1, device.fileno())
    device.close()
    assert exists(name, netns)
    ring.replace(1, -1)
    assert not exists(name, netns)

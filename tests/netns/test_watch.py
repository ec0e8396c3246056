"""What swlb learns of a device that others change under its hands."""

import os
import subprocess
import time
from contextlib import closing

import pytest

from swlb.devices import namespace, open_tap, watch
from swlb.namespaces import THREAD_NETNS

pytestmark = pytest.mark.root


def ip(netns: str, command: str) -> None:
    subprocess.run(["ip", "-n", netns, *command.split()], check=True)


@pytest.fixture
def tap(netns):
    with closing(open_tap("client", "swc0", netns=netns, mtu=1500)) as tap:
        yield tap


def lost(tap) -> bool:
    """Whether the device is gone within five seconds; the kernel takes namespaces down when it finds the time."""
    deadline = time.monotonic() + 5
    while watch(tap).present:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_new_device_is_present_and_up_with_its_mtu_and_name(tap):
    state = watch(tap)
    assert (state.present, state.up, state.mtu, state.device) == (True, True, 1500, "swc0")


def test_its_namespace_is_told_by_device_and_inode(tap, netns):
    file = os.stat(f"/run/netns/{netns}")
    assert watch(tap).netns_id == (file.st_dev, file.st_ino)


def test_a_device_at_home_is_watched_as_well(netns):
    with namespace(netns), closing(open_tap("client", "swc0", netns=None, mtu=1280)) as tap:
        state = watch(tap)
    assert (state.present, state.mtu) == (True, 1280)


def test_a_new_mtu_is_seen(tap, netns):
    ip(netns, "link set swc0 mtu 9000")
    assert watch(tap).mtu == 9000


def test_a_device_set_down_is_present_and_not_up(tap, netns):
    ip(netns, "link set swc0 down")
    state = watch(tap)
    assert (state.present, state.up) == (True, False)


def test_a_device_set_up_again_is_up(tap, netns):
    ip(netns, "link set swc0 down")
    ip(netns, "link set swc0 up")
    assert watch(tap).up


def test_a_new_name_is_seen(tap, netns):
    ip(netns, "link set swc0 down")
    ip(netns, "link set swc0 name renamed")
    assert watch(tap).device == "renamed"


def test_a_device_is_followed_to_another_namespace(tap, netns, make_netns):
    other = make_netns()
    ip(netns, f"link set swc0 netns {other}")
    ip(other, "link set swc0 mtu 1300 up")
    state = watch(tap)
    assert (state.netns_id[1], state.mtu, state.up) == (os.stat(f"/run/netns/{other}").st_ino, 1300, True)


def test_a_deleted_device_is_lost_and_keeps_its_name(tap, netns):
    ip(netns, "link delete swc0")
    state = watch(tap)
    assert (state.present, state.up, state.device) == (False, False, "swc0")


def test_a_device_is_lost_with_its_namespace(tap, netns):
    assert watch(tap).present
    subprocess.run(["ip", "netns", "delete", netns], check=True)
    assert lost(tap)


def test_a_namespace_that_only_changed_its_name_is_no_loss(tap, netns):
    # What keeps it alive is a process inside: `ip netns delete` takes the name away, not the namespace.
    with subprocess.Popen(
        ["ip", "netns", "exec", netns, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as inside:
        inside.stdin.write(b"x")
        inside.stdin.flush()
        assert inside.stdout.read(1) == b"x"
        subprocess.run(["ip", "netns", "delete", netns], check=True)
        state = watch(tap)
        inside.stdin.close()
    assert state.present


def test_a_closed_tap_is_lost(tap):
    tap.close()
    assert not watch(tap).present


def test_the_thread_stays_where_it_was(tap):
    before = os.stat(THREAD_NETNS).st_ino
    watch(tap)
    assert os.stat(THREAD_NETNS).st_ino == before


def test_watching_leaves_no_file_open(tap, netns):
    before = os.listdir("/proc/self/fd")
    watch(tap)
    ip(netns, "link delete swc0")
    watch(tap)
    assert os.listdir("/proc/self/fd") == before

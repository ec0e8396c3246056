"""A TAP that is moved to another namespace goes on through the same file, once it is up there.

Moving sets it down and takes its addresses; the file, its offloads and the MAC stay.
"""

import socket
import subprocess

import pytest

from swlb.namespaces import namespace

pytestmark = pytest.mark.root


@pytest.fixture
def elsewhere(tap, make_netns) -> str:
    """Another namespace, with the device in it, up and set up as it was."""
    other = make_netns()
    tap.ip(f"link set {tap.name} netns {other}")
    for command in (
        f"link set {tap.name} up",
        f"address add 10.99.0.1/24 dev {tap.name}",
        f"neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev {tap.name} nud permanent",
    ):
        subprocess.run(["ip", "-n", other, *command.split()], check=True)
    return other


def test_frames_sent_in_the_new_namespace_are_read_from_the_old_file(tap, elsewhere):
    with namespace(elsewhere), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"from elsewhere", ("10.99.0.2", 9))
        frames = iter(tap.read, b"")
        # The new namespace has IPv6 and says so first.
        assert any(frame.endswith(b"from elsewhere") for frame in frames)


def test_frames_written_to_the_old_file_arrive_in_the_new_namespace(tap, elsewhere):
    with namespace(elsewhere), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as receiver:
        receiver.bind((tap.name, 0x88B5))
        receiver.settimeout(1)
        frame = bytes.fromhex("020000000001 020000000002 88b5") + b"hello".ljust(46, b"\0")
        tap.write(bytes(10) + frame)
        assert receiver.recv(2000) == frame

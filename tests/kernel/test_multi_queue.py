"""A TAP with several queues is one device with several files, numbered in the order in which they were attached.

A frame the kernel sends waits in one of them; a frame may be written to any. All of them are non-blocking, go on
when the device is moved to another namespace, and hear of its end. What was set for one file (offloads, header) is
the device's. A steering program's result is a queue's number, so a worker's number is the place of its file.
"""

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
from contextlib import closing

import pytest

from swlb.bpf import Op, Reg, alu, assemble, leave, new_socket_filter
from swlb.devices import namespace, open_tap
from swlb.steering import TUNSETSTEERINGEBPF
from swlb.taps import TUNGETIFF, TUNGETVNETHDRSZ

pytestmark = pytest.mark.root

QUEUES = 4
FRAME = bytes.fromhex("020000000001 020000000002 88b5") + b"hello".ljust(46, b"\0")
IFREQ = struct.Struct("16sH22x")


@pytest.fixture
def tap(make_netns):
    """Four queues, in a namespace of its own, opened at another."""
    home, target = make_netns(), make_netns()
    with namespace(home):
        opened = open_tap("client", "swc0", netns=target, mtu=1500, mac=bytes.fromhex("020000000001"), queues=QUEUES)
    with closing(opened):
        yield opened


def steer_everything(tap, queue: int) -> None:
    """Every frame goes to that queue."""
    program = new_socket_filter(assemble([alu(Op.MOV, Reg.R0, queue), leave()]))
    fcntl.ioctl(tap.fd, TUNSETSTEERINGEBPF, struct.pack("i", program))
    os.close(program)


def send(netns: str, device: str) -> None:
    with namespace(netns), closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
        sock.bind((device, 0))
        sock.send(FRAME)


def queues_with(tap, frame: bytes) -> set[int]:
    """The queues in which the frame waits; all are emptied."""
    found = set()
    for number, fd in enumerate(tap.fds):
        while True:
            try:
                data = os.read(fd, 70_000)
            except BlockingIOError:
                break
            if data[10:] == frame:
                found.add(number)
    return found


@pytest.mark.parametrize("queue", range(QUEUES))
def test_a_queue_s_number_is_its_place_in_the_order_of_attaching(tap, queue):
    steer_everything(tap, queue)
    send(tap.netns, tap.device)
    assert queues_with(tap, FRAME) == {queue}


def test_a_result_beyond_the_queues_is_taken_modulo(tap):
    steer_everything(tap, QUEUES + 1)
    send(tap.netns, tap.device)
    assert queues_with(tap, FRAME) == {1}


@pytest.mark.parametrize("queue", range(QUEUES))
def test_a_frame_written_to_any_queue_arrives(tap, queue):
    with namespace(tap.netns), closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as receiver:
        receiver.bind((tap.device, 0x88B5))
        receiver.settimeout(1)
        os.write(tap.fds[queue], bytes(10) + FRAME)
        assert receiver.recv(2000) == FRAME


@pytest.mark.parametrize("queue", range(QUEUES))
def test_every_queue_goes_on_in_another_namespace(tap, queue, make_netns):
    other = make_netns()
    subprocess.run(["ip", "-n", tap.netns, "link", "set", tap.device, "netns", other], check=True)
    subprocess.run(["ip", "-n", other, "link", "set", tap.device, "up"], check=True)
    steer_everything(tap, queue)
    send(other, tap.device)
    assert queues_with(tap, FRAME) == {queue}


def test_all_queues_are_of_one_device(tap):
    names = {IFREQ.unpack(fcntl.ioctl(fd, TUNGETIFF, bytes(IFREQ.size)))[0] for fd in tap.fds}
    assert names == {b"swc0".ljust(16, b"\0")}


def test_every_queue_has_the_header_is_not_blocking_and_not_inherited(tap):
    for fd in tap.fds:
        assert fcntl.ioctl(fd, TUNGETVNETHDRSZ, bytes(4)) == bytes(ctypes.c_int(10))
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)


def test_every_queue_hears_of_the_device_s_end(tap):
    subprocess.run(["ip", "-n", tap.netns, "link", "delete", tap.device], check=True)
    poll = select.poll()
    for fd in tap.fds:
        poll.register(fd, select.POLLIN)
    assert poll.poll(1000) == [(fd, select.POLLERR) for fd in tap.fds]
    with pytest.raises(OSError) as failure:
        os.read(tap.fds[-1], 70_000)
    assert failure.value.errno == errno.EBADFD


def test_the_device_is_gone_once_all_queues_are_closed(tap):
    fd, netns = os.dup(tap.fds[2]), tap.netns
    tap.close()
    shown = ["ip", "-n", netns, "-o", "link", "show", "swc0"]
    assert subprocess.run(shown, check=False, capture_output=True).returncode == 0
    os.close(fd)
    assert subprocess.run(shown, check=False, capture_output=True).returncode != 0

"""A read of an empty TAP through io_uring with RWF_NOWAIT is done at once, with EAGAIN.

So one io_uring_enter that waits for nothing reads and writes all TAPs, and every result is there when it returns.
Without the flag the kernel keeps the read until a frame comes, and its buffer with it.
"""

import ctypes
import errno
import os
import socket

import pytest
from uring import FIXED_FILE, READ, RWF_NOWAIT, WRITE

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

FRAME = bytes(10) + bytes.fromhex("020000000001 020000000002 88b5") + b"hello".ljust(46, b"\0")


def room() -> ctypes.Array:
    return ctypes.create_string_buffer(70_000)


def send(tap, data: bytes) -> None:
    """A local socket has sent a datagram into the TAP."""
    with namespace(tap.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("10.99.0.2", 9))


@pytest.mark.parametrize("blocking", [True, False])
def test_a_read_of_an_empty_tap_is_eagain_at_once(tap, ring, blocking):
    os.set_blocking(tap.fd, blocking)
    assert ring.do(READ, tap.fd, room(), rw_flags=RWF_NOWAIT) == -errno.EAGAIN


def test_a_read_that_may_wait_is_done_by_the_frame_that_comes(tap, ring):
    os.set_blocking(tap.fd, True)
    buffer = room()
    assert ring.do(READ, tap.fd, buffer) is None
    send(tap, b"hello")
    got = ring.wait()
    assert buffer.raw[:got].endswith(b"hello")


def test_a_frame_that_is_there_is_read_at_once(tap, ring):
    send(tap, b"hello")
    buffer = room()
    got = ring.do(READ, tap.fd, buffer, rw_flags=RWF_NOWAIT)
    assert buffer.raw[:got].endswith(b"hello")
    assert ring.do(READ, tap.fd, buffer, rw_flags=RWF_NOWAIT) == -errno.EAGAIN


@pytest.mark.parametrize("fixed", [False, True])
def test_a_frame_is_written_at_once(tap, ring, fixed):
    with namespace(tap.netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as receiver:
        receiver.bind((tap.name, 0x88B5))
        receiver.settimeout(1)
        frame = ctypes.create_string_buffer(FRAME, len(FRAME))
        if fixed:
            ring.register(tap.fd)
        done = ring.do(WRITE, 0 if fixed else tap.fd, frame, rw_flags=RWF_NOWAIT, flags=FIXED_FILE if fixed else 0)
        assert done == len(FRAME)
        assert receiver.recv(2000) == FRAME[10:]


def test_a_write_to_a_device_that_is_down_is_eio(tap, ring):
    tap.ip(f"link set {tap.name} down")
    frame = ctypes.create_string_buffer(FRAME, len(FRAME))
    assert ring.do(WRITE, tap.fd, frame, rw_flags=RWF_NOWAIT) == -errno.EIO


def test_a_read_of_a_deleted_device_is_ebadfd(tap, ring):
    tap.ip(f"link delete {tap.name}")
    assert ring.do(READ, tap.fd, room(), rw_flags=RWF_NOWAIT) == -errno.EBADFD

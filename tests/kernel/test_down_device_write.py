"""A write to a TAP whose device is down is EIO; up again, the same file works again.

So EIO is the state of a port, not its end: the frame is dropped and counted, and the loop goes on.
"""

import errno

import pytest

pytestmark = pytest.mark.root

FRAME = bytes(10) + bytes.fromhex("020000000001 020000000002 88b5") + bytes(46)


def test_a_write_to_a_device_that_is_down_is_eio(tap):
    tap.ip(f"link set {tap.name} down")
    with pytest.raises(OSError) as failure:
        tap.write(FRAME)
    assert failure.value.errno == errno.EIO


def test_a_device_that_is_up_again_takes_frames_through_the_same_file(tap):
    tap.ip(f"link set {tap.name} down")
    tap.ip(f"link set {tap.name} up")
    assert tap.write(FRAME) == len(FRAME)

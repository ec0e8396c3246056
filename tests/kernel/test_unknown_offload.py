"""An offload bit that the kernel does not know is refused with EINVAL.

So the offloads of a kernel are found by trying, most first; there is no ioctl that lists them.
"""

import errno
import fcntl

import pytest

pytestmark = pytest.mark.root

TUNSETOFFLOAD = 0x400454D0
CSUM = 0x01
UNKNOWN = 0x4000_0000


def test_an_unknown_bit_is_refused(tap):
    with pytest.raises(OSError) as refusal:
        fcntl.ioctl(tap.fd, TUNSETOFFLOAD, CSUM | UNKNOWN)
    assert refusal.value.errno == errno.EINVAL


def test_no_offload_at_all_is_accepted(tap):
    assert fcntl.ioctl(tap.fd, TUNSETOFFLOAD, 0) == 0

"""UDP segmentation offload is one thing for both families: USO4 without USO6, or the reverse, is EINVAL.

The bits are two, but set_offload in tun.c accepts them only together (and none of them without CSUM). Probing
has to try the pair.
"""

import errno
import fcntl

import pytest

pytestmark = pytest.mark.root

TUNSETOFFLOAD = 0x400454D0
CSUM = 0x01
USO4 = 0x20
USO6 = 0x40


@pytest.mark.parametrize("bits", [CSUM | USO4, CSUM | USO6])
def test_one_family_alone_is_refused(tap, bits):
    with pytest.raises(OSError) as refusal:
        fcntl.ioctl(tap.fd, TUNSETOFFLOAD, bits)
    assert refusal.value.errno == errno.EINVAL


def test_both_families_without_checksum_offload_are_refused(tap):
    with pytest.raises(OSError) as refusal:
        fcntl.ioctl(tap.fd, TUNSETOFFLOAD, USO4 | USO6)
    assert refusal.value.errno == errno.EINVAL


def test_both_families_are_accepted(tap):
    assert fcntl.ioctl(tap.fd, TUNSETOFFLOAD, CSUM | USO4 | USO6) == 0

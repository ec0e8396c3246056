"""hdr_len of a frame that is written is 0 or at least an Ethernet header: from 1 to 13 is EINVAL.

The field is a hint (how much of the frame to put into the linear part), yet a wrong hint costs the frame. It is
no longer than the frame either.
"""

import errno
import struct

import pytest

pytestmark = pytest.mark.root

VNET_HDR = struct.Struct("<BBHHHH")
FRAME = bytes.fromhex("020000000001 020000000002 88b5") + bytes(46)


def write_with_hdr_len(tap, hdr_len: int) -> int:
    return tap.write(VNET_HDR.pack(0, 0, hdr_len, 0, 0, 0) + FRAME)


@pytest.mark.parametrize("hdr_len", [*range(1, 14), len(FRAME) + 1])
def test_an_impossible_hdr_len_is_refused(tap, hdr_len):
    with pytest.raises(OSError) as refusal:
        write_with_hdr_len(tap, hdr_len)
    assert refusal.value.errno == errno.EINVAL


@pytest.mark.parametrize("hdr_len", [0, 14, len(FRAME)])
def test_a_possible_hdr_len_is_accepted(tap, hdr_len):
    assert write_with_hdr_len(tap, hdr_len) == VNET_HDR.size + len(FRAME)

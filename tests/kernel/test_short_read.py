"""A read buffer that is too small truncates the frame; the rest of it is lost and nothing says so.

tun_put_user copies at most the length of the buffer and returns what it copied; the frame has left the ring by
then. So every read must offer room for the largest frame there can be: with segmentation offloads on, that is
10 bytes of virtio-net header, 14 of Ethernet, 4 of VLAN tag and 65535 of packet.
"""

import socket

import pytest

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

UDP_PAYLOAD_OFF = 10 + 14 + 20 + 8


def test_a_short_read_returns_the_beginning_and_loses_the_rest(tap):
    with namespace(tap.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"first" * 100, ("10.99.0.2", 9))
        sender.sendto(b"second", ("10.99.0.2", 9))
    assert tap.read(UDP_PAYLOAD_OFF + 5).endswith(b"first")
    assert tap.read()[UDP_PAYLOAD_OFF:] == b"second"

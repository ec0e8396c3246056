"""A TAP that nobody reads holds txqueuelen frames; the next ones are dropped, and the sender is not held up.

The ring has one slot a frame, whatever its size. When it is full tun_net_xmit drops the newest and counts it in
tx_dropped of the device; the sender's call succeeds all the same. There is no back-pressure: a worker that does
not keep up loses frames in this place, and here is where the loss is to be seen.
"""

import json
import os
import socket

import pytest

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

TX_QUEUE_LEN = 1000
BEYOND = 200


@pytest.fixture
def flooded(tap):
    """The TAP, after a local socket sent more frames than its ring has slots, none of them read."""
    with namespace(tap.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1)
        for number in range(TX_QUEUE_LEN + BEYOND):
            assert sender.sendto(number.to_bytes(2), ("10.99.0.2", 9)) == 2
    return tap


def test_the_default_txqueuelen_is_1000(tap):
    assert json.loads(tap.ip(f"-json link show {tap.name}"))[0]["txqlen"] == TX_QUEUE_LEN


def test_what_does_not_fit_is_counted_in_tx_dropped(flooded):
    (link,) = json.loads(flooded.ip(f"-json -statistics link show {flooded.name}"))
    assert link["stats64"]["tx"]["dropped"] == BEYOND


def test_the_oldest_frames_are_the_ones_kept(flooded):
    assert [int.from_bytes(flooded.read()[-2:]) for _ in range(TX_QUEUE_LEN)] == list(range(TX_QUEUE_LEN))


def test_there_is_no_frame_after_the_kept_ones(flooded):
    for _ in range(TX_QUEUE_LEN):
        flooded.read()
    with pytest.raises(BlockingIOError):
        os.read(flooded.fd, 100)

"""Bursts of datagrams through swlb and back: each arrives once, in order, as it was sent, merged on the way or not."""

import random

import pytest

from netns.capture import capturing, wrong_checksums
from netns.datagrams import exchange, mixed_sizes, plain_echo
from netns.running import made_namespaces
from netns.sites import ECHO_PORT, Routed, Transparent, site

pytestmark = pytest.mark.root

FLOWS, DATAGRAMS, BURST = 8, 240, 40
SITES = [(Routed, "auto"), (Transparent, "auto"), (Routed, "plain"), (Transparent, "plain")]
FAMILIES = pytest.mark.parametrize("family", [4, 6])
MOST = {4: 1472, 6: 1452}


@pytest.fixture(scope="module", params=SITES, ids=lambda param: f"{param[0].__name__.lower()}-{param[1]}")
def bare(request, tmp_path_factory):
    """A site with one server, without checks, and the way it reads and writes."""
    shape, io = request.param

    def change(config):
        echo = config["services"]["echo"]
        del config["services"]["web"]
        echo["servers"] = {name: echo["servers"][name] for name in ("web1", "web1v6")}

    with made_namespaces() as make:
        directory = tmp_path_factory.mktemp("datagrams")
        with site(shape, make, directory, change=change, options=("--io", io)) as at:
            yield shape, at


def exchanged(bare, family: int, *, direct: bool = False, at_once: bool = False):
    """The flows' datagrams as they were sent, came back, and were heard by the server."""
    shape, at = bare
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    sizes = [mixed_sizes(choose, DATAGRAMS, most=MOST[family]) for _ in range(FLOWS)]
    server = at["web1"]
    with plain_echo(server, server.address(family), ECHO_PORT) as heard:
        target = (server.address(family), ECHO_PORT) if direct else (shape.vips[family], 7)
        flows = exchange(at.client, *target, sizes, burst=BURST, at_once=at_once)
    return flows, heard


def assert_same(flows, heard) -> None:
    for port, (sent, back) in flows.items():
        assert [len(data) for data in heard.datagrams[port]] == [len(data) for data in sent]
        assert heard.datagrams[port] == sent
        assert back == sent


@FAMILIES
def test_datagrams_through_a_vip_arrive_once_in_order_and_come_back_so(bare, family):
    assert_same(*exchanged(bare, family))


@FAMILIES
def test_datagrams_past_the_services_arrive_once_in_order_and_come_back_so(bare, family):
    assert_same(*exchanged(bare, family, direct=True))


@pytest.fixture
def cut_by_the_client(bare):
    """The client's kernel takes bursts apart before its device: swlb sees them frame by frame, and all at once."""
    _, at = bare

    def switch(state: str) -> None:
        done = at.client.run("ethtool", "-K", at.client.device, "tx-udp-segmentation", state)
        assert done.returncode == 0, done.stderr

    switch("off")
    yield
    switch("on")


@FAMILIES
def test_bursts_sent_at_once_arrive_in_order_and_come_back_so(bare, cut_by_the_client, family):
    assert_same(*exchanged(bare, family, at_once=True))


@FAMILIES
def test_super_frames_of_the_client_arrive_as_datagrams(bare, family):
    assert_same(*exchanged(bare, family, at_once=True))


@FAMILIES
def test_datagrams_that_come_at_once_are_written_together(bare, cut_by_the_client, family):
    shape, at = bare
    server = at["web1"]
    with plain_echo(server, server.address(family), ECHO_PORT) as heard, capturing(server) as capture:
        ((port, (sent, back)),) = exchange(
            at.client, shape.vips[family], 7, [[100] * 50], burst=50, at_once=True
        ).items()
    assert heard.datagrams[port] == sent
    assert back == sent
    # A raw socket sees them before the kernel takes them apart for the server's socket.
    requests = [frame for frame in capture.packets(outgoing=False) if len(frame.data) > 14 + 20 + 8 + 100]
    assert len(requests) < 50
    assert max(len(frame.data) for frame in requests) > 14 + 40 + 8 + 2 * 100
    assert wrong_checksums(capture.packets()) == []

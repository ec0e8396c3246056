"""Large transfers through the VIP compare equal, and no checksum is wrong on the way."""

import threading
from contextlib import contextmanager

import pytest

from netns.capture import capturing, wrong_checksums
from netns.running import made_namespaces
from netns.sites import Routed, Transparent, connected, site
from netns.streams import transfer

pytestmark = pytest.mark.root

GIB = 1024  # blocks of 1 MiB
OFFLOADS = ("rx", "tx", "tso", "gso", "gro")
SUPER_FRAME_LEN = 1600  # longer than any frame of mtu 1500


@pytest.fixture(scope="module", params=[Routed, Transparent], ids=["routed", "transparent"])
def bare(request, tmp_path_factory):
    """A site with one server and without checks."""
    with one_server(request.param, tmp_path_factory.mktemp("bulk")) as at:
        yield request.param, at


@contextmanager
def one_server(shape, directory):
    def change(config):
        web = config["services"]["web"]
        del web["check"], config["services"]["echo"]
        web["servers"] = {name: web["servers"][name] for name in ("web1", "web1v6")}

    with made_namespaces() as make, site(shape, make, directory, change=change) as at:
        yield at


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_1_gib_compares_equal_with_all_offloads_on(bare, family, direction, record_property):
    shape, at = bare
    with connected(at, family, shape.vips[family]) as (near, far), capturing(at["web1"], one_in=64) as capture:
        sender, receiver = (near, far) if direction == "up" else (far, near)
        took = transfer(sender, receiver, GIB)
    record_property("gbit_s", GIB * 8 / 1024 / took)
    packets = capture.packets()
    assert wrong_checksums(packets) == []
    bulk = capture.packets(outgoing=direction == "down")
    assert any(frame.checksum_pending and len(frame.data) > SUPER_FRAME_LEN for frame in bulk), "no super-frame seen"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_every_checksum_is_complete_and_right_without_offloads(bare, family, direction):
    shape, at = bare
    with all_offloads("off", at.client, at["web1"]):
        with connected(at, family, shape.vips[family]) as (near, far), capturing(at["web1"], one_in=16) as capture:
            transfer(near, far, 32) if direction == "up" else transfer(far, near, 32)
        packets = capture.packets()
        assert len(packets) > 100
        assert not any(frame.checksum_pending for frame in packets)
        assert wrong_checksums(packets) == []


@pytest.mark.parametrize("family", [4, 6])
def test_a_server_without_offloads_sends_to_a_client_with_them_and_back(bare, family):
    shape, at = bare
    with all_offloads("off", at["web1"]):
        for swap in (False, True):
            with connected(at, family, shape.vips[family]) as ends, capturing(at["web1"], one_in=16) as capture:
                near, far = reversed(ends) if swap else ends
                transfer(near, far, 32)
            assert wrong_checksums(capture.packets()) == []
            assert not any(frame.checksum_pending for frame in capture.packets(outgoing=True))


@contextmanager
def all_offloads(state: str, *hosts):
    """Within the block the hosts' devices have no offload."""
    for host in hosts:
        set_offloads(host, state)
    try:
        yield
    finally:
        for host in hosts:
            set_offloads(host, "on")


def set_offloads(host, state: str) -> None:
    done = host.run("ethtool", "-K", host.device, *(word for name in OFFLOADS for word in (name, state)))
    assert "Cannot" not in done.stderr, done.stderr


def test_a_large_transfer_leaves_no_drop_behind(bare):
    shape, at = bare
    before = at.swlb.drops()
    with connected(at, 4, shape.vips[4]) as (near, far):
        transfer(near, far, 128)
    after = at.swlb.drops()
    harmless = ("nowhere", "tx_failed")  # a full queue of the receiver is TCP's to answer
    assert {name: n - before[name] for name, n in after.items() if n != before[name] and name not in harmless} == {}


def test_transfers_both_ways_at_once_compare_equal(bare):
    shape, at = bare
    errors = []

    def one(family: int) -> None:
        try:
            with connected(at, family, shape.vips[family]) as (near, far):
                transfer(near, far, 64) if family == 4 else transfer(far, near, 64)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=[family]) for family in (4, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []

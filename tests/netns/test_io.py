"""With io_uring and without: `swlb run --io auto` and `--io plain` do the same for those behind their ports."""

import pytest
from kernel.uring import Ring

from netns.capture import capturing, wrong_checksums
from netns.running import made_namespaces, wait_until
from netns.sites import Routed, Transparent, serving, site
from netns.streams import transfer
from netns.test_bulk import connected
from netns.traffic import echoed, ping, shares

pytestmark = pytest.mark.root

IO = {"auto": "io_uring", "plain": "read/write"}
FAMILIES = pytest.mark.parametrize("family", [4, 6])
SOON_S = 1.3
MIB = 64


def skip_without_ring(io: str) -> None:
    """`auto` is another thing than `plain` only where the kernel lets us have a ring."""
    if io == "auto":
        try:
            with Ring():
                pass
        except OSError as refusal:
            pytest.skip(f"io_uring is refused here: {refusal}")


@pytest.fixture(scope="module", params=IO)
def io(request):
    skip_without_ring(request.param)
    return request.param


@pytest.fixture(scope="module", params=[Routed, Transparent], ids=["routed", "transparent"])
def shared(request, io, tmp_path_factory):
    """A site where all serve."""
    directory = tmp_path_factory.mktemp("io")
    with made_namespaces() as make, site(request.param, make, directory, options=("--io", io)) as at, serving(at):
        yield request.param, at


@pytest.fixture
def own(io, make_netns, tmp_path):
    """A site of the test's own, which it may damage."""
    with site(Routed, make_netns, tmp_path, options=("--io", io)) as at, serving(at):
        yield at


def test_show_ports_says_how_frames_are_read_and_written(io, shared):
    _, at = shared
    assert {row["io"] for row in at.swlb.show("ports")} == {IO[io]}


@FAMILIES
def test_requests_are_shared_out_evenly(shared, family):
    shape, at = shared
    assert shares(at.client, shape.vips[family], 30) == {"web1": 10, "web2": 10, "web3": 10}


@FAMILIES
def test_datagrams_of_any_size_are_echoed(shared, family):
    shape, at = shared
    for size in (0, 1, 1400, 8000):
        assert echoed(at.client, shape.vips[family], 7, bytes(n % 251 for n in range(size))).startswith("web")


@FAMILIES
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_transfer_compares_equal_and_its_checksums_are_right(io, make_netns, tmp_path, family, direction):
    def change(config):
        web = config["services"]["web"]
        del web["check"], config["services"]["echo"]
        web["servers"] = {name: web["servers"][name] for name in ("web1", "web1v6")}

    with (
        site(Routed, make_netns, tmp_path, change=change, options=("--io", io)) as at,
        connected(at, family, Routed.vips[family]) as (near, far),
        capturing(at["web1"], one_in=16) as capture,
    ):
        transfer(near, far, MIB) if direction == "up" else transfer(far, near, MIB)
    assert len(capture.packets()) > 10
    assert wrong_checksums(capture.packets()) == []


def test_a_device_that_goes_down_and_up_again_is_used_again(io, own):
    own["web3"].ip("link set sw-web3 down")
    wait_until(lambda: own.swlb.row("ports", port="web3")["state"] == "down", "down", within=SOON_S)
    own.swlb.wait_operational("down", "web/web3")
    assert shares(own.client, Routed.vips[4], 10) == {"web1": 5, "web2": 5}
    own["web3"].ip("link set sw-web3 up")
    own["web3"].configure()
    own.swlb.wait_operational("up", "web/web3", within=10)
    assert shares(own.client, Routed.vips[4], 30) == {"web1": 10, "web2": 10, "web3": 10}
    assert own.swlb.row("ports", port="web3")["io"] == IO[io]


def test_a_deleted_device_is_lost_and_the_others_go_on(own):
    own["web3"].ip("link delete sw-web3")
    wait_until(lambda: own.swlb.row("ports", port="web3")["state"] == "lost", "lost", within=SOON_S)
    own.swlb.wait_operational("down", "web/web3", "web/web3v6")
    for family in (4, 6):
        assert shares(own.client, Routed.vips[family], 10) == {"web1": 5, "web2": 5}


def test_the_names_of_the_devices_are_free_as_soon_as_swlb_has_ended(io, make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path, options=("--io", io)) as at:
        assert ping(at.client, at["web1"].ipv4) == at["web1"].ipv4
        assert at.swlb.stop() == 0
        assert [host.device for host in at.hosts.values() if host.device in host.ip("-o link show")] == []

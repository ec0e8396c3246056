"""Several workers on interfaces that are there already: frames come to the worker whose session they are of."""

import pytest

from netns.running import made_namespaces
from netns.sites import Routed, Transparent, connected, serving
from netns.streams import transfer
from netns.traffic import echoed, ping, shares
from netns.wires import one_server, wired

pytestmark = pytest.mark.root

SHAPES = (Routed, Transparent)
FAMILIES = pytest.mark.parametrize("family", [4, 6])
WORKERS = 3


def several(config) -> None:
    config["workers"] = WORKERS


def several_and_one_server(config) -> None:
    several(config)
    one_server(config)


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: shape.__name__.lower())
def at(request, tmp_path_factory):
    """Clients on a TAP, servers on wires."""
    directory = tmp_path_factory.mktemp("several")
    with (
        made_namespaces() as make,
        wired(request.param, make, directory, kinds={"client": "tap"}, change=several) as at,
        serving(at),
    ):
        yield request.param, at


@FAMILIES
def test_requests_are_balanced_by_all(at, family):
    shape, site = at
    counts = shares(site.client, shape.vips[family], 60)
    assert set(counts) == {"web1", "web2", "web3"}
    assert max(counts.values()) - min(counts.values()) <= WORKERS
    assert echoed(site.client, shape.vips[family], 7) in counts
    assert ping(site.client, shape.vips[family]) == shape.vips[family]


def test_every_frame_is_judged_once(at):
    shape, site = at
    before = {row["port"]: row["rx_frames"] for row in site.swlb.show("ports")}
    shares(site.client, shape.vips[4], 20)
    after = {row["port"]: row["rx_frames"] for row in site.swlb.show("ports")}
    # Of a request of its own a server sends a handful of frames, not one for each worker as well.
    assert sum(after[name] - before[name] for name in ("web1", "web2", "web3")) < 20 * 8
    assert site.swlb.drops()["orphan"] == 0


@FAMILIES
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_large_transfer_compares_equal(make_netns, tmp_path, family, direction):
    with (
        wired(Routed, make_netns, tmp_path, change=several_and_one_server) as site,
        connected(site, family, Routed.vips[family]) as (near, far),
    ):
        transfer(near, far, 64) if direction == "up" else transfer(far, near, 64)


@FAMILIES
def test_servers_behind_a_tun_are_balanced_by_all(make_netns, tmp_path, family):
    def change(config) -> None:
        several_and_one_server(config)
        del config["ports"]["web2"], config["ports"]["web3"]
        config["segments"]["inside"]["ports"] = ["web1"]

    with (
        wired(Routed, make_netns, tmp_path, kinds={"web1": "tun"}, change=change) as site,
        connected(site, family, Routed.vips[family]) as (near, far),
    ):
        transfer(near, far, 64)

"""A TUN for a segment: servers or clients that are reached by IP alone, balanced and checked like all others."""

import pytest

from netns.capture import capturing, wrong_checksums
from netns.running import made_namespaces, wait_until
from netns.sites import WEB_PORT, Routed, connected
from netns.streams import transfer
from netns.traffic import echoed, get, http_server, ping, probe_with_ttl, udp_echo
from netns.wires import one_server, wired

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
BLOCKS = 64  # MiB
PLACES = {"the server": {"web1": "tun"}, "the client": {"client": "tun", "web1": "tap"},
          "both": {"client": "tun", "web1": "tun"}}  # fmt: skip


def alone(config) -> None:
    """web1 is the only server, and alone on its segment."""
    for name in ("web2", "web3"):
        del config["ports"][name]
    config["segments"]["inside"]["ports"] = ["web1"]
    for service in config["services"].values():
        service["servers"] = {name: service["servers"][name] for name in ("web1", "web1v6")}


def alone_and_unchecked(config) -> None:
    alone(config)
    one_server(config)


@pytest.fixture(scope="module", params=PLACES)
def at(request, tmp_path_factory):
    with (
        made_namespaces() as make,
        wired(Routed, make, tmp_path_factory.mktemp("tun"), kinds=PLACES[request.param], change=alone) as at,
    ):
        yield at


@pytest.fixture(scope="module", params=PLACES)
def bare(request, tmp_path_factory):
    directory, kinds = tmp_path_factory.mktemp("tun"), PLACES[request.param]
    with (
        made_namespaces() as make,
        wired(Routed, make, directory, kinds=kinds, change=alone_and_unchecked) as at,
    ):
        yield at


@FAMILIES
def test_a_server_is_checked_and_reached_and_sees_the_client(at, family):
    web = at["web1"]
    with http_server(web, web.address(family), WEB_PORT):
        at.swlb.wait_operational("up", f"web/web1{'v6' if family == 6 else ''}")
        answer = get(at.client, Routed.vips[family])
    assert answer.server == "web1"
    assert answer.peer == answer.client


@FAMILIES
def test_datagrams_and_pings_pass(at, family):
    web = at["web1"]
    with udp_echo(web, web.address(family), 7007):
        assert echoed(at.client, Routed.vips[family], 7) == "web1"
    assert ping(at.client, web.address(family)) == web.address(family)
    assert ping(at.client, Routed.routers[family]) == Routed.routers[family]
    assert ping(web, Routed.routers[family]) == Routed.routers[family]


@FAMILIES
def test_swlb_is_a_router_on_the_way(at, family):
    error = probe_with_ttl(at.client, at["web1"].address(family), 9, ttl=1)
    assert error.sender == Routed.routers[family]


@FAMILIES
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_large_transfer_compares_equal(bare, family, direction):
    with connected(bare, family, Routed.vips[family]) as (near, far):
        transfer(near, far, BLOCKS) if direction == "up" else transfer(far, near, BLOCKS)


def test_no_neighbour_is_asked_for_and_the_device_is_shown(at):
    (name,) = [name for name in ("web1", "client") if at.swlb.row("ports", port=name)["kind"] == "tun"][:1]
    row = at.swlb.row("ports", port=name)
    assert (row["device"], row["io"], row["state"], row["mtu"]) == (f"sw-{name}", "read/write", "up", 1500)
    assert row["netns"] == at[name].netns
    segment = {"web1": "inside", "client": "outside"}[name]
    assert [entry for entry in at.swlb.show("neighbours") if entry["segment"] == segment] == []


def test_the_device_goes_with_swlb(make_netns, tmp_path):
    with wired(Routed, make_netns, tmp_path, kinds=PLACES["the server"], change=alone) as own:
        web = own["web1"]
        assert "sw-web1" in web.ip("link show")
    wait_until(lambda: "sw-web1" not in web.ip("link show"), "the device gone")


@FAMILIES
def test_no_checksum_is_wrong_on_the_other_side(tmp_path_factory, family):
    with (
        made_namespaces() as make,
        wired(Routed, make, tmp_path_factory.mktemp("tun"), kinds={"web1": "tun"}, change=alone_and_unchecked) as own,
        connected(own, family, Routed.vips[family]) as (near, far),
        capturing(own.client, one_in=32) as capture,
    ):
        transfer(far, near, BLOCKS)
    assert wrong_checksums(capture.packets()) == []
    assert any(len(frame.data) > 1600 for frame in capture.packets(outgoing=False)), "no super-frame seen"

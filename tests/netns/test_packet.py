"""Ports on interfaces that are there already: everything that passes TAPs passes them, with offloads and without."""

import socket

import pytest
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from netns.capture import capturing, wrong_checksums
from netns.running import made_namespaces, wait_until
from netns.sites import Routed, Transparent, connected, serving
from netns.streams import transfer
from netns.traffic import echoed, get, ping, shares
from netns.wires import near_end, one_server, wired, without_offloads

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [Routed, Transparent], ids=["routed", "transparent"])
MIXTURES = {"packet": {}, "a client on a TAP": {"client": "tap"}, "a server on a TAP": {"web1": "tap"}}
SUPER_FRAME_LEN = 1600  # longer than any frame of mtu 1500
BLOCKS = 64  # MiB


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    with made_namespaces() as make, wired(Routed, make, tmp_path_factory.mktemp("wired")) as at, serving(at):
        yield at


@pytest.fixture(scope="module")
def transparent(tmp_path_factory):
    with made_namespaces() as make, wired(Transparent, make, tmp_path_factory.mktemp("wired")) as at, serving(at):
        yield at


@pytest.fixture(
    scope="module",
    params=[(shape, mixture) for shape in (Routed, Transparent) for mixture in MIXTURES],
    ids=[f"{shape} {mixture}" for shape in ("routed", "transparent") for mixture in MIXTURES],
)
def bare(request, tmp_path_factory):
    """One server and no checks, on wires or partly on TAPs."""
    shape, mixture = request.param
    directory = tmp_path_factory.mktemp("bare")
    with (
        made_namespaces() as make,
        wired(shape, make, directory, kinds=MIXTURES[mixture], change=one_server) as at,
    ):
        yield shape, mixture, at


@FAMILIES
def test_requests_are_balanced_and_pings_answered(routed, family):
    vip = Routed.vips[family]
    assert shares(routed.client, vip, 30) == {"web1": 10, "web2": 10, "web3": 10}
    assert ping(routed.client, vip) == vip
    assert echoed(routed.client, vip, 7) in {"web1", "web2", "web3"}


@FAMILIES
def test_requests_are_balanced_where_no_host_knows_of_swlb(transparent, family):
    assert shares(transparent.client, Transparent.vips[family], 30) == {"web1": 10, "web2": 10, "web3": 10}
    server = transparent["web1"].address(family)
    assert ping(transparent.client, server) == server


@FAMILIES
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_large_transfer_compares_equal_in_super_frames(bare, family, direction):
    shape, _, at = bare
    with connected(at, family, shape.vips[family]) as (near, far), capturing(at["web1"], one_in=64) as capture:
        transfer(near, far, BLOCKS) if direction == "up" else transfer(far, near, BLOCKS)
    assert wrong_checksums(capture.packets()) == []
    bulk = capture.packets(outgoing=direction == "down")
    assert any(frame.checksum_pending and len(frame.data) > SUPER_FRAME_LEN for frame in bulk), "no super-frame seen"


@FAMILIES
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_large_transfer_compares_equal_without_offloads(bare, family, direction):
    shape, mixture, at = bare
    wires = [name for name in ("client", "web1") if MIXTURES[mixture].get(name) != "tap"]
    with (
        without_offloads(at, *wires),
        connected(at, family, shape.vips[family]) as (near, far),
        capturing(at[wires[-1]], one_in=16) as capture,
    ):
        transfer(near, far, 16) if direction == "up" else transfer(far, near, 16)
    packets = capture.packets()
    assert len(packets) > 100
    assert max(len(frame.data) for frame in packets) <= SUPER_FRAME_LEN
    assert not any(frame.checksum_pending for frame in packets)
    assert wrong_checksums(packets) == []


def test_a_port_is_shown_as_what_it_is(routed):
    rows = {row["port"]: row for row in routed.swlb.show("ports")}
    row = rows["client"]
    assert (row["kind"], row["device"], row["io"], row["state"]) == ("packet", near_end("client"), "recvmmsg", "up")
    assert (row["mtu"], row["netns"]) == (1500, None)
    assert rows["outside/host"]["kind"] == "host"
    assert row["rx_frames"] > 0 < row["tx_frames"]


@pytest.mark.parametrize("tags", [Dot1Q(vlan=7, prio=5), Dot1AD(vlan=9) / Dot1Q(vlan=7), Dot1Q(vlan=0, prio=3)],
                         ids=["one tag", "two tags", "a priority tag"])  # fmt: skip
def test_vlan_tags_are_carried_untouched(transparent, tags):
    client, web = transparent.client, transparent["web1"]
    ping(client, web.ipv4)
    frame = bytes(Ether(src=client.mac, dst=web.mac) / tags / b"tagged payload of some length")
    tpid, tci = int.from_bytes(frame[12:14]), int.from_bytes(frame[14:16])

    def seen() -> bool:
        return any((got.data[:12], got.tag, got.data[12:]) == (frame[:12], (tpid, tci), frame[16:])
                   for got in capture.frames)  # fmt: skip

    with capturing(web) as capture, client.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((client.device, 0))
        sock.send(frame)
        wait_until(seen, "the tagged frame at the server")


def test_the_servers_see_the_client_s_address(routed):
    answer = get(routed.client, Routed.vips[4])
    assert answer.peer == answer.client

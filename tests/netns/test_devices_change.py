"""Devices that others change under a running swlb: shown within a second, and the rest goes on."""

import resource
import subprocess
import time
from contextlib import contextmanager

import pytest

from netns.capture import capturing
from netns.running import Site, wait_until
from netns.sites import WEB_PORT, Routed, Transparent, serving, site
from netns.streams import BLOCK_LEN
from netns.traffic import connect, get, http_server, ping, shares
from swlb.app import WATCH_GAP_S

pytestmark = pytest.mark.root

SOON_S = 1.0 + 0.3  # within a second, and what asking takes
SPIN_MAX = 0.2


@pytest.fixture
def own(make_netns, tmp_path):
    """A routed site of the test's own, everybody serving."""
    with site(Routed, make_netns, tmp_path) as at, serving(at):
        yield at


def port(at: Site, name: str = "web3") -> dict:
    return at.swlb.row("ports", port=name)


def wait_shown(at: Site, name: str = "web3", **fields: object) -> None:
    """`show ports` has the fields soon."""
    wait_until(lambda: fields.items() <= port(at, name).items(), f"port {name} with {fields}", within=SOON_S)


def wait_told(at: Site, kind: str) -> None:
    """Soon there is one event of the kind, about web3."""
    wait_until(lambda: [event["port"] for event in at.swlb.events(kind)] == ["web3"], f"one {kind}", within=SOON_S)


def busy_share(at: Site) -> float:
    """The share of one processor that swlb uses over a second."""
    before, began = at.swlb.cpu_s(), time.monotonic()
    time.sleep(1)
    return (at.swlb.cpu_s() - before) / (time.monotonic() - began)


def wait_others_serve(at: Site) -> None:
    """web3 is out and the others answer everything."""
    at.swlb.wait_operational("down", "web/web3", "web/web3v6")
    for family in (4, 6):
        assert shares(at.client, Routed.vips[family], 10) == {"web1": 5, "web2": 5}


def test_a_port_that_goes_down_is_shown_and_told_and_the_rest_goes_on(own):
    own["web3"].ip("link set sw-web3 down")
    wait_shown(own, state="down")
    wait_told(own, "port_down")
    wait_others_serve(own)
    assert busy_share(own) < SPIN_MAX


def test_a_port_that_comes_up_again_is_shown_and_told(own):
    own["web3"].ip("link set sw-web3 down")
    wait_shown(own, state="down")
    own["web3"].ip("link set sw-web3 up")
    wait_shown(own, state="up")
    wait_told(own, "port_up")


def test_a_shortage_of_descriptors_is_told_once_and_passes(own):
    pid = own.swlb.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        wait_until(lambda: "until it passes" in own.swlb.log, "the shortage in the log", within=SOON_S)
        time.sleep(3 * WATCH_GAP_S)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    own["web3"].ip("link set sw-web3 down")
    wait_until(lambda: port(own)["state"] == "down", "port web3 down", within=5.0)
    assert own.swlb.log.count("until it passes") == 1


def test_a_deleted_device_is_lost_and_the_rest_goes_on(own):
    own["web3"].ip("link delete sw-web3")
    wait_shown(own, state="lost")
    wait_told(own, "port_down")
    wait_others_serve(own)
    assert busy_share(own) < SPIN_MAX


def test_a_device_lost_with_its_namespace_is_told_once(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path) as at:
        subprocess.run(["ip", "netns", "delete", at["web3"].netns], check=True)
        wait_shown(at, state="lost")
        assert busy_share(at) < SPIN_MAX
        assert [event["port"] for event in at.swlb.events("port_down")] == ["web3"]


def test_all_devices_may_be_lost(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path) as at:
        for host in at.hosts.values():
            host.ip(f"link delete {host.device}")
        wait_until(lambda: {port(at, name)["state"] for name in at.hosts} == {"lost"}, "all lost", within=SOON_S)
        assert busy_share(at) < SPIN_MAX


def test_a_renamed_device_goes_on(own):
    own["web3"].ip("link set sw-web3 down")
    own["web3"].ip("link set sw-web3 name other0 up")
    own["web3"].ip(f"address replace {own['web3'].addresses[1]} dev other0 nodad")
    own["web3"].ip("route replace default via 10.0.2.1 dev other0")
    own["web3"].ip("route replace default via fd00:2::1 dev other0")
    wait_shown(own, state="up", device="other0")
    own.swlb.wait_operational("up")
    assert shares(own.client, Routed.vips[4], 30) == {"web1": 10, "web2": 10, "web3": 10}


def test_a_device_moved_to_another_namespace_goes_on_there(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path) as at:
        new_home = make_netns()
        at["web3"].ip(f"link set sw-web3 netns {new_home}")
        wait_shown(at, state="down")
        moved = type(at["web3"])("web3", new_home, "sw-web3", at["web3"].addresses, at["web3"].gateways)
        moved.ip("link set sw-web3 up")
        moved.configure()
        wait_shown(at, state="up")
        with http_server(moved, moved.ipv4, WEB_PORT):
            at.swlb.wait_operational("up", "web/web3")
            assert get(at.client, Routed.vips[4]).server == "web3"


@pytest.mark.parametrize("mtu", [1400, 9000])
def test_a_changed_mtu_is_followed(own, mtu):
    own["web3"].ip(f"link set sw-web3 mtu {mtu}")
    wait_shown(own, mtu=mtu)


def test_a_frame_larger_than_a_port_s_mtu_does_not_leave_by_it(own):
    own["web3"].ip("link set sw-web3 mtu 1300")
    wait_shown(own, mtu=1300)
    assert ping(own.client, own["web3"].ipv4, size=1200) == own["web3"].ipv4


def test_the_vips_are_announced_again_when_a_port_comes_up(own):
    own.client.ip("link set sw-client down")
    wait_shown(own, "client", state="down")
    with capturing(own.client) as capture:
        own.client.ip("link set sw-client up")

        def announced() -> bool:
            # A gratuitous ARP has the VIP as sender and target; a neighbour advertisement has the VIP as its target.
            arps = [frame.data[28:32] for frame in capture.frames if frame.data[12:14] == b"\x08\x06"]
            nas = [frame.data[62:78] for frame in capture.frames if frame.data[12:14] == b"\x86\xdd"
                   and frame.data[54] == 136]  # fmt: skip
            return bytes([10, 0, 1, 100]) in arps and bytes.fromhex("fd00000100000000" "0000000000000100") in nas

        wait_until(announced, "both VIPs announced", within=SOON_S + 1)


@contextmanager
def jumbo(make_netns, directory):
    """A routed site with an mtu of 9000 at every port."""

    def change(config):
        for entry in config["ports"].values():
            entry["mtu"] = 9000

    with site(Routed, make_netns, directory, change=change) as at, serving(at):
        yield at


def test_jumbo_frames_pass_unfragmented(make_netns, tmp_path):
    with jumbo(make_netns, tmp_path) as at:
        for family, size in ((4, 8972), (6, 8952)):
            server = at["web1"].address(family)
            assert ping(at.client, server, size=size) == server
            assert ping(at.client, Routed.vips[family], size=size) == Routed.vips[family]


def test_a_packet_too_big_for_the_next_link_is_answered_with_its_mtu(make_netns, tmp_path):
    def client_only(config):
        config["ports"]["client"]["mtu"] = 9000

    with site(Routed, make_netns, tmp_path, change=client_only) as at, serving(at):
        for family in (4, 6):
            ping(at.client, at["web1"].address(family), size=4000, patience_s=0.3)
            route = at.client.ip(f"route get {at['web1'].address(family)}")
            assert " mtu 1500" in route


def test_a_bridge_of_ports_with_different_mtus_tells_what_fits(make_netns, tmp_path):
    def client_only(config):
        config["ports"]["client"]["mtu"] = 9000

    with site(Transparent, make_netns, tmp_path, change=client_only) as at:
        assert ping(at.client, at["web1"].ipv4) == at["web1"].ipv4
        assert ping(at.client, at["web1"].ipv4, size=4000, patience_s=0.3) is None
        assert " mtu 1500" in at.client.ip(f"route get {at['web1'].ipv4}")
        assert at.swlb.drops()["oversize"] == 0


def test_a_port_that_is_lost_in_the_midst_of_a_transfer_ends_nothing_else(own):
    with connect(own.client, Routed.vips[4], 80) as sock:
        sock.sendall(bytes(BLOCK_LEN))
        own["web3"].ip("link delete sw-web3")
        wait_shown(own, state="lost")
    wait_others_serve(own)

"""A server that goes away is found out in time, and nothing is sent to it then; it comes back."""

import subprocess
import time
from contextlib import ExitStack, contextmanager

import pytest

from netns.running import wait_until
from netns.sites import WEB_PORT, Routed, Transparent, check_of, serving, site
from netns.traffic import connect, get, http_server, shares
from swlb.timing import bounds

pytestmark = pytest.mark.root

SLACK_S = 1.0  # a busy machine, and figures that are at most 100 ms old
SHAPES = pytest.mark.parametrize("shape", [Routed, Transparent], ids=["routed", "transparent"])


@contextmanager
def one_can_stop(shape, make_netns, directory, change=lambda config: None):
    """A site with its servers serving HTTP in IPv4 and IPv6; the stacks of what runs at each host, to be closed."""
    with site(shape, make_netns, directory, change=change) as at, ExitStack() as all_of_them:
        serving_at = {host.name: all_of_them.enter_context(ExitStack()) for host in at.servers}
        for host in at.servers:
            for family in (4, 6):
                serving_at[host.name].enter_context(http_server(host, host.address(family), WEB_PORT))
        at.swlb.wait_operational("up")
        yield at, serving_at


def wait_down_in_time(at, *servers: str) -> None:
    """The servers are down within what `swlb check` promises."""
    promised = bounds(check_of(at.swlb), "silent").detect_worst
    assert at.swlb.wait_operational("down", *servers, within=promised + SLACK_S + 5) < promised + SLACK_S


@SHAPES
def test_a_server_that_stops_is_taken_out_and_comes_back(shape, make_netns, tmp_path):
    with one_can_stop(shape, make_netns, tmp_path) as (at, serving_at):
        serving_at["web2"].close()
        wait_down_in_time(at, "web/web2", "web/web2v6")
        for family in (4, 6):
            assert shares(at.client, shape.vips[family], 20) == {"web1": 10, "web3": 10}
        host = at["web2"]
        for family in (4, 6):
            serving_at["web2"].enter_context(http_server(host, host.address(family), WEB_PORT))
        at.swlb.wait_operational("up")
        for family in (4, 6):
            assert shares(at.client, shape.vips[family], 30) == {"web1": 10, "web2": 10, "web3": 10}


@SHAPES
def test_a_server_whose_link_goes_down_is_taken_out_and_comes_back(shape, make_netns, tmp_path):
    with one_can_stop(shape, make_netns, tmp_path) as (at, _):
        at["web2"].ip("link set sw-web2 down")
        wait_down_in_time(at, "web/web2", "web/web2v6")
        for family in (4, 6):
            assert shares(at.client, shape.vips[family], 20) == {"web1": 10, "web3": 10}
        at["web2"].ip("link set sw-web2 up")
        at["web2"].configure()  # its IPv6 addresses and routes went with the link
        at.swlb.wait_operational("up", within=10)
        for family in (4, 6):
            assert shares(at.client, shape.vips[family], 30) == {"web1": 10, "web2": 10, "web3": 10}


@SHAPES
def test_a_server_whose_namespace_is_deleted_is_taken_out(shape, make_netns, tmp_path):
    with one_can_stop(shape, make_netns, tmp_path) as (at, serving_at):
        serving_at["web2"].close()
        subprocess.run(["ip", "netns", "delete", at["web2"].netns], check=True)
        wait_down_in_time(at, "web/web2", "web/web2v6")
        for family in (4, 6):
            assert shares(at.client, shape.vips[family], 20) == {"web1": 10, "web3": 10}
        wait_until(lambda: at.swlb.row("ports", port="web2")["state"] == "lost", "port web2 lost")


def test_a_check_by_ping_notices_a_deleted_namespace(make_netns, tmp_path):
    def by_icmp(config):
        config["services"]["web"]["check"]["type"] = "icmp"

    with site(Routed, make_netns, tmp_path, change=by_icmp) as at:
        at.swlb.wait_operational("up")
        subprocess.run(["ip", "netns", "delete", at["web2"].netns], check=True)
        wait_down_in_time(at, "web/web2", "web/web2v6")
        assert at.swlb.operational()["web/web1"] == "up"


def test_a_server_that_falls_silent_is_down_in_time(make_netns, tmp_path):
    with one_can_stop(Routed, make_netns, tmp_path) as (at, _):
        at["web1"].ip("route add blackhole 10.0.2.1/32")
        wait_down_in_time(at, "web/web1")
        assert at.swlb.row("servers", service="web", server="web1")["check_status"] == "L4TOUT"


def test_no_request_fails_while_a_server_is_away(make_netns, tmp_path):
    with one_can_stop(Routed, make_netns, tmp_path) as (at, serving_at):
        serving_at["web1"].close()
        wait_down_in_time(at, "web/web1", "web/web1v6")
        host = at["web1"]
        with ExitStack() as again:
            for family in (4, 6):
                again.enter_context(http_server(host, host.address(family), WEB_PORT))
            deadline = time.monotonic() + 10
            while "web1" not in {get(at.client, Routed.vips[family]).server for family in (4, 6) for _ in range(3)}:
                assert time.monotonic() < deadline, "web1 never came back"


def asked(sock):
    """What comes back when more is said; the reset may have come before."""
    sock.send(b"GET")
    return sock.recv(100)


def test_an_established_connection_is_reset_when_its_server_goes_down(make_netns, tmp_path):
    with (
        one_can_stop(Routed, make_netns, tmp_path) as (at, serving_at),
        connect(at.client, Routed.vips[4], 80) as sock,
    ):
        (session,) = [row for row in at.swlb.show("sessions") if row["state"] == "ESTABLISHED"]
        name = session["server"].partition(":")[0].replace("10.0.2.1", "web")
        serving_at[name].close()
        wait_down_in_time(at, f"web/{name}")
        with pytest.raises(ConnectionResetError):
            asked(sock)


def test_service_down_and_up_are_told(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path) as at:
        with serving(at):
            wait_until(lambda: at.swlb.events("service_up"), "service_up")
        wait_until(lambda: at.swlb.events("service_down"), "service_down")
        event = at.swlb.events("service_down")[-1]
        assert (event["service"], event["server"]) == ("web", None)
        downs = {event["server"] for event in at.swlb.events("server_down")}
        assert downs >= {"web1", "web2", "web3", "web1v6", "web2v6", "web3v6"}

"""Checks that are wrong about everybody, servers that flap, and swlb itself stopped for a while: traffic goes on."""

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest

from netns.running import wait_until
from netns.sites import WEB_PORT, Routed, serving, site
from netns.traffic import connect, http_server, shares

pytestmark = pytest.mark.root

HEALTH_PORT = 8081
ALL_OF_WEB = [f"web/web{n}{version}" for n in (1, 2, 3) for version in ("", "v6")]
THIRDS = {"web1": 10, "web2": 10, "web3": 10}


def checked_beside(**keys):
    """Health is asked for at a port of its own, and the check has these keys as well."""

    def change(config):
        config["services"]["web"]["check"] |= {"port": HEALTH_PORT, **keys}
        config["services"]["web"]["fail_open"] = "50%"

    return change


@contextmanager
def well(at, *servers):
    """Within the block those servers have a port at which they say that they are well."""
    with ExitStack() as stack:
        for host in servers:
            for family in (4, 6):
                stack.enter_context(http_server(host, host.address(family), HEALTH_PORT))
        yield


@contextmanager
def web_served(at):
    """Within the block every server serves port 80 of the VIP, whatever its health."""
    with ExitStack() as stack:
        for host in at.servers:
            for family in (4, 6):
                stack.enter_context(http_server(host, host.address(family), WEB_PORT))
        yield


def answered(sock) -> bytes:
    sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    return sock.recv(4096)


def is_open(at) -> bool:
    return at.swlb.row("services", service="web")["fail_open"]


def test_when_all_checks_fail_at_once_everybody_is_served_on(make_netns, tmp_path):
    """Connections that were open before, to whichever server, are answered; so are new ones, by all servers."""
    with (
        site(Routed, make_netns, tmp_path, change=checked_beside()) as at,
        web_served(at),
        ExitStack() as connections,
    ):
        with well(at, *at.servers):
            at.swlb.wait_operational("up")
            open_before = [connections.enter_context(connect(at.client, Routed.vips[n], 80)) for n in (4, 6) * 3]
        at.swlb.wait_operational("down", *ALL_OF_WEB)
        wait_until(lambda: is_open(at), "fail_open of service web")
        assert all(answered(sock).startswith(b"HTTP/1.1 200 ") for sock in open_before)
        for family in (4, 6):
            assert shares(at.client, Routed.vips[family], 30) == THIRDS
        (event,) = at.swlb.events("fail_open")
        assert event["text"].endswith("of 6 servers are up, less than 50%: health is ignored, all 6 take sessions")
        assert not at.swlb.events("service_down")
        with well(at, *at.servers[:2]):
            at.swlb.wait_operational("up", "web/web1", "web/web2", "web/web1v6", "web/web2v6")
            assert not is_open(at)
            for family in (4, 6):
                assert shares(at.client, Routed.vips[family], 20) == {"web1": 10, "web2": 10}
            assert at.swlb.events("fail_open_over")


def test_a_server_that_flaps_changes_its_state_no_more_often_than_hold_down_allows(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path, change=checked_beside(hold_down="2s", retries=1, rise=1)) as at:
        flapping, *others = at.servers
        with well(at, *others):
            over_at = time.monotonic() + 7
            while time.monotonic() < over_at:
                with well(at, flapping):
                    time.sleep(0.5)
                time.sleep(0.5)
        events = at.swlb.events("server_up") + at.swlb.events("server_down")
        moments = sorted(event["time"] for event in events if event["server"] == flapping.name)
        assert 1 < len(moments) <= 4
        assert min(later - earlier for earlier, later in pairwise(moments)) > 1.9


def test_swlb_stopped_for_a_while_takes_no_server_down(make_netns, tmp_path):
    """One failure would be enough."""

    def one_failure(config):
        config["services"]["web"]["check"]["retries"] = 1

    with site(Routed, make_netns, tmp_path, change=one_failure) as at, serving(at):
        process = at.swlb.process
        for _ in range(2):
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(1.5)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(1.0)
        # Before it was served a first probe may have found nobody.
        assert not [event for event in at.swlb.events("server_down") if event["cause"] != "first probe"]

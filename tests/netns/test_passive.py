"""Clients that are not answered are noticed long before the next probe is due, and what swlb does then."""

from contextlib import ExitStack, contextmanager, suppress

import pytest

from netns.running import wait_until
from netns.sites import ECHO_PORT, WEB_PORT, Routed, site
from netns.traffic import get, http_server, shares, udp_client, udp_echo

pytestmark = pytest.mark.root

# By itself this check would notice after half a minute at the earliest.
SLOW_CHECK = {"type": "tcp", "interval": "30s", "response": "500ms", "retries": 2, "timeout": "1m",
              "dead_interval": "300ms", "rise": 2}  # fmt: skip
WITHIN_S = 12.0
VIP = Routed.vips[4]


def passive(check=None, **keys):
    """A change to the configuration: web's traffic speaks against its servers, which have that check or none."""

    def change(config):
        web = config["services"]["web"]
        web["passive"] = {"failures": 2, **keys}
        web["check"] = check
        if check is None:
            del web["check"]

    return change


@contextmanager
def site_of(make_netns, directory, change):
    """A routed site whose servers serve HTTP in both families; the stacks of what runs at each host, to be closed."""
    with site(Routed, make_netns, directory, change=change) as at, ExitStack() as all_of_them:
        serving_at = {host.name: all_of_them.enter_context(ExitStack()) for host in at.servers}
        for host in at.servers:
            for family in (4, 6):
                serving_at[host.name].enter_context(http_server(host, host.address(family), WEB_PORT))
        at.swlb.wait_operational("up")
        yield at, serving_at


def ask(at, n=6):
    """So many connections have been asked for, of which every third is web1's; nobody waits for them."""
    sockets = []
    for _ in range(n):
        sock = at.client.socket(4, 1)
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect((VIP, 80))
        sockets.append(sock)
    return sockets


def asked_until_down(at, server):
    """Clients have asked, and the server is down."""
    sockets = ask(at)
    try:
        at.swlb.wait_operational("down", server, within=WITHIN_S)
    finally:
        for sock in sockets:
            sock.close()


def silence(host):
    """What the host says to swlb and to clients is lost."""
    host.ip("route add blackhole 10.0.2.1/32")
    host.ip("route add blackhole 10.0.1.0/24")


def test_a_server_that_falls_silent_is_down_long_before_its_next_probe(make_netns, tmp_path):
    with site_of(make_netns, tmp_path, passive(SLOW_CHECK)) as (at, _):
        silence(at["web1"])
        asked_until_down(at, "web/web1")
        (evidence,) = at.swlb.events("passive")
        assert (evidence["service"], evidence["server"]) == ("web", "web1")
        assert "2 connections within 10s were not answered; it is probed at once" in evidence["text"]
        down = at.swlb.events("server_down")[-1]
        assert (down["server"], down["reason"], down["cause"]) == ("web1", "L4TOUT", "retries")
        assert shares(at.client, VIP, 20) == {"web2": 10, "web3": 10}
        assert at.swlb.row("servers", service="web", server="web1")["repeated"] >= 2
        at["web1"].ip("route del blackhole 10.0.2.1/32")
        at["web1"].ip("route del blackhole 10.0.1.0/24")
        at.swlb.wait_operational("up", within=10)
        assert shares(at.client, VIP, 30) == {"web1": 10, "web2": 10, "web3": 10}


def test_a_server_that_refuses_is_down_long_before_its_next_probe(make_netns, tmp_path):
    with site_of(make_netns, tmp_path, passive(SLOW_CHECK)) as (at, serving_at):
        serving_at["web1"].close()
        asked_until_down(at, "web/web1")
        assert at.swlb.row("servers", service="web", server="web1")["reason"] == "L4CON"
        (evidence,) = at.swlb.events("passive")
        assert "were refused; it is probed at once" in evidence["text"]
        for family in (4, 6):
            serving_at["web1"].enter_context(http_server(at["web1"], at["web1"].address(family), WEB_PORT))
        at.swlb.wait_operational("up", within=10)
        assert shares(at.client, VIP, 30) == {"web1": 10, "web2": 10, "web3": 10}


def test_healthy_servers_are_no_suspects(make_netns, tmp_path):
    with site_of(make_netns, tmp_path, passive(SLOW_CHECK)) as (at, _):
        for family in (4, 6):
            shares(at.client, Routed.vips[family], 30)
        rows = [row for row in at.swlb.show("servers") if row["service"] == "web"]
        assert [(row["answered"], row["repeated"], row["refused"], row["unanswered"]) for row in rows] == [
            (10, 0, 0, 0)
        ] * 6
        assert at.swlb.events("passive") == []


def test_without_a_check_a_server_that_refuses_is_out_for_its_back_off_and_tried_again(make_netns, tmp_path):
    with site_of(make_netns, tmp_path, passive(action="down", back_off="2s")) as (at, serving_at):
        serving_at["web1"].close()
        asked_until_down(at, "web/web1")
        row = at.swlb.row("servers", service="web", server="web1")
        assert row["reason"] == "L4CON"
        assert 0 <= row["held_s"] <= 2.0
        assert shares(at.client, VIP, 20) == {"web2": 10, "web3": 10}
        # On trial: one client that is refused is enough, and the back-off is longer.
        at.swlb.wait_operational("up", "web/web1", within=10)
        asked_until_down(at, "web/web1")
        assert at.swlb.events("server_down")[-1]["text"].count("tried again after 4s") == 1
        for family in (4, 6):
            serving_at["web1"].enter_context(http_server(at["web1"], at["web1"].address(family), WEB_PORT))
        at.swlb.wait_operational("up", "web/web1", within=10)
        assert shares(at.client, VIP, 30) == {"web1": 10, "web2": 10, "web3": 10}
        assert len(at.swlb.events("server_down")) == 2


def test_a_host_that_is_gone_is_out_once_nobody_answers_for_it(make_netns, tmp_path):
    with site_of(make_netns, tmp_path, passive(action="down", failures=100)) as (at, _):
        at["web1"].ip("addr del 10.0.2.11/24 dev sw-web1")
        assert at.swlb.cli("flush", "neighbours", "--segment", "inside").returncode == 0
        asked_until_down(at, "web/web1")
        row = at.swlb.row("servers", service="web", server="web1")
        assert row["reason"] == "L2TOUT"
        assert "nobody answers ARP for 10.0.2.11" in at.swlb.events("server_down")[0]["text"]
        assert get(at.client, VIP).server in ("web2", "web3")


def test_a_server_of_datagrams_whose_port_is_closed_is_out(make_netns, tmp_path):
    def change(config):
        config["services"]["echo"]["passive"] = {"action": "down", "failures": 2}

    with site_of(make_netns, tmp_path, change) as (at, _), ExitStack() as stack:
        for name in ("web2", "web3"):
            stack.enter_context(udp_echo(at[name], at[name].ipv4, ECHO_PORT))

        def asked():
            for _ in range(3):
                with udp_client(at.client, VIP, 7) as sock, suppress(OSError):
                    sock.send(b"hello")
            return at.swlb.operational()["echo/web1"] == "down"

        wait_until(asked, "echo/web1 down", within=WITHIN_S)
        assert at.swlb.row("servers", service="echo", server="web1")["reason"] == "L4CON"
        assert at.swlb.operational()["web/web1"] == "up"

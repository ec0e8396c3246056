"""A UDP service: echo through the VIP."""

from collections import Counter

import pytest

from netns.running import wait_until
from netns.sites import Routed, Transparent
from netns.traffic import echoed, udp_client

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@FAMILIES
def test_every_server_echoes_the_same_number_of_flows(routed, family):
    counted = Counter(echoed(routed.client, Routed.vips[family], 7) for _ in range(12))
    assert counted == {"web1": 4, "web2": 4, "web3": 4}


@FAMILIES
def test_every_server_echoes_the_same_number_of_flows_in_transparent_mode(transparent, family):
    counted = Counter(echoed(transparent.client, Transparent.vips[family], 7) for _ in range(12))
    assert counted == {"web1": 4, "web2": 4, "web3": 4}


@FAMILIES
def test_datagrams_of_a_flow_stay_with_one_server(routed, family):
    with udp_client(routed.client, Routed.vips[family], 7) as sock:
        servers = set()
        for n in range(10):
            sock.send(b"%d" % n)
            server, _, back = sock.recv(100).partition(b" ")
            servers.add(server)
            assert back == b"%d" % n
    assert len(servers) == 1


def test_a_resolver_that_keeps_its_port_leaves_a_server_that_is_gone(routed):
    with udp_client(routed.client, Routed.vips[4], 7) as sock:
        for n in range(2):
            sock.send(b"%d" % n)
            gone = sock.recv(100).partition(b" ")[0].decode()
        routed.swlb.order(f"echo/{gone}", "maint")
        try:
            sock.send(b"again")
            name, _, back = sock.recv(100).partition(b" ")
        finally:
            routed.swlb.order(f"echo/{gone}", "ready")
    assert back == b"again"
    assert name.decode() != gone


@pytest.mark.parametrize("size", [0, 1, 1471, 1473, 8000, 60_000])
@FAMILIES
def test_a_datagram_of_any_size_comes_back(routed, family, size):
    # Beyond the mtu it is fragments: those of a datagram go where the first goes.
    data = bytes(n % 251 for n in range(size))
    assert echoed(routed.client, Routed.vips[family], 7, data).startswith("web")


@FAMILIES
def test_a_fragmented_datagram_comes_back_in_transparent_mode(transparent, family):
    assert echoed(transparent.client, Transparent.vips[family], 7, bytes(5000)).startswith("web")


def test_a_flow_is_two_way_once_it_was_answered(routed):
    with udp_client(routed.client, Routed.vips[4], 7) as sock:
        sock.send(b"hello")
        sock.recv(100)
        client = "{}:{}".format(*sock.getsockname())
        wait_until(lambda: routed.swlb.row("sessions", client=client)["state"] == "TWO_WAY", "TWO_WAY")

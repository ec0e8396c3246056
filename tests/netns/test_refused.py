"""What a client hears at once when nothing is there for it."""

import socket

import pytest

from netns.running import made_namespaces, wait_until
from netns.sites import Routed, Transparent, site
from netns.traffic import connect, udp_client

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def refused(host, address: str, port: int) -> bool:
    """Whether a UDP datagram is answered by "port unreachable"."""
    with udp_client(host, address, port) as sock:
        sock.send(b"anybody?")
        try:
            return not sock.recv(100)
        except ConnectionRefusedError:
            return True


@FAMILIES
def test_a_tcp_port_of_a_vip_without_a_service_is_refused(routed, family):
    with pytest.raises(ConnectionRefusedError):
        connect(routed.client, Routed.vips[family], 81)


@FAMILIES
def test_a_udp_port_of_a_vip_without_a_service_is_unreachable(routed, family):
    assert refused(routed.client, Routed.vips[family], 81)


@FAMILIES
def test_a_service_is_one_of_its_protocol_only(routed, family):
    assert refused(routed.client, Routed.vips[family], 80)
    with pytest.raises(ConnectionRefusedError):
        connect(routed.client, Routed.vips[family], 7)


@FAMILIES
def test_a_transparent_vip_refuses_as_well(transparent, family):
    with pytest.raises(ConnectionRefusedError):
        connect(transparent.client, Transparent.vips[family], 81)
    assert refused(transparent.client, Transparent.vips[family], 81)


@FAMILIES
def test_a_refusal_is_counted(routed, family):
    before = routed.swlb.drops()["no_service"]
    with pytest.raises(ConnectionRefusedError):
        connect(routed.client, Routed.vips[family], 81)
    wait_until(lambda: routed.swlb.drops()["no_service"] == before + 1, "one refusal counted")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A routed site whose servers have no listener: service web is down, echo passes to closed ports."""
    with made_namespaces() as make, site(Routed, make, tmp_path_factory.mktemp("empty")) as at:
        at.swlb.wait_operational("down", *(key for key in at.swlb.operational() if key.startswith("web/")))
        yield at


@FAMILIES
def test_a_service_without_a_server_refuses(empty, family):
    with pytest.raises(ConnectionRefusedError):
        connect(empty.client, Routed.vips[family], 80)


@FAMILIES
def test_a_server_s_icmp_error_reaches_the_client_as_the_vip_s(empty, family):
    assert refused(empty.client, Routed.vips[family], 7)


def test_a_refusal_for_want_of_a_server_is_counted(empty):
    before = empty.swlb.drops()["no_server"]
    with pytest.raises(ConnectionRefusedError):
        connect(empty.client, Routed.vips[4], 80)
    wait_until(lambda: empty.swlb.drops()["no_server"] == before + 1, "one refusal counted")


def test_a_service_may_be_told_to_stay_silent(make_netns, tmp_path):
    def drop(config):
        config["services"]["web"]["refuse"] = "drop"

    with site(Routed, make_netns, tmp_path, change=drop) as at:
        at.swlb.wait_operational("down", *(key for key in at.swlb.operational() if key.startswith("web/")))
        with at.client.socket(4, socket.SOCK_STREAM) as sock:
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.connect((Routed.vips[4], 80))

"""A servers' segment that is private and masquerades: what gets in, what gets out, and as whom."""

import pytest

from netns.running import made_namespaces
from netns.sites import WEB_PORT, Routed, serving, site
from netns.traffic import connect, get, http_server, ping

pytestmark = pytest.mark.root

def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


FAMILIES = pytest.mark.parametrize("family", [4, 6])
PORT = 8088
POOL = {4: "10.0.1.9", 6: "fd00:1::9"}


def guarded(masquerade):
    def change(config):
        config["segments"]["inside"] |= {"access": "private", "masquerade": masquerade}

    return change


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A routed site whose servers' segment is private and masquerades as swlb."""
    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("private"), change=guarded("on")) as at,
        serving(at),
    ):
        yield at


@FAMILIES
def test_the_service_is_reached(private, family):
    assert get(private.client, Routed.vips[family]).server.startswith("web")


@FAMILIES
def test_a_server_is_not_reached_past_the_service(private, family):
    web1 = private.hosts["web1"].address(family)
    before = private.swlb.drops()["access_private"]
    with pytest.raises(OSError):
        connect(private.client, web1, WEB_PORT)
    assert private.swlb.drops()["access_private"] > before


@FAMILIES
def test_what_a_server_begins_comes_from_swlb_and_is_answered(private, family):
    client = private.client
    with http_server(client, client.address(family), PORT):
        answer = get(private.hosts["web1"], client.address(family), PORT)
    assert (answer.server, answer.peer[0]) == ("client", Routed.routers[family])
    shown = [row for row in private.swlb.show("sessions") if row["forward"] == "masquerade"]
    ends = [(row["client"], row["server"], row["source_nat"]) for row in shown if row["protocol"] == "tcp"]
    web1 = private.hosts["web1"].address(family)
    assert (endpoint(web1, answer.client[1]), endpoint(client.address(family), PORT), endpoint(*answer.peer)) in ends


@FAMILIES
def test_a_server_s_ping_is_answered(private, family):
    assert ping(private.hosts["web1"], private.client.address(family)) == private.client.address(family)


def test_a_pool_stands_for_servers(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path, change=guarded(list(POOL.values()))) as at:
        for family in (4, 6):
            address = at.client.address(family)
            with http_server(at.client, address, PORT):
                assert get(at.hosts["web1"], address, PORT).peer[0] == POOL[family]

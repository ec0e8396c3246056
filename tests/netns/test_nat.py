"""HTTP and routing through a routed swlb: who answers, who is seen by whom."""

import pytest

from netns.sites import WEB_PORT, Routed
from netns.traffic import get, ping, probe_with_ttl, shares

pytestmark = pytest.mark.root

NAMES = ("web1", "web2", "web3")


@pytest.mark.parametrize("family", [4, 6])
def test_every_server_answers_the_same_number_of_requests(routed, family):
    assert shares(routed.client, Routed.vips[family], 30) == dict.fromkeys(NAMES, 10)


@pytest.mark.parametrize("family", [4, 6])
def test_the_server_sees_the_client_s_own_address_and_port(routed, family):
    answer = get(routed.client, Routed.vips[family])
    assert answer.peer == answer.client
    assert answer.client[0] == routed.client.address(family)


@pytest.mark.parametrize("family", [4, 6])
def test_the_request_arrives_at_the_server_s_own_address_and_port(routed, family):
    answer = get(routed.client, Routed.vips[family])
    assert answer.local == (routed[answer.server].address(family), WEB_PORT)


@pytest.mark.parametrize("family", [4, 6])
def test_a_client_reaches_a_server_directly_as_well(routed, family):
    server = routed["web1"]
    answer = get(routed.client, server.address(family), WEB_PORT)
    assert (answer.server, answer.peer) == ("web1", answer.client)


@pytest.mark.parametrize("family", [4, 6])
def test_a_server_reaches_the_client_across_the_segments(routed, family):
    assert ping(routed["web2"], routed.client.address(family)) == routed.client.address(family)


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_routed_past_the_services_is_counted_for_none(routed, family):
    before = routed.swlb.show("services")
    get(routed.client, routed["web1"].address(family), WEB_PORT)
    assert routed.swlb.show("services") == before


@pytest.mark.parametrize(("family", "error"), [(4, (11, 0)), (6, (3, 0))])
@pytest.mark.parametrize("through_vip", [True, False])
def test_a_packet_with_ttl_1_is_answered_by_the_router(routed, family, error, through_vip):
    target = Routed.vips[family] if through_vip else routed["web1"].address(family)
    answer = probe_with_ttl(routed.client, target, 7 if through_vip else 33434, ttl=1)
    assert (answer.type, answer.code, answer.sender) == (*error, Routed.routers[family])


@pytest.mark.parametrize(("family", "error"), [(4, (3, 3)), (6, (1, 4))])
def test_a_packet_with_ttl_2_reaches_the_server(routed, family, error):
    server = routed["web1"].address(family)
    answer = probe_with_ttl(routed.client, server, 33434, ttl=2)
    assert (answer.type, answer.code, answer.sender) == (*error, server)

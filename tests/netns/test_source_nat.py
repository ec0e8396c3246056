"""Source NAT as it is without a word about it: the client's address stays, but where the answer would pass swlb by."""

import pytest

from netns.sites import Routed, Transparent
from netns.traffic import get

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SITES = pytest.mark.parametrize(("name", "shape"), [("routed", Routed), ("transparent", Transparent)])
EACH = 3  # servers, which take turns


@SITES
@FAMILIES
def test_a_server_that_calls_the_vip_is_answered_by_each_server_itself_included(request, name, shape, family) -> None:
    at = request.getfixturevalue(name)
    web1 = at.hosts["web1"]
    seen = {answer.server: answer.peer[0] for answer in (get(web1, shape.vips[family]) for _ in range(EACH))}
    own = {"routed": {4: "10.0.2.1", 6: "fd00:2::1"}, "transparent": {4: "10.0.0.1", 6: "fd00::1"}}[name][family]
    assert seen == {"web1": own, "web2": web1.address(family), "web3": web1.address(family)}


@SITES
@FAMILIES
def test_servers_see_the_client_s_own_address(request, name, shape, family) -> None:
    at = request.getfixturevalue(name)
    peers = {get(at.client, shape.vips[family]).peer[0] for _ in range(EACH)}
    assert peers == {at.client.address(family)}

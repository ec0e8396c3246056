"""Pings: of a VIP, of swlb's own addresses, of stations across the switch."""

import pytest

from netns.running import made_namespaces, wait_until
from netns.sites import Routed, Transparent, site
from netns.traffic import ping

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@FAMILIES
def test_a_vip_answers_a_ping(routed, family):
    assert ping(routed.client, Routed.vips[family]) == Routed.vips[family]


@FAMILIES
def test_a_vip_answers_a_large_ping(routed, family):
    assert ping(routed.client, Routed.vips[family], size=1400) == Routed.vips[family]


@FAMILIES
def test_a_vip_answers_a_ping_from_another_segment(routed, family):
    assert ping(routed["web1"], Routed.vips[family]) == Routed.vips[family]


@FAMILIES
def test_a_segment_s_address_answers_a_ping(routed, family):
    assert ping(routed.client, Routed.routers[family]) == Routed.routers[family]


@FAMILIES
def test_a_vip_inside_the_servers_subnet_answers_a_ping(transparent, family):
    assert ping(transparent.client, Transparent.vips[family]) == Transparent.vips[family]


@pytest.fixture(scope="module")
def deserted(tmp_path_factory):
    """A routed site of which no server can serve."""

    def leave_only_web(config):
        del config["services"]["echo"]

    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("deserted"), change=leave_only_web) as at,
    ):
        at.swlb.wait_operational("down")
        yield at


@FAMILIES
def test_a_vip_that_nobody_serves_is_silent(deserted, family):
    before = deserted.swlb.drops()["echo_silent"]
    assert ping(deserted.client, Routed.vips[family], patience_s=0.3) is None
    wait_until(lambda: deserted.swlb.drops()["echo_silent"] > before, "the ping counted as dropped")


@FAMILIES
def test_a_segment_s_address_answers_even_when_nobody_serves(deserted, family):
    assert ping(deserted.client, Routed.routers[family]) == Routed.routers[family]

"""Servers that answer clients themselves, once each of them has done what `swlb doctor` says."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from netns import arm
from netns.arm import beside
from netns.running import Host, Site, made_namespaces
from netns.settings import settled
from netns.sites import Transparent, site
from netns.traffic import get, http_server

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def direct(config: dict[str, Any]) -> None:
    """The transparent site's service web, by dsr and without a check."""
    config["mode"] = "dsr"
    del config["services"]["echo"]
    web = config["services"]["web"]
    del web["check"]
    web["forward"] = "dsr"
    for server in web["servers"].values():
        del server["port"]


@contextmanager
def serving_the_vip(servers: Iterable[Host], port: int) -> Iterator[None]:
    with ExitStack() as stack:
        for host in servers:
            for vip in Transparent.vips.values():
                stack.enter_context(http_server(host, vip, port))
        yield


@pytest.fixture(scope="module")
def inline(tmp_path_factory) -> Iterator[Site]:
    """swlb is the switch between client and servers."""
    with (
        made_namespaces() as make,
        site(Transparent, make, tmp_path_factory.mktemp("direct"), change=direct) as at,
        settled(at.swlb.file, at.servers),
        serving_the_vip(at.servers, 80),
    ):
        yield at


@FAMILIES
def test_servers_take_turns_and_see_client_and_vip(inline, family) -> None:
    answers = [get(inline.client, Transparent.vips[family]) for _ in range(3)]
    assert {answer.server for answer in answers} == {"web1", "web2", "web3"}
    assert {answer.peer for answer in answers} == {answer.client for answer in answers}
    assert {answer.local for answer in answers} == {(Transparent.vips[family], 80)}


def test_beside_a_switch_no_reply_passes_swlb_and_that_is_no_event(make_netns, tmp_path) -> None:
    with beside(make_netns, tmp_path, forward="dsr", port=arm.PORT) as (swlb, hosts):
        servers = [hosts["web1"], hosts["web2"]]
        with settled(swlb.file, servers), serving_the_vip(servers, arm.PORT):
            for family in (4, 6):
                answers = [get(hosts["client"], arm.VIPS[family], arm.PORT) for _ in range(2)]
                assert {answer.server for answer in answers} == {"web1", "web2"}
                assert {answer.peer for answer in answers} == {answer.client for answer in answers}
        web = swlb.row("services", service="web")
        assert (web["forward"], web["source_nat"], web["packets_out"]) == ("dsr", "never", 0)
        assert web["packets_in"] > 0
        assert swlb.events("reply_bypasses") == []

"""swlb on one side of a tunnel and `swlb decap` on the other, over and for both families."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from netns.running import Site, made_namespaces
from netns.sites import Routed, site
from netns.traffic import echoed, get, http_server, udp_echo
from netns.tunnels import Decap, unpacking

pytestmark = pytest.mark.root

# A service for each family of the server's address, that is, of the outer header: the last digit of its port.
WEB, ECHO = 8000, 7000


def tunnelled(kind: str) -> Any:
    """The change of the site's configuration after which all its services are by tunnel, to web1."""

    def change(config: dict[str, Any]) -> None:
        web = config["services"].pop("web")
        del config["services"]["echo"]
        servers = {4: web["servers"]["web1"]["address"], 6: web["servers"]["web1v6"]["address"]}
        for outer, address in servers.items():
            for protocol, port in (("tcp", WEB + outer), ("udp", ECHO + outer)):
                config["services"][f"{protocol}{outer}"] = {
                    "vip": web["vip"], "port": port, "protocol": protocol, "forward": kind,
                    "servers": {"web1": {"address": address}},
                }  # fmt: skip

    return change


@pytest.fixture(scope="module", params=["ipip", "gue"])
def balanced(request, tmp_path_factory) -> Iterator[tuple[str, Site, Decap]]:
    """The kind of tunnel, swlb and its hosts, of which web1 serves at the VIPs."""
    folder = tmp_path_factory.mktemp(request.param)
    vips = Routed.vips.values()
    with (
        made_namespaces() as make,
        site(Routed, make, folder, change=tunnelled(request.param)) as at,
        unpacking(at["web1"], tmp_path_factory.mktemp("decap"), vips=vips) as decap,
        ExitStack() as stack,
    ):
        for outer in (4, 6):
            for vip in vips:
                stack.enter_context(http_server(at["web1"], vip, WEB + outer))
                stack.enter_context(udp_echo(at["web1"], vip, ECHO + outer))
        yield request.param, at, decap


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_what_swlb_wraps_is_unpacked_and_answered_by_the_vip(balanced, outer, inner):
    kind, at, decap = balanced
    vip = Routed.vips[inner]
    before = decap.passed(kind, outer, inner)
    said = get(at.client, vip, WEB + outer)
    assert (said.server, said.local, said.peer) == ("web1", (vip, WEB + outer), said.client)
    assert echoed(at.client, vip, ECHO + outer, b"z" * 1200) == "web1"
    assert decap.passed(kind, outer, inner) > before
    assert [row for row in decap.report()["drops"] if row["packets"]] == []

"""swlb by one port beside a switch: client and servers are behind that port, too, and reach each other without it."""

import pytest

from netns.arm import OWN, VIPS, beside
from netns.running import Host, cli
from netns.traffic import get
from swlb.bypass import WAYS_OUT, WHAT_HAPPENS

pytestmark = pytest.mark.root

POOL = {4: "10.0.0.9", 6: "fd00::9"}


def seen(caller: Host, family: int) -> dict[str, str]:
    """Whom the servers saw as the caller, of two requests."""
    return {answer.server: answer.peer[0] for answer in (get(caller, VIPS[family]) for _ in range(2))}


def test_by_itself_the_source_is_rewritten_as_everybody_is_behind_the_servers_port(make_netns, tmp_path) -> None:
    with beside(make_netns, tmp_path) as (_, hosts):
        for family in (4, 6):
            assert seen(hosts["client"], family) == {"web1": OWN[family], "web2": OWN[family]}
            assert seen(hosts["web1"], family) == {"web1": OWN[family], "web2": OWN[family]}


def test_a_pool_stands_for_clients_and_swlb_answers_for_its_addresses(make_netns, tmp_path) -> None:
    keys = {"source_nat": "always", "source_pool": list(POOL.values()), "source_ports": "2000-2099"}
    with beside(make_netns, tmp_path, **keys) as (_, hosts):
        for family in (4, 6):
            answer = get(hosts["client"], VIPS[family])
            assert answer.peer[0] == POOL[family]
            assert 2000 <= answer.peer[1] <= 2099


def test_where_the_source_stays_no_reply_comes_back_as_check_foresees(make_netns, tmp_path) -> None:
    with beside(make_netns, tmp_path, source_nat="never") as (swlb, hosts):
        with pytest.raises(TimeoutError):
            get(hosts["client"], VIPS[4])
        (web,) = swlb.show("services")
        assert web["packets_in"] > 0
        assert web["packets_out"] == 0
        said = " ".join(cli("check", str(swlb.file)).stdout.split())
        assert "watch out: replies pass swlb by for hosts of 10.0.0.0/24" in said
        event, *_ = swlb.events("reply_bypasses")
        assert (event["service"], event["client"]) == ("web", hosts["client"].ipv4)
        assert f": {WHAT_HAPPENS}. Ways out: {WAYS_OUT}." in event["text"]
        assert f": {WHAT_HAPPENS}. Ways out: {WAYS_OUT}." in said


def test_where_the_source_stays_clients_of_another_subnet_are_served_if_swlb_is_the_servers_gateway(
    make_netns, tmp_path
) -> None:
    with beside(make_netns, tmp_path, source_nat="never") as (_, hosts):
        hosts["client"].ip("address flush dev eth0")
        hosts["client"].ip("address add 10.0.5.10/24 dev eth0")
        hosts["client"].ip("route add default via 10.0.5.1")
        for name in ("web1", "web2"):
            hosts[name].ip("route add default via 10.0.0.1")
        assert seen(hosts["client"], 4) == {"web1": "10.0.5.10", "web2": "10.0.5.10"}

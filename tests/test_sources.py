"""Who stands for clients towards which server, and that a worker takes it as it is configured."""

from ipaddress import ip_address

import pytest
from control import CONFIG, control

from swlb.build_sources import kernel_share
from swlb.config import parse
from swlb.config.values import PortRange
from swlb.sources import Pool, Pools, pools_of

ALL = PortRange(1024, 65535)
OWN = {"web1": "10.0.2.1", "web2": "10.0.2.1", "web1v6": "fd00:2::1"}
LISTED = CONFIG.replace("port: 80\n", 'port: 80\n    source_pool: [10.0.2.1, 10.0.2.9, "fd00:1::9", 192.0.2.1]\n')


def pools(text: str, service: str = "web") -> dict[str, Pool]:
    """By server of the service."""
    servers = pools_of(parse(text, file="lab.yaml")).servers
    return {server: pool for (name, server), pool in servers.items() if name == service}


def guarded(keys: str) -> Pools:
    """With these keys of the servers' segment."""
    return pools_of(parse(CONFIG.replace("web2],", f"web2], {keys},"), file="lab.yaml"))


def test_swlb_s_address_on_the_way_to_a_server_stands_for_clients() -> None:
    assert pools(CONFIG) == {server: Pool((ip_address(own),), ALL) for server, own in OWN.items()}


def test_behind_a_router_it_is_the_address_on_the_way_to_the_router() -> None:
    text = CONFIG.replace("segments:", "routes: [{to: 10.9.0.0/16, via: 10.0.1.254}]\nsegments:")
    assert pools(text.replace("10.0.2.12", "10.9.0.12"))["web2"].addresses == (ip_address("10.0.1.1"),)


def test_a_pool_of_the_service_stands_for_clients_everywhere() -> None:
    addresses = tuple(map(ip_address, ("10.0.2.1", "10.0.2.9", "fd00:1::9", "192.0.2.1")))
    assert set(pools(LISTED).values()) == {Pool(addresses, ALL)}


def test_the_ports_are_the_service_s() -> None:
    text = CONFIG.replace("port: 80\n", "port: 80\n    source_ports: 2000-2999\n")
    assert {pool.l4_ports for pool in pools(text).values()} == {(2000, 2999)}
    assert {pool.l4_ports for pool in pools(text, "dns").values()} == {(1024, 65535)}


def test_nobody_is_stood_for_where_the_source_stays() -> None:
    assert pools(CONFIG.replace("port: 80\n", "port: 80\n    source_nat: never\n")) == {}


def test_a_worker_has_room_for_as_many_pools_as_there_are() -> None:
    # Each of two services has a pool on each of two segments, which are more than services and segments.
    servers = "servers: {a: {address: 10.0.1.11}, b: {address: 10.0.2.11}, c: {address: 10.0.3.11}}"
    services = [f"  s{i}: {{vip: 10.0.1.101, port: {i}, source_ports: 2000-200{i}, {servers}}}\n" for i in (1, 2, 3)]
    text = CONFIG.partition("services:")[0] + "services:\n" + "".join(services)
    text = text.replace("[web1, web2]", "[web1]").replace("segments:", "segments:\n  third: {ports: [web2], "
                                                          "addresses: [10.0.3.1/24]}")  # fmt: skip
    assert len(pools_of(parse(text, file="lab.yaml")).all()) == 9
    assert len(control(text).built.servers) == 9


def test_a_worker_takes_every_kind_of_address_in_a_pool() -> None:
    assert len(control(LISTED).built.servers) == 4


def test_hosts_that_are_masqueraded_have_swlb_s_address_where_they_leave() -> None:
    outside, inside = guarded("masquerade: on").exits.values()
    assert outside == Pool((ip_address("fd00:1::1"), ip_address("10.0.1.1")), ALL)
    assert inside == Pool((ip_address("fd00:2::1"), ip_address("10.0.2.1")), ALL)


def test_of_several_addresses_of_a_segment_the_first_stands_for_hosts() -> None:
    text = CONFIG.replace("web2],", "web2], masquerade: on,").replace("10.0.1.1/24,", "10.0.1.1/24, 10.0.7.1/24,")
    exits = pools_of(parse(text, file="lab.yaml")).exits
    assert set(exits["outside"].addresses) == {ip_address("10.0.1.1"), ip_address("fd00:1::1")}


def test_hosts_that_are_masqueraded_have_a_pool_where_one_is_listed() -> None:
    pools = guarded('masquerade: [10.0.1.9, "fd00:1::9"], access: private')
    assert pools.hosts == {"inside": Pool((ip_address("10.0.1.9"), ip_address("fd00:1::9")), ALL)}
    assert pools.exits == {}


def test_nobody_masquerades_unasked() -> None:
    pools = guarded("masquerade: off")
    assert (pools.hosts, pools.exits) == ({}, {})


@pytest.mark.parametrize(("kernel", "share"), [
    ((32768, 60999), (32768, 60999)), ((10000, 65535), (10000, 65535)), ((1024, 65535), None), ((2000, 60000), None),
    ((100, 900), None), ((500, 2000), (1024, 2000))])
def test_the_kernel_keeps_its_ports_if_enough_are_left(kernel: tuple[int, int], share: tuple[int, int] | None) -> None:
    assert kernel_share(PortRange(*kernel)) == share

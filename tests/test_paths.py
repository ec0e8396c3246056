"""Whom probes ask, by which segment they leave, and what the kernel twins are told of VIPs."""

from ipaddress import ip_address, ip_network

import pytest
from control import CONFIG, control

from swlb.config import parse
from swlb.paths import Paths, vips_probed, way_out
from swlb.probes import Target, Way

SOURCES = {("outside", 4): "10.0.1.1", ("outside", 6): "fd00:1::1",
           ("inside", 4): "10.0.2.1", ("inside", 6): "fd00:2::1"}  # fmt: skip
VIA_VIP = CONFIG.replace("{type: tcp, initial: up}", "{type: tcp, initial: up, via: vip}")
TUNNEL = CONFIG.replace("port: 80\n", "port: 80\n    forward: ipip\n").replace(", port: 8080", "")


def paths(text: str):
    built = control(text).built
    ways = {towards: Way(f"swlb-{towards[0]}", ip_address(own)) for towards, own in SOURCES.items()}
    config = parse(text, file="test.yaml")
    return config, built, Paths(config, built, ways)


def of(text: str, name: str) -> tuple[Target, Way]:
    config, _, found = paths(text)
    service = config.services["web"]
    return found.of(service, service.servers[name], service.checks[0])


@pytest.mark.parametrize(("name", "target", "source"), [
    ("web1", Target(ip_address("10.0.2.11"), 8080, "web", "web1"), "10.0.2.1"),
    ("web1v6", Target(ip_address("fd00:2::11"), 8080, "web", "web1v6"), "fd00:2::1"),
])  # fmt: skip
def test_a_server_is_asked_at_its_own_address_and_port(name, target, source):
    assert of(CONFIG, name) == (target, Way("swlb-inside", ip_address(source)))


@pytest.mark.parametrize(("name", "vip", "source"), [
    ("web2", "10.0.1.100", "10.0.2.1"),
    ("web1v6", "fd00:1::100", "fd00:2::1"),
])  # fmt: skip
def test_through_the_vip_it_is_asked_from_the_segment_towards_it(name, vip, source):
    config, built, _ = paths(VIA_VIP)
    target, way = of(VIA_VIP, name)
    assert target == Target(ip_address(vip), 80, "web", name, config.services["web"].servers[name].address)
    assert (way.device, way.source, way.also) == ("swlb-inside", ip_address(source), None)
    assert way.pin.idle_s == 3.0
    assert (way.pin.double, way.pin.double in built.servers.values()) == (built.doubles["web", name], False)


def test_whom_swlb_has_asked_for_in_vain_is_known():
    """Servers whose whereabouts matter are asked for at the start; those of tunnels when packets are."""
    _, asked = of(VIA_VIP, "web2")
    assert asked.pin.lost_hop() == ip_address("10.0.2.12")
    _, not_asked = of(TUNNEL, "web2")
    assert not_asked.pin.lost_hop() is None


def test_of_a_server_behind_a_router_the_router_is_the_hop():
    text = VIA_VIP.replace("10.0.2.12", "10.9.0.12").replace(
        "services:", "routes: [{to: 10.9.0.0/24, via: 10.0.2.9}]\nservices:")
    _, way = of(text, "web2")
    assert way.pin.lost_hop() == ip_address("10.0.2.9")


def test_through_a_tunnel_both_vips_are_asked():
    target, way = of(TUNNEL, "web1")
    other, also = way.also
    assert [str(target.address), str(other.address)] == ["10.0.1.100", "fd00:1::100"]
    assert [str(way.source), str(also.source)] == ["10.0.2.1", "fd00:2::1"]
    assert way.pin.double == also.pin.double
    assert "IPIP" in target.advice
    assert "swlb doctor" in target.advice


def test_every_server_has_a_double_of_its_own():
    _, built, _ = paths(VIA_VIP)
    assert sorted(built.doubles) == [("web", "web1"), ("web", "web1v6"), ("web", "web2")]
    assert len({*built.doubles.values(), *built.servers.values()}) == 7


def test_without_an_address_of_the_vip_s_family_on_its_way_it_leaves_by_another_segment():
    text = TUNNEL.replace('inside: {ports: [web1, web2], addresses: [10.0.2.1/24, "fd00:2::1/64"]}',
                          "inside: {ports: [web1, web2], addresses: [10.0.2.1/24]}")  # fmt: skip
    text = text.replace('      web1v6: {address: "fd00:2::11"}\n', "")
    config = parse(text, file="test.yaml")
    server = config.services["web"].servers["web1"]
    leaves = [way_out(config, server, ip_address(vip)).name for vip in ("10.0.1.100", "fd00:1::100")]
    assert leaves == ["inside", "outside"]


def test_the_twin_of_the_servers_segment_is_told_where_vips_are():
    config = parse(VIA_VIP, file="test.yaml")
    assert vips_probed(config)["outside"] == {}
    assert vips_probed(config)["inside"] == {
        ip_address("10.0.1.100"): ip_network("10.0.1.0/24"),
        ip_address("fd00:1::100"): ip_network("fd00:1::/64"),
    }


def test_of_a_vip_of_its_own_network_it_needs_no_way():
    text = VIA_VIP.replace("10.0.1.100", "10.0.2.100").replace("fd00:1::100", "fd00:2::100")
    config = parse(text, file="test.yaml")
    assert set(vips_probed(config)["inside"].values()) == {None}


def test_a_vip_behind_a_route_is_in_the_route_s_prefix():
    text = VIA_VIP.replace('vip: [10.0.1.100, "fd00:1::100"]', "vip: 192.0.2.9").replace(
        "services:", "routes: [{to: 192.0.2.0/24, via: 10.0.1.9}, {to: default, via: 10.0.1.8}]\nservices:").replace(
        '      web1v6: {address: "fd00:2::11", port: 8080}\n', "")  # fmt: skip
    config = parse(text, file="test.yaml")
    assert vips_probed(config)["inside"] == {ip_address("192.0.2.9"): ip_network("192.0.2.0/24")}


def test_without_checks_through_vips_nobody_is_told_anything():
    config = parse(CONFIG, file="test.yaml")
    assert vips_probed(config) == {"outside": {}, "inside": {}}
    assert control().built.doubles == {}

"""What must hold between the values of a configuration."""

import pytest

from swlb.config import service_rules
from tests.config_text import BASE, SWITCH, Case, changed, problems, problems_of

CASES = [
    Case("a fast interval that is slow", "type: tcp", "interval: 1s, fast_interval: 1500ms",
         "17: services.web.check.fast_interval: found 1.5s, longer than the interval of 1s; "
         "expected at most the interval"),
    Case("fail_open where nothing can fail", "protocol: udp", "protocol: udp, fail_open: 50%",
         "21: services.dns.fail_open: found 50% of servers that always count as up, because there is no check; "
         "expected a check beside it, or the key left out"),
    Case("a member that is no port", "[client]", "[client, web3]",
         '9: segments.outside.ports[1]: found "web3"; '
         "expected the name of a port: client, web1 or web2; did you mean web2?"),
    Case("a port in two segments", "[web1, web2]", "[web1, web2, client]",
         "10: segments.inside.ports[2]: found port client, which is in segment outside already; "
         "expected each port once"),
    Case("a port twice in a segment", "[web1, web2]", "[web1, web2, web1]",
         "10: segments.inside.ports[2]: found port web1, which is in segment inside already; expected each port once"),
    Case("a port in no segment", "[web1, web2]", "[web1]",
         "7: ports.web2: found a port that is in no segment; expected each port in one segment"),
    Case("a VLAN that there is not", "[client]", "[client.4095]",
         '9: segments.outside.ports[0]: found "client.4095"; '
         "expected client, or a VLAN of it: client.1 to client.4094"),
    Case("a VLAN in another writing", "[client]", "[client.020]",
         '9: segments.outside.ports[0]: found "client.020"; '
         "expected client, or a VLAN of it: client.1 to client.4094"),
    Case("a VLAN in two segments", "inside: {ports: [web1, web2]",
         "other: {ports: [client.20]}\n  inside: {ports: [web1, web2, client.20]",
         "11: segments.inside.ports[2]: found VLAN client.20, which is in segment other already; "
         "expected each VLAN of a port once"),
    Case("a port beside a VLAN of it", "[web1, web2]", "[web1, web2, web1.20]",
         "10: segments.inside.ports[2]: found web1.20 beside web1, which is the same port; "
         "expected one member of port web1: frames would come back by it to where they are from"),
    Case("a device twice in a namespace", "tap: sws2", "tap: sws1",
         '7: ports.web2.tap: found "sws1", which port web1 has in the same namespace; '
         "expected a device name of its own"),
    Case("an interface twice in a namespace", "{tap: sws2}", "{packet: sws1}",
         '7: ports.web2.packet: found "sws1", which port web1 has in the same namespace; '
         "expected a device name of its own"),
    Case("a port without a device", "{tap: sws1}", "{mtu: 1400}",
         "6: ports.web1: found a port without a device; "
         "expected one of tap (a device swlb creates), packet (an interface that is there already) or tun"),
    Case("a port of two kinds", "{tap: sws1}", "{tap: sws1, packet: eth1}",
         "6: ports.web1: found tap and packet; "
         "expected one of tap (a device swlb creates), packet (an interface that is there already) or tun"),
    Case("a tun beside another port", "{tap: sws1}", "{tun: sws1}",
         "10: segments.inside.ports: found port web1, a tun, beside 1 more; "
         "expected web1 alone: without Ethernet there are no stations to switch between"),
    Case("an mtu too small for IPv6", "tap: swc0", "mtu: 1279, tap: swc0",
         "5: ports.client.mtu: found 1279; expected at least 1280, because segment outside has an IPv6 address"),
    Case("an address in two segments", "10.0.2.1/24", "10.0.2.1/24, 10.0.1.1/24",
         "10: segments.inside.addresses[1]: found 10.0.1.1, which segment outside has already; "
         "expected each address once"),
    Case("subnets that overlap", "10.0.2.1/24", "10.0.2.1/24, 10.0.1.129/25",
         "10: segments.inside.addresses[1]: found 10.0.1.129/25, whose subnet overlaps 10.0.1.0/24 of segment outside; "
         "expected subnets that do not overlap"),
    Case("a route over the other family", "via: 10.0.1.254", 'via: "fd00:1::fe"',
         "12: routes[0].via: found fd00:1::fe; expected an IPv4 address, because the route leads to 10.0.9.0/24"),
    Case("a prefix with two routes", "  - {to", "  - {to: 10.0.9.0/24, via: 10.0.1.253}\n  - {to",
         "13: routes[1].to: found a second route to 10.0.9.0/24; expected each prefix once"),
    Case("a route over swlb itself", "via: 10.0.1.254", "via: 10.0.1.1",
         "12: routes[0].via: found 10.0.1.1, which is swlb's own address; expected the address of another router"),
    Case("a route over a station out of reach", "via: 10.0.1.254", "via: 10.0.7.254",
         "12: routes[0].via: found 10.0.7.254, which is in no segment's subnet; "
         "expected a router in a segment's subnet"),
    Case("a route over a broadcast address", "via: 10.0.1.254", "via: 10.0.1.255",
         "12: routes[0].via: found 10.0.1.255, an end of its subnet; expected the address of another router"),
    Case("a VIP outside every segment and route", "vip: 10.0.1.100, ", "vip: 10.0.5.100, ",
         "21: services.dns.vip: found 10.0.5.100, which is outside every segment and route; "
         "expected a VIP inside 10.0.1.0/24, fd00:1::/64, 10.0.2.0/24, or a route to it"),
    Case("a VIP of a family no segment has there", "vip: 10.0.1.100, ", 'vip: "fd00:7::1", ',
         "21: services.dns.vip: found fd00:7::1, which is outside every segment and route; "
         "expected a VIP inside 10.0.1.0/24, fd00:1::/64, 10.0.2.0/24, or a route to it"),
    Case("a network address as VIP", "vip: 10.0.1.100, ", "vip: 10.0.1.0, ",
         "21: services.dns.vip: found 10.0.1.0, the network address of 10.0.1.0/24; "
         "expected the address of one station"),
    Case("a broadcast address as VIP", "vip: 10.0.1.100, ", "vip: 10.0.1.255, ",
         "21: services.dns.vip: found 10.0.1.255, the broadcast address of 10.0.1.0/24; "
         "expected the address of one station"),
    Case("a segment's address as VIP", "vip: 10.0.1.100, ", "vip: 10.0.1.1, ",
         "21: services.dns.vip: found 10.0.1.1, which is the address of segment outside; "
         "expected an address nobody else has"),
    Case("a port of a VIP in two services", "port: 53, protocol: udp", "port: 70-90",
         "21: services.dns.port: found tcp port 80 of 10.0.1.100, which service web has already; "
         "expected each port of a VIP in one service"),
    Case("a VIP as server", "10.0.2.11", "10.0.1.100",
         "19: services.web.servers.web1.address: found 10.0.1.100, which is the VIP of service dns; "
         "expected the server's own address"),
    Case("a segment's address as server", "10.0.2.11", "10.0.2.1",
         "19: services.web.servers.web1.address: found 10.0.2.1, which is the address of segment inside; "
         "expected the server's own address"),
    Case("a broadcast address as server", "10.0.2.11", "10.0.2.255",
         "19: services.web.servers.web1.address: found 10.0.2.255, the broadcast address of 10.0.2.0/24; "
         "expected the address of one station"),
    Case("a server out of reach", "10.0.2.11", "192.0.2.1",
         "19: services.web.servers.web1.address: found 192.0.2.1, which is outside every segment and route; "
         "expected an address inside 10.0.1.0/24, fd00:1::/64, 10.0.2.0/24, or a route to it"),
    Case("a server twice in a service", "10.0.2.12", "10.0.2.11",
         "20: services.web.servers.web2.address: found 10.0.2.11, which is server web1 with the same port; "
         "expected each address and port once in a service"),
    Case("a server of a family without VIP", "10.0.2.12", '"fd00:1::12"',
         "20: services.web.servers.web2.address: found fd00:1::12, and no VIP of the service is IPv6; "
         "expected an address of the VIP's family, or an IPv6 VIP beside it"),
    Case("a VIP of a family without server", "vip: 10.0.1.100\n", 'vip: [10.0.1.100, "fd00:1::100"]\n',
         "15: services.web.vip[1]: found fd00:1::100, and no server of the service is IPv6; "
         "expected a server with IPv6"),
    Case("an icmp check with a port", "type: tcp", "type: icmp, port: 80",
         "17: services.web.check.port: found a key that a check of type icmp does not have; "
         "expected a type that has it: tcp, http, https, tls, udp, dns, script or agent"),
    Case("a tcp check that has no port to probe", "port: 53, protocol: udp",
         "port: 5-6, check: {}, servers: {a: {address: 10.0.2.9}}",
         "21: services.dns.check: found no port to probe on server a, because the service has many; "
         "expected a port of the check, or one of each server"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_rule_is_named_once_at_its_place(case: Case) -> None:
    assert problems_of(case) == [case.problem]


def test_a_tun_on_a_segment_without_an_address_is_refused() -> None:
    assert problems("ports: {a: {tun: tun0}}\nsegments: {lan: {ports: [a]}}\n") == [
        "2: segments.lan: found port a, a tun, and no address; "
        "expected an address of swlb's own: a tun is routed to, never switched"
    ]


GOOD = [
    ("a VIP a route leads to", "vip: 10.0.1.100, ", "vip: 10.0.9.7, "),
    ("a server a route leads to", "10.0.2.11", "10.0.9.11"),
    ("a VIP on the servers' segment", "vip: 10.0.1.100, ", "vip: 10.0.2.100, "),
    ("the same l4_port over another protocol", "port: 53", "port: 80"),
    ("another l4_port of a VIP", "port: 53, protocol: udp", "port: 81-90"),
    ("a server of two services", "protocol: udp", "protocol: udp, servers: {a: {address: 10.0.2.11}}"),
    ("a server twice with different ports", "10.0.2.12, port: 8080", "10.0.2.11, port: 8081"),
    ("two addresses of a subnet on one segment", "10.0.2.1/24", "10.0.2.1/24, 10.0.2.2/24"),
    ("both ends of a /31", "10.0.2.1/24", "10.0.2.1/24, 10.0.3.0/31"),
    ("one device name in two namespaces", "tap: swc0", "tap: sws1"),
    ("an interface beside a TAP", "{tap: sws2}", "{packet: eth1, mtu: 9000}"),
    ("a tun alone on its segment", "{tap: swc0, netns: client}", "{tun: tun0, netns: client}"),
    ("an mtu below 1280 without IPv6", "tap: sws1", "tap: sws1, mtu: 576"),
    ("a tcp check of a udp service", "protocol: udp", "protocol: udp, check: {}, servers: {a: {address: 10.0.2.9}}"),
    ("a range that goes to one port", "port: 53", 'port: "8000-8099", servers: {a: {address: 10.0.2.9, port: 1}}'),
    ("a check of a range with a port of its own", "port: 53",
     "port: any, check: {port: 1}, servers: {a: {address: 10.0.2.9}}"),
    ("an icmp check of any port", "port: 53", "port: any, check: {type: icmp}, servers: {a: {address: 10.0.2.9}}"),
    ("no stated mode", "mode: routed\n", ""),
]


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_the_rules_allow_is_accepted(old: str, new: str) -> None:
    assert problems(changed(old, new)) == []


def test_transparent_needs_a_segment_with_two_ports() -> None:
    text = "mode: transparent\nports: {a: {tap: swa}}\nsegments: {lan: {ports: [a]}}\n"
    assert problems(text) == [
        "1: mode: found transparent without a segment of two ports; "
        "expected a segment with two or more ports, or topology one-arm"
    ]


LAN = """\
mode: transparent
ports: {a: {tap: swa}, b: {tap: swb}, c: {tap: swc}, d: {tap: swd}}
segments:
  lan: {ports: [a, b], addresses: [10.0.1.1/24]}
  other: {ports: [c, d]}
routes: [{to: 10.0.9.0/24, via: 10.0.1.254}]
services:
  dns: {vip: 10.0.1.100, port: 53}
"""


def test_transparent_may_have_plain_switches_beside_the_segment_with_addresses() -> None:
    assert problems(LAN) == []


def test_transparent_has_addresses_on_one_segment() -> None:
    assert problems(LAN.replace("ports: [c, d]", "ports: [c, d], addresses: [10.0.2.1/24]")) == [
        "1: mode: found transparent with addresses on 2 segments: lan, other; "
        "expected addresses and VIPs on one segment, or mode routed"
    ]


def test_transparent_needs_its_vips_inside_a_segment_even_with_a_route() -> None:
    assert problems(LAN.replace("vip: 10.0.1.100", "vip: 10.0.9.7")) == [
        "8: services.dns.vip: found 10.0.9.7, which is outside every segment; "
        "expected a VIP inside 10.0.1.0/24, because the mode is transparent"
    ]


def test_routed_needs_two_segments_with_an_address() -> None:
    assert problems("mode: routed\n" + SWITCH) == [
        "1: mode: found routed with fewer than two segments that have an address; "
        "expected two or more segments with an address each, or topology one-arm"
    ]


def test_a_vip_needs_a_segment_with_an_address() -> None:
    assert problems(SWITCH + "services: {web: {vip: 10.0.1.100, port: 80}}\n") == [
        "3: services.web.vip: found 10.0.1.100, which is outside every segment and route; "
        "expected a VIP inside a segment's subnet (no segment has an address), or a route to it"
    ]


def test_more_than_65535_servers_are_refused() -> None:
    # 256 services share the 256 servers of the first by an alias: PyYAML is slow with a text that lists them all.
    servers = ", ".join(f"s{port}: {{address: 10.0.2.11, port: {port}}}" for port in range(1, 257))
    services = f"  w0: {{vip: 10.0.1.100, port: 1000, servers: &all {{{servers}}}}}\n"
    services += "".join(f"  w{n}: {{vip: 10.0.1.100, port: {1000 + n}, servers: *all}}\n" for n in range(1, 256))
    expected = "13: services: found 65538 servers; expected at most 65535 servers in all services"
    assert problems(BASE + services) == [expected]


def many_ports(n: int, segments: int) -> str:
    """So many ports, in as many segments with an address as are asked for."""
    text = "ports:\n" + "".join(f"  p{i}: {{tap: sw{i}}}\n" for i in range(n)) + "segments:\n"
    shares = [[f"p{i}" for i in range(n) if i % segments == k] for k in range(segments)]
    return text + "".join(f"  s{k}: {{ports: [{', '.join(share)}], addresses: [10.0.{k}.1/24]}}\n"
                          for k, share in enumerate(shares))  # fmt: skip


def test_ports_and_kernel_twins_beyond_256_are_refused() -> None:
    assert problems(many_ports(253, 3)) == []
    assert problems(many_ports(254, 3)) == [
        "1: ports: found 254 ports, and 3 segments with an address, which take one each; expected at most 256 in all"
    ]


def test_more_than_32767_services_are_refused(monkeypatch) -> None:
    assert service_rules.MAX_SERVICES == 32767
    monkeypatch.setattr(service_rules, "MAX_SERVICES", 1)
    assert problems(BASE) == ["13: services: found 2 services; expected at most 1 services"]


def test_a_namespace_that_does_not_exist_is_named() -> None:
    assert problems(BASE, namespaces=["other"]) == [
        '5: ports.client.netns: found "client", which does not exist; '
        "expected a network namespace that exists; make it with: ip netns add client"
    ]


def test_a_namespace_that_exists_is_accepted() -> None:
    assert problems(BASE, namespaces={"client"}) == []

"""The form of every value: what is wrong is named with line, path, what was found and what was expected."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config_text import BASE, Case, changed, problems, problems_of

CASES = [
    Case("a weight of -1", "port: 8080}", "port: 8080, weight: -1}",
         "19: services.web.servers.web1.weight: found -1; expected a whole number from 0 to 65535"),
    Case("a weight in quotes", "port: 8080}", 'port: 8080, weight: "3"}',
         '19: services.web.servers.web1.weight: found "3"; expected a whole number from 0 to 65535'),
    Case("a weight of true", "port: 8080}", "port: 8080, weight: true}",
         "19: services.web.servers.web1.weight: found true; expected a whole number from 0 to 65535"),
    Case("a weight left empty", "port: 8080}", "port: 8080, weight: }",
         "19: services.web.servers.web1.weight: found nothing; expected a whole number from 0 to 65535"),
    Case("a weight above 65535", "port: 8080}", "port: 8080, weight: 65536}",
         "19: services.web.servers.web1.weight: found 65536; expected a whole number from 0 to 65535"),
    Case("a server's port 0", "port: 8080}", "port: 0}",
         "19: services.web.servers.web1.port: found 0; expected a port number from 1 to 65535"),
    Case("a server without an address", "address: 10.0.2.11, ", "",
         "19: services.web.servers.web1.address: found nothing; expected the server's address"),
    Case("a host name as address", "10.0.2.11", "web1.lan",
         '19: services.web.servers.web1.address: found "web1.lan"; '
         "expected an address such as 10.0.2.11 or fd00:2::11"),
    Case("an IPv4-mapped address", "10.0.2.11", '"::ffff:10.0.2.11"',
         '19: services.web.servers.web1.address: found "::ffff:10.0.2.11"; '
         "expected an IPv4 address in its own notation: 10.0.2.11"),
    Case("an address with a zone", "10.0.2.11", '"fe80::1%eth0"',
         '19: services.web.servers.web1.address: found "fe80::1%eth0"; '
         "expected an address such as 10.0.2.11 or fd00:2::11"),
    Case("a section misspelt", "mode: routed", "mode: routed\nsegmants: {}",
         "2: segmants: found an unknown key; "
         "expected one of mode, topology, workers, limits, timeouts, ports, segments, routes, checks or services; did "
         "you mean segments?"),
    Case("a key misspelt", "port: 8080}", "port: 8080, wieght: 3}",
         "19: services.web.servers.web1.wieght: found an unknown key; "
         "expected one of address, port, weight, backup or max_connections; did you mean weight?"),
    Case("a key like no other", "port: 8080}", "port: 8080, colour: red}",
         "19: services.web.servers.web1.colour: found an unknown key; "
         "expected one of address, port, weight, backup or max_connections"),
    Case("a name beside the one a server stands under", "port: 8080}", "port: 8080, name: web}",
         "19: services.web.servers.web1.name: found an unknown key; "
         "expected one of address, port, weight, backup or max_connections"),
    Case("fall, which other load balancers have", "type: tcp", "fall: 3",
         "17: services.web.check.fall: found an unknown key; "
         "expected one of type, port, via, initial, interval, response, retries, timeout, dead_interval, rise, "
         "fast_interval, jitter, hold_down or half_open"),
    Case("a fast interval of nothing", "type: tcp", "fast_interval: 0",
         "17: services.web.check.fast_interval: found 0; "
         "expected a duration such as 500ms, 2s, 1m, from 10ms to 1d"),
    Case("more jitter than half of a wait", "type: tcp", "jitter: 51%",
         '17: services.web.check.jitter: found "51%"; expected a percentage from 0% to 50%'),
    Case("jitter as a bare number", "type: tcp", "jitter: 10",
         "17: services.web.check.jitter: found 10; expected a percentage from 0% to 50%"),
    Case("a hold_down without a unit", "type: tcp", "hold_down: 30",
         "17: services.web.check.hold_down: found 30; expected a duration such as 500ms, 2s, 1m"),
    Case("a fail_open above all servers", "    port: 80\n", "    port: 80\n    fail_open: 101%\n",
         '17: services.web.fail_open: found "101%"; expected a percentage from 0% to 100%'),
    Case("a key twice", "    port: 80\n", "    port: 80\n    port: 81\n",
         "16: services.web.port: found the key twice, on lines 16 and 17; expected each key once"),
    Case("a mode misspelt", "mode: routed", "mode: router",
         '1: mode: found "router"; expected transparent, routed or dsr; did you mean routed?'),
    Case("a protocol that is none", "protocol: udp", "protocol: sctp",
         '21: services.dns.protocol: found "sctp"; expected tcp or udp'),
    Case("a scheduler that is none", "port: 80\n", "port: 80\n    scheduler: round\n",
         '17: services.web.scheduler: found "round"; expected rr, wrr, lc, wlc, sed, nq, hash, '
         'maglev, p2c, fo, overflow or python:module.Class'),
    Case("a scheduler by its name in HAProxy", "port: 80\n", "port: 80\n    scheduler: leastconn\n",
         '17: services.web.scheduler: found "leastconn"; expected rr, wrr, lc, wlc, sed, nq, hash, '
         'maglev, p2c, fo, overflow or python:module.Class; did you mean wlc?'),
    Case("two limits the wrong way round", "port: 8080}", "port: 8080, max_connections: {upper: 5, lower: 9}}",
         "19: services.web.servers.web1.max_connections: found {upper: 5, lower: 9}; expected a whole number from 1 to "
         "2147483647, or {upper: 100, lower: 75} with lower not above upper"),
    Case("a service's port 0", "port: 53", "port: 0",
         '21: services.dns.port: found 0; expected a port from 1 to 65535, a range such as "8000-8099", or any'),
    Case("a range that runs backwards", "port: 53", "port: 90-80",
         '21: services.dns.port: found "90-80"; expected a port from 1 to 65535, a range such as "8000-8099", or any'),
    Case("a port of true", "port: 53", "port: true",
         '21: services.dns.port: found true; expected a port from 1 to 65535, a range such as "8000-8099", or any'),
    Case("a multicast VIP", "vip: 10.0.1.100, ", "vip: 224.0.0.5, ",
         '21: services.dns.vip: found "224.0.0.5"; expected the address of one station; 224.0.0.5 is multicast'),
    Case("a loopback VIP", "vip: 10.0.1.100, ", "vip: 127.0.0.1, ",
         '21: services.dns.vip: found "127.0.0.1"; expected the address of one station; 127.0.0.1 is loopback'),
    Case("an unspecified VIP", "vip: 10.0.1.100, ", 'vip: "::", ',
         '21: services.dns.vip: found "::"; expected the address of one station; :: is unspecified'),
    Case("two VIPs of one family", "vip: 10.0.1.100, ", "vip: [10.0.1.100, 10.0.1.101], ",
         "21: services.dns.vip: found a list; expected one address, or a list of one IPv4 and one IPv6 address"),
    Case("one wrong VIP of two", "vip: 10.0.1.100, ", "vip: [10.0.1.100, 10.0.1], ",
         '21: services.dns.vip[1]: found "10.0.1"; expected an address such as 10.0.2.11 or fd00:2::11'),
    Case("no VIP at all", "vip: 10.0.1.100, ", "vip: [], ",
         "21: services.dns.vip: found an empty list; expected at least one address"),
    Case("a device name of 16 characters", "tap: swc0", "tap: swc0123456789ABC",
         '5: ports.client.tap: found "swc0123456789ABC"; '
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("a device name with a slash", "tap: swc0", "tap: sw/0",
         '5: ports.client.tap: found "sw/0"; '
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("a device named ..", "tap: swc0", "tap: '..'",
         '5: ports.client.tap: found ".."; '
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("a device name with a space", "tap: swc0", "tap: 'sw 0'",
         '5: ports.client.tap: found "sw 0"; '
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("a number as device name", "tap: swc0", "tap: 7",
         "5: ports.client.tap: found 7; "
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("an interface's name of 16 characters", "tap: sws1", "packet: eth0123456789ABC",
         '6: ports.web1.packet: found "eth0123456789ABC"; '
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("a number as tun", "tap: sws1", "tun: 0",
         "6: ports.web1.tun: found 0; "
         "expected a device name of at most 15 characters, without spaces and '/', ':' or '%'"),
    Case("a namespace with a slash", "netns: client", "netns: ../client",
         '5: ports.client.netns: found "../client"; expected the name of a network namespace, as `ip netns` lists it'),
    Case("a name with a slash", "  web1: {tap", "  web/1: {tap",
         "6: ports.\"web/1\": found \"web/1\"; expected a name of 1 to 63 letters, digits, '_', '.' and '-'"),
    Case("an mtu of 67", "tap: sws1", "tap: sws1, mtu: 67",
         "6: ports.web1.mtu: found 67; expected a whole number from 68 to 65521"),
    Case("an mtu of 65522", "tap: sws1", "tap: sws1, mtu: 65522",
         "6: ports.web1.mtu: found 65522; expected a whole number from 68 to 65521"),
    Case("a duration without a unit", "[web1, web2],", "[web1, web2], ageing: 300,",
         "10: segments.inside.ageing: found 300; expected a duration such as 500ms, 2s, 1m"),
    Case("ageing below 1s", "[web1, web2],", "[web1, web2], ageing: 500ms,",
         '10: segments.inside.ageing: found "500ms"; expected a duration such as 500ms, 2s, 1m, from 1s to 10d'),
    Case("ageing above 10d", "[web1, web2],", "[web1, web2], ageing: 11d,",
         '10: segments.inside.ageing: found "11d"; expected a duration such as 500ms, 2s, 1m, from 1s to 10d'),
    Case("an fdb_limit of 0", "[web1, web2],", "[web1, web2], fdb_limit: 0,",
         "10: segments.inside.fdb_limit: found 0; expected a whole number from 1 to 16777216"),
    Case("a segment without ports", "[web1, web2]", "[]",
         "10: segments.inside.ports: found an empty list; expected at least one port"),
    Case("one port where a list belongs", "[client]", "client",
         '9: segments.outside.ports: found "client"; expected a list of ports'),
    Case("an address without a prefix length", "10.0.2.1/24", "10.0.2.1",
         '10: segments.inside.addresses[0]: found "10.0.2.1"; '
         "expected an address with its prefix length, such as 10.0.1.1/24 or fd00:1::1/64"),
    Case("a network address as a segment's", "10.0.2.1/24", "10.0.2.0/24",
         '10: segments.inside.addresses[0]: found "10.0.2.0/24"; '
         "expected the address of one station; 10.0.2.0 is the network address of 10.0.2.0/24"),
    Case("a broadcast address as a segment's", "10.0.2.1/24", "10.0.2.255/24",
         '10: segments.inside.addresses[0]: found "10.0.2.255/24"; '
         "expected the address of one station; 10.0.2.255 is the broadcast address of 10.0.2.0/24"),
    Case("a route to a prefix with host bits", "10.0.9.0/24", "10.0.9.1/24",
         '12: routes[0].to: found "10.0.9.1/24"; expected a prefix without bits behind its length: 10.0.9.0/24'),
    Case("a route without via", ", via: 10.0.1.254", "",
         "12: routes[0].via: found nothing; expected the address of a router in a segment's subnet"),
    Case("routes that are no list", "  - {to: 10.0.9.0/24, via: 10.0.1.254}", "  to: default",
         "11: routes: found a mapping; expected a list of {to: ..., via: ...}"),
    Case("no worker", "workers: 1", "workers: 0",
         "3: workers: found 0; expected a whole number from 1 to 16"),
    Case("more workers than 16", "workers: 1", "workers: 17",
         "3: workers: found 17; expected a whole number from 1 to 16"),
    Case("a worker that is a word", "workers: 1", "workers: auto",
         '3: workers: found "auto"; expected a whole number from 1 to 16'),
    Case("no session", "workers: 1", "limits: {sessions: 0}",
         "3: limits.sessions: found 0; expected a whole number from 1 to 16777216"),
    Case("more sessions than 16777216", "workers: 1", "limits: {sessions: 16777217}",
         "3: limits.sessions: found 16777217; expected a whole number from 1 to 16777216"),
    Case("no half-open session", "workers: 1", "limits: {half_open: 0}",
         "3: limits.half_open: found 0; expected a whole number from 1 to 16777216"),
    Case("a client that may have no session", "workers: 1", "limits: {sessions_per_source: 0}",
         "3: limits.sessions_per_source: found 0; expected a whole number from 1 to 16777216"),
    Case("a rate a minute", "workers: 1", "limits: {icmp_errors: 10/m}",
         '3: limits.icmp_errors: found "10/m"; expected a rate from 1/s to 1000000/s, such as 1000/s'),
    Case("a timeout above 10d", "workers: 1", "timeouts: {udp: 11d}",
         '3: timeouts.udp: found "11d"; expected a duration such as 500ms, 2s, 1m, from 1ms to 10d'),
    Case("no retries", "type: tcp", "retries: 0",
         "17: services.web.check.retries: found 0; expected a whole number from 1 to 1000"),
    Case("a check that is only a word", "check: {type: tcp}", "check: tcp",
         '17: services.web.check: found "tcp", which is no check\'s name; expected a mapping of a check such as '
         "{type: tcp}, the name of one of `checks`, or {all: [...]} or {any: [...]}"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_form_is_named_once_at_its_place(case: Case) -> None:
    assert problems_of(case) == [case.problem]


def test_all_problems_of_a_file_are_named_in_its_order() -> None:
    text = (
        BASE.replace("tap: sws1", "tap: sws1, mtu: 1")
        .replace("vip: 10.0.1.100\n", "vip: 10.7.1.100\n")
        .replace("port: 8080}", "port: 8080, weight: -1}")
        .replace("protocol: udp", "colour: red")
    )
    assert [problem.split(": found")[0] for problem in problems(text)] == [
        "6: ports.web1.mtu",
        "15: services.web.vip",
        "19: services.web.servers.web1.weight",
        "20: services.web.servers.web2.weight",
        "21: services.dns.colour",
    ]


def test_a_wrong_address_of_a_segment_is_not_followed_by_what_it_would_have_reached() -> None:
    assert len(problems(changed("10.0.2.1/24", "10.0.2.1"))) == 1


def test_a_misspelt_section_is_not_missed_a_second_time_by_a_rule() -> None:
    assert [problem.split(": found")[0] for problem in problems(BASE.replace("routes:", "rotues:"))] == ["11: rotues"]


def test_required_sections_are_named() -> None:
    assert problems("{}") == [
        "1: ports: found nothing; expected a mapping of names to ports",
        "1: segments: found nothing; expected a mapping of names to segments",
    ]


@pytest.mark.parametrize("text", ["", "# a comment\n", "[]", "web"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    (problem,) = problems(text)
    assert "expected a mapping with keys of mode, topology" in problem


WORDS = st.sampled_from(
    ["ports", "segments", "routes", "services", "web", "vip", "port", "check", "servers", "address", "tap", "to", "via"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4))
LEAVES = ["routed", "swc0", "1", "[client]", "10.0.2.1/24", "10.0.9.0/24", "10.0.1.254", "10.0.1.100", "80", "tcp",
          "{type: tcp}", "10.0.2.11", "8080", "{tap: sws1}"]


@given(leaf=st.sampled_from(LEAVES), tree=TREES)
def test_whatever_stands_at_a_place_is_accepted_or_named(leaf: str, tree: object) -> None:
    text = changed(f" {leaf}", f" {json.dumps(tree)}") if f" {leaf}" in BASE else changed(leaf, json.dumps(tree))
    assert all(re.match(r"\d+: .*found .*; expected ", problem) for problem in problems(text))


@given(tree=TREES)
def test_whatever_stands_at_the_top_is_accepted_or_named(tree: object) -> None:
    assert all(re.match(r"\d+: .*found .*; expected ", problem) for problem in problems(json.dumps(tree)))

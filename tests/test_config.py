"""A good file as a Config: every key, every default, and the file itself."""

import contextlib
import dataclasses
import gc
import json
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
import yaml

from swlb.config import Check, Config, Gue, Limits, Port, Route, Segment, Server, Service, Timeouts, load, parse
from swlb.errors import ConfigError, Problem
from tests.config_text import BASE, SWITCH

FULL = """\
mode: routed
topology: inline
workers: 1
limits: {sessions: 1000, half_open: 90, sessions_per_source: 8, fragments: 100, neighbours: 10, icmp_errors: 50/s}
timeouts: {tcp_syn: 1s, tcp_established: 2h, tcp_fin: 3s, tcp_closed: 4s, udp: 5s, udp_stream: 6s, icmp: 7s,
           fragment: 8s, neighbour: 9s}
ports:
  client: {tap: swc0, netns: client, mtu: 9000}
  web1: {tap: sws1}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1], addresses: [10.0.2.1/24], ageing: 10s, fdb_limit: 1, access: open, masquerade: off}
routes: [{to: default, via: 10.0.1.254}, {to: default, via: "fd00:1::fe"}, {to: 10.0.9.0/24, via: 10.0.2.254}]
services:
  web:
    vip: [10.0.1.100, "fd00:1::100"]
    port: "8000-8099"
    protocol: tcp
    forward: nat
    source_nat: never
    scheduler: rr
    refuse: drop
    orphans: drop
    on_down: keep
    timeouts: {tcp_syn: 500ms}
    check: {type: tcp, port: 8080, via: server, initial: up, interval: 20ms, response: 10ms, retries: 1, timeout: 0,
            dead_interval: 30ms, rise: 4}
    servers:
      web1: {address: 10.0.2.11, port: 8080, weight: 0}
      web2: {address: "fd00:1::12"}
"""

TOP_TIMEOUTS = Timeouts(
    tcp_syn=1, tcp_established=7200, tcp_fin=3, tcp_closed=4, udp=5, udp_stream=6, icmp=7, fragment=8, neighbour=9
)


def full() -> Config:
    return parse(FULL, file="lab.yaml")


def service(**keys: object) -> Service:
    """The one service of a switch with a client's and a server's side, with these keys beside what it needs."""
    lan = {"ports": ["a"], "addresses": ["10.0.0.1/24"]}
    web = {"vip": "10.0.0.100", "port": 80, **keys}
    text = json.dumps({"ports": {"a": {"tap": "swa"}}, "segments": {"lan": lan}, "services": {"web": web}})
    return parse(text, file="lab.json").services["web"]


def test_top_keys_are_read() -> None:
    config = full()
    assert (config.mode, config.topology, config.workers) == ("routed", "inline", 1)
    assert config.limits == Limits(
        sessions=1000, half_open=90, sessions_per_source=8, fragments=100, neighbours=10, icmp_errors=50
    )
    assert config.timeouts == TOP_TIMEOUTS


def test_ports_and_segments_are_read() -> None:
    config = full()
    assert config.ports["client"] == Port(name="client", tap="swc0", netns="client", mtu=9000)
    assert config.segments["inside"] == Segment(
        name="inside", ports=("web1",), addresses=(ip_interface("10.0.2.1/24"),), ageing=10, fdb_limit=1
    )


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("{packet: eth1}", Port(name="a", packet="eth1")),
        ("{packet: eth1, netns: lb, mtu: 9000}", Port(name="a", packet="eth1", netns="lb", mtu=9000)),
        ("{tun: tun0, netns: lb}", Port(name="a", tun="tun0", netns="lb")),
    ],
)
def test_other_kinds_of_ports_are_read(text: str, port: Port) -> None:
    lan = "{ports: [a], addresses: [10.0.0.1/24]}"
    read = parse(f"ports: {{a: {text}}}\nsegments: {{lan: {lan}}}", file="lab.yaml").ports["a"]
    assert read == port
    assert (read.kind, read.device) == (("packet", "eth1") if port.packet else ("tun", "tun0"))


def test_default_routes_take_the_family_of_via() -> None:
    assert full().routes == (
        Route(to=ip_network("0.0.0.0/0"), via=ip_address("10.0.1.254")),
        Route(to=ip_network("::/0"), via=ip_address("fd00:1::fe")),
        Route(to=ip_network("10.0.9.0/24"), via=ip_address("10.0.2.254")),
    )


def test_a_service_is_read() -> None:
    web = full().services["web"]
    assert web.vips == (ip_address("10.0.1.100"), ip_address("fd00:1::100"))
    assert (web.port_first, web.port_last) == (8000, 8099)
    assert (web.refuse, web.orphans, web.on_down) == ("drop", "drop", "keep")
    assert web.checks == (Check(
        type="tcp", port=8080, via="server", initial="up", interval=0.02, response=0.01, retries=1, timeout=0,
        dead_interval=0.03, rise=4,
    ),)
    assert web.servers == {
        "web1": Server(name="web1", address=ip_address("10.0.2.11"), port=8080, weight=0),
        "web2": Server(name="web2", address=ip_address("fd00:1::12"), port=None, weight=1),
    }


def test_a_services_timeouts_stand_over_those_of_the_top() -> None:
    assert full().services["web"].timeouts == dataclasses.replace(TOP_TIMEOUTS, tcp_syn=0.5)


@pytest.mark.parametrize(
    ("key", "default"),
    [("mode", None), ("topology", None), ("workers", 1), ("routes", ()), ("checks", {}), ("services", {})],
)
def test_top_keys_have_their_defaults(key: str, default: object) -> None:
    assert getattr(parse(SWITCH, file="lab.yaml"), key) == default


@pytest.mark.parametrize(
    ("key", "default"),
    [("sessions", 1_000_000), ("half_open", 65_536), ("sessions_per_source", None), ("fragments", 4096),
     ("neighbours", 8192), ("icmp_errors", 1000)],
)
def test_limits_have_their_defaults(key: str, default: int | None) -> None:
    assert getattr(parse(SWITCH, file="lab.yaml").limits, key) == default


@pytest.mark.parametrize(("sessions", "half_open", "quota"), [(1000, 90, 90), (1000, 900, 500), (1, 5, 1)])
def test_no_more_than_half_of_the_sessions_may_be_half_open(sessions: int, half_open: int, quota: int) -> None:
    text = SWITCH + f"limits: {{sessions: {sessions}, half_open: {half_open}}}\n"
    assert parse(text, file="lab.yaml").limits.half_open_quota == quota


@pytest.mark.parametrize(
    ("key", "seconds"),
    [
        ("tcp_syn", 60), ("tcp_established", 2 * 3600 + 4 * 60), ("tcp_fin", 120), ("tcp_closed", 10), ("udp", 120),
        ("udp_stream", 300), ("icmp", 60), ("fragment", 30), ("neighbour", 60),
    ],
)
def test_timeouts_have_their_defaults(key: str, seconds: float) -> None:
    assert getattr(parse(SWITCH, file="lab.yaml").timeouts, key) == seconds


def test_a_port_has_its_defaults() -> None:
    assert parse(SWITCH, file="lab.yaml").ports["a"] == Port(name="a", tap="swa", netns=None, mtu=1500)


@pytest.mark.parametrize(
    ("key", "default"),
    [("addresses", ()), ("ageing", 300), ("fdb_limit", 8192), ("access", "open"), ("masquerade", "off"),
     ("vip_guard", False)],
)
def test_a_segment_has_its_defaults(key: str, default: object) -> None:
    assert getattr(parse(SWITCH, file="lab.yaml").segments["lan"], key) == default


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("protocol", "tcp"), ("forward", "nat"), ("source_nat", "auto"), ("source_pool", ()),
        ("source_ports", (1024, 65535)), ("mss", "off"), ("gue", Gue()), ("scheduler", "rr"), ("checks", ()),
        ("need", "all"), ("servers", {}), ("refuse", "reset"), ("orphans", "reset"), ("on_down", None),
        ("timeouts", Timeouts()),
    ],
)
def test_a_service_has_its_defaults(key: str, default: object) -> None:
    assert getattr(service(), key) == default


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("type", "tcp"), ("port", None), ("via", ""), ("initial", "checking"), ("interval", 2), ("response", 1),
        ("retries", 3), ("timeout", 5), ("dead_interval", 10), ("rise", 2),
    ],
)
def test_a_check_has_its_defaults(key: str, default: object) -> None:
    assert getattr(service(check={}).checks[0], key) == default


@pytest.mark.parametrize(("key", "default"), [("port", None), ("weight", 1)])
def test_a_server_has_its_defaults(key: str, default: object) -> None:
    assert getattr(service(servers={"a": {"address": "10.0.0.2"}}).servers["a"], key) == default


@pytest.mark.parametrize(
    ("port", "first", "last"), [(80, 80, 80), ("80", 80, 80), ("8000-8099", 8000, 8099), ("any", 1, 65535)]
)
def test_a_services_port_is_one_a_range_or_any(port: object, first: int, last: int) -> None:
    assert (service(port=port).port_first, service(port=port).port_last) == (first, last)


@pytest.mark.parametrize("rate", ["1000/s", 1000])
def test_a_rate_may_leave_out_its_unit(rate: object) -> None:
    text = SWITCH + f"limits: {{icmp_errors: {rate}}}\n"
    assert parse(text, file="lab.yaml").limits.icmp_errors == 1000


def test_a_configuration_written_as_json_is_read() -> None:
    assert parse(json.dumps(yaml.safe_load(BASE), indent="\t"), file="lab.json") == parse(BASE, file="lab.yaml")


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        full().workers = 2  # type: ignore[misc]


def test_a_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(BASE, encoding="utf-8-sig")
    assert load(file, namespaces=["client"]) == parse(BASE, file="lab.yaml")


def test_loading_looks_for_the_namespaces_of_the_host(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(BASE.replace("netns: client", "netns: swlb-test-nowhere"))
    with pytest.raises(ConfigError, match="ip netns add swlb-test-nowhere"):
        load(file)


def test_a_file_that_is_not_there_is_a_problem_of_line_0(tmp_path: Path) -> None:
    file = str(tmp_path / "none.yaml")
    with pytest.raises(ConfigError) as caught:
        load(file)
    found = "nothing that can be read (No such file or directory)"
    assert caught.value.problems == (Problem(file, 0, "", found, "a configuration in YAML"),)


def test_a_file_that_is_no_text_is_a_problem_of_line_0(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(b"mode: \xff")
    with pytest.raises(ConfigError, match="a byte that is no UTF-8, at offset 6"):
        load(file)


def test_a_wrong_configuration_ends_with_exit_code_2() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("{}", file="lab.yaml")
    assert caught.value.exit_code == 2


def test_a_problem_reads_as_a_sentence() -> None:
    problem = Problem("lab.yaml", 12, "services.web.servers.web1.weight", "-1", "a whole number from 0 to 65535")
    expected = "lab.yaml:12: services.web.servers.web1.weight: found -1; expected a whole number from 0 to 65535"
    assert str(problem) == expected


@pytest.mark.parametrize("text", [SWITCH, "no: configuration"])
def test_garbage_is_collected_after_a_file_is_read(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text, file="f.yaml")
    assert gc.isenabled()

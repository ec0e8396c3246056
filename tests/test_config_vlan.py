"""VLANs of ports as members of segments: what may stand in a file, and what is said of it."""

import json

import pytest

from swlb.config import parse
from swlb.explain import explain
from tests.config_text import BASE, changed, problems

TRUNK = """
ports: {trunk: {tap: swt}, web1: {tap: sw1}, web2: {tap: sw2}}
segments:
  native: {ports: [trunk, web2]}
  outside: {ports: [trunk.10], addresses: [10.0.1.1/24]}
  inside: {ports: [web1, trunk.20], addresses: [10.0.2.1/24]}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type: tcp", "via: server"),
        ("[client],", "[client], access: open, masquerade: off,"),
        ("port: 80\n", "port: 80\n    forward: nat\n    source_nat: never\n    scheduler: rr\n"),
    ],
)
def test_a_default_may_be_stated(old: str, new: str) -> None:
    assert problems(changed(old, new)) == []


def test_a_port_may_have_a_name_that_looks_like_a_vlan() -> None:
    text = BASE.replace("client:", "client.5:").replace("[client]", "[client.5]")
    assert problems(text) == []
    assert parse(text, file="f").trunks == set()


@pytest.mark.parametrize("vid", [1, 4094])
def test_a_port_may_be_in_segments_by_its_vlans_alone_or_beside_them(vid: int) -> None:
    config = parse(changed("[client]", f"[client.{vid}]"), file="f")
    assert config.port_of(f"client.{vid}") is config.ports["client"]
    assert config.trunks == {"client"}
    assert problems(TRUNK) == []


def test_a_port_that_no_segment_has_in_any_way_is_told() -> None:
    assert problems(TRUNK.replace("[trunk, web2]", "[web2]")) == []
    found = problems(TRUNK.replace("[trunk, web2]", "[web2]").replace("trunk.10", "web1.10").replace(", trunk.20", ""))
    assert found == ["2: ports.trunk: found a port that is in no segment; expected each port in one segment"]


def test_a_tun_has_no_vlans() -> None:
    assert problems(TRUNK.replace("{tap: swt}", "{tun: swt}").replace("[trunk, web2]", "[web2]")) == [
        "5: segments.outside.ports[0]: found trunk.10, a VLAN of a tun; "
        "expected trunk: without Ethernet there are no VLAN tags",
        "6: segments.inside.ports[1]: found trunk.20, a VLAN of a tun; "
        "expected trunk: without Ethernet there are no VLAN tags",
    ]


def test_vlans_count_as_ports() -> None:
    segments = {f"s{n}": {"ports": [f"t.{n}"]} for n in range(1, 257)}
    assert problems(json.dumps({"ports": {"t": {"tap": "t"}}, "segments": segments})) == [
        "1: ports: found 1 ports, 256 VLANs of theirs, and 0 segments with an address, which take one each; "
        "expected at most 256 in all"
    ]


def test_the_mtu_of_a_trunk_is_its_vlans() -> None:
    found = problems(TRUNK.replace("tap: swt", "tap: swt, mtu: 1279").replace("[10.0.1.1/24]", '["fd00:1::1/64"]'))
    assert found == ["2: ports.trunk.mtu: found 1279; "
                     "expected at least 1280, because segment outside has an IPv6 address"]  # fmt: skip


def test_one_vlan_by_one_port_is_one_arm_and_two_are_inline() -> None:
    one = "ports: {t: {tap: swt}}\nsegments: {lan: {ports: [t.5], addresses: [10.0.0.1/24]}}\n"
    assert problems("topology: one-arm\n" + one) == []
    two = "ports: {t: {tap: swt}}\nsegments: {a: {ports: [t.5]}, b: {ports: [t.6]}}\n"
    assert problems("topology: inline\n" + two) == []
    assert problems("topology: one-arm\n" + two) == [
        "1: topology: found one-arm with 1 port in 2 segments; "
        "expected exactly one segment with one port, or topology inline"
    ]


def test_check_tells_who_is_tagged() -> None:
    said = " ".join(explain(parse(TRUNK, file="f")).split())
    for words in (
        "trunk: untagged frames are of this segment; of VLANs it carries those that segments name.",
        "trunk.20 VLAN 20 on device swt",
        "trunk.20: frames come and go tagged for VLAN 20, and are untagged within.",
        "web1: untagged, as all within the segment; frames with a tag are dropped.",
    ):
        assert words in said


def test_what_a_trunk_is_and_how_its_links_differ_is_told_once_each() -> None:
    text = TRUNK.replace("{tap: swt}", "{packet: eth1, mtu: 9000}").replace("[trunk, web2]", "[web2]")
    said = explain(parse(text, file="f"))
    assert said.count("an interface that is there already") == 1
    (inside,) = [block for block in said.split("\n\n") if block.startswith("segment inside")]
    assert "mtu: its ports differ." in inside
    assert said.count("mtu: its ports differ.") == 1

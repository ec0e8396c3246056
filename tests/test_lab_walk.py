"""What is made of captures: segments out of frames, the walk of a request, and the walk in short. No root."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from swlb.config import parse
from swlb.lab import Lab
from swlb.lab.capture import Sighting
from swlb.lab.decode import Outer, Seen, decode
from swlb.lab.host import Kind, Place
from swlb.lab.in_short import COLUMNS, InShort, expect_in_short, head_of_table, in_short, row_of, values_of
from swlb.lab.requests import Surprise
from swlb.lab.voice import Voice
from swlb.lab.walk import Walk, show_walk

# Segments out of frames

CLIENT_MAC, SWLB_MAC, WEB1_MAC = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3))
ETHER = Ether(src=CLIENT_MAC, dst=SWLB_MAC)
SEGMENT4 = IP(src="10.0.1.10", dst="10.0.1.100", ttl=63) / TCP(sport=4000, dport=80, flags="PA") / Raw(b"GET /")
SEGMENT6 = IPv6(src="fd00::1", dst="fd00::2", hlim=63) / TCP(sport=4000, dport=80, flags="PA") / Raw(b"GET /")
PUSH_ACK = 0x18
SEEN4 = Seen(CLIENT_MAC, SWLB_MAC, "10.0.1.10:4000", "10.0.1.100:80", 63, PUSH_ACK, b"GET /")
SEEN6 = Seen(CLIENT_MAC, SWLB_MAC, "[fd00::1]:4000", "[fd00::2]:80", 63, PUSH_ACK, b"GET /")
OUTER4 = IP(src="10.0.1.1", dst="10.0.2.11", ttl=61)
OUTER6 = IPv6(src="fd00:1::1", dst="fd00:2::11", hlim=61)
BOTH = pytest.mark.parametrize(("segment", "seen"), [(SEGMENT4, SEEN4), (SEGMENT6, SEEN6)], ids=["IPv4", "IPv6"])


@BOTH
def test_a_tcp_segment_is_decoded(segment, seen):
    assert decode(bytes(ETHER / segment)) == seen


@BOTH
def test_what_comes_out_of_a_tun_has_no_macs(segment, seen):
    assert decode(bytes(segment), has_ethernet=False) == replace(seen, mac_from="", mac_to="")


@BOTH
def test_a_segment_in_ip_in_ip_is_decoded_with_its_outer_header(segment, seen):
    inside_ipv4 = decode(bytes(ETHER / OUTER4 / segment))
    assert inside_ipv4 == replace(seen, outer=Outer("IPIP", "10.0.1.1", "10.0.2.11", 61))
    inside_ipv6 = decode(bytes(ETHER / OUTER6 / segment))
    assert inside_ipv6 == replace(seen, outer=Outer("IPIP", "fd00:1::1", "fd00:2::11", 61))


@BOTH
@pytest.mark.parametrize("words", [0, 2], ids=["plain", "with optional fields"])
def test_a_segment_in_gue_is_decoded_with_its_outer_header(segment, seen, words):
    gue = Raw(bytes([words, 4 if segment.version == 4 else 41, 0, 0]) + bytes(4 * words) + bytes(segment))
    frame = ETHER / OUTER4 / UDP(sport=50000, dport=6080) / gue
    assert decode(bytes(frame)) == replace(seen, outer=Outer("GUE", "10.0.1.1:50000", "10.0.2.11:6080", 61))


@pytest.mark.parametrize(
    "frame",
    [
        ETHER / IP() / UDP() / Raw(b"GET /"),
        ETHER / IP() / UDP(dport=6080) / Raw(b""),
        ETHER / IP() / UDP(dport=6080) / Raw(bytes([0, 99, 0, 0]) + bytes(40)),
        ETHER / IP() / ICMP(),
        ETHER / Raw(b"nothing known"),
        Raw(b"short"),
    ],
    ids=["UDP", "empty GUE", "GUE of another protocol", "ICMP", "unknown", "short"],
)
def test_anything_else_is_no_segment(frame):
    assert decode(bytes(frame)) is None


def test_nothing_is_no_segment_either():
    assert decode(b"", has_ethernet=False) is None


# Places


@pytest.mark.parametrize(
    ("kind", "leaving", "coming", "is_port"),
    [
        (Kind.OWN, "at web1", "at web1", False),
        (Kind.TAP, "at web1", "at web1", True),
        (Kind.TUNNEL, "inside web1", "inside web1", False),
        (Kind.BRIDGED, "into swlb", "out of swlb", True),
        (Kind.HOME, "out of swlb", "into swlb", True),
    ],
)
def test_a_place_is_named_by_where_a_frame_goes(kind, leaving, coming, is_port):
    place = Place("web1", "netns", "eth0", kind)
    assert (place.where(True), place.where(False), place.is_port) == (leaving, coming, is_port)


# The walk

CONFIG = """
ports: {a: {tap: eth0}, b: {tap: eth1}}
segments: {out: {ports: [a], addresses: [10.0.1.1/24]}, in: {ports: [b], addresses: [10.0.2.1/24]}}
services:
  web: {vip: 10.0.1.100, port: 80, servers: {web1: {address: 10.0.2.11, port: 8080}}}
"""


def sighting(where: str, source: str, destination: str, **fields: object) -> Sighting:
    passes = bool(fields.pop("passes_swlb", False))
    macs = {"mac_from": CLIENT_MAC, "mac_to": SWLB_MAC}
    return Sighting(0, where, passes, Seen(**{**macs, "ttl": 64, "flags": 0, "payload": b"", **fields},
                                           source=source, destination=destination))  # fmt: skip


AT_CLIENT = sighting("at client", "10.0.1.10:4000", "10.0.1.100:80", passes_swlb=True)
AT_WEB1 = sighting("at web1", "10.0.1.10:4000", "10.0.2.11:8080", ttl=63, mac_from=SWLB_MAC, mac_to=WEB1_MAC)
WRAPPED = sighting("at web1", "10.0.1.10:4000", "10.0.1.100:80", outer=Outer("IPIP", "10.0.2.1", "10.0.2.11", 64))
REPLY = sighting("at client", "10.0.1.100:80", "10.0.1.10:4000", ttl=62)
MACS = {CLIENT_MAC: "client", SWLB_MAC: "swlb", WEB1_MAC: "web1"}


def walk(**messages: list[Sighting]) -> Walk:
    return Walk("client", messages, MACS)


def shown(of: Walk) -> list[str]:
    pipe = io.StringIO()
    show_walk(Voice(Console(file=pipe, width=100, highlight=False)), of, "Because.")
    return [line.rstrip() for line in pipe.getvalue().splitlines()]


def test_what_changed_from_one_place_to_the_next_is_marked():
    assert shown(walk(request=[AT_CLIENT, AT_WEB1])) == [
        "              from                        to                        TTL",
        "  request     10.0.1.10:4000              10.0.1.100:80             64",
        "  at client   02:00:00:00:00:01  client   02:00:00:00:00:02  swlb",
        "  request     10.0.1.10:4000              10.0.2.11:8080*           63*",
        "  at web1     02:00:00:00:00:02* swlb     02:00:00:00:00:03* web1",
        "  * not as it was at the place before. Because.",
    ]


def test_the_outer_header_stands_below_the_inner_one():
    *_, last, _ = (lines := shown(walk(request=[AT_CLIENT, WRAPPED])))
    assert last.split() == ["at", "web1", CLIENT_MAC, "client", SWLB_MAC, "swlb"]
    assert "  in IPIP     10.0.2.1*                   10.0.2.11*                64*" in lines


def test_a_message_is_compared_with_itself_only():
    lines = shown(walk(request=[AT_CLIENT], reply=[REPLY]))
    assert [line for line in lines if "*" in line] == ["  * not as it was at the place before. Because."]


# In short


@pytest.fixture
def lab() -> Lab:
    made = Lab("x")
    made._config = parse(CONFIG, file="test")
    return made


def test_addresses_are_called_by_whose_they_are_and_only_known_ports_are_named(lab):
    short = in_short(lab, walk(request=[AT_CLIENT, AT_WEB1], reply=[REPLY]))
    assert short.sends == "10.0.1.10 → VIP:80, TTL 64"
    assert short.sees == "10.0.1.10 → server:8080, TTL 63"
    assert short.gets == "VIP:80 → 10.0.1.10, TTL 62"


def test_a_tunnel_is_told_though_the_packet_has_left_it(lab):
    inside = replace(AT_CLIENT, where="inside web1")
    short = in_short(lab, walk(request=[AT_CLIENT, WRAPPED, inside], reply=[REPLY]))
    assert short.sees == "10.0.1.10 → VIP:80, TTL 64, in IPIP swlb → server"


def test_a_reply_passes_swlb_where_it_was_seen_at_a_port(lab):
    at_port = replace(REPLY, where="into swlb", passes_swlb=True)
    assert in_short(lab, walk(request=[AT_CLIENT], reply=[REPLY])).passes == "no"
    assert in_short(lab, walk(request=[AT_CLIENT], reply=[at_port, REPLY])).passes == "yes"


def test_what_does_not_come_back_to_the_caller_is_nothing(lab):
    elsewhere = replace(REPLY, where="at web1")
    assert in_short(lab, walk(SYN=[AT_CLIENT])).gets == "nothing"
    assert in_short(lab, walk(SYN=[AT_CLIENT], **{"SYN-ACK": [elsewhere]})).gets == "nothing"


def test_an_answer_that_the_caller_resets_is_told_as_such(lab):
    messages = {"SYN": [AT_CLIENT], "SYN-ACK": [REPLY], "RST": [AT_CLIENT]}
    assert in_short(lab, walk(**messages)).gets == "VIP:80 → 10.0.1.10, TTL 62, which it resets"


def test_the_needs_of_servers_are_those_that_check_tells(lab):
    assert in_short(lab, walk(request=[AT_CLIENT])).needs == "swlb as their gateway, 10.0.2.1"


SHORT = InShort(sends="a", sees="b", gets="c", passes="yes", needs="d")


@pytest.mark.parametrize("field", list(COLUMNS))
def test_anything_that_is_not_as_expected_is_a_surprise(field):
    assert expect_in_short(SHORT, SHORT) == SHORT
    with pytest.raises(Surprise, match=f"{COLUMNS[field]}: seen otherwise; expected "):
        expect_in_short(replace(SHORT, **{field: "otherwise"}), SHORT)


def test_a_row_of_the_table_has_a_cell_for_every_column():
    head, line = head_of_table().splitlines()
    assert row_of("x", values_of(SHORT)) == "| `x` | a | b | c | yes | d |"
    assert head.count("|") == line.count("|") == row_of("x", values_of(SHORT)).count("|")

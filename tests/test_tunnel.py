"""What comes out of tunnels is judged right: scapy builds the packets, and scapy and dpkt say what became of them."""

from ipaddress import ip_address

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet, Raw
from scapy.utils import checksum

from swlb.tunnel import COMPLETE, DROPS, IPV4, IPV6, VNET_HDR, Gate, carried_by_gue, offload_header

VIPS = {4: "10.0.9.9", 6: "fd00:9::9"}
OWN = {4: "10.0.0.11", 6: "fd00::11"}
CLIENTS = {4: "10.0.1.10", 6: "fd00:1::10"}
PROTOCOLS = {4: IPV4, 6: IPV6}
AT = 50  # where packets begin in the buffers
FAMILIES = pytest.mark.parametrize("family", [4, 6])

# RFC 6040, figure 4: rows are the mark inside, columns the one outside; "-" is: dropped.
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
MARKS = {
    (NOT_ECT, NOT_ECT): NOT_ECT, (NOT_ECT, ECT0): NOT_ECT, (NOT_ECT, ECT1): NOT_ECT, (NOT_ECT, CE): None,
    (ECT0, NOT_ECT): ECT0, (ECT0, ECT0): ECT0, (ECT0, ECT1): ECT1, (ECT0, CE): CE,
    (ECT1, NOT_ECT): ECT1, (ECT1, ECT0): ECT1, (ECT1, ECT1): ECT1, (ECT1, CE): CE,
    (CE, NOT_ECT): CE, (CE, ECT0): CE, (CE, ECT1): CE, (CE, CE): CE,
}  # fmt: skip


def packet(family: int, payload: Packet | None = None, *, mark: int = 0, **fields: object) -> Packet:
    """A client's packet to the VIP, with other fields where they are given."""
    fields = {"src": CLIENTS[family], "dst": VIPS[family]} | fields
    header = IP(tos=0x28 | mark, **fields) if family == 4 else IPv6(tc=0x28 | mark, fl=0xABCDE, **fields)
    return header / (payload or UDP(sport=4000, dport=53) / Raw(b"question"))


def a_gate() -> Gate:
    """One that lets through what is for the VIPs; the host has its own addresses and loopback's."""
    made = Gate([ip_address(vip) for vip in VIPS.values()])
    made.learn_own([ip_address(own) for own in (*OWN.values(), *VIPS.values(), "127.0.0.1", "::1")])
    return made


@pytest.fixture
def gate() -> Gate:
    return a_gate()


def judged(gate: Gate, inner: bytes, family: int, *, mark: int = 0, to: str = OWN[4]) -> bytes | str:
    """What goes on, or why nothing does."""
    buffer = bytearray(AT) + inner
    verdict = gate.judge(buffer, (AT, len(buffer)), PROTOCOLS[family], (ip_address(to).packed, 0x14 | mark))
    return verdict if isinstance(verdict, str) else bytes(buffer[slice(*verdict)])


@FAMILIES
@pytest.mark.parametrize("outer", [4, 6])
def test_a_packet_for_a_vip_goes_on_as_it_is(gate, family, outer):
    sent = bytes(packet(family))
    assert judged(gate, sent, family, to=OWN[outer]) == sent


@FAMILIES
@pytest.mark.parametrize(("marks", "want"), MARKS.items())
def test_the_congestion_mark_becomes_what_rfc_6040_says(gate, family, marks, want):
    inside, outside = marks
    got = judged(gate, bytes(packet(family, mark=inside)), family, mark=outside)
    assert got == ("ecn" if want is None else bytes(packet(family, mark=want)))


@given(ident=st.integers(0, 65535), ttl=st.integers(1, 255), inside=st.sampled_from([ECT0, ECT1]))
def test_the_ipv4_checksum_is_right_after_a_mark_came_in(ident, ttl, inside):
    got = judged(a_gate(), bytes(packet(4, mark=inside, id=ident, ttl=ttl)), 4, mark=CE)
    assert got == bytes(packet(4, mark=CE, id=ident, ttl=ttl))
    assert checksum(got[:20]) == 0


@FAMILIES
def test_what_follows_the_packet_is_cut_off(gate, family):
    sent = bytes(packet(family))
    assert judged(gate, sent + b"trailer", family) == sent


@FAMILIES
def test_options_and_extension_headers_go_on(gate, family):
    payload = IPv6ExtHdrFragment(id=7) / UDP(sport=1, dport=2) / b"x" if family == 6 else UDP(sport=1, dport=2) / b"x"
    fields = {"options": [IPOption_NOP()] * 4} if family == 4 else {}
    sent = bytes(packet(family, payload, **fields))
    assert judged(gate, sent, family) == sent


def with_wrong_checksum(inner: bytes) -> bytes:
    return inner[:10] + bytes([inner[10] ^ 1]) + inner[11:]


NOT_FOR_US = [
    ("not_vip", 4, bytes(packet(4, dst="10.0.9.8"))),
    ("not_vip", 4, bytes(packet(4, dst=OWN[4]))),
    ("not_vip", 4, bytes(packet(4, dst="255.255.255.255"))),
    ("not_vip", 6, bytes(packet(6, dst="fd00:9::8"))),
    ("not_vip", 6, bytes(packet(6, dst="ff02::1"))),
    *(("bad_source", 4, bytes(packet(4, src=src)))
      for src in (VIPS[4], OWN[4], "127.0.0.1", "127.1.2.3", "0.0.0.0", "224.0.0.1", "255.255.255.255")),
    *(("bad_source", 6, bytes(packet(6, src=src)))
      for src in (VIPS[6], OWN[6], "::1", "::", "ff02::1", "fe80::1", "febf::1", "::ffff:10.0.1.10")),
    ("bad_ipv4", 4, b""),
    ("bad_ipv4", 4, bytes(packet(4))[:19]),
    ("bad_ipv4", 4, bytes(packet(4))[:-1]),
    ("bad_ipv4", 4, bytes(packet(4, version=6))),
    ("bad_ipv4", 4, bytes(packet(6))),
    ("bad_ipv4", 4, bytes(packet(4, ihl=4))),
    ("bad_ipv4", 4, bytes(packet(4, ihl=15))),
    ("bad_ipv4", 4, bytes(packet(4, len=19))),
    ("bad_ipv4_checksum", 4, with_wrong_checksum(bytes(packet(4)))),
    ("bad_ipv6", 6, b""),
    ("bad_ipv6", 6, bytes(packet(6))[:39]),
    ("bad_ipv6", 6, bytes(packet(6))[:-1]),
    ("bad_ipv6", 6, bytes(packet(6, version=4))),
    ("bad_ipv6", 6, bytes(packet(4))),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "family", "inner"), NOT_FOR_US)
def test_a_wrong_packet_is_refused_with_its_reason(gate, reason, family, inner):
    assert judged(gate, inner, family) == reason


@pytest.mark.parametrize("to", [*VIPS.values(), "10.0.0.255", "255.255.255.255", "224.0.0.1", "10.0.0.12", "fd00::12"])
def test_a_tunnel_ends_at_addresses_of_the_host_that_are_no_vips(gate, to):
    assert judged(gate, bytes(packet(4)), 4, to=to) == "outer_destination"


@FAMILIES
def test_addresses_that_come_and_go_are_followed(gate, family):
    gate.learn_own([ip_address(VIPS[family]), ip_address(CLIENTS[family])])
    assert judged(gate, bytes(packet(family)), family) == "outer_destination"
    assert judged(gate, bytes(packet(family)), family, to=CLIENTS[family]) == "bad_source"


def gue(first: int, protocol: int, *, flags: int = 0, more: bytes = b"") -> bytes:
    """A GUE header, word by word as the draft draws it."""
    return bytes([first, protocol]) + flags.to_bytes(2) + more


def carried(data: bytes) -> tuple[bytes, int] | str:
    buffer = bytearray(AT) + data
    found = carried_by_gue(buffer, AT, len(buffer))
    return found if isinstance(found, str) else (bytes(buffer[found[0] :]), found[1])


@pytest.mark.parametrize("words", [0, 1, 31])
@FAMILIES
def test_gue_carries_a_packet_behind_its_private_data(family, words):
    inner = bytes(packet(family))
    assert carried(gue(words, PROTOCOLS[family], more=bytes(4 * words)) + inner) == (inner, PROTOCOLS[family])


WRONG_GUE = [
    ("gue_short", gue(0, IPV4)[:3]),
    ("gue_short", b""),
    ("gue_short", gue(1, IPV4, more=bytes(3))),
    ("gue_variant", bytes(packet(4))),  # variant 1 is a packet without a header of GUE
    ("gue_variant", bytes(packet(6))),
    ("gue_variant", gue(0xC0, IPV4)),
    ("gue_control", gue(0x20, IPV4)),
    ("gue_flags", gue(0, IPV4, flags=1)),
    ("gue_flags", gue(1, IPV4, flags=0x8000, more=bytes(4))),
    ("gue_protocol", gue(0, 17)),
    ("gue_protocol", gue(0, 59)),
]


@pytest.mark.parametrize(("reason", "data"), WRONG_GUE)
def test_wrong_gue_is_refused_with_its_reason(reason, data):
    assert carried(data) == reason


def test_every_reason_is_tried():
    tried = {reason for reason, *_ in (*NOT_FOR_US, *WRONG_GUE)}
    # The last one is the kernel's answer, and needs a device.
    assert tried | {"outer_destination", "ecn", "device"} == set(DROPS)


@given(data=st.binary(max_size=120), family=st.sampled_from([4, 6]), mark=st.integers(0, 3))
def test_whatever_comes_is_judged_and_what_goes_on_is_for_a_vip(data, family, mark):
    got = judged(a_gate(), data, family, mark=mark)
    if isinstance(got, str):
        assert got in DROPS
    else:
        seen = dpkt.ip.IP(got) if family == 4 else dpkt.ip6.IP6(got)
        assert seen.dst == ip_address(VIPS[family]).packed


@given(data=st.binary(max_size=80), family=st.sampled_from([4, 6]), places=st.data())
def test_a_packet_with_any_bytes_changed_is_judged(data, family, places):
    inner = bytearray(bytes(packet(family)))
    for byte in data[:4]:
        inner[places.draw(st.integers(0, len(inner) - 1))] = byte
    got = judged(a_gate(), bytes(inner), family)
    assert got in DROPS if isinstance(got, str) else len(got) <= len(inner)
    if isinstance(got, bytes):
        assert len(offload_header(bytearray(got), 0, len(got))) == VNET_HDR.size


@given(data=st.binary(max_size=120))
def test_whatever_comes_as_gue_is_judged(data):
    got = carried(data)
    assert got in DROPS if isinstance(got, str) else data.endswith(got[0])


PAYLOADS = {
    "TCP": TCP(sport=4000, dport=80, flags="PA") / Raw(b"x" * 3000),
    "UDP": UDP(sport=4000, dport=53) / Raw(b"y" * 301),
}
CHECKSUM_OFF = {"TCP": 16, "UDP": 6}
HEADER_LEN = {4: 20, 6: 40}


@FAMILIES
@pytest.mark.parametrize("protocol", PAYLOADS)
def test_a_checksum_that_is_yet_to_be_completed_is_announced_to_the_device(family, protocol):
    inner = bytes(packet(family, PAYLOADS[protocol]))
    at = HEADER_LEN[family] + CHECKSUM_OFF[protocol]
    l4_len = len(inner) - HEADER_LEN[family]
    numbers = bytes([0, {"TCP": 6, "UDP": 17}[protocol]]) + l4_len.to_bytes(2)
    addresses = ip_address(CLIENTS[family]).packed + ip_address(VIPS[family]).packed
    pseudo = checksum(addresses + numbers) ^ 0xFFFF  # not complemented: what the kernel leaves (csum_partial)
    partial = bytearray(AT) + inner[:at] + pseudo.to_bytes(2) + inner[at + 2 :]
    flags, gso, _, _, start, offset = VNET_HDR.unpack(offload_header(partial, AT, len(partial)))
    assert (flags, gso, start, offset) == (1, 0, HEADER_LEN[family], CHECKSUM_OFF[protocol])


@FAMILIES
@pytest.mark.parametrize("payload", [*PAYLOADS.values(), None], ids=[*PAYLOADS, "echo"])
@pytest.mark.parametrize("wrong", [0, 1])
def test_a_complete_checksum_is_left_to_be_verified_right_or_wrong(family, payload, wrong):
    echo = ICMP() if family == 4 else ICMPv6EchoRequest()
    inner = bytearray(bytes(packet(family, payload or echo)))
    inner[-1] ^= wrong
    assert offload_header(inner, 0, len(inner)) == COMPLETE


def test_fragments_have_no_checksum_to_complete():
    for fields in ({"frag": 1}, {"flags": "MF"}):
        inner = bytearray(bytes(packet(4, PAYLOADS["TCP"], **fields)))
        inner[36:38] = (checksum(bytes(inner[12:20]) + b"\0\6" + (len(inner) - 20).to_bytes(2)) ^ 0xFFFF).to_bytes(2)
        assert offload_header(inner, 0, len(inner)) == COMPLETE


def test_a_header_cut_short_has_no_checksum_to_complete():
    inner = bytearray(bytes(packet(4, PAYLOADS["TCP"])))[:37]
    assert offload_header(inner, 0, len(inner)) == COMPLETE

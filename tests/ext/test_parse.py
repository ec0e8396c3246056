"""What parse finds in packets that scapy built, and in what is left of them when they are cut."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_SSRR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from swlb import _testing as c
from tests.ext.values import ip

L3, L4, FRAGMENT, LATER, PARTIAL = (c.FOUND[name] for name in ("L3", "L4", "FRAGMENT", "LATER", "PARTIAL"))
ETHER = Ether(src="02:aa:00:00:00:01", dst="02:00:00:00:00:01")
V4, V6 = IP(src="192.0.2.1", dst="198.51.100.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")
PAD = [PadN(optdata=b"\0" * 4)]
TCP_PACKET = TCP(sport=1234, dport=80, flags="SA", options=[("MSS", 1400)]) / Raw(b"payload")
UDP_PACKET = UDP(sport=1234, dport=53) / Raw(b"payload")

SOUND = {
    "IPv4 TCP": ETHER / V4 / TCP_PACKET,
    "IPv4 UDP": ETHER / V4 / UDP_PACKET,
    "IPv4 with options": ETHER / IP(src="192.0.2.1", dst="198.51.100.2", options=[
        IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"] * 3)]) / UDP_PACKET,
    "IPv4 in one tag": ETHER / Dot1Q(vlan=7) / V4 / TCP_PACKET,
    "IPv4 in two tags": ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=9) / V4 / UDP_PACKET,
    "IPv4 in a priority tag": ETHER / Dot1Q(vlan=0, prio=5) / V4 / TCP_PACKET,
    "IPv6 TCP": ETHER / V6 / TCP_PACKET,
    "IPv6 UDP": ETHER / V6 / UDP_PACKET,
    "IPv6 hop-by-hop": ETHER / V6 / IPv6ExtHdrHopByHop(options=PAD) / TCP_PACKET,
    "IPv6 three extensions": ETHER / V6 / IPv6ExtHdrHopByHop(options=PAD) / IPv6ExtHdrRouting(type=253, segleft=0)
    / IPv6ExtHdrDestOpt(options=PAD) / UDP_PACKET,
    "IPv6 atomic fragment": ETHER / V6 / IPv6ExtHdrFragment(id=7) / TCP_PACKET,
}


@pytest.mark.parametrize("packet", SOUND.values(), ids=SOUND)
def test_a_sound_packet_is_read_as_scapy_built_it(packet: Packet) -> None:
    packet = Ether(bytes(packet))
    seen = c.parse(bytes(packet))
    l3 = packet.getlayer(IP) or packet.getlayer(IPv6)
    l4 = packet.getlayer(TCP) or packet.getlayer(UDP)
    assert seen == {
        "verdict": None, "flaw": None, "found": L3 | L4, "family": l3.version,
        "ethertype": 0x0800 if l3.version == 4 else 0x86DD,
        "n_tags": len([layer for layer in packet.layers() if layer in (Dot1Q, Dot1AD)]),
        "vid": next((packet[layer].vlan for layer in packet.layers() if layer in (Dot1Q, Dot1AD)), 0),
        "l3_off": len(packet) - len(l3), "l4_off": len(packet) - len(l4), "l4_len": len(l4),
        "protocol": 6 if TCP in packet else 17, "src": ip(l3.src), "dst": ip(l3.dst),
        "sport": l4.sport, "dport": l4.dport, **({"tcp_flags": int(l4.flags)} if TCP in packet else {})}


@pytest.mark.parametrize("packet", [
    *SOUND.values(), ETHER / V4 / ICMP() / Raw(b"ping"), ETHER / V6 / ICMPv6EchoRequest(data=b"ping"),
    ETHER / V6 / IPv6ExtHdrFragment(id=7, m=1, offset=0) / TCP_PACKET, ETHER / ARP()], ids=[
    *SOUND, "ICMP", "ICMPv6", "first fragment", "ARP"])
def test_a_frame_cut_at_any_byte_is_never_read_beyond_its_end(packet: Packet) -> None:
    whole = bytes(packet)
    for n in range(len(whole)):
        seen = c.parse(whole[:n], behind=b"\x00" * 64)
        assert seen == c.parse(whole[:n], behind=b"\xff" * 64) == c.parse(whole[:n], behind=whole[n:] + b"\x55" * 64), n
        assert c.parse(whole[:n]) == seen, n


@pytest.mark.parametrize("packet", SOUND.values(), ids=SOUND)
def test_a_packet_cut_at_any_byte_has_no_l4_header(packet: Packet) -> None:
    whole = bytes(packet)
    for n in range(len(whole)):
        seen = c.parse(whole[:n])
        assert seen["verdict"] == "RUNT" or (not seen["found"] & L4 and (seen["flaw"] or not seen["family"])), n


@pytest.mark.parametrize("packet", SOUND.values(), ids=SOUND)
def test_padding_behind_a_packet_changes_nothing(packet: Packet) -> None:
    assert c.parse(bytes(packet) + bytes(40)) == c.parse(bytes(packet))


FLAWED = [
    ("BAD_IPV4", ETHER / IP(version=5) / UDP_PACKET),
    ("BAD_IPV4", ETHER / IP(ihl=4) / UDP_PACKET),
    ("BAD_IPV4", ETHER / IP(len=19) / UDP_PACKET),
    ("BAD_IPV4", ETHER / IP(len=1000) / UDP_PACKET),
    ("BAD_IPV4_CHECKSUM", ETHER / IP(chksum=0x1234) / UDP_PACKET),
    ("SOURCE_ROUTE", ETHER / IP(options=[IPOption_LSRR(routers=["192.0.2.9"])]) / UDP_PACKET),
    ("SOURCE_ROUTE", ETHER / IP(options=[IPOption_NOP(), IPOption_SSRR(routers=["192.0.2.9"])]) / UDP_PACKET),
    ("SOURCE_ROUTE", ETHER / V6 / IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::9"]) / TCP_PACKET),
    ("BAD_IPV6", ETHER / IPv6(version=4) / UDP_PACKET),
    ("BAD_IPV6", ETHER / IPv6(plen=1000) / UDP_PACKET),
    ("BAD_IPV6_EXTENSION", ETHER / V6 / IPv6ExtHdrDestOpt(len=200, options=PAD) / UDP_PACKET),
    ("BAD_L4", ETHER / V4 / TCP(dataofs=4)),
    ("BAD_L4", ETHER / V4 / TCP(dataofs=15)),
    ("BAD_L4", ETHER / V4 / UDP(len=7) / Raw(b"x")),
    ("BAD_L4", ETHER / V4 / UDP(len=90) / Raw(b"x")),
    ("BAD_L4", ETHER / V4 / ICMP() / Raw(b""),),
    ("ZERO_UDP_CHECKSUM", ETHER / V6 / UDP(chksum=0) / Raw(b"x")),
]


@pytest.mark.parametrize(("flaw", "packet"), FLAWED, ids=[f"{n} {flaw}" for n, (flaw, _) in enumerate(FLAWED)])
def test_a_malformed_packet_has_its_flaw_named(flaw: str, packet: Packet) -> None:
    raw = bytes(packet)
    if packet.haslayer(ICMP):
        raw = raw[:14] + bytes(IP(src="192.0.2.1", dst="198.51.100.2", proto=1) / Raw(b"seven b"))
    assert c.parse(raw)["flaw"] == flaw


def test_a_chain_of_nine_extensions_is_too_long_and_one_of_eight_is_not() -> None:
    def chain(n: int) -> bytes:
        packet = ETHER / V6
        for _ in range(n):
            packet = packet / IPv6ExtHdrDestOpt(options=PAD)
        return bytes(packet / UDP_PACKET)

    assert c.parse(chain(8))["flaw"] is None
    assert c.parse(chain(9))["flaw"] == "BAD_IPV6_EXTENSION"


@pytest.mark.parametrize(("later", "offset"), [(False, 0), (True, 100)])
@pytest.mark.parametrize("version", [4, 6])
def test_only_the_first_fragment_has_an_l4_header(version: int, later: bool, offset: int) -> None:
    packet = (ETHER / IP(id=77, flags="MF", frag=offset) / UDP(len=3000) / Raw(b"x" * 64) if version == 4 else
              ETHER / V6 / IPv6ExtHdrFragment(id=77, m=1, offset=offset) / UDP(len=3000) / Raw(b"x" * 64))
    seen = c.parse(bytes(packet))
    assert seen["flaw"] is None
    assert seen["found"] == L3 | FRAGMENT | (LATER if later else L4)
    assert seen["fragment_id"] == 77


def vnet(flags: int = 1, kind: int = 0, start: int = 34, offset: int = 16, size: int = 0) -> bytes:
    return bytes([flags, kind]) + b"".join(n.to_bytes(2, "little") for n in (0, size, start, offset))


@pytest.mark.parametrize(("header", "flaw", "partial"), [
    (vnet(), None, True), (vnet(kind=1, size=1400), None, True), (vnet(flags=0), None, False),
    (vnet(start=33), "BAD_OFFLOAD", False), (vnet(offset=6), "BAD_OFFLOAD", False),
    (vnet(flags=0, kind=1, size=1400), "BAD_OFFLOAD", False)])
def test_an_offload_header_has_to_agree_with_the_packet(header: bytes, flaw: str | None, partial: bool) -> None:
    seen = c.parse(bytes(ETHER / V4 / TCP_PACKET), header)
    assert (seen["flaw"], bool(seen["found"] & PARTIAL)) == (flaw, partial)


@pytest.mark.parametrize("packet", [
    ETHER / V4 / ICMP() / Raw(b"x" * 2000), ETHER / IP(flags="MF", frag=10) / Raw(b"x" * 2000),
    ETHER / IP(proto=47) / Raw(b"x" * 2000)], ids=["ICMP", "a later fragment", "GRE"])
def test_nothing_but_tcp_and_udp_is_a_super_frame(packet: Packet) -> None:
    assert c.parse(bytes(packet), vnet(kind=1, size=1400, offset=2))["flaw"] == "BAD_OFFLOAD"


def test_a_super_frame_is_read_although_its_payload_lies_beyond_the_slot() -> None:
    packet = bytes(ETHER / V4 / TCP(sport=1, dport=2) / Raw(b"x" * 60_000))
    seen = c.parse(packet, vnet(kind=1, size=1400))
    assert (seen["flaw"], seen["l4_len"], seen["dport"]) == (None, 60_020, 2)


@pytest.mark.parametrize("options", [b"\x07", b"\x07\x00", b"\x07\x01", b"\x07\x09\x04", b"\x01\x01\x01\x44"])
def test_options_that_cannot_be_walked_to_their_end_count_as_a_source_route(options: bytes) -> None:
    assert c.ipv4_options_route(options)


@pytest.mark.parametrize("options", [b"", b"\x00\x83\x03", b"\x01\x01\x01\x00", b"\x07\x03\x04\x00"])
def test_options_without_a_source_route_are_allowed(options: bytes) -> None:
    assert not c.ipv4_options_route(options)

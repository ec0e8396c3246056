"""A super-frame is cut in software as scapy builds its frames one by one."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, PadN
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from swlb import _testing as c
from tests.ext.values import naive_checksum
from tests.oracle.checksum import flaws
from tests.oracle.pieces import super_frame, wire_frames

ETHER = Ether(src="02:aa:00:00:00:01", dst="02:aa:00:00:00:02")
HEADS = {0: lambda kind: bytes(ETHER.__class__(src=ETHER.src, dst=ETHER.dst, type=kind)),
         1: lambda kind: bytes(ETHER / Dot1Q(vlan=7, type=kind)),
         2: lambda kind: bytes(ETHER / Dot1AD(vlan=9) / Dot1Q(vlan=7, type=kind))}
KINDS = {4: 0x0800, 6: 0x86DD}
ENDS4, ENDS6 = {"src": "10.0.1.10", "dst": "10.0.2.11"}, {"src": "fd00:1::10", "dst": "fd00:2::11"}
OPTIONS = [[], [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))], [("MSS", 1460), ("SAckOK", b"")]]
GUE = {4: b"\0\4\0\0", 6: b"\0\x29\0\0"}      # variant 0, no flags; the protocol of what it carries
TUNNELS = ("none", "ip4", "ip6", "gue4", "gue6")     # GUE over IPv4 has no checksum, as swlb makes it


def tunnel_of(name: str, version: int) -> Packet | None:
    """The headers of a tunnel around a packet of that version; lengths and checksums are scapy's to fill in."""
    if name == "none":
        return None
    carried = 4 if version == 4 else 41
    outer4 = IP(src="192.0.2.1", dst="192.0.2.2", id=65530, flags="DF", proto=carried)
    outer6 = IPv6(src="2001:db8::1", dst="2001:db8::2", nh=carried, fl=0x12345)
    if not name.startswith("gue"):
        return outer4 if name == "ip4" else outer6
    outer = outer4 if name == "gue4" else outer6
    outer = outer.copy()
    outer.fields.pop("proto" if name == "gue4" else "nh")
    fields = {"chksum": 0} if name == "gue4" else {}
    return outer / UDP(sport=50000, dport=6080, **fields) / Raw(GUE[version])


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """A TCP segment or datagram of any length an IP packet may have."""
    if draw(st.sampled_from((4, 6))) == 4:
        ip = IP(**ENDS4, id=draw(st.integers(0, 65535)), ttl=draw(st.integers(1, 255)),
                flags=draw(st.sampled_from(("", "DF"))), options=draw(st.sampled_from(([], [IPOption_NOP()]))))
    else:
        ip = IPv6(**ENDS6, fl=draw(st.integers(0, 2**20 - 1)), tc=draw(st.integers(0, 255)))
        if draw(st.booleans()):
            ip = ip / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    if draw(st.booleans()):
        l4 = TCP(sport=draw(st.integers(1, 65535)), dport=80, seq=draw(st.integers(0, 2**32 - 1)),
                 flags=draw(st.integers(0, 255)), options=draw(st.sampled_from(OPTIONS)))
    else:
        l4 = UDP(sport=draw(st.integers(1, 65535)), dport=draw(st.integers(1, 65535)))
    n = draw(st.one_of(st.integers(0, 300), st.integers(0, 65400)))
    seed = draw(st.binary(min_size=16, max_size=16))
    return ip / l4 / Raw((seed * (n // 16 + 1))[:n])


def framed(packet: Packet, n_tags: int, tunnel: str) -> tuple[bytes, Packet | None, bytes]:
    """What is in front of the packet: Ethernet and tags, the tunnel as scapy has it, and its bytes for the whole."""
    raw = bytes(packet)
    # A packet of 64 KiB has no room for a tunnel.
    outer = tunnel_of(tunnel, raw[0] >> 4) if len(raw) < 65000 else None
    version = raw[0] >> 4 if outer is None else outer.version
    return HEADS[n_tags](KINDS[version]), outer, bytes(outer / raw)[:-len(raw)] if outer is not None else b""


@settings(max_examples=400, deadline=None)
@given(packet=packets(), size=st.one_of(st.integers(1, 100), st.integers(500, 9000)), n_tags=st.integers(0, 2),
       tunnel=st.sampled_from(TUNNELS))
def test_the_pieces_are_the_frames_that_scapy_builds(packet, size, n_tags, tunnel):
    size = max(size, len(packet) // 200)      # scapy takes its time
    head, outer, raw = framed(packet, n_tags, tunnel)
    offload, frame = super_frame(head, packet, size, outer=raw)
    assert c.pieces(frame, offload, len(raw)) == wire_frames(head, packet, size, outer=outer)


@settings(max_examples=200, deadline=None)
@given(packet=packets(), n_tags=st.integers(0, 2), tunnel=st.sampled_from(TUNNELS))
def test_a_partial_checksum_is_completed_and_nothing_else_changed(packet, n_tags, tunnel):
    head, outer, raw = framed(packet, n_tags, tunnel)
    offload, frame = super_frame(head, packet, 0, outer=raw)
    assert c.pieces(frame, offload, len(raw)) == wire_frames(head, packet, 0, outer=outer)


@pytest.mark.parametrize("packet", [IP(**ENDS4) / ICMP(id=7) / Raw(b"ping"),
                                    IPv6(**ENDS6) / ICMPv6EchoRequest(id=7) / Raw(b"ping")], ids=["ICMP", "ICMPv6"])
def test_a_partial_checksum_of_an_echo_is_completed(packet):
    right = bytes(ETHER / packet)
    start, off = (34, 2) if IP in packet else (54, 2)
    raw = bytearray(right)
    partial = 0 if IP in packet else pseudo_sum(bytes(packet))
    struct.pack_into("!H", raw, start + off, partial)
    assert c.pieces(bytes(raw), struct.pack("<BBHHHH", 1, 0, 0, 0, start, off)) == [right]


def pseudo_sum(packet: bytes) -> int:
    total = sum(struct.unpack("!16H", packet[8:40])) + len(packet) - 40 + 58
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("l4", [TCP(flags="PA"), UDP()], ids=["TCP", "UDP"])
@pytest.mark.parametrize("size", [0, 100])
def test_a_checksum_that_was_wrong_stays_wrong(l4, size):
    packet = IP(**ENDS4) / l4 / Raw(b"x" * 300)
    offload, frame = super_frame(bytes(ETHER / packet)[:14], packet, size)
    at = 14 + 20 + (6 if isinstance(l4, UDP) else 16)
    spoilt = frame[:at] + bytes([frame[at] ^ 0x10]) + frame[at + 1:]
    assert all(flaws(piece[14:]) != [] for piece in c.pieces(spoilt, offload))
    assert all(flaws(piece[14:]) == [] for piece in c.pieces(frame, offload))


def test_a_datagram_whose_sum_is_zero_is_sent_as_all_ones():
    packet = IP(**ENDS4) / UDP(sport=1, dport=2) / Raw(b"\0\0")
    missing = int.from_bytes(bytes(packet)[26:28], "big")
    packet[Raw].load = missing.to_bytes(2, "big")
    del packet[UDP].chksum
    offload, frame = super_frame(bytes(ETHER / packet)[:14], packet, 0)
    (piece,) = c.pieces(frame, offload)
    assert piece[14 + 26:14 + 28] == b"\xff\xff"


def test_padding_behind_a_super_frame_is_not_payload():
    packet = IP(**ENDS4) / TCP(flags="A") / Raw(b"x" * 250)
    head = bytes(ETHER / packet)[:14]
    offload, frame = super_frame(head, packet, 100)
    assert c.pieces(frame + b"padding", offload) == wire_frames(head, packet, 100)


def test_padding_behind_a_packet_is_carried_and_not_summed():
    packet = IP(**ENDS4) / UDP() / Raw(b"x")
    offload, frame = super_frame(bytes(ETHER / packet)[:14], packet, 0)
    assert c.pieces(frame + b"padding", offload) == [bytes(ETHER / packet) + b"padding"]


@pytest.mark.parametrize(("start", "offset"), [(20, 4), (21, 4), (20, 5)])
def test_a_partial_checksum_of_a_protocol_unknown_here_is_completed(start, offset):
    frame = bytes(Ether(src=ETHER.src, dst=ETHER.dst, type=0x88B5)) + bytes(range(40))
    (piece,) = c.pieces(frame, struct.pack("<BBHHHH", 1, 0, 0, 0, start, offset))
    at = start + offset
    assert piece == frame[:at] + naive_checksum(frame[start:]) + frame[at + 2:]


GOOD = IP(**ENDS4) / TCP(flags="A") / Raw(b"x" * 250)
NEEDS_CSUM, TCPV4, TCPV6, UDP_L4 = 1, 1, 4, 5


@pytest.mark.parametrize("offload", [
    (NEEDS_CSUM, TCPV4, 54, 0, 34, 16), (0, TCPV4, 54, 100, 34, 16), (NEEDS_CSUM, TCPV6, 54, 100, 34, 16),
    (NEEDS_CSUM, UDP_L4, 54, 100, 34, 6), (NEEDS_CSUM, 3, 54, 100, 34, 16), (NEEDS_CSUM, TCPV4, 54, 100, 35, 16),
    (NEEDS_CSUM, TCPV4, 54, 100, 34, 6), (NEEDS_CSUM, 0, 0, 0, 303, 0), (NEEDS_CSUM, 0, 0, 0, 13, 2),
    (NEEDS_CSUM, 0, 0, 0, 65535, 65535)], ids=str)
def test_an_offload_header_that_contradicts_the_frame_is_refused(offload):
    frame = bytes(ETHER / GOOD)
    assert len(frame) == 304
    assert c.pieces(frame, struct.pack("<BBHHHH", *offload)) is None


@pytest.mark.parametrize("change", [{"flags": "MF"}, {"frag": 3}, {"chksum": 1}, {"len": 10_000}, {"ihl": 4}], ids=str)
def test_what_is_no_whole_packet_is_not_cut(change):
    packet = IP(**ENDS4, **change) / TCP(flags="A") / Raw(b"x" * 250)
    frame = bytes(ETHER / packet)
    assert c.pieces(frame, struct.pack("<BBHHHH", NEEDS_CSUM, TCPV4, 54, 100, 34, 16)) is None


@pytest.mark.parametrize("outer_len", [60, 200, 255])
def test_outer_headers_that_are_not_there_are_not_looked_for(outer_len):
    frame = bytes(ETHER / IP(**ENDS4) / TCP(flags="A"))
    assert c.pieces(frame, struct.pack("<BBHHHH", NEEDS_CSUM, TCPV4, 54, 100, 34, 16), outer_len) is None

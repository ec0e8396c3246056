"""Frames that somebody mangled on purpose: nothing mangled is forwarded, everything is counted."""

import random
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from .network import Network
from .shapes import V4, V6, router

CLIENT, WEB, SWLB = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "02:00:00:00:00:01"
TO_SWLB = Ether(src=CLIENT, dst=SWLB)

WHOLE: dict[str, Packet] = {
    "ARP for a VIP": Ether(src=CLIENT, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=CLIENT, psrc=V4.client, pdst=V4.vip),
    "ND for a VIP": Ether(src=CLIENT, dst="33:33:ff:00:01:00") / IPv6(src=V6.client, dst="ff02::1:ff00:100", hlim=255)
    / ICMPv6ND_NS(tgt=V6.vip) / ICMPv6NDOptSrcLLAddr(lladdr=CLIENT),
    "TCP to a VIP": TO_SWLB / IP(src=V4.client, dst=V4.vip)
    / TCP(sport=1024, dport=80, flags="S", options=[("MSS", 1460)]),
    "TCP to an IPv6 VIP": TO_SWLB / IPv6(src=V6.client, dst=V6.vip) / TCP(sport=1024, dport=80, flags="S"),
    "UDP routed": TO_SWLB / IP(src=V4.client, dst=V4.server) / UDP(sport=1, dport=2) / b"payload",
    "UDP routed behind options": TO_SWLB / IP(src=V4.client, dst=V4.server, options=[IPOption_RR()])
    / UDP() / b"payload",
    "UDP routed behind extensions": TO_SWLB / IPv6(src=V6.client, dst=V6.server) / IPv6ExtHdrHopByHop()
    / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / b"payload",
    "echo to a VIP": TO_SWLB / IP(src=V4.client, dst=V4.vip) / ICMP() / b"payload",
    "echo to an IPv6 VIP": TO_SWLB / IPv6(src=V6.client, dst=V6.vip) / ICMPv6EchoRequest(data=b"payload"),
    "priority-tagged": Ether(src=CLIENT, dst=SWLB) / Dot1Q(vlan=0) / IP(src=V4.client, dst=V4.server)
    / UDP() / b"payload",
}


def lan() -> Network:
    """Client and server are known to swlb, and nobody else is there."""
    net = router(icmp_errors=0)
    for port, mac, addresses in (("client", CLIENT, (V4.client, V6.client)), ("web1", WEB, (V4.server, V6.server))):
        net.station(port, *addresses, mac=mac).greet()
    net.discard()
    return net


def counted(net: Network) -> int:
    return sum(net.drops().values())


@pytest.mark.parametrize("case", WHOLE)
def test_the_whole_frame_is_forwarded_or_answered(case):
    net = lan()
    net.send("client", WHOLE[case])
    assert len(net.take("client")) + len(net.take("web1")) == 1
    assert net.drops() == {}


@pytest.mark.parametrize("case", WHOLE)
def test_cut_short_anywhere_it_goes_nowhere_and_counts_once(case):
    whole = bytes(WHOLE[case])
    net = lan()
    for length in range(len(whole)):
        net.send("client", whole[:length])
        net.expect_silence()
        assert counted(net) == 1, f"{length} bytes of {whole.hex()}"


@pytest.mark.parametrize("case", ["TCP to a VIP", "UDP routed", "UDP routed behind options"])
def test_any_one_bit_wrong_in_the_ipv4_header_stops_it(case):
    whole = bytes(WHOLE[case])
    header_len = (whole[14] & 15) * 4
    net = lan()
    for bit in range(header_len * 8):
        mangled = bytearray(whole)
        mangled[14 + bit // 8] ^= 1 << (bit % 8)
        net.send("client", bytes(mangled))
        net.expect_silence()
        assert counted(net) == 1, f"bit {bit} of {whole.hex()}"


SUPER = struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16)
CONTRADICTIONS = {
    "a checksum start elsewhere": struct.pack("<BBHHHH", 1, 0, 0, 0, 33, 16),
    "a checksum start beyond the frame": struct.pack("<BBHHHH", 1, 0, 0, 0, 0xFFFF, 16),
    "the offset of UDP's checksum": struct.pack("<BBHHHH", 1, 0, 0, 0, 34, 6),
    "segments without a partial checksum": struct.pack("<BBHHHH", 0, 1, 54, 1448, 0, 0),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
@pytest.mark.parametrize("dst", [V4.server, V4.vip])
def test_an_offload_header_that_contradicts_the_packet_stops_it(dst, case):
    net = lan()
    net.send("client", TO_SWLB / IP(src=V4.client, dst=dst) / TCP(sport=1024, dport=80, flags="S"),
             offload=CONTRADICTIONS[case])
    net.expect_silence()
    assert net.drops() == {"bad_offload": 1}


def test_a_super_frame_whose_headers_are_not_where_its_offload_header_says_is_stopped():
    net = lan()
    chain = b"\x3c\xff" + bytes(2046) + b"\x06\x00" + bytes(6)
    net.send("client", TO_SWLB / IPv6(src=V6.client, dst=V6.server, nh=60) / (chain + bytes(TCP()) + bytes(3000)),
             offload=SUPER)
    net.expect_silence()
    assert net.drops() == {"bad_offload": 1}


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_behind_sound_addresses_neither_stop_nor_confuse_the_switch(seed):
    chance = random.Random(seed)
    net = lan()
    for _ in range(250):
        head = bytes(TO_SWLB)[:12] + chance.choice([b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x81\x00", b"\x88\xa8"])
        net.send("client", head + chance.randbytes(chance.randrange(1600)), offload=chance.choice([bytes(10), SUPER]))
    net.discard()
    for case, frame in WHOLE.items():
        net.send("client", frame)
        assert len(net.take("client")) + len(net.take("web1")) == 1, f"{case} after seed {seed}"


@pytest.mark.parametrize("seed", range(5))
def test_mutated_frames_leave_sound_checksums_or_not_at_all(seed):
    """An IPv4 header that swlb sends on or answers with is right, whatever came in."""
    chance = random.Random(seed)
    net = lan()
    wholes = [bytes(frame) for frame in WHOLE.values()]
    for _ in range(300):
        mangled = bytearray(chance.choice(wholes))
        for _ in range(chance.randrange(1, 4)):
            mangled[chance.randrange(12, len(mangled))] = chance.randrange(256)
        net.send("client", bytes(mangled))
        for frame in net.take("web1"):
            if frame.type == 0x0800:
                header = bytes(frame)[14:14 + (bytes(frame)[14] & 15) * 4]
                assert folded(sum(struct.unpack(f"!{len(header) // 2}H", header))) == 0xFFFF, f"seed {seed}"


def folded(total: int) -> int:
    """A one's complement sum, folded."""
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return total

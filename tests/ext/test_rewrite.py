"""Rewritten packets against the same packets built anew by scapy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from swlb import _testing as c
from tests.ext.values import folded, ip, naive_sum

ETHER = Ether(src="02:aa:00:00:00:01", dst="02:00:00:00:00:01")
NO_OFFLOAD = bytes(10)
SRC, DST = 0, 1
PORTS = st.integers(0, 65535)
PAYLOADS = st.binary(max_size=99)
HOSTS = {4: st.ip_addresses(v=4).map(str),
         6: st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None).map(str)}


def built(version: int, kind: type, src: str, dst: str, sport: int, dport: int, payload: bytes) -> bytes:
    l3 = (IP if version == 4 else IPv6)(src=src, dst=dst)
    return bytes(ETHER / l3 / kind(sport=sport, dport=dport) / Raw(payload))


def same(a: bytes, b: bytes) -> bool:
    """Whether packets are equal but for a checksum that is 0 in one and 0xFFFF in the other: both are nought."""
    pairs = [(a[i:i + 2], b[i:i + 2]) for i in range(0, len(a), 2)]
    return len(a) == len(b) and all(x == y or {x, y} == {b"\0\0", b"\xff\xff"} for x, y in pairs)


@pytest.mark.parametrize("kind", [TCP, UDP])
@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=60)
@given(data=st.data())
def test_a_rewritten_packet_is_the_one_its_new_ends_would_have_built(version: int, kind: type,
                                                                     data: st.DataObject) -> None:
    hosts, ports = [data.draw(HOSTS[version]) for _ in range(4)], [data.draw(PORTS) for _ in range(4)]
    payload = data.draw(PAYLOADS)
    frame = built(version, kind, *hosts[:2], *ports[:2], payload)
    vnet, once = c.rewrite(frame, NO_OFFLOAD, SRC, ip(hosts[2]), ports[2])
    vnet, twice = c.rewrite(once, vnet, DST, ip(hosts[3]), ports[3])
    assert same(once, built(version, kind, hosts[2], hosts[1], ports[2], ports[1], payload))
    assert same(twice, built(version, kind, *hosts[2:], *ports[2:], payload))
    assert vnet == NO_OFFLOAD


@pytest.mark.parametrize("kind", [TCP, UDP])
@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=60)
@given(data=st.data())
def test_a_restored_packet_is_the_one_that_came_in(version: int, kind: type, data: st.DataObject) -> None:
    hosts, ports = [data.draw(HOSTS[version]) for _ in range(4)], [data.draw(PORTS) for _ in range(4)]
    frame = built(version, kind, *hosts[:2], *ports[:2], data.draw(PAYLOADS))
    assert same(c.restore(frame, NO_OFFLOAD, ip(hosts[2]), ip(hosts[3]), *ports[2:])[1], frame)


def test_a_wrong_checksum_stays_as_wrong_as_it_was() -> None:
    frame = bytes(ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2, chksum=0x1234) / Raw(b"x"))
    right = bytes(ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"x"))
    error = difference(frame, right)
    after = [c.rewrite(f, NO_OFFLOAD, DST, ip("192.0.2.7"), 999)[1] for f in (frame, right)]
    assert difference(*after) == error


def difference(a: bytes, b: bytes) -> int:
    return (naive_sum(a[40:42]) - naive_sum(b[40:42])) % 0xFFFF


def test_udp_without_a_checksum_stays_without_one_over_ipv4() -> None:
    frame = bytes(ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2, chksum=0) / Raw(b"x"))
    assert c.rewrite(frame, NO_OFFLOAD, SRC, ip("192.0.2.7"), 999)[1][40:42] == b"\0\0"


def test_a_udp_checksum_that_comes_out_as_nought_is_sent_as_ffff() -> None:
    frame = built(4, UDP, "10.0.0.1", "10.0.0.2", 1, 2, b"")
    # With a port that is larger by the checksum, the sum of all words is 0xFFFF, and the checksum its complement.
    port = (1 + int.from_bytes(frame[40:42], "big")) % 0xFFFF
    assert c.rewrite(frame, NO_OFFLOAD, SRC, ip("10.0.0.1"), port)[1][40:42] == b"\xff\xff"


@pytest.mark.parametrize(("version", "kind", "start", "offset"), [
    (4, TCP, 34, 16), (4, UDP, 34, 6), (6, TCP, 54, 16), (6, UDP, 54, 6)])
def test_a_partial_checksum_follows_the_addresses_only(version: int, kind: type, start: int, offset: int) -> None:
    hosts = ("10.0.0.1", "10.0.0.2", "192.0.2.7") if version == 4 else ("fd00::1", "fd00::2", "2001:db8::7")
    frame, vnet = partial(built(version, kind, *hosts[:2], 1, 2, b"payload"), version, kind, start, offset)
    want, _ = partial(built(version, kind, hosts[0], hosts[2], 1, 999, b"payload"), version, kind, start, offset)
    assert c.rewrite(frame, vnet, DST, ip(hosts[2]), 999) == (vnet, want)


@pytest.mark.parametrize(("version", "kind", "start", "offset"), [
    (4, TCP, 34, 16), (4, UDP, 34, 6), (6, TCP, 54, 16), (6, UDP, 54, 6)])
def test_a_partial_checksum_is_completed_to_the_one_scapy_computes(version: int, kind: type, start: int,
                                                                   offset: int) -> None:
    hosts = ("10.0.0.1", "10.0.0.2") if version == 4 else ("fd00::1", "fd00::2")
    whole = built(version, kind, *hosts, 1, 2, b"payload")
    assert c.checksum_complete(*partial(whole, version, kind, start, offset)) == (NO_OFFLOAD, whole)


@pytest.mark.parametrize(("packet", "start"), [
    (IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / Raw(b"ping"), 34),
    (IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest(data=b"ping"), 54)], ids=["ICMP", "ICMPv6"])
def test_the_checksum_of_an_echo_is_completed_where_icmp_has_it(packet: Packet, start: int) -> None:
    whole = bytes(ETHER / packet)
    l3 = packet.__class__(bytes(packet))
    pseudo = 0 if start == 34 else pseudo_sum(ip(l3.src), ip(l3.dst), 58, len(whole) - start)
    frame = whole[:start + 2] + pseudo.to_bytes(2, "big") + whole[start + 4:]
    assert c.checksum_complete(frame, offload(start, 2)) == (NO_OFFLOAD, whole)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("ttl", [2, 64, 255])
def test_a_lowered_ttl_is_that_of_the_packet_built_with_it(version: int, ttl: int) -> None:
    def packet(hops: int) -> bytes:
        l3 = (IP(src="10.0.0.1", dst="10.0.0.2", ttl=hops) if version == 4
              else IPv6(src="fd00::1", dst="fd00::2", hlim=hops))
        return bytes(ETHER / l3 / UDP() / Raw(b"x"))

    assert same(c.ttl_change(packet(ttl), -1), packet(ttl - 1))


def test_a_later_fragment_keeps_its_bytes_but_for_the_address() -> None:
    def packet(dst: str) -> bytes:
        return bytes(ETHER / IP(src="10.0.0.1", dst=dst, frag=100, proto=17) / Raw(bytes(range(40))))

    assert c.rewrite(packet("10.0.0.2"), NO_OFFLOAD, DST, ip("192.0.2.7"), 999)[1] == packet("192.0.2.7")


def offload(start: int, offset: int) -> bytes:
    return b"\x01" + bytes(5) + start.to_bytes(2, "little") + offset.to_bytes(2, "little")


def pseudo_sum(src: bytes, dst: bytes, protocol: int, n: int) -> int:
    hosts = src + dst if src[:10] != bytes(10) else src[12:] + dst[12:]
    return folded(naive_sum(hosts) + protocol + n)


def partial(frame: bytes, version: int, kind: type, start: int, offset: int) -> tuple[bytes, bytes]:
    """The frame with the pseudo-header's sum for a checksum, and the offload header that says so."""
    l3 = Ether(frame)[IP if version == 4 else IPv6]
    check = pseudo_sum(ip(l3.src), ip(l3.dst), 6 if kind is TCP else 17, len(frame) - start)
    at = start + offset
    return frame[:at] + check.to_bytes(2, "big") + frame[at + 2:], offload(start, offset)

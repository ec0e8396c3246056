"""Headers and messages that swlb builds, as scapy would build them; and which of others' it believes."""

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from swlb import _testing as c
from tests.ext.values import ip, mac

US, THEM, NOBODY = "02:00:00:00:00:01", "02:aa:00:00:00:01", "00:00:00:00:00:00"
GROUP, GROUP_MAC = "ff02::1:ff22:3344", "33:33:ff:22:33:44"
NS = ICMPv6ND_NS(tgt="fd00::1")
SOURCE = ICMPv6NDOptSrcLLAddr(lladdr=THEM)


@pytest.mark.parametrize(("oper", "target"), [(1, NOBODY), (2, THEM)])
def test_an_arp_message_is_the_one_scapy_builds(oper: int, target: str) -> None:
    want = Ether(src=US, dst=THEM) / ARP(op=oper, hwsrc=US, psrc="10.0.0.1", hwdst=target, pdst="10.0.0.2")
    assert c.arp_build(oper, mac(US), ip("10.0.0.1"), mac(target), ip("10.0.0.2"), mac(THEM)) == bytes(want)


def test_a_solicitation_is_the_one_scapy_builds() -> None:
    want = (Ether(src=US, dst=GROUP_MAC) / IPv6(src="fd00::1", dst=GROUP, hlim=255)
            / ICMPv6ND_NS(tgt="fd00::1122:3344") / ICMPv6NDOptSrcLLAddr(lladdr=US))
    assert c.nd_build(135, 0, mac(US), mac(GROUP_MAC), ip("fd00::1"), ip(GROUP), ip("fd00::1122:3344")) == bytes(want)


def test_an_advertisement_is_the_one_scapy_builds() -> None:
    want = (Ether(src=US, dst=THEM) / IPv6(src="fd00::1", dst="fd00::2", hlim=255)
            / ICMPv6ND_NA(tgt="fd00::1", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=US))
    assert c.nd_build(136, 0x60, mac(US), mac(THEM), ip("fd00::1"), ip("fd00::2"), ip("fd00::1")) == bytes(want)


def test_groups_have_the_addresses_that_the_rfcs_give_them() -> None:
    assert c.all_nodes() == ip("ff02::1")
    assert c.solicited_node(ip("fd00::1122:3344")) == ip(GROUP)
    assert c.group_mac(ip(GROUP)) == mac(GROUP_MAC)


def test_an_ipv4_header_is_the_one_scapy_builds() -> None:
    want = bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=6, tos=16, id=0, flags="DF", ttl=64, len=120))
    assert c.ipv4_build(ip("10.0.0.1"), ip("10.0.0.2"), 6, 16, 100) == want


def test_an_ipv6_header_is_the_one_scapy_builds() -> None:
    want = bytes(IPv6(src="fd00::1", dst="fd00::2", nh=58, plen=100, hlim=64))
    assert c.ipv6_build(ip("fd00::1"), ip("fd00::2"), 58, 100, 64) == want


@pytest.mark.parametrize(("address", "group"), [("01:00:5e:00:00:01", True), ("ff:ff:ff:ff:ff:ff", True),
                                                ("33:33:00:00:00:01", True), ("02:00:00:00:00:01", False)])
def test_a_group_is_known_by_the_first_bit_on_the_wire(address: str, group: bool) -> None:
    assert c.mac_is_group(mac(address)) == group


@pytest.mark.parametrize(("address", "reserved"), [
    ("01:80:c2:00:00:00", True), ("01:80:c2:00:00:0f", True), ("01:80:c2:00:00:10", False),
    ("01:80:c2:00:01:00", False), ("00:80:c2:00:00:00", False)])
def test_sixteen_addresses_are_reserved_for_link_local_protocols(address: str, reserved: bool) -> None:
    assert c.mac_is_reserved(mac(address)) == reserved


def test_a_mac_keeps_its_bytes() -> None:
    assert c.mac_store(c.mac_load(mac("02:03:04:05:06:07"))) == mac("02:03:04:05:06:07")


def solicitation(packet: Packet, *, hops: int = 255) -> bytes:
    return bytes(Ether(src=THEM, dst=GROUP_MAC) / IPv6(src="fd00::2", dst="ff02::1:ff00:1", hlim=hops) / packet)


def test_a_sound_solicitation_is_believed_and_its_mac_read() -> None:
    frame = solicitation(NS / SOURCE)
    assert c.nd_is_sound(frame)
    assert c.nd_mac(frame, 1) == mac(THEM)


def test_a_solicitation_without_an_option_names_no_mac() -> None:
    assert c.nd_is_sound(solicitation(NS))
    assert c.nd_mac(solicitation(NS), 1) == mac(NOBODY)


@pytest.mark.parametrize(("why", "frame"), [
    ("it came through a router", solicitation(NS / SOURCE, hops=254)),
    ("its code is not 0", solicitation(ICMPv6ND_NS(tgt="fd00::1", code=1) / SOURCE)),
    ("its checksum is wrong", solicitation(ICMPv6ND_NS(tgt="fd00::1", cksum=0x1234) / SOURCE)),
    ("its target is a group", solicitation(ICMPv6ND_NS(tgt="ff02::1") / SOURCE)),
    ("an option has no length", solicitation(NS / Raw(b"\x01\x00" + bytes(6)))),
    ("an option ends behind the message", solicitation(NS / Raw(b"\x01\x02" + bytes(6)))),
    ("half an option is there", solicitation(NS / Raw(b"\x01")))])
def test_a_solicitation_is_not_believed_when(why: str, frame: bytes) -> None:
    assert not c.nd_is_sound(frame), why


ICMP_ERRORS, ICMP_QUERIES = (3, 4, 5, 11, 12), (0, 8, 9, 10, 13, 14)


def test_errors_are_told_from_queries() -> None:
    assert all(map(c.icmp_is_error, ICMP_ERRORS))
    assert not any(map(c.icmp_is_error, ICMP_QUERIES))
    assert all(c.icmpv6_is_error(type_) for type_ in (1, 2, 3, 4, 127, 137))
    assert not any(c.icmpv6_is_error(type_) for type_ in (128, 129, 133, 134, 135, 136))

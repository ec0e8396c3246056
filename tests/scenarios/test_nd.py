"""Neighbour discovery for what is swlb's, and what it learns from that of others. RFC 4861 4.3, 4.4, 7.1, 7.2."""

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet

from .frames import assert_sound
from .network import Network
from .shapes import V6, router

A, OLD = "02:aa:00:00:00:01", "02:bb:00:00:00:99"
OTHER = "fd00:1::77"
ALL_NODES = "ff02::1"


def solicited_node(target: str) -> tuple[str, str]:
    """Group address and group MAC of a target; written out, as all targets here end in two known bytes."""
    last = int(target.rsplit(":", 1)[1], 16)
    return f"ff02::1:ff00:{last:x}", f"33:33:ff:00:{last >> 8:02x}:{last & 255:02x}"


def ask(target: str, src: str = V6.client, *, mac: str = A, hlim: int = 255, option: bool = True, **fields) -> Packet:
    group, group_mac = solicited_node(target)
    frame = Ether(src=mac, dst=group_mac) / IPv6(src=src, dst=group, hlim=hlim) / ICMPv6ND_NS(tgt=target, **fields)
    return frame / ICMPv6NDOptSrcLLAddr(lladdr=mac) if option else frame


def tell(target: str, dst: str, *, mac: str = A, to: str = "33:33:00:00:00:01", solicited: int = 0, override: int = 1,
         option: bool = True, src: str | None = None, router: int = 0) -> Packet:
    frame = (Ether(src=mac, dst=to) / IPv6(src=src or target, dst=dst, hlim=255)
             / ICMPv6ND_NA(R=router, S=solicited, O=override, tgt=target))
    return frame / ICMPv6NDOptDstLLAddr(lladdr=mac) if option else frame


def lan() -> Network:
    return router(outside=("client", "other"), host=True)


@pytest.mark.parametrize("target", [V6.outside, V6.vip])
def test_a_solicitation_for_an_address_of_swlb_or_a_vip_is_answered_and_not_passed_on(target):
    net = lan()
    net.send("client", ask(target))
    net.expect("client", tell(target, V6.client, mac=net.mac("outside"), to=A, solicited=1, router=1))
    net.expect_silence()
    assert net.drops() == {}


@pytest.mark.parametrize("target", [V6.outside, V6.vip])
def test_a_unicast_solicitation_without_the_senders_mac_is_answered(target):
    net = lan()
    net.send("client", Ether(src=A, dst=net.mac("outside")) / IPv6(src=V6.client, dst=target, hlim=255)
             / ICMPv6ND_NS(tgt=target))
    net.expect("client", tell(target, V6.client, mac=net.mac("outside"), to=A, solicited=1, router=1))
    assert net.neighbours() == {}


@pytest.mark.parametrize("target", [V6.outside, V6.vip])
def test_a_test_for_duplicates_is_answered_to_all_nodes(target):
    net = lan()
    net.send("client", ask(target, "::", option=False))
    net.expect("client", tell(target, ALL_NODES, mac=net.mac("outside"), router=1))
    assert net.neighbours() == {}


@pytest.mark.parametrize("target", [V6.outside, V6.vip])
def test_swlb_does_not_answer_on_another_segment(target):
    net = router(inside=("web1", "web2"))
    net.send("web1", ask(target, V6.server))
    net.expect("web2", ask(target, V6.server))
    net.expect_silence()


def test_a_solicitation_for_another_station_is_bridged():
    net = lan()
    net.send("client", ask(OTHER))
    net.expect("other", ask(OTHER))
    net.expect("outside-host", ask(OTHER))
    net.expect_silence()


def test_an_answer_to_the_kernel_twin_reaches_it():
    net = lan()
    frame = tell(V6.client, V6.outside, to=net.mac("outside"), solicited=1)
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect_silence()


def test_a_solicitation_on_a_vlan_is_for_somebody_else():
    net = lan()
    frame = ask(V6.vip)
    tagged = Ether(src=A, dst=frame.dst) / Dot1Q(vlan=7) / frame.payload
    net.send("client", tagged)
    net.expect("other", tagged)
    net.expect("client")


def test_options_swlb_does_not_know_are_passed_over():
    net = lan()
    net.send("client", ask(V6.vip, option=False) / ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce!")
             / ICMPv6NDOptSrcLLAddr(lladdr=A))
    assert net.take_one("client")[ICMPv6ND_NA].tgt == V6.vip
    assert net.neighbours() == {V6.client: (A, "REACHABLE")}


def test_a_solicitation_behind_extension_headers_is_answered():
    net = lan()
    frame = ask(V6.vip)
    net.send("client", Ether(src=A, dst=frame.dst) / IPv6(src=V6.client, dst=frame[IPv6].dst, hlim=255)
             / IPv6ExtHdrHopByHop() / frame[ICMPv6ND_NS])
    reply = net.take_one("client")
    assert reply[ICMPv6ND_NA].tgt == V6.vip
    assert_sound(reply)


def broken(frame: Packet, at: int, value: int) -> bytes:
    raw = bytearray(bytes(frame))
    raw[at] = value
    return bytes(raw)


DUPLICATE_TEST = ask(V6.vip, "::", option=False)
UNSOUND = {
    "hop limit 254": ask(V6.vip, hlim=254),
    "code 1": ask(V6.vip, code=1),
    "a wrong checksum": ask(V6.vip, cksum=0x1234),
    "an option of length 0": ask(V6.vip, option=False) / ICMPv6NDOptUnknown(type=14, len=0, data=b"123456"),
    "an option beyond the end": ask(V6.vip, option=False) / ICMPv6NDOptUnknown(type=14, len=9, data=b"123456"),
    "a group as target": Ether(src=A, dst="33:33:ff:00:00:01") / IPv6(src=V6.client, dst="ff02::1:ff00:1", hlim=255)
    / ICMPv6ND_NS(tgt=ALL_NODES),
    "no room for a target": Ether(src=A, dst="33:33:ff:00:01:00")
    / IPv6(src=V6.client, dst="ff02::1:ff00:100", hlim=255, nh=58) / bytes(ICMPv6ND_NS(tgt=V6.vip))[:20],
    "a test for duplicates with a MAC": ask(V6.vip, "::"),
    "a test for duplicates by unicast": Ether(src=A, dst="02:00:00:00:00:01") / IPv6(src="::", dst=V6.vip, hlim=255)
    / ICMPv6ND_NS(tgt=V6.vip),
    "a solicited answer to a group": tell(V6.client, ALL_NODES, solicited=1),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_what_rfc_4861_says_to_ignore_is_dropped(case):
    net = lan()
    net.send("client", UNSOUND[case])
    net.expect_silence()
    assert net.drops() == {"bad_nd": 1}
    assert net.neighbours() == {}


def test_who_asks_for_swlb_is_known_from_then_on():
    net = lan()
    net.send("client", ask(V6.vip))
    assert net.neighbours() == {V6.client: (A, "REACHABLE")}


SAID = {
    "an unasked announcement": tell(V6.client, ALL_NODES),
    "an answer": tell(V6.client, V6.outside, to="02:00:00:00:00:01", solicited=1),
    "an answer without a MAC": tell(V6.client, V6.outside, to="02:00:00:00:00:01", solicited=1, option=False),
    "a question for another station": ask(OTHER),
}


@pytest.mark.parametrize("case", SAID)
def test_an_unknown_sender_is_not_remembered_for(case):
    net = lan()
    net.send("client", SAID[case])
    assert net.neighbours() == {}


@pytest.mark.parametrize("case", [case for case in SAID if case != "an answer without a MAC"])
def test_a_known_sender_is_updated_by(case):
    net = lan()
    net.station("other", V6.client, mac=OLD).greet()
    net.send("client", SAID[case])
    assert net.neighbours() == {V6.client: (A, "STALE" if case == "an unasked announcement" else "REACHABLE")}


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "00:00:00:00:00:00"])
def test_a_group_or_zero_mac_within_is_not_believed(mac):
    net = lan()
    net.station("other", V6.client, mac=OLD).greet()
    net.send("client", ask(V6.vip, option=False) / ICMPv6NDOptSrcLLAddr(lladdr=mac))
    assert net.neighbours() == {V6.client: (OLD, "REACHABLE")}


@pytest.mark.parametrize("address", ["ff02::5", "::1"])
def test_a_target_that_cannot_be_is_not_believed(address):
    net = lan()
    net.send("client", tell(address, ALL_NODES, src=V6.client))
    assert net.neighbours() == {}


def test_an_answer_without_override_does_not_replace_a_mac_that_is_in_use():
    net = lan()
    net.station("other", V6.client, mac=OLD).greet()
    net.send("client", tell(V6.client, V6.outside, to=net.mac("outside"), solicited=1, override=0))
    assert net.neighbours() == {V6.client: (OLD, "STALE")}


def test_an_answer_without_override_is_believed_when_no_mac_is_known():
    net = lan()
    web = net.station("web1", V6.server)
    web.send(V6.udp(V6.server, V6.client))
    net.send("client", tell(V6.client, V6.outside, to=net.mac("outside"), solicited=1, override=0))
    assert net.neighbours()[V6.client] == (A, "REACHABLE")

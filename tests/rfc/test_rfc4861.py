"""RFC 4861: neighbour discovery for swlb's addresses and VIPs, and what swlb believes of others."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    in6_chksum,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils6 import in6_getnsma, in6_getnsmac

from tests.scenarios.frames import assert_sound
from tests.scenarios.network import Network
from tests.scenarios.shapes import V6, router

from .common import BYTES, WORDS, examples

A, B, OLD = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "02:bb:00:00:00:99"
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
ALL = 10
OWN_TARGETS = st.sampled_from((V6.outside, V6.vip))
# Options that nobody here knows: a nonce, MTU, redirected header, and what may come.
UNKNOWN_OPTIONS = st.lists(st.tuples(st.sampled_from((3, 4, 5, 14, 25, 138, 253)), st.integers(1, 3)), max_size=3)


def segment() -> Network:
    return router(outside=("client", "other"), host=True)


def group_of(target: str) -> tuple[str, str]:
    """The solicited-node address of the target, and its MAC."""
    group = in6_getnsma(ipaddress.IPv6Address(target).packed)
    return str(ipaddress.IPv6Address(group)), in6_getnsmac(group)


def with_options(message: Packet, options: list[tuple[int, int]]) -> Packet:
    for kind, words in options:
        message /= ICMPv6NDOptUnknown(type=kind, len=words, data=bytes(8 * words - 2))
    return message


def solicitation(target: str, *, src: str = V6.client, dst: str | None = None, mac: str | None = A,
                 options: list[tuple[int, int]] = (), hlim: int = 255, **fields: int | str) -> Packet:
    """A question for the target, to its group unless told."""
    group, group_mac = group_of(target)
    message = with_options(ICMPv6ND_NS(tgt=target, **fields), options)
    if mac:
        message /= ICMPv6NDOptSrcLLAddr(lladdr=mac)
    return Ether(src=A, dst=group_mac) / IPv6(src=src, dst=dst or group, hlim=hlim) / message


def advertisement(target: str, *, dst: str = V6.outside, mac: str | None = A, by: str = A,
                  hlim: int = 255, **fields: int) -> Packet:
    message = ICMPv6ND_NA(tgt=target, **{"R": 0, "S": 1, "O": 1, **fields})
    if mac:
        message /= ICMPv6NDOptDstLLAddr(lladdr=mac)
    return Ether(src=by, dst="02:00:00:00:00:01") / IPv6(src=target, dst=dst, hlim=hlim) / message


@examples(30)
@given(target=OWN_TARGETS, options=UNKNOWN_OPTIONS, reserved=st.integers(0, 2**32 - 1), known=st.booleans())
def test_section_7_1_1_what_is_reserved_or_unknown_in_a_solicitation_is_ignored(
        target: str, options: list[tuple[int, int]], reserved: int, known: bool) -> None:
    """Neither the reserved field nor options of other types keep a solicitation from being answered."""
    net = segment()
    net.send("client", solicitation(target, options=options, res=reserved, mac=A if known else None))
    answer = net.take_one("client")
    assert answer[ICMPv6ND_NA].tgt == target


FAULTS = ("hop limit", "checksum", "code", "short", "target", "empty option", "long option")


def faulty(frame: Packet, fault: str, value: int) -> bytes:
    """The message with just that fault, all else and the checksum right."""
    raw = bytearray(bytes(frame))
    at = 14 + 40
    if fault == "hop limit":
        raw[14 + 7] = value % 255
        return bytes(raw)
    if fault == "checksum":
        wrong = (int.from_bytes(raw[at + 2:at + 4], "big") + 1 + value % 0xFFFE) % 0xFFFF
        raw[at + 2:at + 4] = wrong.to_bytes(2, "big")
        return bytes(raw)
    if fault == "code":
        raw[at + 1] = 1 + value % 255
    elif fault == "short":
        raw = raw[:at + 8 + value % 16]
    elif fault == "target":
        raw[at + 8:at + 24] = b"\xff\x02" + bytes(13) + bytes((value % 256,))
    elif fault == "empty option":
        raw[at + 24 + 1] = 0
    else:
        raw[at + 24 + 1] = 2 + value % 250
    packet = IPv6(bytes(raw[14:54]))
    packet.plen = len(raw) - at
    del packet.payload
    whole = packet / bytes(raw[at:at + 2] + b"\0\0" + raw[at + 4:])
    check = in6_chksum(58, IPv6(src=packet.src, dst=packet.dst), bytes(whole)[40:])
    return bytes(raw[:14]) + bytes(whole)[:42] + check.to_bytes(2, "big") + bytes(whole)[44:]


@pytest.mark.parametrize("fault", FAULTS)
@examples(ALL)
@given(target=OWN_TARGETS, value=WORDS)
def test_section_7_1_1_an_unsound_solicitation_is_ignored(fault: str, target: str, value: int) -> None:
    """With any of the faults that the section names it is dropped, answered by nobody and teaches nothing."""
    net = segment()
    net.send("client", faulty(solicitation(target), fault, value))
    assert net.take("client") == []
    assert net.drops() in ({"bad_nd": 1}, {"bad_l4": 1})
    assert net.neighbours() == {}


@examples(ALL)
@given(target=OWN_TARGETS, mac=st.booleans())
def test_section_7_1_1_from_nobody_it_must_be_to_the_group_and_without_a_mac(target: str, mac: bool) -> None:
    """A solicitation from the unspecified address is sound only so."""
    net = segment()
    net.send("client", solicitation(target, src="::", mac=None if not mac else A, dst=None if mac else target))
    net.expect_silence()
    assert net.drops() == {"bad_nd": 1}


@pytest.mark.parametrize("fault", FAULTS)
@examples(ALL)
@given(value=WORDS)
def test_section_7_1_2_an_unsound_advertisement_is_ignored(fault: str, value: int) -> None:
    """With any of the faults that the section names it is dropped and teaches nothing."""
    net = segment()
    net.station("other", V6.client, mac=OLD).greet()
    net.send("client", faulty(advertisement(V6.client), fault, value))
    assert net.drops() in ({"bad_nd": 1}, {"bad_l4": 1})
    assert net.neighbours() == {V6.client: (OLD, "REACHABLE")}


@examples(ALL)
@given(override=st.integers(0, 1), router_flag=st.integers(0, 1))
def test_section_7_1_2_a_solicited_answer_is_for_one_alone(override: int, router_flag: int) -> None:
    """One to a group that says it was solicited is ignored."""
    net = segment()
    net.station("other", V6.client, mac=OLD).greet()
    net.send("client", advertisement(V6.client, dst=ALL_NODES, O=override, R=router_flag))
    assert net.drops() == {"bad_nd": 1}
    assert net.neighbours() == {V6.client: (OLD, "REACHABLE")}


@examples(ALL)
@given(host=st.integers(0x100, 0xFFFF), subnet=st.integers(1, 0xFFFF))
def test_section_7_2_2_who_is_asked_for_is_asked_in_his_group(host: int, subnet: int) -> None:
    """A solicitation goes to the solicited-node group, with swlb's MAC as an option, three times a second apart."""
    net = router(host=True)
    client = net.station("client", V6.client)
    client.greet()
    target = f"fd00:2::{subnet:x}:{host:x}"
    client.send(V6.udp(V6.client, target))
    group, group_mac = group_of(target)
    mac = net.mac("inside")
    wanted = (Ether(src=mac, dst=group_mac) / IPv6(src=V6.inside, dst=group, hlim=255) / ICMPv6ND_NS(tgt=target)
              / ICMPv6NDOptSrcLLAddr(lladdr=mac))
    net.expect("web1", wanted)
    net.wait(1.05)
    net.expect("web1", wanted)
    net.wait(3)
    net.expect("web1", wanted)
    assert len(net.take("client")) == 1


@examples(30)
@given(target=OWN_TARGETS, src=st.sampled_from((V6.client, "fd00:1::abcd", "fe80::1", "::")), unicast=st.booleans(),
       mac=st.booleans(), by=st.sampled_from((A, B)))
def test_section_7_2_4_an_answer_says_who_and_what_swlb_is(target: str, src: str, unicast: bool, mac: bool,
                                                          by: str) -> None:
    """To the asker as solicited, to all nodes when that has no address; with MAC, override, and as a router."""
    net = segment()
    own = net.mac("outside")
    frame = solicitation(target, src=src, mac=by if mac and src != "::" else None,
                         dst=target if unicast and src != "::" else None)
    frame.src = by
    net.send("client", frame)
    nobody = src == "::"
    answer = net.take_one("client")
    assert bytes(answer) == bytes(
        Ether(src=own, dst=ALL_NODES_MAC if nobody else by)
        / IPv6(src=target, dst=ALL_NODES if nobody else src, hlim=255)
        / ICMPv6ND_NA(R=1, S=not nobody, O=1, tgt=target) / ICMPv6NDOptDstLLAddr(lladdr=own))
    assert_sound(answer)


class Twin:
    """Section 7.2.5 and appendix C once more, but that any answer with the MAC that is known is a sign of life."""

    def __init__(self) -> None:
        self.mac, self.state = OLD, "REACHABLE"

    def hears(self, mac: str | None, *, solicited: bool, override: bool) -> None:
        differs = mac is not None and mac != self.mac
        if differs and not override:
            self.state = "STALE" if self.state == "REACHABLE" else self.state
            return
        if differs:
            self.mac = mac
        self.state = "REACHABLE" if solicited or not differs else "STALE"


@examples(60)
@given(said=st.lists(st.tuples(st.sampled_from((A, B, OLD, None)), st.booleans(), st.booleans()), min_size=1,
                     max_size=8))
def test_section_7_2_5_an_advertisement_is_believed_as_far_as_its_flags_say(
        said: list[tuple[str | None, bool, bool]]) -> None:
    """Override replaces a MAC, without it a rival only casts doubt; who was not asked is to be probed."""
    net, twin = segment(), Twin()
    net.station("other", V6.client, mac=OLD).greet()
    for mac, solicited, override in said:
        net.send("client", advertisement(V6.client, mac=mac, by=B, S=solicited, O=override))
        twin.hears(mac, solicited=solicited, override=override)
        assert net.neighbours() == {V6.client: (twin.mac, twin.state)}


@examples(ALL)
@given(mac=st.sampled_from((A, None)), solicited=st.integers(0, 1), override=st.integers(0, 1))
def test_section_7_2_5_nobody_is_remembered_who_was_not_asked_for(mac: str | None, solicited: int,
                                                                 override: int) -> None:
    """An advertisement of a neighbour of which there is no entry makes none."""
    net = segment()
    net.send("client", advertisement(V6.client, mac=mac, S=solicited, O=override))
    assert net.neighbours() == {}


@examples(ALL)
@given(number=BYTES)
def test_section_7_2_5_without_a_mac_nobody_is_found(number: int) -> None:
    """While a MAC is looked for, an advertisement without one is discarded, and one with it ends the search."""
    net = router(host=True)
    client = net.station("client", V6.client)
    client.greet()
    target = f"fd00:2::1{number:02x}"
    client.send(V6.udp(V6.client, target))
    net.discard()
    frame = advertisement(target, dst=V6.inside, mac=None)
    frame.dst = net.mac("inside")
    net.send("web1", frame)
    assert net.neighbours()[target][1] == "INCOMPLETE"
    frame = advertisement(target, dst=V6.inside)
    frame.dst = net.mac("inside")
    net.send("web1", frame)
    assert net.neighbours()[target] == (A, "REACHABLE")
    assert net.take_one("web1").dst == A

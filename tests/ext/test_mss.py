"""The MSS of a SYN made smaller, against scapy; and options that nobody should send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from swlb import _testing as c
from tests.oracle.checksum import flaws

ETHER = Ether(src="02:aa:00:00:00:01", dst="02:00:00:00:00:01")
FAMILIES = {4: IP(src="10.0.1.10", dst="10.0.1.100"), 6: IPv6(src="fd00:1::10", dst="fd00:1::100")}
BOTH = pytest.mark.parametrize("version", [4, 6])
NEEDS_CSUM = b"\x01"
VALUES = st.integers(0, 65535)


def syn(version: int, options: list) -> Packet:
    """A SYN with right checksums and these options."""
    return Ether(bytes(ETHER / FAMILIES[version] / TCP(sport=1, dport=80, flags="S", options=options) / b"early"))


def raw(version: int, options: bytes) -> bytes:
    """The same with options as bytes, a multiple of four of them."""
    frame = ETHER / FAMILIES[version] / TCP(sport=1, dport=80, flags="S", dataofs=5 + len(options) // 4) / options
    return bytes(frame)


@BOTH
@given(offered=VALUES, most=VALUES, before=st.integers(0, 3))
def test_a_larger_one_becomes_the_most_there_may_be_and_a_smaller_one_stays(version, offered, most, before):
    # One no-op before it and it begins at an odd place.
    options = [("NOP", None)] * before
    frame = syn(version, [*options, ("MSS", offered), ("WScale", 7)])
    wanted = syn(version, [*options, ("MSS", min(offered, most)), ("WScale", 7)])
    assert c.mss_clamp(bytes(frame), most) == bytes(wanted)


@BOTH
@pytest.mark.parametrize("before", [0, 1])
def test_a_wrong_checksum_stays_as_wrong_as_it_was(version, before):
    frame = syn(version, [("NOP", None)] * before + [("MSS", 1460)])
    right = Ether(c.mss_clamp(bytes(frame), 1400))[TCP].chksum
    frame[TCP].chksum ^= 0x0100
    wrong = Ether(c.mss_clamp(bytes(frame), 1400))[TCP].chksum
    assert (wrong - right) % 0xFFFF in (0x0100, 0xFFFF - 0x0100)


@BOTH
def test_a_partial_checksum_is_left_to_be_summed(version):
    frame = syn(version, [("MSS", 1460)])
    start = 34 if version == 4 else 54
    vnet = NEEDS_CSUM + bytes(5) + start.to_bytes(2, "little") + (16).to_bytes(2, "little")
    seen = Ether(c.mss_clamp(bytes(frame), 1400, vnet))
    assert (seen[TCP].options, seen[TCP].chksum) == ([("MSS", 1400)], frame[TCP].chksum)


@BOTH
@pytest.mark.parametrize("options", [b"", b"\x01\x01\x01\x01", b"\x03\x03\x07\x00"])
def test_where_none_is_offered_none_is_added(version, options):
    frame = raw(version, options)
    assert c.mss_clamp(frame, 88) == frame


@BOTH
@pytest.mark.parametrize("options", [
    b"\x00\x02\x04\xff",            # behind the end
    b"\x02\x03\x05\xb4",            # of a length that none has
    b"\x02\x00\x05\xb4", b"\x05\x01\x02\x04\x05\xb4\x00\x00",       # a length that leads nowhere
    b"\x01\x01\x02\x04",            # cut off
    b"\x03\x20\x02\x04\x05\xb4\x00\x00",                            # one that is longer than the header
    b"\x01\x01\x01\x02"])
def test_options_that_cannot_be_walked_are_left_alone(version, options):
    frame = raw(version, options)
    assert c.mss_clamp(frame, 88) == frame


@BOTH
@given(words=st.integers(0, 10), data=st.data())
def test_whatever_the_options_are_nothing_but_them_and_the_checksum_changes(version, words, data):
    options = data.draw(st.binary(min_size=4 * words, max_size=4 * words))
    frame = raw(version, options)
    seen = c.mss_clamp(frame, 1000)
    at = 14 + (20 if version == 4 else 40)
    assert (seen[:at + 16], seen[at + 18:at + 20]) == (frame[:at + 16], frame[at + 18:at + 20])
    assert flaws(frame[14:]) == flaws(seen[14:]) == []

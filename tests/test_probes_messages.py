"""Which ICMP messages answer an echo request of swlb/probes/icmp.py; scapy builds them."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, ICMPerror, IPerror
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.packet import Raw

from swlb.probes.echo import Echo

ECHO4 = Echo(ip_address("10.0.2.11"), id=0x1234, seq=7, token=bytes(range(16)))
ECHO6 = Echo(ip_address("fd00:2::11"), id=0x1234, seq=7, token=bytes(range(16)))
TOKEN = bytes(range(16))


def reply4(*, id=0x1234, seq=7, token=TOKEN, kind=0) -> bytes:
    return bytes(IP(src="10.0.2.11", dst="10.0.2.1") / ICMP(type=kind, id=id, seq=seq) / Raw(token))


def error4(*, kind=3, code=1, dst="10.0.2.11", id=0x1234, token=TOKEN, ttl=9) -> bytes:
    quoted = IPerror(src="10.0.2.1", dst=dst, ttl=ttl, len=44) / ICMPerror(type=8, id=id, seq=7) / Raw(token)
    return bytes(IP(src="10.0.1.254", dst="10.0.2.1") / ICMP(type=kind, code=code) / quoted)


def reply6(*, id=0x1234, seq=7, token=TOKEN) -> bytes:
    return bytes(IPv6(src="fd00:2::11", dst="fd00:2::1") / ICMPv6EchoReply(id=id, seq=seq, data=token))[40:]


def error6(kind=ICMPv6DestUnreach, *, dst="fd00:2::11", id=0x1234) -> bytes:
    quoted = IPv6(src="fd00:2::1", dst=dst) / ICMPv6EchoRequest(id=id, seq=7, data=TOKEN)
    return bytes(IPv6(src="fd00:1::fe", dst="fd00:2::1") / kind(code=0) / quoted)[40:]


def test_the_requests_are_what_scapy_reads_as_echo_requests():
    sent4, sent6 = ICMP(ECHO4.request), ICMPv6EchoRequest(ECHO6.request)
    assert (sent4.type, sent4.code, sent4.id, sent4.seq, bytes(sent4.payload)) == (8, 0, 0x1234, 7, TOKEN)
    assert (sent6.type, sent6.code, sent6.id, sent6.seq, sent6.data) == (128, 0, 0x1234, 7, TOKEN)


def test_the_checksum_of_a_request_is_right():
    words = struct.unpack(f"!{len(ECHO4.request) // 2}H", ECHO4.request)
    assert sum(words) % 0xFFFF == 0


def test_no_two_echoes_are_alike():
    assert Echo(ECHO4.target).request != Echo(ECHO4.target).request


@pytest.mark.parametrize(("echo", "received"), [(ECHO4, reply4()), (ECHO6, reply6())], ids=["IPv4", "IPv6"])
def test_the_targets_own_reply_is_an_answer(echo, received):
    assert echo.judge(received, str(echo.target)).ok


@pytest.mark.parametrize(
    ("echo", "received", "sender"),
    [
        (ECHO4, reply4(), "10.0.2.12"),
        (ECHO4, reply4(id=0x1235), "10.0.2.11"),
        (ECHO4, reply4(seq=8), "10.0.2.11"),
        (ECHO4, reply4(token=bytes(16)), "10.0.2.11"),
        (ECHO4, reply4(token=TOKEN[:15]), "10.0.2.11"),
        (ECHO4, reply4(token=TOKEN + b"\0"), "10.0.2.11"),
        (ECHO4, reply4(kind=8), "10.0.2.11"),
        (ECHO6, reply6(), "fd00:2::12"),
        (ECHO6, reply6(id=1), "fd00:2::11"),
        (ECHO6, reply6(token=bytes(16)), "fd00:2::11"),
        (ECHO4, error4(dst="10.0.2.12"), "10.0.1.254"),
        (ECHO4, error4(id=1), "10.0.1.254"),
        (ECHO4, error4(token=bytes(16)), "10.0.1.254"),
        (ECHO4, error4(kind=5), "10.0.1.254"),
        (ECHO6, error6(dst="fd00:2::12"), "fd00:1::fe"),
        (ECHO6, error6(id=1), "fd00:1::fe"),
        (ECHO4, b"", "10.0.2.11"),
        (ECHO6, b"", "fd00:2::11"),
    ],
)
def test_a_message_about_something_else_is_no_answer(echo, received, sender):
    assert echo.judge(received, sender) is None


@pytest.mark.parametrize(
    ("echo", "received"),
    [
        (ECHO4, error4()),
        (ECHO4, error4(token=b"")),
        (ECHO4, error4(kind=11, code=0)),
        (ECHO6, error6()),
        (ECHO6, error6(ICMPv6TimeExceeded)),
    ],
    ids=["unreachable", "only 8 bytes quoted", "time exceeded", "IPv6 unreachable", "IPv6 time exceeded"],
)
def test_an_error_that_quotes_our_request_is_a_failure(echo, received):
    assert echo.judge(received, "10.0.1.254").ok is False


def test_a_failure_names_who_reported_it():
    detail = ECHO4.judge(error4(code=1), "10.0.1.254").detail
    assert detail == "10.0.1.254 answered for 10.0.2.11 with ICMP type 3 code 1"


@settings(deadline=None, print_blob=True)
@given(
    good=st.sampled_from([(ECHO4, reply4()), (ECHO4, error4()), (ECHO6, reply6()), (ECHO6, error6())]),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), max_size=6),
    cut=st.integers(0, 200),
)
def test_a_mangled_message_never_raises(good, flips, cut):
    echo, received = good
    mangled = bytearray(received)
    for at, flip in flips:
        mangled[at % len(mangled)] ^= flip
    echo.judge(bytes(mangled[:cut]), str(echo.target))

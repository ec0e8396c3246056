"""IPv4 packets in pieces: scapy puts them together again; and which options each carries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, defragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from swlb import _testing as c
from tests.oracle.checksum import flaws

ETHER = Ether(src="02:aa:00:00:00:01", dst="02:00:00:00:00:01")
HEAD = {"src": "10.0.1.10", "dst": "10.0.1.100", "id": 4711}


def packet(payload: bytes, **fields: object) -> Packet:
    return IP(bytes(IP(**HEAD, proto=253, **fields) / Raw(payload)))


def pieces(whole: Packet, most: int) -> list[Packet]:
    return [IP(raw[14:]) for raw in c.in_pieces(bytes(ETHER / whole), most)]


@settings(max_examples=150)
@given(payload=st.binary(min_size=9, max_size=3000), most=st.integers(28, 1500))
def test_put_together_again_they_are_the_packet(payload, most):
    whole = packet(payload)
    made = pieces(whole, most)
    assert all(len(piece) <= most and len(piece) == piece.len and flaws(bytes(piece)) == [] for piece in made)
    # None could have had eight bytes more, but for the last.
    assert all(len(piece) > most - 8 for piece in made[:-1])
    if len(made) > 1:
        together, = defragment(made)
        assert bytes(together)[20:] == payload
        assert (together.id, together.src, together.dst, together.proto) == (4711, "10.0.1.10", "10.0.1.100", 253)
    else:
        assert bytes(made[0]) == bytes(whole)


@settings(max_examples=100)
@given(payload=st.binary(min_size=100, max_size=2000), first=st.integers(60, 500), second=st.integers(28, 300))
def test_pieces_of_pieces_are_the_packet(payload, first, second):
    made = [piece for part in pieces(packet(payload), first) for piece in pieces(part, second)]
    assert [piece.frag * 8 for piece in made] == [sum(len(p) - 20 for p in made[:i]) for i in range(len(made))]
    assert [bool(piece.flags.MF) for piece in made] == [True] * (len(made) - 1) + [False]
    assert b"".join(bytes(piece)[20:] for piece in made) == payload


OPTIONS = st.lists(st.one_of(
    st.just(b"\x01"), st.just(b"\x07\x07\x04\x00\x00\x00\x00"), st.just(b"\x94\x04\x00\x00"),
    st.just(b"\xc4\x05abc"), st.just(b"\x88\x04\x12\x34")), max_size=6).filter(lambda o: len(b"".join(o)) <= 40)


@settings(max_examples=150)
@given(options=OPTIONS, ended=st.booleans())
def test_later_ones_carry_the_options_whose_first_bit_says_so(options, ended):
    raw = b"".join(options) + (b"\x00\x94\x04\x00\x00" if ended and len(b"".join(options)) <= 35 else b"")
    raw += bytes(-len(raw) % 4)
    head = bytearray(bytes(packet(b"")))
    head[0] = 0x45 + len(raw) // 4
    whole = IP(bytes(head) + raw + bytes(range(200)))
    whole.len = 20 + len(raw) + 200
    del whole.chksum
    first, *later = pieces(IP(bytes(whole)), 120)
    copied = b"".join(option for option in options if option[0] & 0x80)
    copied += bytes(-len(copied) % 4)
    assert bytes(first)[20:20 + len(raw)] == raw
    assert {bytes(piece)[20:piece.ihl * 4] for piece in later} == {copied}
    assert b"".join(bytes(piece)[piece.ihl * 4:] for piece in (first, *later)) == bytes(range(200))


@pytest.mark.parametrize(("whole", "most", "may"), [
    (packet(bytes(100)), 84, True), (packet(bytes(100)), 83, False), (packet(bytes(100), flags="DF"), 1000, False),
    (IPv6(src="fd00::1", dst="fd00::2") / UDP() / Raw(bytes(100)), 1280, False)])
def test_what_may_be_taken_apart_is_ipv4_without_df_whose_l4_header_stays_in_one_piece(whole, most, may):
    assert c.may_cut(bytes(ETHER / whole), most) == may

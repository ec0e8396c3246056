"""Checksums against RFC 1071 written down word by word."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb import _testing as c
from tests.ext.values import folded, in_memory, ip, naive_checksum, naive_sum

SEED = 1071
WORDS = st.integers(0, 0xFFFF)


def test_every_length_has_the_checksum_of_the_naive_sum() -> None:
    data = random.Random(SEED).randbytes(2051)
    for n in range(2051):
        assert in_memory(c.checksum_of(data[:n])) == naive_checksum(data[:n]), f"length {n}"


@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x80])
def test_carries_are_not_lost_however_many(byte: int) -> None:
    data = bytes([byte]) * 65535
    for n in (7, 8, 9, 63, 64, 65534, 65535):
        assert in_memory(c.checksum_of(data[:n])) == naive_checksum(data[:n])


def test_every_value_of_a_word_is_adjusted_as_if_recomputed() -> None:
    data = random.Random(SEED).randbytes(38)
    rest, old = naive_sum(data), 0x1234
    check = 0xFFFF ^ folded(rest + old)
    for new in range(0x10000):
        want = 0xFFFF ^ folded(rest + new)
        got = c.checksum_adjust(check, c.sum_change(old, new))
        assert got % 0xFFFF == want % 0xFFFF, f"{old:#x} to {new:#x}"


def test_every_old_value_of_a_word_is_adjusted_as_if_recomputed() -> None:
    rest, new = naive_sum(random.Random(SEED + 1).randbytes(38)), 0xFFFF
    for old in range(0x10000):
        check = 0xFFFF ^ folded(rest + old)
        got = c.checksum_adjust(check, c.sum_change(old, new))
        assert got % 0xFFFF == (0xFFFF ^ folded(rest + new)) % 0xFFFF, f"{old:#x} to {new:#x}"


@given(WORDS, WORDS, WORDS)
def test_a_partial_sum_gains_what_the_pseudo_header_gained(rest: int, old: int, new: int) -> None:
    partial = folded(rest + old)
    assert c.partial_adjust(partial, c.sum_change(old, new)) % 0xFFFF == folded(rest + new) % 0xFFFF


@given(WORDS, WORDS)
def test_a_change_and_its_opposite_leave_a_checksum_as_it_was(check: int, word: int) -> None:
    there = c.checksum_adjust(check, c.sum_change(0x0B0B, word))
    assert c.checksum_adjust(there, c.sum_change(word, 0x0B0B)) % 0xFFFF == check % 0xFFFF


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_unfolded_sums_may_be_folded_at_any_time(a: int, b: int) -> None:
    assert c.sum_fold(c.sum_add(a, b)) % 0xFFFF == (a + b) % 0xFFFF
    assert c.sum_fold(c.sum_add(a, b)) == 0 or a or b


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 255), st.integers(0, 65535))
def test_an_ipv4_pseudo_header_is_that_of_rfc_9293(src: object, dst: object, protocol: int, n: int) -> None:
    header = src.packed + dst.packed + struct.pack(">BBH", 0, protocol, n)
    assert c.sum_fold(c.sum_pseudo(ip(str(src)), ip(str(dst)), protocol, n)) % 0xFFFF == swapped(naive_sum(header))


@given(st.ip_addresses(v=6, network="fc00::/7"), st.ip_addresses(v=6, network="2000::/3"), st.integers(0, 255),
       st.integers(0, 2**20))
def test_an_ipv6_pseudo_header_is_that_of_rfc_8200(src: object, dst: object, protocol: int, n: int) -> None:
    header = src.packed + dst.packed + struct.pack(">IBBBB", n, 0, 0, 0, protocol)
    assert c.sum_fold(c.sum_pseudo(src.packed, dst.packed, protocol, n)) % 0xFFFF == swapped(naive_sum(header))


def swapped(word: int) -> int:
    """As a little-endian machine sees the word, modulo 0xFFFF."""
    return int.from_bytes(word.to_bytes(2, "big"), "little") % 0xFFFF

"""Sizes and places of C structs that wire formats, or a comment, promise."""

import pytest

from swlb import _testing_tables as c


@pytest.mark.parametrize(("struct", "size"), [
    ("eth_hdr", 14), ("arp_hdr", 28), ("ipv4_hdr", 20), ("ipv6_hdr", 40), ("ipv6_frag_hdr", 8), ("nd_msg", 32),
    ("icmp_hdr", 8), ("tcp_hdr", 20), ("udp_hdr", 8), ("vnet_hdr", 10), ("gue_hdr", 4),
    ("ip_t", 16)])
def test_a_struct_is_as_long_as_its_rfc_says(struct: str, size: int) -> None:
    assert c.SIZEOF[struct] == size


@pytest.mark.parametrize(("field", "offset"), [
    ("nd_msg.target", 8), ("nd_msg.mac", 26), ("ipv4_hdr.src", 12), ("ipv6_hdr.src", 8), ("arp_hdr.sender_ip", 14),
    ("tcp_hdr.checksum", 16), ("udp_hdr.checksum", 6), ("vnet_hdr.csum_start", 6)])
def test_a_field_lies_where_its_rfc_says(field: str, offset: int) -> None:
    assert c.OFFSETOF[field] == offset


def test_a_bucket_of_sessions_is_a_cache_line() -> None:
    assert c.SIZEOF["bucket_t"] == 64


def test_a_bucket_of_persistence_is_four_cache_lines_and_no_entry_lies_in_two() -> None:
    assert (c.SIZEOF["persists_bucket_t"], c.SIZEOF["persist_t"]) == (256, 32)


def test_an_ipv4_account_is_half_a_cache_line() -> None:
    assert c.OFFSETOF["account_t.client"] == 32


def test_an_ipv4_header_lies_on_a_boundary_of_eight_bytes() -> None:
    assert (c.LENGTHS["VNET_LEN"] + 14) % 8 == 0


def test_a_frame_s_description_fits_two_cache_lines() -> None:
    assert c.SIZEOF["frame_t"] <= 128

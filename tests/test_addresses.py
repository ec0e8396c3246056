"""Addresses to and from the fast path's 16 bytes."""

from ipaddress import ip_address, ip_network

import pytest

from swlb.addresses import endpoint_text, mac_text, packed, prefix_of_128, unpacked


@pytest.mark.parametrize("text", ["0.0.0.0", "10.0.1.100", "255.255.255.255", "::", "fd00::1", "::1"])
def test_an_address_survives_its_16_bytes(text):
    address = ip_address(text)
    assert len(packed(address)) == 16
    assert unpacked(packed(address)) == address


@pytest.mark.parametrize(
    ("network", "length"), [("0.0.0.0/0", 96), ("10.0.0.0/24", 120), ("::/0", 0), ("fd00::/64", 64)]
)
def test_a_prefix_is_counted_in_128_bits(network, length):
    assert prefix_of_128(ip_network(network)) == length


def test_an_ipv6_endpoint_is_in_brackets():
    assert endpoint_text(ip_address("fd00::1"), 80) == "[fd00::1]:80"
    assert endpoint_text(ip_address("10.0.0.1"), 80) == "10.0.0.1:80"


def test_a_mac_has_colons():
    assert mac_text(bytes.fromhex("02ab00ff0010")) == "02:ab:00:ff:00:10"

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb import _testing as c
from tests.ext.values import ip

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None)


@given(V4)
def test_ipv4_is_kept_as_a_mapped_address(address: ipaddress.IPv4Address) -> None:
    mapped = c.ip_of_v4(address.packed)
    assert mapped == ip(str(address))
    assert c.ip_is_v4(mapped)
    assert c.ip_v4(mapped) == address.packed


@given(V6)
def test_no_other_address_is_taken_for_ipv4(address: ipaddress.IPv6Address) -> None:
    assert not c.ip_is_v4(address.packed)


@pytest.mark.parametrize("almost", ["::", "::1", "::fffe:10.0.0.1", "::1:ffff:10.0.0.1", "1::ffff:10.0.0.1"])
def test_an_address_near_the_mapped_ones_is_not_ipv4(almost: str) -> None:
    assert not c.ip_is_v4(ip(almost))


@given(st.one_of(V4, V6), st.one_of(V4, V6))
def test_addresses_are_equal_when_all_bytes_are(a: ipaddress.IPv4Address, b: ipaddress.IPv4Address) -> None:
    assert c.ip_equal(ip(str(a)), ip(str(a)))
    assert c.ip_equal(ip(str(a)), ip(str(b))) == (ip(str(a)) == ip(str(b)))


@given(st.one_of(V4, V6))
def test_the_class_of_an_address_is_what_the_standard_library_says(address: ipaddress.IPv6Address) -> None:
    raw = ip(str(address))
    broadcast = address.version == 4 and int(address) == 0xFFFFFFFF
    assert c.ip_is_zero(raw) == address.is_unspecified
    assert c.ip_is_group(raw) == (address.is_multicast or broadcast)
    assert c.ip_is_loopback(raw) == address.is_loopback
    assert c.ip_is_link_local(raw) == address.is_link_local


@given(V6, V6, st.integers(0, 128))
def test_an_address_is_in_its_network(address: ipaddress.IPv6Address, other: ipaddress.IPv6Address, n: int) -> None:
    network = ipaddress.ip_network((address, n), strict=False)
    inside = c.ip_in(other.packed, network.network_address.packed, network.netmask.packed)
    assert inside == (other in network)
    assert c.ip_in(address.packed, network.network_address.packed, network.netmask.packed)


@pytest.mark.parametrize("sender", ["10.0.0.1", "192.0.2.255", "1.0.0.0", "fd00::1", "fe80::1", "2001:db8::"])
def test_an_ordinary_address_may_send(sender: str) -> None:
    assert c.ip_may_send(ip(sender))


@pytest.mark.parametrize("sender", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
                                    "255.255.255.255", "::", "::1", "ff02::1"])
def test_an_address_that_names_no_single_host_may_not_send(sender: str) -> None:
    assert not c.ip_may_send(ip(sender))

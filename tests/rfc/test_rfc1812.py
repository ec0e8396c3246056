"""RFC 1812: what a router does with IPv4, and which errors it sends (without fragmentation)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenarios.shapes import V4, router

from .common import (
    BYTES,
    IP,
    PAYLOADS,
    UDP,
    Packet,
    Raw,
    assert_error,
    built,
    echo,
    examples,
    heads,
    icmp_message,
    ipv4_options,
    lan,
    message,
    outer_flaws,
    transports,
    with_hops,
)

NOWHERE = "203.0.113.9"
# What no router forwards, as networks: source and destination alike (4.2.2.11, 4.2.3.1, 5.3.7; RFC 3927 7).
NO_HOSTS = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "169.254.0.0/16")
GROUP_MACS = st.binary(min_size=6, max_size=6).map(lambda raw: bytes((raw[0] | 1,)) + raw[1:])


def no_host() -> st.SearchStrategy[str]:
    """An address that names no single host."""
    return st.sampled_from(NO_HOSTS).flatmap(
        lambda network: st.ip_addresses(network=ipaddress.ip_network(network))).map(str)


@examples(40)
@given(data=st.data())
def test_section_4_2_2_6_options_it_does_not_know_pass_unchanged(data: st.DataObject) -> None:
    """A packet is forwarded with all its options, and nothing but TTL and header checksum differs."""
    _, client, web = lan()
    packet = built(data.draw(heads(4, V4.client, V4.server)), data.draw(transports("udp", 4000, 5000)))
    client.send(packet)
    assert bytes(web.take_one()) == bytes(with_hops(packet, packet.ttl - 1))


@pytest.mark.parametrize("hops", [0, 1])
def test_section_4_2_2_9_the_last_hop_is_enough_for_the_router_itself(hops: int) -> None:
    """A packet to swlb's own address is delivered whatever its TTL."""
    net, client, _ = lan()
    packet = IP(src=V4.client, dst=V4.outside, ttl=hops) / UDP(sport=1, dport=2)
    client.send(packet)
    assert bytes(net.take_one("outside-host").payload) == bytes(packet)


@examples(15)
@given(hops=BYTES)
def test_section_4_3_2_2_an_error_has_a_ttl_of_its_own(hops: int) -> None:
    """The TTL of an error does not depend on that of the packet it is about."""
    net, client, _ = lan()
    client.send(V4.udp(V4.client, V4.vip, hops))
    assert net.take_one("client").payload.ttl == 64


@examples(40)
@given(data=st.data(), size=st.integers(0, 1400))
def test_section_4_3_2_3_as_much_is_quoted_as_fits_576_bytes(data: st.DataObject, size: int) -> None:
    """The quote is the packet as it was received, up to 576 bytes of the whole error."""
    net, client, _ = lan()
    packet = built(with_hops(built(data.draw(heads(4, V4.client, V4.server)), UDP(sport=1, dport=2),
                                   Raw(bytes(i & 255 for i in range(size)))), 1))
    client.send(packet)
    error = net.take_one("client").payload
    assert_error(error, (11, 0), bytes(packet)[:576 - 28])
    assert len(error) <= 576


def test_section_4_3_2_4_an_error_comes_from_the_address_of_the_interface_it_leaves_by() -> None:
    """Each side hears of swlb by the address that it has there."""
    net, client, web = lan()
    client.send(V4.udp(V4.client, V4.server, 1))
    assert net.take_one("client").payload.src == V4.outside
    web.send(V4.udp(V4.server, V4.client, 1))
    assert net.take_one("web1").payload.src == V4.inside


def test_section_4_3_2_5_an_error_has_the_type_of_service_of_its_cause_and_precedence_6() -> None:
    """Of all 256 values TOS is kept, precedence becomes internetwork control; what is ECN today is not copied."""
    net, client, _ = lan(icmp_errors=1000)
    for tos in range(256):
        client.send(IP(src=V4.client, dst=V4.server, ttl=1, tos=tos) / UDP(sport=1, dport=2))
        assert net.take_one("client").payload.tos == 0xC0 | tos & 0x1C


@examples(15)
@given(tos=BYTES, options=ipv4_options())
def test_section_4_3_2_5_an_echo_reply_has_the_type_of_service_of_its_request(tos: int, options: bytes) -> None:
    """An answer to an echo is of the same TOS and precedence."""
    net, client, _ = lan()
    client.send(IP(src=V4.client, dst=V4.vip, tos=tos, options=options) / echo(4, id=1, seq=2))
    reply = net.take_one("client").payload
    assert (reply.tos, outer_flaws(reply)) == (tos, [])


@examples(20)
@given(src=no_host(), hops=st.integers(0, 2))
def test_section_4_3_2_7_nobody_is_told_who_is_no_single_host(src: str, hops: int) -> None:
    """About a packet of an invalid, group or zero source there is no error."""
    net, client, _ = lan()
    client.send(V4.udp(src, V4.server, hops))
    if not src.startswith("169.254."):    # whom a VIP on its own link may answer
        client.send(V4.udp(src, V4.vip, hops))
    net.expect_silence()


@examples(15)
@given(mac=GROUP_MACS, hops=st.integers(0, 64))
def test_section_4_3_2_7_nothing_is_said_about_frames_to_groups(mac: bytes, hops: int) -> None:
    """Nor about a packet that came as a broadcast or multicast of the link, and it is not forwarded (5.3.4)."""
    net, client, _ = lan()
    if mac[:5] == bytes.fromhex("0180c20000"):
        return
    client.send(V4.udp(V4.client, V4.server, hops), to=":".join(f"{byte:02x}" for byte in mac))
    assert net.take("client") == []
    assert net.take("web1") == []


@examples(15)
@given(kind=st.sampled_from((3, 4, 5, 11, 12)), code=BYTES, offset=st.integers(1, 100))
def test_section_4_3_2_7_nothing_is_said_about_errors_and_later_fragments(kind: int, code: int, offset: int) -> None:
    """No error is about an ICMP error or a redirect, of whatever code, nor about a fragment but the first."""
    net, client, _ = lan()
    body = bytes(V4.udp(V4.server, V4.client))
    client.send(icmp_message(IP(src=V4.client, dst=V4.server, ttl=1), kind, code, body=body))
    client.send(IP(src=V4.client, dst=V4.server, ttl=1, frag=offset, proto=17) / Raw(bytes(40)))
    net.expect_silence()
    assert net.drops() == {"ttl_expired": 2}


@examples(15)
@given(where=st.integers(0, 19), bit=st.integers(0, 7))
def test_section_5_2_2_a_header_that_does_not_sum_up_is_dropped_unanswered(where: int, bit: int) -> None:
    """One wrong bit anywhere in the header, and the packet goes nowhere and nobody is told."""
    net, client, _ = lan()
    frame = bytearray(bytes(client.frame(V4.udp(V4.client, V4.server))))
    frame[14 + where] ^= 1 << bit
    net.send("client", bytes(frame))
    assert net.take("client") == []
    assert net.take("web1") == []


@examples(20)
@given(hops=BYTES, payload=PAYLOADS)
def test_section_5_3_1_ttl_is_lowered_by_one_and_none_is_left_with_zero(hops: int, payload: bytes) -> None:
    """What came with more than one hop leaves with one less; else the sender hears of it."""
    net, client, web = lan()
    packet = V4.udp(V4.client, V4.server, hops, payload)
    client.send(packet)
    if hops > 1:
        assert bytes(web.take_one()) == bytes(with_hops(built(packet), hops - 1))
    else:
        assert_error(net.take_one("client").payload, (11, 0), bytes(packet))


@examples(10)
@given(first=st.integers(1, 254))
def test_section_5_2_7_2_there_are_no_redirects(first: int) -> None:
    """A packet that goes back by the segment it came from is routed, and nobody is told of a shorter way."""
    net, client, _ = lan()
    other = f"10.0.1.{first}"
    if other in (V4.client, V4.outside, V4.vip):
        return
    net.station("client", other).greet()
    client.send(V4.udp(V4.client, other))
    frame = net.take_one("client")
    assert (frame.payload.dst, frame.payload.ttl, frame.payload.proto) == (other, 63, 17)


@examples(30)
@given(address=no_host(), to_vip=st.booleans())
def test_section_5_3_7_a_martian_source_is_not_forwarded(address: str, to_vip: bool) -> None:
    """A packet from network 0, 127, a group, class E or link-local is neither routed nor balanced."""
    net, client, _ = lan()
    if to_vip and address.startswith("169.254."):
        return
    client.send(V4.udp(address, V4.vip if to_vip else V4.server))
    net.expect_silence()
    assert net.drops() == {"bad_address": 1}


@examples(30)
@given(address=no_host())
def test_section_5_3_7_a_martian_destination_is_not_forwarded(address: str) -> None:
    """Nor is one to such an address, though there is a default route."""
    net, client, _ = lan()
    client.send(V4.udp(V4.client, address))
    net.expect_silence()
    assert net.drops() == {"bad_address": 1}


@examples(10)
@given(address=st.ip_addresses(v=4).map(str).filter(lambda text: not any(
    ipaddress.ip_address(text) in ipaddress.ip_network(network) for network in (*NO_HOSTS, "10.0.0.0/16"))))
def test_section_5_3_7_anybody_else_is_forwarded(address: str) -> None:
    """Any other address is as good as any."""
    _, client, web = lan()
    packet = V4.udp(V4.client, address)
    client.send(packet)
    assert bytes(web.net.take_one("web1").payload) == bytes(with_hops(built(packet), 63))


@examples(20)
@given(options=ipv4_options(), kind=st.sampled_from((131, 137)), hops=st.integers(0, 64))
def test_section_5_3_13_4_source_routes_are_not_followed(options: bytes, kind: int, hops: int) -> None:
    """RFC 7126 4.3 and 4.4, which have superseded it: what has a source route is dropped, wherever in the options."""
    net, client, _ = lan()
    options = options[:28].rstrip(b"\0") if 0 not in options else b""
    route = bytes((kind, 7, 4)) + bytes(4)
    client.send(IP(src=V4.client, dst=V4.server, ttl=hops, options=route + b"\x01" + options[:len(options) // 4 * 4])
                / UDP(sport=1, dport=2))
    net.expect_silence()


def said(packet: Packet) -> tuple[int, int]:
    return message(packet)[0], message(packet)[1]


def test_section_5_2_7_1_unreachable_has_the_code_of_its_cause() -> None:
    """No route: network unreachable; a silent host or next hop: host unreachable; a VIP's port: that."""
    net = router(host=True)
    client = net.station("client", V4.client)
    client.greet()
    net.discard()
    client.send(V4.udp(V4.client, NOWHERE))
    assert said(client.take_one()) == (3, 0)
    client.send(V4.udp(V4.client, "10.0.2.77"))
    net.wait(3.2)
    assert said(client.take_one()) == (3, 1)
    client.send(V4.udp(V4.client, V4.vip))
    assert said(client.take_one()) == (3, 3)

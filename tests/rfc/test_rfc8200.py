"""RFC 8200: what a router, a NAT and the owner of a VIP do with IPv6 (fragments have a file of their own)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6EchoRequest

from tests.oracle.checksum import l4_checksum
from tests.scenarios.balanced import CLIENT, SERVER, VIP, routed
from tests.scenarios.shapes import V6

from .common import (
    BYTES,
    PAYLOADS,
    TCP,
    UDP,
    IPv6,
    Packet,
    Raw,
    assert_error,
    built,
    examples,
    heads,
    lan,
    outer_flaws,
    transports,
    with_extensions,
    with_hops,
)

HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY, NOTHING = 0, 43, 60, 135, 59
# Bodies of any kind; a routing header with nowhere left to go (RFC 8200 4.4), of a type nobody knows.
HEADERS = st.one_of(
    st.tuples(st.sampled_from((HOP_BY_HOP, DESTINATION, MOBILITY)), st.binary(max_size=40)),
    st.tuples(st.just(ROUTING), st.binary(max_size=20).map(lambda body: b"\xfd\x00" + body)))
CHAINS = st.lists(HEADERS, max_size=7)
PASSED_OVER = st.lists(st.tuples(st.sampled_from((MOBILITY, ROUTING)), st.binary(max_size=20).map(
    lambda body: b"\xfd\x00" + body)), max_size=7)
UNKNOWN = st.integers(1, 254).filter(lambda number: number not in (0, 6, 17, 43, 44, 51, 58, 59, 60, 135))


@st.composite
def chained(draw: st.DrawFn, dst: str = V6.server, *, hops: int | None = None) -> Packet:
    """A datagram of the client's behind any chain of extension headers."""
    packet = built(draw(heads(6, V6.client, dst)), draw(transports("udp", 4000, 5000)))
    return with_extensions(packet if hops is None else with_hops(packet, hops), draw(CHAINS))


@examples(25)
@given(data=st.data(), hops=BYTES)
def test_section_3_hop_limit_is_lowered_by_one_and_none_is_left_with_zero(data: st.DataObject, hops: int) -> None:
    """What has more than one hop left is forwarded with one less; else it is dropped, and its sender is told."""
    _, client, web = lan()
    packet = data.draw(chained(hops=hops))
    client.send(packet)
    if hops > 1:
        assert bytes(web.take_one()) == bytes(with_hops(packet, hops - 1))
    else:
        assert_error(client.take_one(), (3, 0), bytes(packet)[:1280 - 48])


@examples(40)
@given(data=st.data())
def test_section_4_extension_headers_are_left_alone_on_the_way(data: st.DataObject) -> None:
    """No header is processed, inserted or taken away, whatever options it has; they may stand in any order (4.1)."""
    _, client, web = lan()
    packet = data.draw(chained())
    client.send(packet)
    assert bytes(web.take_one()) == bytes(with_hops(packet, packet.hlim - 1))


@examples(40)
@given(data=st.data(), protocol=st.sampled_from(("tcp", "udp")), chain=CHAINS)
def test_section_4_a_session_is_found_behind_extension_headers(data: st.DataObject, protocol: str,
                                                              chain: list[tuple[int, bytes]]) -> None:
    """A NAT changes address, port and the sum that covers them, and nothing of the headers between."""
    scene = routed(6, protocol=protocol, n_servers=1)
    scene.call("S")
    sent = built(data.draw(heads(6, CLIENT[6], VIP[6])), data.draw(transports(protocol, 40000, 80)))
    scene.client.send(with_extensions(sent, chain))
    wanted = with_hops(sent, sent.hlim - 1)
    wanted.dst = SERVER[6].format(11)
    l4 = wanted[TCP if protocol == "tcp" else UDP]
    l4.dport = scene.server_port
    del l4.chksum
    assert bytes(scene.servers[0].take_one()).hex() == bytes(with_extensions(wanted, chain)).hex()


@examples(15)
@given(chain=CHAINS, payload=PAYLOADS)
def test_section_4_7_behind_no_next_header_there_is_nothing_to_look_at(chain: list[tuple[int, bytes]],
                                                                      payload: bytes) -> None:
    """What follows is passed on unchanged by a router, and ignored by a VIP, without an error."""
    net, client, web = lan()
    packet = with_extensions(IPv6(bytes(IPv6(src=V6.client, dst=V6.server, nh=NOTHING) / Raw(payload))), chain)
    client.send(packet)
    assert bytes(web.take_one()) == bytes(with_hops(packet, 63))
    client.send(with_extensions(IPv6(bytes(IPv6(src=V6.client, dst=V6.vip, nh=NOTHING) / Raw(payload))), chain))
    net.expect_silence()


@examples(15)
@given(chain=st.lists(HEADERS, max_size=3), left=st.integers(1, 255), to_vip=st.booleans())
def test_section_4_4_a_routing_header_of_type_0_leads_nowhere(chain: list[tuple[int, bytes]], left: int,
                                                             to_vip: bool) -> None:
    """RFC 5095: a packet that still has somewhere to go by one is dropped; with nowhere left it is as any other."""
    net, client, web = lan()
    body = bytes((0, left)) + bytes(4) + bytes(16)
    packet = built(IPv6(src=V6.client, dst=V6.vip if to_vip else V6.server), UDP(sport=1, dport=2))
    client.send(with_extensions(packet, [*chain, (ROUTING, body)]))
    net.expect_silence()
    assert net.drops() == {"source_route": 1}
    if not to_vip:
        client.send(with_extensions(packet, [*chain, (ROUTING, bytes((0, 0)) + body[2:])]))
        assert len(web.net.take("web1")) == 1


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@examples(15)
@given(there=st.tuples(BYTES, st.integers(0, 2**20 - 1)), back=st.tuples(BYTES, st.integers(0, 2**20 - 1)))
def test_section_6_flow_label_and_traffic_class_pass_a_nat(protocol: str, there: tuple[int, int],
                                                          back: tuple[int, int]) -> None:
    """Neither is changed on the way to a server or back (RFC 6437 3, RFC 2474)."""
    scene = routed(6, protocol=protocol, n_servers=1)
    packet = scene.request("S")
    packet.tc, packet.fl = there
    scene.client.send(packet)
    got = scene.servers[0].take_one()
    assert (got.tc, got.fl) == there
    packet = scene.reply(0, "SA")
    packet.tc, packet.fl = back
    scene.servers[0].send(packet)
    got = scene.client.take_one()
    assert (got.tc, got.fl) == back


@examples(30)
@given(data=st.data(), protocol=st.sampled_from(("tcp", "udp")), chain=CHAINS)
def test_section_8_1_the_sum_covers_the_addresses_that_are_there(data: st.DataObject, protocol: str,
                                                                chain: list[tuple[int, bytes]]) -> None:
    """Behind any chain, the checksum after NAT is the one over the new pseudo-header, both ways."""
    scene = routed(6, protocol=protocol, n_servers=1)
    scene.call("S")
    scene.client.send(with_extensions(built(data.draw(heads(6, CLIENT[6], VIP[6])),
                                            data.draw(transports(protocol, 40000, 80))), chain))
    answer = built(data.draw(heads(6, SERVER[6].format(11), CLIENT[6])),
                   data.draw(transports(protocol, scene.server_port, 40000)))
    for got in (scene.servers[0].take_one(), answer):
        bare = without_chain(got)
        at = 40 + (16 if protocol == "tcp" else 6)
        assert int.from_bytes(bare[at:at + 2], "big") == l4_checksum(bare)
    scene.servers[0].send(answer)
    assert outer_flaws(scene.client.take_one()) == []


def without_chain(packet: Packet) -> bytes:
    """The packet's own header and what stands behind all extensions, as if there had been none."""
    raw = bytes(packet)
    at, following = 40, raw[6]
    while following in (HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY):
        following, at = raw[at], at + 8 * (raw[at + 1] + 1)
    return raw[:4] + (len(raw) - at).to_bytes(2, "big") + bytes((following,)) + raw[7:40] + raw[at:]


@examples(10)
@given(payload=PAYLOADS, chain=CHAINS, to_vip=st.booleans())
def test_section_8_1_udp_without_a_checksum_goes_nowhere(payload: bytes, chain: list[tuple[int, bytes]],
                                                        to_vip: bool) -> None:
    """A datagram whose checksum is zero is dropped and counted."""
    net, client, _ = lan()
    packet = built(IPv6(src=V6.client, dst=V6.vip if to_vip else V6.server), UDP(sport=1, dport=2, chksum=0),
                   Raw(payload))
    client.send(with_extensions(packet, chain))
    net.expect_silence()
    assert net.drops() == {"zero_udp_checksum": 1}


# Options of types nobody knows; the upper two bits say to pass them over (0) or to drop the packet (1 to 3).
OPTIONS = st.lists(st.tuples(st.integers(6, 255), st.binary(max_size=12)), max_size=4)


@examples(60)
@given(headers=st.lists(st.tuples(st.sampled_from((HOP_BY_HOP, DESTINATION)), OPTIONS), min_size=1, max_size=3))
def test_section_4_2_an_unknown_option_of_an_echo_is_heeded(
        headers: list[tuple[int, list[tuple[int, bytes]]]]) -> None:
    """The first whose upper bits are not 00 has the echo dropped; unless they are 01 its sender hears which it was."""
    _, client, _ = lan()
    chain, at, wanted = [], 40, None
    for kind, options in headers:
        body = b""
        for number, data in options:
            if number >> 6 and wanted is None:
                wanted = (at + 2 + len(body), number >> 6)
            body += bytes((number, len(data))) + data
        body += bytes((6 - len(body)) % 8)
        chain.append((kind, body))
        at += 2 + len(body)
    packet = with_extensions(built(IPv6(src=V6.client, dst=V6.vip), ICMPv6EchoRequest(id=1, seq=2)), chain)
    client.send(packet)
    if wanted is None:
        assert client.take_one().payload.type == 129
    elif wanted[1] == 1:
        assert client.net.take("client") == []
    else:
        error = client.take_one()
        assert error.src == V6.outside
        assert_error(error, (4, 2), bytes(packet), rest=wanted[0])


@examples(20)
@given(chain=PASSED_OVER, payload=PAYLOADS, number=st.integers(0, 65535))
def test_section_8_4_an_answer_carries_no_routing_header(chain: list[tuple[int, bytes]], payload: bytes,
                                                        number: int) -> None:
    """The reply to an echo has none of the extension headers of its request, and is otherwise as it has to be."""
    _, client, _ = lan()
    request = built(IPv6(src=V6.client, dst=V6.vip), ICMPv6EchoRequest(id=number, seq=7, data=payload))
    client.send(with_extensions(request, chain))
    reply = client.take_one()
    assert reply.nh == 58
    assert (reply.payload.type, reply.payload.id, reply.payload.seq, bytes(reply.payload)[8:]) == (
        129, number, 7, payload)
    assert outer_flaws(reply) == []

"""RFC 4443: the ICMPv6 errors that swlb sends, and those of others that pass it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6EchoRequest

from tests.scenarios.balanced import routed
from tests.scenarios.shapes import V6, router
from tests.scenarios.test_masquerade import Scene

from .common import (
    BYTES,
    PAYLOADS,
    UDP,
    WORDS,
    IPv6,
    Raw,
    assert_error,
    built,
    examples,
    heads,
    icmp_message,
    lan,
    message,
    outer_flaws,
)

GROUPS = st.ip_addresses(v=6, network="ff00::/8").map(str)


@examples(20)
@given(kind=st.sampled_from((5, 99, 100, 101, 126)), code=BYTES)
def test_section_2_4a_an_error_of_unknown_type_reaches_whom_it_is_about(kind: int, code: int) -> None:
    """Who has sent the packet may know it: it is translated like any other."""
    scene = routed(6, n_servers=1)
    scene.call("S")
    server, client = scene.servers[0].addresses[0], scene.client.addresses[0]
    scene.servers[0].send(icmp_message(IPv6(src=server, dst=client), kind, code, body=bytes(scene.delivered(0))))
    assert_error(scene.client.take_one(), (kind, code), bytes(scene.request("S", hops=63)))


@examples(15)
@given(kind=st.integers(138, 255), body=PAYLOADS)
def test_section_2_4b_an_informational_message_of_unknown_type_is_ignored(kind: int, body: bytes) -> None:
    """To a VIP it is dropped without an answer."""
    net, client, _ = lan()
    client.send(icmp_message(IPv6(src=V6.client, dst=V6.vip), kind, body=body))
    net.expect_silence()
    assert net.drops() == {"vip_protocol": 1}


@examples(25)
@given(data=st.data(), size=st.integers(0, 1440))
def test_section_2_4c_as_much_is_quoted_as_fits_the_least_mtu(data: st.DataObject, size: int) -> None:
    """The quote is the packet as it was received, up to 1280 bytes of the whole error."""
    net, client, _ = lan()
    head = data.draw(heads(6, V6.client, V6.server))
    head.hlim = 1
    packet = built(head, UDP(sport=1, dport=2), Raw(bytes(i & 255 for i in range(size))))
    client.send(packet)
    error = client.take_one()
    assert_error(error, (3, 0), bytes(packet)[:1280 - 48])
    assert len(error) <= 1280
    assert net.drops() == {"ttl_expired": 1}


@examples(20)
@given(kind=st.sampled_from((1, 2, 3, 4, 100, 127, 137)), code=BYTES, group=GROUPS)
def test_section_2_4e_nothing_is_said_about_errors_groups_and_redirects(kind: int, code: int, group: str) -> None:
    """No error is about an error or a redirect, or a packet to a group, or from one, or to a group of the link."""
    net, client, web = lan()
    body = bytes(V6.udp(V6.server, V6.client))
    client.send(icmp_message(IPv6(src=V6.client, dst=V6.server, hlim=1), kind, code, body=body))
    client.send(V6.udp(V6.client, group, 1), V6.udp(group, V6.server, 1), V6.udp("::", V6.server, 1))
    client.send(V6.udp(V6.client, V6.server, 1), to="33:33:00:00:00:01")
    assert net.take("client") == []
    assert net.take(web.port) == []


def test_section_3_1_unreachable_has_the_code_of_its_cause() -> None:
    """No route 0, prohibited 1, address unreachable 3, port unreachable 4; the field that follows is zero."""
    net = router(host=True)
    client = net.station("client", V6.client)
    client.greet()
    net.discard()
    client.send(V6.udp(V6.client, V6.far))
    assert_error(client.take_one(), (1, 0), bytes(V6.udp(V6.client, V6.far)))
    client.send(V6.udp(V6.client, "fd00:2::77"))
    net.wait(3.2)
    assert_error(client.take_one(), (1, 3), bytes(V6.udp(V6.client, "fd00:2::77")))
    client.send(V6.udp(V6.client, V6.vip))
    assert_error(client.take_one(), (1, 4), bytes(V6.udp(V6.client, V6.vip)))
    scene = Scene(6, private=True, masquerade=False)
    scene.outside.send(V6.udp(scene.peer, scene.host))
    assert_error(scene.outside.take_one(), (1, 1), bytes(V6.udp(scene.peer, scene.host)))


def test_section_3_1_nothing_is_said_about_congestion() -> None:
    """What is dropped as the oldest of too many that wait is counted, and nobody hears of it."""
    net, client, _ = lan()
    for _ in range(100):
        client.send(V6.udp(V6.client, "fd00:2::77"))
    assert net.take("client") == []
    assert net.drops() == {"neighbour_queue": 36}


@examples(20)
@given(over=st.integers(1, 100), mtu=st.integers(1280, 1400))
def test_section_3_2_too_big_tells_the_mtu_of_the_next_link(over: int, mtu: int) -> None:
    """With code 0 and the MTU of the link that the packet did not fit."""
    net, client, _ = lan(mtu={"web1": mtu})
    packet = V6.udp(V6.client, V6.server, payload=bytes(mtu - 48 + over))
    client.send(packet)
    assert_error(client.take_one(), (2, 0), bytes(packet)[:1280 - 48], rest=mtu)
    assert net.drops() == {"too_big": 1}


@pytest.mark.parametrize("hops", [0, 1])
def test_section_3_3_time_exceeded_has_code_0(hops: int) -> None:
    """A packet whose last hop is used up is dropped, and its sender hears so."""
    _, client, _ = lan()
    client.send(V6.udp(V6.client, V6.server, hops))
    assert_error(client.take_one(), (3, 0), bytes(V6.udp(V6.client, V6.server, hops)))


@examples(25)
@given(number=WORDS, sequence=WORDS, payload=st.binary(max_size=1400), hops=BYTES)
def test_section_4_2_an_echo_comes_back_whole(number: int, sequence: int, payload: bytes, hops: int) -> None:
    """The reply comes from the address that was asked, with identifier, sequence number and all data unchanged."""
    _, client, _ = lan()
    client.send(IPv6(src=V6.client, dst=V6.vip, hlim=hops) / ICMPv6EchoRequest(id=number, seq=sequence, data=payload))
    reply = client.take_one()
    assert (reply.src, reply.dst, reply.hlim) == (V6.vip, V6.client, 64)
    said = message(reply)
    assert (said[0], said[1], said[4:]) == (129, 0, number.to_bytes(2, "big") + sequence.to_bytes(2, "big") + payload)
    assert outer_flaws(reply) == []

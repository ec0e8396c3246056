"""The ICMP errors that swlb owes as a router. RFC 1812 4.3.2 and 5.2.7, RFC 1191 4, RFC 4443 2.4 and 3."""

import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet

from .frames import assert_sound
from .network import Network, Station
from .shapes import FAMILIES, V4, V6, Family, router

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)

# What the error says, by IP version: type and code.
TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}
NO_ROUTE = {4: (3, 0), 6: (1, 0)}
PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}
TOO_BIG = {4: (3, 4), 6: (2, 0)}
LONGEST_ERROR = {4: 576, 6: 1280}


def lan(**options) -> tuple[Network, Station]:
    net = router(host=True, **options)
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    client.greet()
    web.greet()
    net.discard()
    return net, client


def message(error: Packet) -> bytes:
    """The ICMP message within, as bytes, so that no dissector stands between."""
    return bytes(error)[20:] if error.version == 4 else bytes(error)[40:]


def assert_error(client: Station, family: Family, kind: dict[int, tuple[int, int]], quoted: Packet | bytes,
                 rest: int = 0) -> None:
    """The station got one error of that kind, soundly made, that quotes the packet as far as it may."""
    frame = client.net.take_one(client.port)
    assert (frame.src, frame.dst) == (client.net.mac(client.segment), client.mac)
    assert_sound(frame)
    error = frame.payload
    assert (error.src, error.dst) == (client.own_address(family.version), client.addresses[family.version == 6])
    said = message(error)
    assert (said[0], said[1]) == kind[family.version]
    assert struct.unpack("!I", said[4:8])[0] == rest
    assert said[8:] == bytes(quoted)[:LONGEST_ERROR[family.version] - (28 if family.version == 4 else 48)]
    client.net.expect_silence()


@pytest.mark.parametrize("hops", [0, 1])
@each_family
def test_a_packet_whose_hops_are_used_up_is_answered_with_time_exceeded(family, hops):
    net, client = lan()
    packet = family.udp(family.client, family.server, hops)
    client.send(packet)
    assert_error(client, family, TIME_EXCEEDED, packet)
    assert net.drops() == {"ttl_expired": 1}


@each_family
def test_a_packet_without_a_route_is_answered_with_network_unreachable(family):
    net, client = lan()
    client.send(family.udp(family.client, family.far))
    assert_error(client, family, NO_ROUTE, family.udp(family.client, family.far))
    assert net.drops() == {"no_route": 1}


@each_family
def test_no_route_is_said_before_hops_are_counted(family):
    net, client = lan()
    client.send(family.udp(family.client, family.far, 1))
    assert net.drops() == {"no_route": 1}


@each_family
def test_a_datagram_to_a_port_of_a_vip_without_service_is_answered_with_port_unreachable(family):
    net, client = lan()
    client.send(family.udp(family.client, family.vip))
    assert_error(client, family, PORT_UNREACHABLE, family.udp(family.client, family.vip))
    assert net.drops() == {"no_service": 1}


@pytest.mark.parametrize("mtu", [1280, 1400])
@each_family
def test_a_packet_too_big_for_the_next_link_is_answered_with_its_mtu(family, mtu):
    net, client = lan(mtu={"web1": mtu})
    overhead = 28 if family.version == 4 else 48
    fits = family.udp(family.client, family.server, payload=bytes(mtu - overhead))
    too_big = family.udp(family.client, family.server, payload=bytes(mtu - overhead + 1))
    if family.version == 4:
        fits.flags = too_big.flags = "DF"
    client.send(fits)
    assert len(net.take("web1")) == 1
    client.send(too_big)
    assert_error(client, family, TOO_BIG, too_big, mtu)
    assert net.drops() == {"too_big": 1}


def test_the_mtu_that_counts_is_that_of_the_port_the_next_hop_is_behind():
    net = router(inside=("web1", "web2"), mtu={"web2": 1400})
    client = net.station("client", V4.client)
    client.greet()
    net.station("web1", V4.server).greet()
    client.send(V4.udp(V4.client, V4.server, payload=bytes(1472)))
    assert len(net.take("web1")) == 1


def test_while_that_port_is_unknown_the_smallest_mtu_of_the_segment_counts():
    net = router(inside=("web1", "web2"), mtu={"web2": 1400})
    client = net.station("client", V4.client)
    client.greet()
    net.station("web1", V4.server).greet()
    net.worker.flush_fdb(net.segments["inside"])
    client.send(V4.udp(V4.client, V4.server, payload=bytes(1372)))
    assert len(net.take("web1")) == 1
    net.discard()
    client.send(V4.udp(V4.client, V4.server, payload=bytes(1373)))
    assert [frame.len for frame in net.take("web1")] == [1396, 25]


def test_a_super_frame_is_too_big_when_its_segments_are():
    net, client = lan(mtu={"web1": 1400})
    packet = IP(src=V4.client, dst=V4.server, flags="DF") / TCP(sport=1, dport=2, flags="A") / bytes(9000)
    client.send(packet, offload=struct.pack("<BBHHHH", 1, 1, 54, 1360, 34, 16))
    assert net.drops() == {}
    client.send(packet, offload=struct.pack("<BBHHHH", 1, 1, 54, 1361, 34, 16))
    assert net.drops() == {"too_big": 1}


@pytest.mark.parametrize("size", [0, 1, 519, 520, 521, 1183, 1184, 1185, 1400])
@each_family
def test_the_quote_is_as_long_as_it_may_be(family, size):
    _, client = lan()
    packet = family.udp(family.client, family.far, payload=bytes(i & 255 for i in range(size)))
    client.send(packet)
    assert_error(client, family, NO_ROUTE, packet)


def test_ethernet_padding_is_not_quoted():
    net, client = lan()
    packet = IP(src=V4.client, dst=V4.far) / UDP(sport=1, dport=2)
    net.send("client", bytes(client.frame(packet)) + bytes(18))
    assert_error(client, V4, NO_ROUTE, packet)


def test_options_and_extension_headers_are_quoted():
    _, client = lan()
    for family, packet in ((V4, IP(src=V4.client, dst=V4.far, options=[IPOption_RR()]) / UDP(sport=1, dport=2)),
                           (V6, IPv6(src=V6.client, dst=V6.far) / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2))):
        client.send(packet)
        assert_error(client, family, NO_ROUTE, packet)


def test_the_error_keeps_the_type_of_service_and_has_precedence_internetwork_control():
    _, client = lan()
    client.send(IP(src=V4.client, dst=V4.far, tos=0x18) / UDP())
    assert client.take_one().tos == 0xD8


@each_family
def test_a_packet_that_was_rewritten_already_is_quoted_as_its_sender_sent_it(family):
    net = router(host=True)
    client = net.station("client", family.client)
    client.greet()
    syn = family.ip(family.client, family.vip) / TCP(sport=1024, dport=80, flags="S", seq=7)
    client.send(syn)
    net.wait(3.5)
    frame = net.take_one("client")
    assert_sound(frame)
    assert message(frame.payload)[:2] == bytes({4: (3, 1), 6: (1, 3)}[family.version])
    assert message(frame.payload)[8:] == bytes(syn)


@each_family
def test_a_partial_checksum_is_quoted_completed(family):
    _, client = lan()
    packet = family.ip(family.client, family.far) / TCP(sport=1, dport=2, flags="S")
    whole = bytes(packet)
    l3 = 20 if family.version == 4 else 40
    pseudo = (whole[12:20] if family.version == 4 else whole[8:40]) + struct.pack("!II", 6, len(whole) - l3)
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    partial = type(packet)(whole)
    partial[TCP].chksum = total
    client.send(partial, offload=struct.pack("<BBHHHH", 1, 0, 0, 0, 14 + l3, 16))
    assert_error(client, family, NO_ROUTE, packet)


# ---- about what no error is sent ----

def errors_about(family: Family) -> list[Packet]:
    """ICMP errors, a redirect among them, about some packet of the far host's."""
    inner = bytes(family.udp(family.far, family.client))
    kinds = {4: [(3, 1), (4, 0), (5, 1), (11, 0), (12, 0)],
             6: [(1, 0), (2, 0), (3, 0), (4, 1), (137, 0)]}[family.version]
    protocol = {"proto": 1} if family.version == 4 else {"nh": 58}
    return [family.ip(family.client, family.far, **protocol) / (bytes([kind, code, 0, 0, 0, 0, 0, 0]) + inner)
            for kind, code in kinds]


def fragments(family: Family) -> list[Packet]:
    """Of IPv4 later ones, of IPv6 later ones that may be of an error (RFC 1812 4.3.2.7, RFC 4443 2.4 e)."""
    if family.version == 4:
        return [IP(src=V4.client, dst=V4.far, id=7, frag=9, proto=17) / bytes(64)]
    return [IPv6(src=V6.client, dst=V6.far, nh=44) / (bytes([58, 0, 0, 72]) + bytes(4) + bytes(64))]


@pytest.mark.parametrize("make", [errors_about, fragments])
@each_family
def test_no_error_is_sent_about(family, make):
    net, client = lan()
    packets = make(family)
    client.send(*packets)
    net.expect("client")
    assert net.drops() == {"no_route": len(packets)}


@each_family
def test_an_error_is_sent_about_an_echo(family):
    _, client = lan()
    client.send(family.echo(family.client, family.far))
    assert_error(client, family, NO_ROUTE, family.echo(family.client, family.far))


@pytest.mark.parametrize("src", ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "10.0.1.255"])
def test_no_error_is_sent_to_a_source_that_is_no_single_host(src):
    net, client = lan()
    client.send(V4.udp(src, V4.far))
    client.send(V4.udp(src, V4.server, 1))
    net.expect("client")


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05"])
def test_no_error_is_sent_about_a_packet_in_a_group_frame(mac):
    net, client = lan()
    client.send(V4.udp(V4.client, V4.far, 1), to=mac)
    net.expect("client")


# ---- how many ----

def test_errors_are_limited_to_a_number_a_second_and_what_is_dropped_is_counted_all_the_same():
    net, client = lan(icmp_errors=10)
    net.wait(2.0)
    client.send(*[V4.udp(V4.client, V4.far)] * 25)
    assert len(net.take("client")) == 10
    assert net.drops() == {"no_route": 25}
    assert net.worker.counters()["icmp_errors_limited"] == 15
    net.wait(0.5)
    client.send(*[V4.udp(V4.client, V4.far)] * 25)
    assert len(net.take("client")) == 5


def test_both_families_and_every_kind_share_the_limit():
    net, client = lan(icmp_errors=3)
    net.wait(2.0)
    client.send(V4.udp(V4.client, V4.far), V6.udp(V6.client, V6.far), V4.udp(V4.client, V4.server, 1),
                V6.udp(V6.client, V6.server, 1))
    assert len(net.take("client")) == 3


def test_an_icmp_error_that_passes_through_is_routed_like_any_packet():
    net, client = lan()
    packet = IP(src=V4.client, dst=V4.server) / ICMP(type=3, code=1) / bytes(V4.udp(V4.server, V4.client))
    client.send(packet)
    packet.ttl = 63
    net.expect("web1", packet_in(net, packet))


def packet_in(net: Network, packet: Packet) -> bytes:
    web = bytes.fromhex(net.neighbours()[V4.server][0].replace(":", ""))
    return web + bytes.fromhex(net.mac("inside").replace(":", "")) + b"\x08\x00" + bytes(packet)


def test_an_error_is_control_traffic_and_keeps_the_rest_of_the_tos_but_ecn():
    net, client = lan()
    client.send(IP(src=V4.client, dst=V4.server, ttl=1, tos=0xBB) / UDP(sport=1, dport=2))
    assert net.take_one("client").payload.tos == 0xC0 | (0xBB & 0x1C)


@each_family
def test_a_packet_that_is_answered_with_an_error_counts_as_dropped_at_its_port(family):
    net, client = lan()
    client.send(family.udp(family.client, family.server, 1))
    assert net.worker.port(net.ports["client"])["rx_dropped"] == 1

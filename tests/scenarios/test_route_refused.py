"""What a router must not forward, and says nothing about. RFC 1812 5.2.4, 5.3.4, 5.3.5, 5.3.7; RFC 4291; RFC 5095."""

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption, IPOption_LSRR, IPOption_SSRR
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.packet import Packet, Raw

from .network import Network, Station
from .shapes import V4, V6, router


def lan() -> tuple[Network, Station]:
    net = router(host=True)
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    client.greet()
    web.greet()
    net.discard()
    return net, client


def refused(packet: Packet | bytes, reason: str) -> None:
    """The packet, sent to the segment's MAC, comes out nowhere and counts once, for that reason."""
    net, client = lan()
    client.send(packet)
    net.expect_silence()
    assert net.drops() == {reason: 1}


BAD_SOURCES = {
    V4: ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "239.1.1.1", "240.0.0.1", "255.255.255.255", "169.254.1.1",
         "10.0.1.255"),
    V6: ("::", "::1", "ff02::1", "ff0e::1", "fe80::1", "::ffff:10.0.1.10"),
}
BAD_DESTINATIONS = {
    V4: ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255", "169.254.1.1", "10.0.1.255",
         "10.0.2.255"),
    V6: ("::", "::1", "ff02::1", "ff0e::1", "fe80::1", "::ffff:10.0.2.11", "::ffff:10.0.1.100"),
}


@pytest.mark.parametrize(("family", "src"), [(family, src) for family, some in BAD_SOURCES.items() for src in some])
def test_a_source_that_cannot_be_is_not_forwarded(family, src):
    refused(family.udp(src, family.server), "bad_address")


@pytest.mark.parametrize("src", [src for src in BAD_SOURCES[V4] if src != "169.254.1.1"])
def test_a_source_that_cannot_be_is_not_balanced(src):
    refused(IP(src=src, dst=V4.vip) / TCP(dport=80, flags="S"), "bad_address")


@pytest.mark.parametrize(("family", "dst"),
                         [(family, dst) for family, some in BAD_DESTINATIONS.items() for dst in some])
def test_a_destination_no_router_may_forward_to_is_not_forwarded(family, dst):
    refused(family.udp(family.client, dst), "bad_address")


MALFORMED = {
    "IPv4 without room for its header": (IP(src=V4.client, dst=V4.server), 10, "bad_ipv4"),
    "IP version 5": (IP(src=V4.client, dst=V4.server, version=5) / UDP(), None, "bad_ipv4"),
    "IPv4 header length 16": (IP(src=V4.client, dst=V4.server, ihl=4) / UDP(), None, "bad_ipv4"),
    "IPv4 header longer than the frame": (IP(src=V4.client, dst=V4.server, ihl=15) / UDP(), None, "bad_ipv4"),
    "IPv4 total length below the header's": (IP(src=V4.client, dst=V4.server, len=19) / UDP(), None, "bad_ipv4"),
    "IPv4 total length beyond the frame": (IP(src=V4.client, dst=V4.server, len=29) / UDP(), None, "bad_ipv4"),
    "a wrong header checksum": (IP(src=V4.client, dst=V4.server, chksum=1) / UDP(), None, "bad_ipv4_checksum"),
    "a loose source route": (IP(src=V4.client, dst=V4.server, options=[IPOption_LSRR()]) / UDP(), None, "source_route"),
    "a strict source route": (IP(src=V4.client, dst=V4.server, options=[IPOption_SSRR()]) / UDP(), None,
                              "source_route"),
    "an option of length 0": (IP(src=V4.client, dst=V4.server, options=[IPOption(option=4, length=0, value=b"\0\0")])
                              / UDP(), None, "source_route"),
    "an option beyond the header": (IP(src=V4.client, dst=V4.server,
                                       options=[IPOption(option=4, length=9, value=b"\5\0")]) / UDP(),
                                    None, "source_route"),
    "IPv6 without room for its header": (IPv6(src=V6.client, dst=V6.server), 39, "bad_ipv6"),
    "version 4 in an IPv6 frame": (IPv6(src=V6.client, dst=V6.server, version=4) / UDP(), None, "bad_ipv6"),
    "IPv6 payload beyond the frame": (IPv6(src=V6.client, dst=V6.server, plen=9, nh=17) / UDP(), None, "bad_ipv6"),
    "an extension cut short": (IPv6(src=V6.client, dst=V6.server, nh=0) / Raw(b"\x11\x00\x00"), None,
                               "bad_ipv6_extension"),
    "an extension longer than the packet": (IPv6(src=V6.client, dst=V6.server, nh=60)
                                            / Raw(b"\x11\x05" + bytes(14)), None, "bad_ipv6_extension"),
    "nine extensions": (IPv6(src=V6.client, dst=V6.server, nh=60)
                        / Raw((b"\x3c\x00" + bytes(6)) * 8 + b"\x11" + bytes(15)), None, "bad_ipv6_extension"),
    "a type 0 routing header": (IPv6(src=V6.client, dst=V6.server)
                                / IPv6ExtHdrRouting(addresses=["fd00:9::1"], segleft=1) / UDP(), None, "source_route"),
    "a TCP header cut short": (IP(src=V4.client, dst=V4.server, proto=6) / bytes(19), None, "bad_l4"),
    "a TCP header length of 16": (IP(src=V4.client, dst=V4.server) / TCP(dataofs=4), None, "bad_l4"),
    "a TCP header beyond the packet": (IPv6(src=V6.client, dst=V6.server) / TCP(dataofs=6), None, "bad_l4"),
    "a UDP header cut short": (IP(src=V4.client, dst=V4.server, proto=17) / bytes(7), None, "bad_l4"),
    "a UDP length of 7": (IP(src=V4.client, dst=V4.server) / UDP(len=7), None, "bad_l4"),
    "a UDP length beyond the packet": (IPv6(src=V6.client, dst=V6.server) / UDP(len=9), None, "bad_l4"),
    "ICMP cut short": (IP(src=V4.client, dst=V4.server, proto=1) / bytes(7), None, "bad_l4"),
    "UDP over IPv6 without checksum": (IPv6(src=V6.client, dst=V6.server) / UDP(chksum=0), None, "zero_udp_checksum"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_parsed_is_dropped_for_the_right_reason(case):
    packet, cut, reason = MALFORMED[case]
    net, client = lan()
    frame = bytes(client.frame(packet))
    net.send("client", frame[:14 + cut] if cut else frame)
    net.expect_silence()
    assert net.drops() == {reason: 1}


def test_the_same_before_a_vip_never_reaches_a_server():
    for case, (packet, cut, reason) in MALFORMED.items():
        to_vip = packet.copy()
        to_vip.dst = V4.vip if isinstance(packet, IP) else V6.vip
        if "chksum" in to_vip.fields and reason != "bad_ipv4_checksum":
            del to_vip.chksum
        net, client = lan()
        frame = bytes(client.frame(to_vip))
        net.send("client", frame[:14 + cut] if cut else frame)
        net.expect_silence()
        assert net.drops() == {reason: 1}, case


def test_eight_extension_headers_are_carried():
    net, client = lan()
    packet = IPv6(src=V6.client, dst=V6.server) / IPv6ExtHdrHopByHop()
    for _ in range(7):
        packet /= IPv6ExtHdrDestOpt()
    client.send(packet / UDP())
    assert len(net.take("web1")) == 1


def test_an_atomic_fragment_is_a_whole_packet():
    net, client = lan()
    client.send(IPv6(src=V6.client, dst=V6.server) / IPv6ExtHdrFragment(id=7) / UDP(sport=1, dport=2) / b"data")
    assert len(net.take("web1")) == 1

"""What the tests of several RFCs share: how often a property is tried, packets of all kinds, and who judges them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, in6_chksum
from scapy.packet import Packet, Raw
from scapy.utils import checksum

from tests.oracle.checksum import flaws
from tests.scenarios.balanced import ip
from tests.scenarios.network import Network, Station
from tests.scenarios.shapes import V4, V6, router

FAMILIES = (4, 6)
PORTS = st.integers(1024, 65535)
WORDS = st.integers(0, 65535)
BYTES = st.integers(0, 255)
PAYLOADS = st.binary(max_size=200)


def examples(number: int) -> settings:
    """So many examples; no deadline, as machines are of any speed, no shrinking, as each is a network of its own."""
    return settings(max_examples=number, deadline=None, print_blob=True, phases=(Phase.reuse, Phase.generate))


@st.composite
def ipv4_options(draw: st.DrawFn) -> bytes:
    """Options as RFC 791 3.1 has them, none of them a source route, filled up to whole words."""
    options = b""
    for kind, body in draw(st.lists(st.tuples(st.sampled_from((1, 7, 68, 94, 130, 148, 222)), st.binary(max_size=8)),
                                    max_size=3)):
        option = b"\x01" if kind == 1 else bytes((kind, 2 + len(body))) + body
        if len(options) + len(option) <= 40:
            options += option
    return options + bytes(-len(options) % 4)


@st.composite
def heads(draw: st.DrawFn, family: int, src: str, dst: str, *, options: bool = True) -> Packet:
    """An IP header with all that a sender is free to choose; hops for several routers."""
    hops = draw(st.integers(3, 255))
    if family == 6:
        return IPv6(src=src, dst=dst, hlim=hops, tc=draw(BYTES), fl=draw(st.integers(0, 2**20 - 1)))
    return IP(src=src, dst=dst, ttl=hops, tos=draw(BYTES), id=draw(WORDS), flags=draw(st.sampled_from(("", "DF"))),
              options=draw(ipv4_options()) if options else b"")


def built(head: Packet, *rest: Packet | bytes) -> Packet:
    """A whole packet: lengths and checksums as scapy computes them; its bytes stay what they are from here on."""
    packet = head.copy()
    for part in rest:
        packet /= part
    return type(packet)(bytes(packet))


@st.composite
def transports(draw: st.DrawFn, protocol: str, sport: int, dport: int, flags: str = "A") -> Packet:
    """TCP or UDP between the ports, with all else as it comes, and a payload."""
    payload = Raw(draw(PAYLOADS))
    if protocol == "udp":
        return UDP(sport=sport, dport=dport) / payload
    seq = st.integers(0, 2**32 - 1)
    return TCP(sport=sport, dport=dport, flags=flags, seq=draw(seq), ack=draw(seq), window=draw(WORDS),
               urgptr=draw(WORDS), options=[("NOP", None)] * draw(st.integers(0, 8))) / payload


def echo(family: int, *, reply: bool = False, **fields: Any) -> Packet:
    """An echo request or its reply."""
    if family == 4:
        return ICMP(type=0 if reply else 8, **fields)
    return ICMPv6EchoReply(**fields) if reply else ICMPv6EchoRequest(**fields)


def icmp_message(head: Packet, kind: int, code: int = 0, rest: bytes = bytes(4), body: bytes = b"") -> Packet:
    """A whole packet with an ICMP message of any type, its checksum as scapy computes it."""
    said = bytes((kind, code, 0, 0)) + rest + body
    packet = head.copy()
    if isinstance(packet, IPv6):
        packet.nh = 58
        check = in6_chksum(58, packet, said)
    else:
        packet.proto = 1
        check = checksum(said)
    return packet / Raw(said[:2] + check.to_bytes(2, "big") + said[4:])


def with_hops(packet: Packet, hops: int) -> Packet:
    """The packet with so many hops left, and the IPv4 header checksum that scapy computes for that."""
    raw = bytearray(bytes(packet))
    if isinstance(packet, IPv6):
        raw[7] = hops
        return IPv6(bytes(raw))
    raw[8], raw[10:12] = hops, b"\0\0"
    raw[10:12] = checksum(bytes(raw[:packet.ihl * 4])).to_bytes(2, "big")
    return IP(bytes(raw))


def hops_of(packet: Packet) -> int:
    return packet.hlim if isinstance(packet, IPv6) else packet.ttl


def message(packet: Packet) -> bytes:
    """The ICMP message as bytes, behind the IP header and its extensions."""
    return bytes(packet)[40:] if isinstance(packet, IPv6) else bytes(packet)[packet.ihl * 4:]


def assert_error(error: Packet, kind: tuple[int, int], quoted: bytes, *, rest: int = 0) -> None:
    """The packet is an ICMP error of that type and code which quotes just that, and all of its sums are right."""
    said = message(error)
    assert (said[0], said[1], int.from_bytes(said[4:8], "big")) == (*kind, rest), error.summary()
    assert said[8:].hex() == quoted.hex()
    assert outer_flaws(error) == []


def lan(**options: Any) -> tuple[Network, Station, Station]:
    """A router between two segments, with a default route by a gateway inside, a client outside and a server inside."""
    net = router(host=True, routes=[(V4.default, V4.gateway), (V6.default, V6.gateway)], **options)
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    for station in (client, web, net.station("web1", V4.gateway, V6.gateway)):
        station.greet()
    net.discard()
    return net, client, web


def with_extensions(packet: Packet, chain: Sequence[tuple[int, bytes]]) -> Packet:
    """The IPv6 packet with extension headers of those kinds and bodies before what it carried."""
    raw = bytes(packet)
    following, middle = raw[6], b""
    for kind, body in reversed(chain):
        body += bytes((6 - len(body)) % 8)
        middle = bytes((following, (len(body) + 2) // 8 - 1)) + body + middle
        following = kind
    length = len(raw) - 40 + len(middle)
    return IPv6(raw[:4] + length.to_bytes(2, "big") + bytes((following,)) + raw[7:40] + middle + raw[40:])


def outer_flaws(packet: Packet) -> list[str]:
    """Every checksum that is wrong, but those of a quoted packet."""
    return [flaw for flaw in flaws(bytes(packet)) if not flaw.startswith("quoted")]


__all__ = ["BYTES", "FAMILIES", "ICMP", "IP", "PAYLOADS", "PORTS", "TCP", "UDP", "WORDS", "IPv6", "Packet", "Raw",
           "assert_error", "built", "echo", "examples", "flaws", "heads", "hops_of", "icmp_message", "ip",
           "ipv4_options", "lan", "message", "outer_flaws", "transports", "with_extensions", "with_hops"]

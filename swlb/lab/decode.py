"""A TCP segment on the wire, in a tunnel or not, taken apart by dpkt: never by our own parser."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import dpkt

from swlb.addresses import endpoint_text, mac_text

GUE_PORT = 6080  # draft-ietf-intarea-gue section 8.1
GUE_HDR_LEN = 4  # without optional fields
LEN_WORDS = 0x1F  # of the first byte: the length of optional fields, in 4 bytes; above it C and the variant
INNER = {4: dpkt.ip.IP, 41: dpkt.ip6.IP6}  # by the protocol's number
PACKETS = (dpkt.ip.IP, dpkt.ip6.IP6)


@dataclass(frozen=True)
class Outer:
    """The header of a tunnel: `kind` is IPIP or GUE. Its ends have l4_ports in GUE only."""

    kind: str
    source: str
    destination: str
    ttl: int


@dataclass(frozen=True)
class Seen:
    """A TCP segment, addresses as people write them; `mac_from` and `mac_to` are "" where no Ethernet is."""

    mac_from: str
    mac_to: str
    source: str
    destination: str
    ttl: int  # hop limit in IPv6
    flags: int
    payload: bytes
    outer: Outer | None = None

    def has(self, flags: int) -> bool:
        """Whether it has exactly these of SYN, ACK and RST."""
        return self.flags & (dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK | dpkt.tcp.TH_RST) == flags


def decode(frame: bytes, *, has_ethernet: bool = True) -> Seen | None:
    """The TCP segment in the frame, or in the packet where there is no Ethernet; None when there is none."""
    try:
        ethernet = dpkt.ethernet.Ethernet(frame) if has_ethernet else None
        packet = ethernet.data if ethernet else INNER[4 if frame[0] >> 4 == 4 else 41](frame)
        outer, inner = _unpacked(packet)
    except (dpkt.UnpackError, IndexError, KeyError, ValueError):
        return None
    if not isinstance(inner, PACKETS) or not isinstance(inner.data, dpkt.tcp.TCP):
        return None
    segment = inner.data
    return Seen(
        mac_from=mac_text(ethernet.src) if ethernet else "",
        mac_to=mac_text(ethernet.dst) if ethernet else "",
        source=endpoint_text(ip_address(inner.src), segment.sport),
        destination=endpoint_text(ip_address(inner.dst), segment.dport),
        ttl=_ttl(inner),
        flags=segment.flags,
        payload=bytes(segment.data),
        outer=outer,
    )


def _unpacked(packet: Any) -> tuple[Outer | None, Any]:
    """The outer header, if there is one, and the packet within it."""
    if not isinstance(packet, PACKETS):
        return None, packet
    source, destination = ip_address(packet.src), ip_address(packet.dst)
    if isinstance(packet.data, PACKETS):
        return Outer("IPIP", str(source), str(destination), _ttl(packet)), packet.data
    datagram = packet.data
    if isinstance(datagram, dpkt.udp.UDP) and datagram.dport == GUE_PORT:
        first, protocol = datagram.data[:2]
        inner = INNER[protocol](datagram.data[GUE_HDR_LEN + 4 * (first & LEN_WORDS) :])
        ends = endpoint_text(source, datagram.sport), endpoint_text(destination, datagram.dport)
        return Outer("GUE", *ends, _ttl(packet)), inner
    return None, packet


def _ttl(packet: Any) -> int:
    ttl: int = packet.hlim if isinstance(packet, dpkt.ip6.IP6) else packet.ttl
    return ttl

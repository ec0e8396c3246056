"""Good frames, made by scapy, of every kind that swlb reads: what the fuzzer spoils."""

import struct
from collections.abc import Iterator

from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    fragment6,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.fuzz.shapes import SEGMENT_MACS, SOURCE, SOURCE_PORTS, VIP

NO_OFFLOAD = bytes(10)
NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 1, 1, 4, 5
STATIONS = tuple(f"02:aa:00:00:00:{n:02x}" for n in range(1, 9))
CLIENTS = (("10.0.1.10", "fd00:1::10"), ("10.0.2.20", "fd00:2::20"), ("192.0.2.9", "fd00:9::9"))
SERVERS = (("10.0.2.11", "fd00:2::11"), ("10.0.2.12", "fd00:2::12"))
OWN = (("10.0.1.1", "fd00:1::1"), ("10.0.2.1", "fd00:2::1"))


def messages() -> list[bytes]:
    """Offload header and frame of every good frame; always the same ones."""
    out = [NO_OFFLOAD + bytes(Ether(src=STATIONS[n % 8], dst=to) / packet)
           for n, (to, packet) in enumerate((to, packet) for packet in packets() for to in SEGMENT_MACS)]
    out += [NO_OFFLOAD + bytes(frame) for frame in frames()]
    return out + list(super_frames())


def l3(version: int, src: tuple[str, str], dst: tuple[str, str], **fields: int | str) -> Packet:
    if version == 4:
        return IP(src=src[0], dst=dst[0], **fields)
    return IPv6(src=src[1], dst=dst[1], **fields)


def packets() -> Iterator[Packet]:
    """IP packets for the segment's MAC or a VIP: connections, datagrams, echoes, errors, fragments."""
    for version in (4, 6):
        for client in CLIENTS:
            for l4_port in (80, 443, 8001, 9999):
                for flags in ("S", "A", "PA", "FA", "R"):
                    yield l3(version, client, VIP) / TCP(sport=4000, dport=l4_port, flags=flags) / Raw(b"x" * 20)
            yield l3(version, client, VIP) / UDP(sport=4000, dport=53) / DNS(qd=DNSQR(qname="a.example"))
            yield l3(version, client, VIP) / UDP(sport=4000, dport=5555) / Raw(b"y" * 30)
            for server in SERVERS:
                for flags in ("SA", "A", "FA", "RA"):
                    yield l3(version, server, client) / TCP(sport=8080, dport=4000, flags=flags)
                yield l3(version, server, client) / UDP(sport=53, dport=4000) / Raw(b"z" * 40)
                yield l3(version, client, server) / TCP(sport=4000, dport=8080)
                yield from errors(version, client, server)
                yield from pieces(version, client, VIP)
                yield from pieces(version, server, client)
            for dst in (VIP, *OWN):
                yield l3(version, client, dst) / (ICMP() if version == 4 else ICMPv6EchoRequest()) / Raw(b"ping" * 9)
        yield from to_sources(version)
        yield l3(version, CLIENTS[0], CLIENTS[1]) / UDP(sport=1, dport=2) / Raw(b"w" * 1400)
    yield IP(src="10.0.1.10", dst="10.0.2.20", ttl=1) / UDP(sport=7, dport=7)
    yield IPv6(src="fd00:1::10", dst="fd00:2::20", hlim=1) / UDP(sport=7, dport=7)
    yield IP(src="10.0.1.10", dst=VIP[0], options=[IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"])]) / TCP(dport=80)
    yield IP(src="10.0.1.10", dst="10.0.2.11", proto=47) / Raw(b"gre?" * 8)
    yield from chains()
    yield from tunnel_errors()
    yield from direct_replies()
    for _ in range(4):
        yield from streams()


def streams() -> Iterator[Packet]:
    """Datagrams as sockets of Linux send them, unfragmentable: what is merged when it comes more than once.

    Listed several times, so that they are met often enough.
    """
    for version, more in ((4, {"flags": "DF"}), (6, {})):
        for client in CLIENTS:
            for size in (1, 30, 600):
                yield l3(version, client, VIP, **more) / UDP(sport=4000, dport=53) / Raw(b"s" * size)
                yield l3(version, client, VIP, **more) / UDP(sport=4000, dport=5555) / Raw(b"t" * size)
                yield l3(version, SERVERS[0], client, **more) / UDP(sport=53, dport=4000) / Raw(b"u" * size)
                yield l3(version, client, SERVERS[1], **more) / UDP(sport=9, dport=9) / Raw(b"v" * size)


def chains() -> Iterator[Packet]:
    """IPv6 packets with extension headers."""
    pad = [PadN(optdata=b"\0" * 4)]
    for dst in (VIP[1], "fd00:2::11"):
        yield IPv6(src="fd00:1::10", dst=dst) / IPv6ExtHdrHopByHop(options=pad) / TCP(sport=4000, dport=80)
        yield (IPv6(src="fd00:1::10", dst=dst) / IPv6ExtHdrDestOpt(options=pad) / IPv6ExtHdrRouting(type=253, segleft=0)
               / UDP(sport=4000, dport=53) / Raw(b"v" * 12))
        yield IPv6(src="fd00:1::10", dst=dst) / IPv6ExtHdrFragment(id=77) / TCP(sport=4000, dport=80, flags="S")
        # A chain of headers that is as long as the packet, or almost.
        long = IPv6(src="fd00:1::10", dst=dst, hlim=1, nh=60) / Raw(b"\x3b\xf7\x01\xff" + bytes(1980))
        yield long
        yield long / Raw(b"behind the chain")


def to_sources(version: int) -> Iterator[Packet]:
    """Answers, errors and echoes to the addresses that stand for others, and what makes such."""
    peer, host = CLIENTS[0], CLIENTS[1]
    yield l3(version, host, peer) / UDP(sport=4000, dport=53) / Raw(b"ask")
    yield l3(version, host, peer) / TCP(sport=4000, dport=80, flags="S")
    echo = ICMP(id=7) if version == 4 else ICMPv6EchoRequest(id=7)
    yield l3(version, host, peer) / echo / Raw(b"ask")
    yield from pieces(version, host, peer)
    for source in (SOURCE, *OWN):
        for port in range(SOURCE_PORTS[0], SOURCE_PORTS[1] + 1):
            yield l3(version, SERVERS[port % 2], source) / TCP(sport=8080, dport=port, flags="SA")
            yield l3(version, SERVERS[port % 2], source) / TCP(sport=8080, dport=port, flags="FA")
            yield l3(version, SERVERS[port % 2], source) / UDP(sport=53, dport=port) / Raw(b"answer")
            yield l3(version, peer, source) / UDP(sport=53, dport=port) / Raw(b"answer")
            yield l3(version, peer, source) / (ICMP(type=0, id=port) if version == 4 else ICMPv6EchoReply(id=port))
            quoted = l3(version, source, SERVERS[port % 2]) / TCP(sport=port, dport=8080)
            error = ICMP(type=3, code=4, nexthopmtu=1300) if version == 4 else ICMPv6PacketTooBig(mtu=1300)
            yield l3(version, SERVERS[0], source) / error / quoted
            yield l3(version, peer, source) / error / (l3(version, source, peer) / UDP(sport=port, dport=53))


def pieces(version: int, src: tuple[str, str], dst: tuple[str, str]) -> Iterator[Packet]:
    """One datagram in three fragments."""
    whole = l3(version, src, dst) / UDP(sport=4000, dport=5555) / Raw(b"piece" * 500)
    if version == 4:
        yield from fragment(whole, 1000)
    else:
        yield from fragment6(whole.__class__(bytes(IPv6(src=src[1], dst=dst[1]) / IPv6ExtHdrFragment(id=5)
                                                   / whole.payload)), 1100)


def errors(version: int, client: tuple[str, str], server: tuple[str, str]) -> Iterator[Packet]:
    """ICMP errors about a reply to the VIP's client, and about a request to the server."""
    reply = l3(version, VIP, client) / TCP(sport=80, dport=4000) / Raw(b"q" * 60)
    request = l3(version, client, server) / TCP(sport=4000, dport=8080) / Raw(b"q" * 60)
    if version == 4:
        yield IP(src=client[0], dst=VIP[0]) / ICMP(type=3, code=4, nexthopmtu=1300) / reply
        yield IP(src=server[0], dst=client[0]) / ICMP(type=3, code=3) / request
        yield IP(src=server[0], dst=client[0]) / ICMP(type=11) / request
    else:
        yield IPv6(src=client[1], dst=VIP[1]) / ICMPv6PacketTooBig(mtu=1300) / reply
        yield IPv6(src=server[1], dst=client[1]) / ICMPv6DestUnreach(code=4) / request


def frames() -> Iterator[Packet]:
    """What is not for swlb's MAC alone: ARP, neighbour discovery, tags, and stations talking to each other."""
    everyone = "ff:ff:ff:ff:ff:ff"
    for n, (ip4, ip6) in enumerate((*CLIENTS, *SERVERS)):
        at = STATIONS[n]
        for own4, own6 in (VIP, *OWN):
            yield Ether(src=at, dst=everyone) / ARP(hwsrc=at, psrc=ip4, pdst=own4)
            ask = ICMPv6ND_NS(tgt=own6) / ICMPv6NDOptSrcLLAddr(lladdr=at)
            yield Ether(src=at, dst="33:33:ff:00:00:01") / IPv6(src=ip6, dst="ff02::1:ff00:1", hlim=255) / ask
            for to in SEGMENT_MACS:
                yield Ether(src=at, dst=to) / ARP(op=2, hwsrc=at, psrc=ip4, hwdst=to, pdst=own4)
                told = ICMPv6ND_NA(tgt=ip6, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=at)
                yield Ether(src=at, dst=to) / IPv6(src=ip6, dst=own6, hlim=255) / told
        yield Ether(src=at, dst=everyone) / ARP(op=1, hwsrc=at, psrc=VIP[0], pdst=VIP[0])
        dad = ICMPv6ND_NS(tgt=VIP[1])
        yield Ether(src=at, dst="33:33:ff:00:01:00") / IPv6(src="::", dst="ff02::1:ff00:100", hlim=255) / dad
    inner = IP(src="10.0.2.20", dst="10.0.2.11") / UDP(sport=1, dport=2) / Raw(b"u" * 50)
    yield Ether(src=STATIONS[1], dst=STATIONS[3]) / inner
    yield Ether(src=STATIONS[1], dst=STATIONS[3]) / Dot1Q(vlan=10) / inner
    yield Ether(src=STATIONS[1], dst=SEGMENT_MACS[1]) / Dot1Q(vlan=0) / inner
    yield Ether(src=STATIONS[1], dst=STATIONS[3]) / Dot1AD(vlan=10) / Dot1Q(vlan=20) / inner
    yield Ether(src=STATIONS[1], dst="01:80:c2:00:00:00", type=0x88CC) / Raw(b"lldp" * 10)
    yield Ether(src=STATIONS[1], dst="01:00:5e:00:00:fb") / IP(src="10.0.2.20", dst="224.0.0.251") / UDP() / Raw(b"m")


def tunnel_errors() -> Iterator[Packet]:
    """ICMP errors about the packets in which swlb sent a client's request on, from a router before the server."""
    for version, outer in ((v, o) for v in (4, 6) for o in (4, 6)):
        within = l3(version, CLIENTS[0], VIP, **({"flags": "DF"} if version == 4 else {}))
        inner = bytes(within / TCP(sport=4000, dport=443) / Raw(b"i" * 900))
        carried = {4: 4, 6: 41}[version]
        gue = bytes(within / TCP(sport=4000, dport=80) / Raw(b"g" * 900))
        for quoted in (l3(outer, OWN[1], SERVERS[0], **{"proto" if outer == 4 else "nh": carried}) / Raw(inner),
                       l3(outer, OWN[1], SERVERS[0]) / UDP(sport=50000, dport=6080)
                       / Raw(bytes((0, carried, 0, 0)) + gue)):
            for kind in ((ICMP(type=3, code=4, nexthopmtu=900), ICMP(type=3, code=1), ICMP(type=11)) if outer == 4
                         else (ICMPv6PacketTooBig(mtu=1300), ICMPv6DestUnreach(code=0))):
                yield l3(outer, SERVERS[1], OWN[1]) / kind / Raw(bytes(quoted)[:700])


def direct_replies() -> Iterator[Packet]:
    """What a server that has the VIP itself answers, and requests that are too large for many a link."""
    for version in (4, 6):
        for client in CLIENTS:
            yield l3(version, VIP, client) / TCP(sport=80, dport=4000, flags="SA", options=[("MSS", 1460)])
            yield l3(version, VIP, client) / UDP(sport=5555, dport=4000) / Raw(b"r" * 50)
            yield l3(version, client, VIP) / TCP(sport=4000, dport=80, flags="S", options=[("MSS", 1460)])
            yield l3(version, client, VIP) / TCP(sport=4000, dport=443, flags="A") / Raw(b"l" * 1400)
            for size in (1400, 1450, 1470):
                yield l3(version, client, VIP) / UDP(sport=4000, dport=5555) / Raw(b"l" * size)


def super_frames() -> Iterator[bytes]:
    """What a kernel with offloads hands over: partial checksums, and payloads that are yet to be segmented."""
    for version, src, dst in ((4, CLIENTS[0], VIP), (6, CLIENTS[0], VIP), (4, SERVERS[0], CLIENTS[0]),
                              (6, SERVERS[0], CLIENTS[0])):
        ports = {"sport": 4000, "dport": 80} if dst == VIP else {"sport": 8080, "dport": 4000}
        start = 14 + (20 if version == 4 else 40)
        for payload, gso in ((100, 0), (9000, 1400), (64000, 1400)):
            frame = bytes(Ether(src=STATIONS[0], dst=SEGMENT_MACS[payload % 2]) / l3(version, src, dst)
                          / TCP(flags="PA", **ports) / Raw(b"s" * payload))
            kind = 0 if not gso else GSO_TCPV4 if version == 4 else GSO_TCPV6
            yield struct.pack("<BBHHHH", NEEDS_CSUM, kind, start + 20, gso, start, 16) + frame
        frame = bytes(Ether(src=STATIONS[0], dst=SEGMENT_MACS[1]) / l3(version, src, dst)
                      / UDP(sport=4000, dport=5555) / Raw(b"d" * 6000))
        yield struct.pack("<BBHHHH", NEEDS_CSUM, GSO_UDP_L4, start + 8, 1200, start, 6) + frame

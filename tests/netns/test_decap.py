"""`swlb decap` on a server: clients are served out of tunnels, and nothing else comes in by them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet, Raw

from netns.capture import capturing, wrong_checksums
from netns.running import Host, made_namespaces
from netns.traffic import PATIENCE_S, echoed, get, http_server, ping, udp_echo
from netns.tunnels import DEVICE, PROTOCOLS, VIPS, Pair, a_pair, balancing, unpacking, wrapped

pytestmark = pytest.mark.root

WEB_PORT, ECHO_PORT = 80, 7
FAMILIES = pytest.mark.parametrize("family", [4, 6])
OUTERS = pytest.mark.parametrize("outer", [4, 6])
# Fields that a router would change, or that no host sets by itself.
ODD = {4: {"tos": 0x29, "id": 77, "ttl": 9, "flags": "evil"}, 6: {"tc": 0x29, "hlim": 9, "fl": 0xABCDE}}
KINDS = pytest.mark.parametrize("kind", ["ipip", "gue"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[Pair]:
    """A server that unpacks and serves at the VIPs, and its client."""
    with made_namespaces() as make, ExitStack() as stack:
        client, server = a_pair(make)
        decap = stack.enter_context(unpacking(server, tmp_path_factory.mktemp("decap")))
        for vip in VIPS.values():
            stack.enter_context(http_server(server, vip, WEB_PORT))
            stack.enter_context(udp_echo(server, vip, ECHO_PORT))
        yield Pair(client, server, decap)


def datagram(pair: Pair, family: int, data: bytes = b"hello", **fields: object) -> Packet:
    """What a client's UDP socket would send to the echo service."""
    header = IP if family == 4 else IPv6
    fields = {"src": pair.client.address(family), "dst": VIPS[family]} | fields
    return header(**fields) / UDP(sport=4000, dport=ECHO_PORT) / Raw(data)


def answer(pair: Pair, family: int, *packets: Packet) -> bytes:
    """What the VIP's echo service says to the client's socket after the packets."""
    with closing(pair.client.socket(family, socket.SOCK_DGRAM)) as sock:
        sock.bind((pair.client.address(family), 4000))
        sock.settimeout(PATIENCE_S)
        pair.send(*packets)
        data, sender = sock.recvfrom(65536)
    assert sender[:2] == (VIPS[family], ECHO_PORT)
    return data


@contextmanager
def capturing_device(pair: Pair) -> Iterator[list[bytes]]:
    """Filled after the block with the packets that came out of the TUN device."""
    packets: list[bytes] = []
    with capturing(Host("server", pair.server.netns, DEVICE, ())) as capture:
        yield packets
    # In front of a packet out of a TUN the capture puts an Ethernet header of no MACs.
    packets += [frame.data[14:] for frame in capture.frames if not frame.outgoing]


@KINDS
@OUTERS
def test_real_clients_are_served_and_answered_by_the_vip_itself(pair, kind, outer):
    with balancing(pair, kind, outer):
        for family, vip in VIPS.items():
            before = pair.decap.passed(kind, outer, family)
            with capturing(pair.client) as wire:
                said = get(pair.client, vip, WEB_PORT)
                assert echoed(pair.client, vip, ECHO_PORT) == "server"
                assert ping(pair.client, vip) == vip
            assert said.local == (vip, WEB_PORT)
            assert said.peer == said.client
            assert said.client[0] == pair.client.address(family)
            back = [frame for frame in wire.packets(outgoing=False) if address_in(frame.data) == vip]
            assert back
            assert wrong_checksums(back) == []
            assert pair.decap.passed(kind, outer, family) > before


def address_in(frame: bytes) -> str:
    """The source of an IP packet in Ethernet."""
    family, place = (socket.AF_INET, slice(26, 30)) if frame[14] >> 4 == 4 else (socket.AF_INET6, slice(22, 38))
    return socket.inet_ntop(family, frame[place])


@KINDS
@OUTERS
@FAMILIES
def test_the_packet_comes_out_of_the_device_byte_for_byte(pair, kind, outer, family):
    inner = bytes(datagram(pair, family, **ODD[family]))
    with capturing_device(pair) as came:
        assert answer(pair, family, wrapped(kind, pair.outer(outer), inner)) == b"server hello"
    assert came == [inner]


@KINDS
@OUTERS
@FAMILIES
def test_congestion_that_was_marked_outside_is_marked_inside(pair, kind, outer, family):
    inner = datagram(pair, family, **{"tos" if family == 4 else "tc": 0x02})
    marked = pair.outer(outer, **{"tos" if outer == 4 else "tc": 0x03})
    with capturing_device(pair) as came:
        assert answer(pair, family, wrapped(kind, marked, bytes(inner))) == b"server hello"
    (seen,) = map(IP if family == 4 else IPv6, came)
    assert (seen.tos if family == 4 else seen.tc) == 0x03


@KINDS
@OUTERS
@FAMILIES
def test_a_tunnel_packet_in_fragments_is_put_together(pair, kind, outer, family):
    whole = wrapped(kind, pair.outer(outer), bytes(datagram(pair, family, b"x" * 2000)))
    if outer == 4:
        parts = fragment(whole, 1000)
    else:
        # As bytes: the UDP checksum covers the whole.
        part = IPv6ExtHdrFragment(id=1, nh=PROTOCOLS[family] if kind == "ipip" else socket.IPPROTO_UDP)
        parts = fragment6(pair.outer(6) / part / Raw(bytes(whole)[40:]), 1000)
    assert len(parts) > 1
    assert answer(pair, family, *parts) == b"server " + b"x" * 2000


def test_private_data_of_gue_is_skipped(pair):
    inner = bytes(datagram(pair, 4))
    header = bytes([1, 4, 0, 0]) + b"more"
    packet = pair.outer(4) / UDP(sport=50000, dport=6080) / Raw(header + inner)
    assert answer(pair, 4, packet) == b"server hello"

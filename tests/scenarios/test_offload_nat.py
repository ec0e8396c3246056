"""Frames with work left for the card: partial checksums and super-frames, through NAT and back."""

import struct
from dataclasses import dataclass, replace

import pytest
from scapy.packet import Packet

from tests.oracle.checksum import flaws, partial_checksum

from .balanced import Scene, routed, transparent
from .frames import NO_OFFLOAD

NEEDS_CSUM, DATA_VALID, RSC_INFO = 1, 2, 4
TCPV4, TCPV6, UDP_L4, ECN = 1, 4, 5, 0x80
L3 = 14
KINDS = [(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")]


@dataclass(frozen=True)
class Offload:
    """A virtio-net header."""

    flags: int
    gso_type: int
    hdr_len: int
    gso_size: int
    csum_start: int
    csum_offset: int

    def __bytes__(self) -> bytes:
        return struct.pack("<BBHHHH", self.flags, self.gso_type, self.hdr_len, self.gso_size, self.csum_start,
                           self.csum_offset)


def offload_for(scene: Scene, gso_type: int = 0, gso_size: int = 0) -> Offload:
    """What a kernel asks for with a frame of the scene's protocol."""
    start = L3 + (20 if scene.family == 4 else 40)
    hdr_len = start + (20 if scene.protocol == "tcp" else 8) if gso_type else 0
    return Offload(NEEDS_CSUM, gso_type, hdr_len, gso_size, start, 16 if scene.protocol == "tcp" else 6)


def super_type(scene: Scene) -> int:
    return UDP_L4 if scene.protocol == "udp" else TCPV4 if scene.family == 4 else TCPV6


def partial(packet: Packet) -> Packet:
    """The packet with the pseudo-header's sum in place of its TCP or UDP checksum."""
    l4 = packet.payload
    l4.chksum = 0
    l4.chksum = partial_checksum(bytes(packet))
    return packet


def there(scene: Scene, packet: Packet, offload: Offload | bytes) -> tuple[bytes, bytes]:
    """Offload header and packet as the server gets what the client sent."""
    scene.client.send(packet, offload=bytes(offload))
    (header, frame), = scene.net.worker.take(scene.net.ports["server0"])
    return header, frame[L3:]


def back(scene: Scene, packet: Packet, offload: Offload | bytes) -> tuple[bytes, bytes]:
    """Offload header and packet as the client gets what the server sent."""
    scene.servers[0].send(packet, to=None if scene.hops_lost else scene.client.mac, offload=bytes(offload))
    (header, frame), = scene.net.worker.take(scene.net.ports["client"])
    return header, frame[L3:]


@pytest.fixture(params=[(shape, *kind) for shape in (routed, transparent) for kind in KINDS],
                ids=lambda p: f"{p[0].__name__}-{p[2]}-v{p[1]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    shape, family, protocol = request.param
    return shape(family, protocol=protocol)


def test_partial_checksum_gains_the_addresses_only(scene: Scene) -> None:
    offload = offload_for(scene)
    header, packet = there(scene, partial(scene.request("S", payload=b"hello")), offload)
    assert header == bytes(offload)
    assert packet == bytes(partial(scene.delivered(0, "S", payload=b"hello")))
    header, packet = back(scene, partial(scene.reply(0, "SA", payload=b"world")), offload)
    assert header == bytes(offload)
    assert packet == bytes(partial(scene.restored("SA", payload=b"world")))


def test_partial_checksum_is_right_once_the_card_has_finished_it(scene: Scene) -> None:
    offload = offload_for(scene)
    _, packet = there(scene, partial(scene.request("S", payload=b"odd number")), offload)
    assert flaws(packet, partial=True) == []
    finished = bytearray(packet)
    at = offload.csum_start - L3
    total = sum(struct.unpack(f"!{len(packet[at:]) // 2}H", packet[at:at + len(packet[at:]) // 2 * 2]))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    finished[at + offload.csum_offset:at + offload.csum_offset + 2] = struct.pack("!H", ~total & 0xFFFF)
    assert flaws(bytes(finished)) == []


@pytest.mark.parametrize("size", [1999, 2024, 2025, 4000, 65000])
def test_super_frame_passes_whole_with_its_offload_header(scene: Scene, size: int) -> None:
    offload = offload_for(scene, super_type(scene), 1400)
    payload = bytes(i % 251 for i in range(size))
    header, packet = there(scene, partial(scene.request("S", payload=payload)), offload)
    assert header == bytes(offload)
    assert packet == bytes(partial(scene.delivered(0, "S", payload=payload)))
    assert flaws(packet, partial=True) == []
    header, packet = back(scene, partial(scene.reply(0, "PA", payload=payload)), offload)
    assert header == bytes(offload)
    assert packet == bytes(partial(scene.restored("PA", payload=payload)))


def test_super_frame_of_the_largest_size_passes(scene: Scene) -> None:
    most = 65535 - (20 if scene.family == 4 else 0) - (20 if scene.protocol == "tcp" else 8)
    payload = b"z" * most
    offload = offload_for(scene, super_type(scene), 1400)
    header, packet = there(scene, partial(scene.request("S", payload=payload)), offload)
    assert (header, packet) == (bytes(offload), bytes(partial(scene.delivered(0, "S", payload=payload))))


def test_super_frame_waits_whole_for_a_server_that_is_not_yet_known(scene: Scene) -> None:
    fresh = (transparent if scene.hops_lost == 0 else routed)(scene.family, protocol=scene.protocol, greet=False)
    fresh.client.greet()
    payload, offload = bytes(range(256)) * 200, offload_for(scene, super_type(scene), 1400)
    fresh.client.send(partial(fresh.request("S", payload=payload)), offload=bytes(offload))
    fresh.net.discard()
    # The server's own question makes it known; it is answered first.
    fresh.net.send("server0", fresh.servers[0].question(fresh.servers[0].addresses[0]))
    _, (header, frame) = fresh.net.worker.take(fresh.net.ports["server0"])
    assert (header, frame[L3:]) == (bytes(offload), bytes(partial(fresh.delivered(0, "S", payload=payload))))


@pytest.mark.parametrize("bits", [{"gso_type": ECN}, {"flags": RSC_INFO}], ids=["ecn", "rsc-info"])
def test_other_bits_of_the_offload_header_are_kept(scene: Scene, bits: dict) -> None:
    offload = offload_for(scene, super_type(scene), 1400)
    offload = replace(offload, **{name: getattr(offload, name) | value for name, value in bits.items()})
    header, _ = there(scene, partial(scene.request("S", payload=b"x" * 3000)), offload)
    assert header == bytes(offload)


def test_verified_checksum_is_adjusted_like_any_complete_one(scene: Scene) -> None:
    verified = replace(offload_for(scene), flags=DATA_VALID, csum_start=0, csum_offset=0)
    _, packet = there(scene, scene.request("S", payload=b"x"), verified)
    assert packet == bytes(scene.delivered(0, "S", payload=b"x"))


def test_super_frame_to_a_port_without_service_is_answered_by_one_ordinary_frame(scene: Scene) -> None:
    packet = scene.request("PA", dport=81, seq=1000, ack=7, payload=b"x" * 30000) if scene.protocol == "tcp" else (
        scene.request(dport=81, payload=b"x" * 30000))
    scene.client.send(partial(packet), offload=bytes(offload_for(scene, super_type(scene), 1400)))
    (header, frame), = scene.net.worker.take(scene.net.ports["client"])
    assert header == NO_OFFLOAD
    assert len(frame) <= L3 + 1280
    assert [flaw for flaw in flaws(frame[L3:]) if "quoted" not in flaw] == []


def test_reset_of_a_super_frame_counts_all_its_bytes() -> None:
    scene = routed(4)
    packet = scene.request("F", dport=81, seq=1000, payload=b"x" * 30000)
    scene.client.send(partial(packet), offload=bytes(offload_for(scene, TCPV4, 1400)))
    scene.client.expect(scene.reset(sport=81, flags="RA", seq=0, ack=31001))


@pytest.mark.parametrize("kind", KINDS)
def test_quoted_packet_has_its_checksum_finished(kind: tuple[int, str]) -> None:
    scene = routed(kind[0], protocol=kind[1])
    scene.client.send(partial(scene.request("S", hops=1, payload=b"abc")), offload=bytes(offload_for(scene)))
    (header, frame), = scene.net.worker.take(scene.net.ports["client"])
    assert header == NO_OFFLOAD
    assert flaws(frame[L3:]) == []


@pytest.mark.parametrize("wrong", [{"csum_start": 35}, {"csum_offset": 2}, {"csum_start": 0}, {"csum_start": 65535},
                                   {"flags": 0, "gso_type": 1, "gso_size": 1400}], ids=str)
def test_offload_header_that_contradicts_the_frame_is_dropped(scene: Scene, wrong: dict) -> None:
    scene.client.send(partial(scene.request("S")), offload=bytes(replace(offload_for(scene), **wrong)))
    assert scene.receiver() is None
    assert scene.net.drops() == {"bad_offload": 1}


@pytest.mark.parametrize("gso_type", [2, 3, 6, 0x20, 0x40, 0x7F])
def test_super_frame_of_an_unknown_kind_is_dropped(scene: Scene, gso_type: int) -> None:
    scene.client.send(partial(scene.request("S", payload=b"x" * 3000)),
                      offload=bytes(offload_for(scene, gso_type, 1400)))
    assert scene.receiver() is None
    assert scene.net.drops() == {"bad_offload": 1}


def test_super_frame_whose_kind_is_not_its_packets_is_dropped(scene: Scene) -> None:
    others = {TCPV4, TCPV6, UDP_L4} - {super_type(scene)}
    for gso_type in others:
        scene.client.send(partial(scene.request("S", payload=b"x" * 3000)),
                          offload=bytes(offload_for(scene, gso_type, 1400)))
    assert scene.net.drops() == {"bad_offload": len(others)}

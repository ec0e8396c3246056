"""Adjusting a checksum equals computing it anew: for every value of a word that changes, and of one that does not.

Frames are patched from a template instead of built one by one: 65,536 of them are sent each time.
"""

import struct
from collections.abc import Iterator

import pytest

from tests.oracle.checksum import l4_checksum, l4_of

from .balanced import Scene, routed

ALL = range(65536)
# Where all 65,536 are sent: each family and each protocol once.
TWO_KINDS = pytest.mark.parametrize("kind", [(4, "tcp"), (6, "udp")], ids=["tcp-v4", "udp-v6"])
KINDS = pytest.mark.parametrize("kind", [(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")], ids=str)
ETHERNET = 14
ROOM = {"limits": {"sessions": 70000}}


def check_at(packet: bytes) -> int:
    at, protocol, _ = l4_of(packet)
    return at + (16 if protocol == 6 else 6)


def with_checksum(packet: bytearray) -> bytes:
    struct.pack_into("!H", packet, check_at(bytes(packet)), l4_checksum(bytes(packet)))
    return bytes(packet)


def swept(template: bytes, at: int, step: int = 1) -> Iterator[bytes]:
    """The packet with every value (or every step-th) of the word at that offset, its checksum computed anew."""
    for value in ALL[::step]:
        packet = bytearray(template)
        struct.pack_into("!H", packet, at, value)
        yield with_checksum(packet)


def all_that_left(scene: Scene, into: str, out: list[str], frames: list[bytes]) -> list[bytes]:
    """The packets that left by these ports when the frames came in."""
    left = []
    for start in range(0, len(frames), 4096):
        scene.net.send(into, *frames[start:start + 4096])
        for port in out:
            left += [frame[ETHERNET:] for _, frame in scene.net.worker.take(scene.net.ports[port])]
    return left


def wrong(packets: list[bytes]) -> list[bytes]:
    """Those whose TCP or UDP checksum a full computation does not give."""
    return [packet for packet in packets
            if struct.unpack_from("!H", packet, check_at(packet))[0] != l4_checksum(packet)]


@TWO_KINDS
def test_every_value_of_a_payload_word_and_so_every_checksum(kind: tuple[int, str]) -> None:
    scene = routed(kind[0], protocol=kind[1], n_servers=1)
    template = bytes(scene.request("S", payload=b"\0\0"))
    head = bytes(scene.client.frame(scene.request()))[:ETHERNET]
    frames = [head + packet for packet in swept(template, len(template) - 2)]
    assert len({frame[ETHERNET + check_at(template):][:2] for frame in frames}) >= 65535
    left = all_that_left(scene, "client", ["server0"], frames)
    assert len(left) == 65536
    assert wrong(left) == []


@TWO_KINDS
def test_every_port_that_a_client_may_call_changed_to_the_servers(kind: tuple[int, str]) -> None:
    """The word that changes takes every value but 0, which no service has."""
    scene = routed(kind[0], protocol=kind[1], n_servers=1, port=(1, 65535), **ROOM)
    template = bytes(scene.request("S", payload=b"x"))
    at, _, _ = l4_of(template)
    head = bytes(scene.client.frame(scene.request()))[:ETHERNET]
    frames = []
    for packet in swept(template, at + 2):
        # A port of the client's for each, or they would crowd each other out.
        changed = bytearray(packet)
        changed[at:at + 2] = packet[at + 2:at + 4]
        frames.append(head + with_checksum(changed))
    left = all_that_left(scene, "client", ["server0"], frames[1:])
    assert len(left) == 65535
    assert wrong(left) == []


@KINDS
def test_every_port_restored_on_the_way_back(kind: tuple[int, str]) -> None:
    scene = routed(kind[0], protocol=kind[1], n_servers=1)
    scene.call()
    template = bytes(scene.reply(0, payload=b"\0\0"))
    head = bytes(scene.servers[0].frame(scene.reply(0)))[:ETHERNET]
    frames = [head + packet for packet in swept(template, len(template) - 2, step=7)]
    left = all_that_left(scene, "server0", ["client"], frames)
    assert len(left) == len(frames)
    assert wrong(left) == []


@pytest.mark.parametrize("family", [4, 6])
def test_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones(family: int) -> None:
    scene = routed(family, protocol="udp", n_servers=1)
    template = bytes(scene.request(payload=b"\0\0"))
    head = bytes(scene.client.frame(scene.request()))[:ETHERNET]
    frames = [head + packet for packet in swept(template, len(template) - 2)]
    left = all_that_left(scene, "client", ["server0"], frames)
    assert len(left) == 65536
    values = [struct.unpack_from("!H", packet, check_at(packet))[0] for packet in left]
    assert 0 not in values
    assert values.count(0xFFFF) in (1, 2)


def test_udp_without_a_checksum_over_ipv4_keeps_none_both_ways() -> None:
    scene = routed(4, protocol="udp")
    assert scene.call(chksum=0, payload=b"x") == 0
    scene.answer(0, chksum=0, payload=b"y")


def test_udp_without_a_checksum_over_ipv6_is_dropped_both_ways() -> None:
    scene = routed(6, protocol="udp")
    assert scene.call(chksum=0) is None
    assert scene.call() == 0
    scene.servers[0].send(scene.reply(0, chksum=0))
    scene.net.expect_silence()
    assert scene.net.drops() == {"zero_udp_checksum": 2}


@pytest.mark.parametrize("ttl", [2, 3, 64, 128, 255])
def test_ipv4_header_checksum_follows_ttl_and_addresses_for_every_identification(ttl: int) -> None:
    """With every value of the id the header's checksum takes every value, too."""
    scene = routed(4, n_servers=1)
    template = bytes(scene.request("S", hops=ttl))
    head = bytes(scene.client.frame(scene.request()))[:ETHERNET]
    frames = []
    for value in ALL[::5]:
        packet = bytearray(template)
        struct.pack_into("!HH", packet, 4, value, 0)
        packet[10:12] = b"\0\0"
        struct.pack_into("!H", packet, 10, header_checksum(bytes(packet[:20])))
        frames.append(head + bytes(packet))
    left = all_that_left(scene, "client", ["server0"], frames)
    assert len(left) == len(frames)
    assert [p for p in left if header_checksum(p[:10] + b"\0\0" + p[12:20]) != int.from_bytes(p[10:12], "big")] == []


def header_checksum(header: bytes) -> int:
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF

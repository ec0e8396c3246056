"""What is never merged: datagrams that differ in more than payload, flawed ones, no datagrams, what is bridged."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from scapy.layers.inet import IPOption_NOP, fragment
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, fragment6
from scapy.layers.l2 import Dot1Q
from scapy.packet import Packet

from tests.oracle.segment import cut

from .balanced import ip, routed, transparent
from .frames import ICMP, NO_OFFLOAD, TCP, UDP, Ether, IPv6, packet_of
from .merging import ON_ALL_WAYS, WAYS, Twins, Way
from .test_offload_nat import UDP_L4, offload_for, partial

BOTH = pytest.mark.parametrize("family", [4, 6])
ROUTED4, ROUTED6 = (Way("routed", routed, family) for family in (4, 6))
SIZE = 50


@dataclass(frozen=True)
class Case:
    """A datagram made into something that may not join its neighbours; `pieces` are the frames of A, it, B."""

    name: str
    change: Callable[[Packet], Packet | None]
    families: tuple[int, ...] = (4, 6)

    def __str__(self) -> str:
        return self.name


def setting(layer: int, **values: object) -> Callable[[Packet], None]:
    """Fields of the IP header (0) or of UDP (1) are others."""

    def change(packet: Packet) -> None:
        target = packet if layer == 0 else packet.payload
        for name, value in values.items():
            setattr(target, name, value)

    return change


def without_payload(packet: Packet) -> None:
    packet.payload.remove_payload()


def cut_short(packet: Packet) -> Packet:
    """UDP's length ends before IP's, and the checksum is right for what UDP says."""
    whole = type(packet)(bytes(packet))
    shorter = packet.copy()
    shorter.payload.payload.load = bytes(whole.payload.payload)[:SIZE - 10]
    shorter = type(packet)(bytes(shorter))
    return type(packet)(bytes(whole)[:-len(bytes(whole.payload))] + bytes(shorter.payload) + bytes(10))


CASES = [
    Case("another TTL", setting(0, ttl=40), (4,)),
    Case("another hop limit", setting(0, hlim=40), (6,)),
    Case("another TOS", setting(0, tos=0x10), (4,)),
    Case("congestion experienced", setting(0, tos=3), (4,)),
    Case("another traffic class", setting(0, tc=0x10), (6,)),
    Case("another flow label", setting(0, fl=7), (6,)),
    Case("fragmentation allowed", setting(0, flags=0), (4,)),
    Case("reserved bit", setting(0, flags="DF+evil"), (4,)),
    Case("an option", setting(0, options=[IPOption_NOP()] * 4), (4,)),
    Case("no checksum", setting(1, chksum=0), (4,)),
    Case("a wrong checksum", setting(1, chksum=0x1234)),
    Case("no payload", without_payload),
    Case("a UDP length shorter than the packet", cut_short),
]
MADE = [pytest.param(case, way, id=f"{case}-{way}") for case in CASES for way in WAYS if way.family in case.families]


def changed(case: Case, way: Way, twins: Twins) -> Packet:
    packet = way.packet(twins, b"X" * SIZE)
    return case.change(packet) or packet


def plain(way: Way, twins: Twins, letter: bytes) -> Packet:
    return way.packet(twins, letter * SIZE)


@pytest.mark.parametrize(("case", "way"), MADE)
def test_a_datagram_that_differs_parts_those_before_it_from_those_behind_it(case: Case, way: Way) -> None:
    twins = Twins(way)
    a, b, c, d = (plain(way, twins, letter) for letter in (b"a", b"b", b"c", b"d"))
    assert twins.send(a, b, changed(case, way, twins), c, d) == [2, 1, 2]


@pytest.mark.parametrize(("case", "way"), MADE)
def test_a_datagram_that_differs_leaves_as_through_a_port_that_does_not_merge(case: Case, way: Way) -> None:
    twins = Twins(way)
    twins.put(plain(way, twins, b"a"), changed(case, way, twins))
    merging, unmerging = twins.each(lambda scene: scene.net.take_raw(way.port))
    assert merging == unmerging
    assert len(merging) == 2


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("chksum", [0x1234, 0], ids=["wrong", "none"])
def test_datagrams_without_a_right_checksum_are_not_merged_with_each_other(way: Way, chksum: int) -> None:
    if chksum == 0 and way.family == 6:
        chksum = 1          # IPv6 has no datagrams without
    twins = Twins(way)
    packets = [way.packet(twins, bytes([n]) * SIZE, chksum=chksum) for n in range(4)]
    assert twins.send(*packets) == [1, 1, 1, 1]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_datagrams_with_a_wrong_partial_checksum_are_not_merged_with_each_other(way: Way) -> None:
    twins = Twins(way)
    frames = []
    for n in range(4):
        packet = partial(way.packet(twins, bytes([n]) * SIZE))
        packet.payload.chksum = (packet.payload.chksum + 1) % 0xFFFF or 1
        frames.append((bytes(offload_for(twins.plain)), bytes(twins.frame(packet))))
    twins.put(*frames)
    assert len(twins.taken()) == 4


@pytest.mark.parametrize("way", [way for way in WAYS if way.kind != "reply"], ids=str)
def test_datagrams_from_other_ports_are_not_merged(way: Way) -> None:
    twins = Twins(way)
    assert sum(twins.send(*(way.packet(twins, b"p" * SIZE, flow=n) for n in range(5)))) == 5
    assert len(twins.send(*(way.packet(twins, b"p" * SIZE, flow=n) for n in range(5)))) == 5


@BOTH
def test_datagrams_to_other_ports_are_not_merged(family: int) -> None:
    twins = Twins(Way("routed", routed, family))
    packets = [twins.way.packet(twins, b"p" * SIZE) for _ in range(4)]
    for n, packet in enumerate(packets):
        packet.payload.dport = 9000 + n
    assert twins.send(*packets) == [1] * 4


@BOTH
@pytest.mark.parametrize("end", ["src", "dst"])
def test_datagrams_of_other_addresses_are_not_merged(family: int, end: str) -> None:
    twins = Twins(Way("routed", routed, family), n_servers=2)
    packets = [twins.way.packet(twins, bytes([n]) * SIZE) for n in range(6)]
    for n, packet in enumerate(packets):
        if n % 2:
            other = twins.plain.servers[1].addresses[0] if end == "dst" else (
                twins.plain.client.addresses[0].replace("10", "20").replace("20.", "10."))
            setattr(packet, end, other)
    frames = twins.send(*packets) + [len(cut(*frame)) for frame in twins.taken("server1")]
    assert sum(frames) == 6
    # Those of one source to one destination wait behind others in the same place, as their hash is by destination.
    assert frames == ([1] * 6 if end == "src" else [3, 3])


@BOTH
def test_two_servers_answering_one_client_are_not_merged(family: int) -> None:
    twins = Twins(Way("reply", routed, family), n_servers=2)
    twins.each(lambda scene: (scene.call(sport=40000), scene.call(sport=40001)))
    twins.each(lambda scene: scene.net.discard())
    frames = []
    for number in (0, 1):
        packet = twins.plain.reply(number, dport=40000 + number, payload=b"r" * SIZE)
        if family == 4:
            packet.flags = "DF"
        frames.append((NO_OFFLOAD, bytes(twins.frame(packet))))
    assert twins.send(*frames, *frames) in ([2, 2], [1] * 4)


def super_frame(twins: Twins) -> tuple[bytes, bytes]:
    """A super-frame as a kernel hands it over."""
    packet = partial(twins.way.packet(twins, b"s" * 3 * SIZE))
    return bytes(offload_for(twins.plain, UDP_L4, SIZE)), bytes(twins.frame(packet))


@ON_ALL_WAYS
def test_a_super_frame_that_came_in_is_not_merged(way: Way) -> None:
    twins = Twins(way)
    a, b, c, d = (plain(way, twins, letter) for letter in (b"a", b"b", b"c", b"d"))
    twins.put(a, b, super_frame(twins), super_frame(twins), c, d)
    merging, unmerging = twins.each(lambda scene: scene.net.take_raw(way.port))
    assert [len(cut(*frame)) for frame in merging] == [2, 3, 3, 2]
    assert merging[1:3] == unmerging[2:4]
    assert [piece[-SIZE:] for frame in merging for piece in cut(*frame)] == (
        [piece[-SIZE:] for frame in unmerging for piece in cut(*frame)])


@BOTH
def test_tcp_segments_are_not_merged(family: int) -> None:
    twins = Twins(Way("routed", routed, family))
    head = ip(twins.plain.client.addresses[0], twins.plain.servers[0].addresses[0], **({"flags": "DF"} if family == 4
                                                                                       else {}))
    segments = [head / TCP(sport=40000, dport=9000, seq=n * SIZE, flags="A") / (b"t" * SIZE) for n in range(4)]
    assert twins.send(*segments) == [1] * 4
    twins.put(*segments)
    assert [offload for offload, _ in twins.taken()] == [NO_OFFLOAD] * 4


def fragments(family: int, packet: Packet) -> list[Packet]:
    """The datagram in three pieces."""
    if family == 4:
        packet.flags = 0
        packet.id = 77
        return fragment(packet, 400)
    whole = IPv6(bytes(packet))
    return fragment6(IPv6(src=whole.src, dst=whole.dst) / IPv6ExtHdrFragment(id=77) / whole.payload, 500)


@ON_ALL_WAYS
def test_fragments_are_not_merged_and_keep_their_place(way: Way) -> None:
    twins = Twins(way)
    pieces = fragments(way.family, way.packet(twins, b"F" * 1200))
    assert len(pieces) > 2
    a, b = plain(way, twins, b"a"), plain(way, twins, b"b")
    assert twins.send(a, *pieces, b) == [1] * (len(pieces) + 2)


@ON_ALL_WAYS
def test_a_datagram_does_not_pass_by_the_last_fragment_of_one_sent_before_it(way: Way) -> None:
    twins = Twins(way)
    first, *later = fragments(way.family, way.packet(twins, b"F" * 1200))
    assert twins.send(first) == [1]
    a, b = plain(way, twins, b"a"), plain(way, twins, b"b")
    twins.put(a, *later, b)
    merging, unmerging = twins.each(lambda scene: scene.net.take_raw(way.port))
    assert merging == unmerging


@pytest.mark.parametrize("way", [ROUTED6, Way("request", routed, 6)], ids=str)
def test_datagrams_behind_an_extension_header_are_not_merged(way: Way) -> None:
    twins = Twins(way)
    packets = [way.packet(twins, letter * SIZE) for letter in (b"a", b"b", b"c", b"d")]
    chained = [IPv6(src=p.src, dst=p.dst) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / p.payload
               for p in packets[1:3]]
    assert twins.send(packets[0], *chained, packets[3]) == [1, 1, 1, 1]


@BOTH
def test_datagrams_behind_a_priority_tag_are_not_merged(family: int) -> None:
    twins = Twins(Way("routed", routed, family))
    a, b, c, d = (plain(twins.way, twins, letter) for letter in (b"a", b"b", b"c", b"d"))

    def tagged(packet: Packet) -> tuple[bytes, bytes]:
        frame = twins.frame(packet)
        return NO_OFFLOAD, bytes(Ether(src=frame.src, dst=frame.dst) / Dot1Q(vlan=0) / packet)

    twins.put(a, tagged(b), tagged(c), d)
    merging, unmerging = twins.each(lambda scene: scene.net.take_raw("server0"))
    assert merging == unmerging
    assert len(merging) == 4


@BOTH
@pytest.mark.parametrize("vlan", [None, 10])
def test_bridged_datagrams_are_not_touched(family: int, vlan: int | None) -> None:
    twins = Twins(Way("request", transparent, family))
    client, server = twins.plain.client, twins.plain.servers[0]
    packets = [ip(client.addresses[0], server.addresses[0]) / UDP(sport=5, dport=6) / (bytes([n]) * SIZE)
               for n in range(5)]
    tag = Dot1Q(vlan=vlan) if vlan else None
    frames = [bytes(Ether(src=client.mac, dst=server.mac) / (tag / packet if tag else packet)) for packet in packets]
    if vlan:
        # swlb learns in each VLAN by itself where a station is.
        hello = Ether(src=server.mac, dst="ff:ff:ff:ff:ff:ff") / tag / b"hi"
        twins.each(lambda scene: scene.net.send("server0", hello))
        twins.each(lambda scene: scene.net.discard())
    twins.put(*((NO_OFFLOAD, frame) for frame in frames))
    assert twins.merging.net.take_raw("server0") == [(NO_OFFLOAD, frame) for frame in frames]


@BOTH
@pytest.mark.parametrize("shape", [routed, transparent])
def test_datagrams_that_are_flooded_are_not_merged(family: int, shape) -> None:
    twins = Twins(Way("request", shape, family), n_servers=2)
    twins.send(plain(twins.way, twins, b"o"))
    twins.each(lambda scene: scene.net.worker.flush_fdb(scene.net.segments[scene.servers[0].segment]))
    twins.put(*(plain(twins.way, twins, letter) for letter in (b"a", b"b", b"c")))
    for port in ("server0", "server1"):
        merging, unmerging = twins.each(lambda scene, port=port: scene.net.take_raw(port))
        assert merging == unmerging
        assert [offload for offload, _ in merging] == [NO_OFFLOAD] * 3


@BOTH
def test_an_icmp_error_in_place_of_a_datagram_keeps_its_place(family: int) -> None:
    twins = Twins(Way("routed", routed, family))
    near = {4: "10.0.1.99", 6: "fd00:1::99"}[family]
    for scene in (twins.merging, twins.plain):
        scene.net.station("client", near).greet()
    packets = [plain(twins.way, twins, letter) for letter in (b"a", b"b", b"c", b"d", b"e")]
    for packet in packets:
        packet.dst = near
    setattr(packets[2], "ttl" if family == 4 else "hlim", 1)
    twins.put(*packets)
    merging, unmerging = twins.each(lambda scene: scene.net.take_raw("client"))
    assert [len(cut(*frame)) for frame in merging] == [2, 1, 2]
    assert merging[1][0] == NO_OFFLOAD
    error = packet_of(Ether(merging[1][1]))
    assert (error.payload.type if family == 4 else error.nh) == (11 if family == 4 else 58)
    assert merging[1] == unmerging[2]


@BOTH
def test_icmp_errors_about_datagrams_are_not_merged(family: int) -> None:
    twins = Twins(Way("request", routed, family))
    # swlb has to know the session, so that only the hop limit is against them.
    twins.send(plain(twins.way, twins, b"o"))
    packets = [plain(twins.way, twins, bytes([n])) for n in range(4)]
    for packet in packets:
        setattr(packet, "ttl" if family == 4 else "hlim", 1)
    twins.put(*packets)
    merging, unmerging = twins.each(lambda scene: scene.net.take_raw("client"))
    assert merging == unmerging
    assert [offload for offload, _ in merging] == [NO_OFFLOAD] * 4
    assert all(ICMP in Ether(frame) if family == 4 else Ether(frame).payload.nh == 58 for _, frame in merging)

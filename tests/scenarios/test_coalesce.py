"""Datagrams of one flow that came in one burst leave as one super-frame, and cut up again they are what they were."""

import pytest

from tests.oracle.checksum import flaws
from tests.oracle.segment import VNET, cut

from .balanced import ip, routed, transparent
from .frames import NO_OFFLOAD, UDP, Ether
from .merging import ON_ALL_WAYS, WAYS, Twins, Way
from .test_offload_nat import Offload, offload_for, partial

REQUEST = Way("request", routed, 4)
BOTH = pytest.mark.parametrize("family", [4, 6])


def numbered(n: int, size: int) -> bytes:
    """Payloads that no two datagrams share."""
    return bytes((n * 7 + i) % 251 for i in range(size))


def burst(twins: Twins, *sizes: int, **fields: int) -> list:
    """A datagram of each size."""
    return [twins.way.packet(twins, numbered(n, size), **fields) for n, size in enumerate(sizes)]


@ON_ALL_WAYS
def test_datagrams_of_one_size_leave_as_one_frame(way: Way) -> None:
    twins = Twins(way)
    assert twins.send(*burst(twins, *[100] * 10)) == [10]


@ON_ALL_WAYS
def test_each_datagram_cut_from_a_frame_has_right_checksums(way: Way) -> None:
    twins = Twins(way)
    twins.put(*burst(twins, 101, 101, 77))
    (frame,) = twins.taken()
    assert [flaws(piece[14:]) for piece in cut(*frame)] == [[], [], []]


@ON_ALL_WAYS
def test_the_offload_header_says_how_to_cut_the_frame(way: Way) -> None:
    twins = Twins(way)
    twins.put(*burst(twins, 300, 300, 10))
    ((offload, _),) = twins.taken()
    l4_off = 14 + (20 if way.family == 4 else 40)
    assert VNET.unpack(offload) == (1, 5, l4_off + 8, 300, l4_off, 6)


@ON_ALL_WAYS
def test_one_datagram_alone_is_not_touched(way: Way) -> None:
    twins = Twins(way)
    twins.put(*burst(twins, 100))
    ((offload, frame),) = twins.taken()
    assert offload == NO_OFFLOAD
    assert flaws(frame[14:]) == []


@ON_ALL_WAYS
def test_a_shorter_datagram_is_the_last_of_its_frame(way: Way) -> None:
    twins = Twins(way)
    assert twins.send(*burst(twins, 100, 100, 99, 100, 100, 1, 1)) == [3, 3, 1]


@ON_ALL_WAYS
def test_a_longer_datagram_begins_a_frame_of_its_own(way: Way) -> None:
    twins = Twins(way)
    assert twins.send(*burst(twins, 100, 100, 101, 101, 102)) == [2, 2, 1]


@ON_ALL_WAYS
def test_datagrams_of_one_byte_are_merged(way: Way) -> None:
    twins = Twins(way)
    assert twins.send(*burst(twins, 1, 1, 1)) == [3]


@ON_ALL_WAYS
def test_a_frame_has_at_most_64_datagrams(way: Way) -> None:
    twins = Twins(way)
    assert twins.send(*burst(twins, *[10] * 100)) == [64, 36]


@ON_ALL_WAYS
def test_a_frame_s_packet_has_at_most_65535_bytes(way: Way) -> None:
    twins = Twins(way)
    size = 1472 if way.family == 4 else 1452
    most = (65535 - (28 if way.family == 4 else 48)) // size
    assert twins.send(*burst(twins, *[size] * 60)) == [most, 60 - most]


@BOTH
def test_a_packet_of_exactly_65535_bytes_is_made_and_none_of_one_more(family: int) -> None:
    full, rest = divmod(65535 - (28 if family == 4 else 48), 1400)
    twins = Twins(Way("request", routed, family))
    assert twins.send(*burst(twins, *[1400] * full, rest)) == [full + 1]
    assert twins.send(*burst(twins, *[1400] * full, rest + 1)) == [full, 1]


@ON_ALL_WAYS
def test_more_datagrams_than_a_burst_takes_all_leave_in_order(way: Way) -> None:
    twins = Twins(way)
    assert sum(twins.send(*burst(twins, *[33] * 300))) == 300


@ON_ALL_WAYS
def test_a_second_burst_begins_a_frame_of_its_own(way: Way) -> None:
    twins = Twins(way)
    assert twins.send(*burst(twins, 50, 50)) == [2]
    assert twins.send(*burst(twins, 50, 50, 50)) == [3]


@pytest.mark.parametrize("way", [way for way in WAYS if way.kind != "routed"], ids=str)
def test_interleaved_flows_are_merged_each_for_itself(way: Way) -> None:
    twins = Twins(way, flows=8)
    packets = [way.packet(twins, numbered(8 * n + flow, 30 + flow), flow=flow) for n in range(10) for flow in range(8)]
    frames = twins.send(*packets)
    assert sum(frames) == 80
    # Two flows whose hashes meet in one of 256 places take turns; more than four pairs of eight never do.
    assert len(frames) < 80
    assert frames.count(10) >= 1


@ON_ALL_WAYS
def test_padding_behind_a_packet_is_no_payload(way: Way) -> None:
    twins = Twins(way)
    padded = [(NO_OFFLOAD, bytes(twins.frame(packet)).ljust(90, b"\xee")) for packet in burst(twins, 5, 5, 5)]
    assert twins.send(*padded) == [3]


@ON_ALL_WAYS
def test_partial_checksums_are_merged_with_complete_ones(way: Way) -> None:
    twins = Twins(way)
    packets = burst(twins, 60, 60, 60, 60)
    offload = bytes(offload_for(twins.plain))
    unfinished = [(offload, bytes(twins.frame(partial(packet)))) for packet in packets[1:3]]
    # The unmerged run leaves them unfinished, so it is not the judge here.
    twins.put(packets[0], *unfinished, packets[3])
    ((header, frame),) = twins.merging.net.take_raw(way.port)
    pieces = cut(header, frame)
    assert [piece[-60:] for piece in pieces] == [numbered(n, 60) for n in range(4)]
    assert [flaws(piece[14:]) for piece in pieces] == [[]] * 4


@ON_ALL_WAYS
def test_datagrams_whose_checksum_was_verified_are_merged(way: Way) -> None:
    twins = Twins(way)
    verified = bytes(Offload(2, 0, 0, 0, 0, 0))
    assert twins.send(*((verified, bytes(twins.frame(packet))) for packet in burst(twins, 44, 44))) == [2]


@ON_ALL_WAYS
def test_a_port_counts_datagrams_not_frames(way: Way) -> None:
    twins = Twins(way)
    twins.put(*burst(twins, *[100] * 70, 30))
    merging, plain = twins.each(lambda scene: scene.net.worker.port(scene.net.ports[way.port])["tx_frames"])
    assert merging == plain
    assert len(twins.taken()) == 2


@pytest.mark.parametrize("way", [way for way in WAYS if way.kind != "routed"], ids=str)
def test_a_session_counts_datagrams_and_their_bytes(way: Way) -> None:
    twins = Twins(way)
    twins.put(*burst(twins, *[100] * 70, 30))
    counted = ("packets_in", "packets_out", "bytes_in", "bytes_out")
    merging, plain = twins.each(lambda scene: [scene.session()[name] for name in counted])
    assert merging == plain
    assert 71 in merging
    assert len(set(map(str, twins.each(lambda scene: scene.counters())))) == 1


@BOTH
@pytest.mark.parametrize("shape", [routed, transparent])
def test_datagrams_that_waited_for_a_neighbour_leave_as_one(family: int, shape) -> None:
    twins = Twins(Way("request", shape, family), greet=False)
    twins.each(lambda scene: scene.client.greet())
    twins.put(*burst(twins, *[200] * 5))
    (request,) = twins.taken()
    assert request[0] == NO_OFFLOAD
    assert Ether(request[1]).type == (0x0806 if family == 4 else 0x86DD)
    question = bytes(twins.plain.servers[0].question(twins.plain.servers[0].addresses[0]))
    twins.each(lambda scene: scene.net.send("server0", question))
    assert sorted(len(cut(*frame)) for frame in twins.taken()) == [1, 5]     # the answer, the datagrams


@BOTH
def test_routed_datagrams_to_a_port_that_does_not_merge_stay_apart(family: int) -> None:
    twins = Twins(Way("routed", routed, family))
    twins.put(*burst(twins, 40, 40, 40))
    frames = twins.plain.net.take_raw("server0")
    assert [offload for offload, _ in frames] == [NO_OFFLOAD] * 3


@BOTH
def test_a_datagram_too_big_for_the_port_is_not_in_the_frame(family: int) -> None:
    twins = Twins(Way("request", routed, family))
    twins.each(lambda scene: scene.net.set_port("server0", mtu=1300))
    assert twins.send(*burst(twins, 1200, 1400, 1200)) == [2]


@BOTH
def test_a_frame_refused_by_a_full_port_counts_all_its_datagrams(family: int) -> None:
    twins = Twins(Way("request", routed, family))
    net = twins.merging.net
    worker, port = net.worker, net.ports["server0"]
    before = worker.port(port)["tx_frames"]
    raw = [bytes(twins.frame(packet)) for packet in burst(twins, *[1200] * 50)]
    while not worker.port(port)["tx_dropped"]:
        for frame in raw:
            assert worker.put(net.ports["client"], frame, NO_OFFLOAD)
        worker.turn(net.now_ns)
    assert worker.port(port)["tx_dropped"] == 50
    assert net.drops() == {"tx_failed": 50}
    assert worker.port(port)["tx_frames"] - before == sum(len(cut(*frame)) for frame in net.take_raw("server0"))


def test_the_payload_of_a_frame_is_that_of_its_datagrams() -> None:
    twins = Twins(REQUEST)
    twins.put(*burst(twins, 8, 8, 3))
    ((_, frame),) = twins.taken()
    assert bytes(Ether(frame)[UDP].payload) == numbered(0, 8) + numbered(1, 8) + numbered(2, 3)
    assert (Ether(frame).payload.src, Ether(frame).payload.dst) == ("10.0.1.10", "10.0.2.11")
    assert ip("10.0.1.10", "10.0.2.11").ttl - Ether(frame).payload.ttl == 1

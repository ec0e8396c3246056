"""RFC 5722 (and 8200 4.5): overlapping fragments of IPv6; the same for IPv4 (RFC 1858, 3128)."""

import pytest

from tests.scenarios.balanced import Scene, routed
from tests.scenarios.cut import payloads, piece
from tests.scenarios.frames import UDP

BOTH = pytest.mark.parametrize("family", [4, 6])
DATA = bytes(UDP(sport=1, dport=80, len=8 + 312, chksum=7)) + bytes(range(256)) + bytes(56)


def send(scene: Scene, *parts: tuple[int, int, bool], number: int = 5) -> list[tuple[int, int]]:
    """(offset, length) of what reached the server by these: offset, length, more."""
    scene.client.send(*(piece(scene.client.addresses[0], scene.vip, number, at, DATA[at:at + n].ljust(n, b"x"), more)
                        for at, n, more in parts))
    return [(at, len(data)) for _, at, data, _ in payloads(scene.net.take("server0"))]


@BOTH
@pytest.mark.parametrize("bad", [(96, 64, True), (104, 8, True), (88, 80, True), (64, 160, True)])
def test_section_4_an_overlap_makes_the_packet_void(family: int, bad: tuple[int, int, bool]) -> None:
    """A fragment that overlaps another goes nowhere, and neither does any that comes after it, constituent or not."""
    scene = routed(family, protocol="udp", n_servers=1)
    assert send(scene, (0, 64, True), (64, 64, True)) == [(0, 64), (64, 64)]
    assert send(scene, bad, (128, 64, True), (192, 128, False)) == []
    assert scene.net.drops() == {"fragment_overlap": 3}


@BOTH
def test_section_4_those_that_came_before_the_overlap_and_wait_go_nowhere(family: int) -> None:
    """All constituent fragments are discarded, the first included when it comes last."""
    scene = routed(family, protocol="udp", n_servers=1)
    assert send(scene, (64, 64, True), (96, 64, True), (0, 64, True), (160, 160, False)) == []
    assert scene.net.drops() == {"fragment_overlap": 4}


@BOTH
def test_section_4_the_next_packet_of_another_identification_is_not_concerned(family: int) -> None:
    """Only the packet whose fragments overlap is void."""
    scene = routed(family, protocol="udp", n_servers=1)
    send(scene, (0, 64, True), (32, 64, True))
    assert send(scene, (0, 64, True), (64, 256, False), number=6) == [(0, 64), (64, 256)]


@BOTH
def test_rfc_8200_section_4_5_an_exact_duplicate_is_dropped_alone(family: int) -> None:
    """A fragment that the network has doubled does no harm to its packet, early or late."""
    scene = routed(family, protocol="udp", n_servers=1)
    parts = (128, 192, False), (128, 192, False), (0, 64, True), (0, 64, True), (64, 64, True)
    assert sorted(send(scene, *parts)) == [(0, 64), (64, 64), (128, 192)]
    assert scene.net.drops() == {"fragment_again": 2}


@BOTH
@pytest.mark.parametrize("bad", [(192, 136, False), (192, 128, True), (320, 8, True), (200, 8, False)])
def test_section_4_another_end_than_the_packet_has_makes_it_void(family: int, bad: tuple[int, int, bool]) -> None:
    """Two last fragments that end in different places, or one behind the end, contradict each other."""
    scene = routed(family, protocol="udp", n_servers=1)
    assert send(scene, (0, 64, True), (192, 128, False)) == [(0, 64), (192, 128)]
    assert send(scene, bad, (64, 128, True)) == []
    assert scene.net.drops() == {"fragment_overlap": 2}


@BOTH
def test_rfc_1858_section_4_a_fragment_that_would_rewrite_the_ports_goes_nowhere(family: int) -> None:
    """Before its first it waits, and both are void; behind it, it is dropped: nobody sees other flags or ports."""
    scene = routed(family, protocol="udp", n_servers=1)
    assert send(scene, (8, 56, True), (0, 64, True), (64, 256, False)) == []
    assert send(scene, (0, 64, True), (8, 56, True), (64, 256, False), number=6) == [(0, 64)]

"""What becomes of the sessions of a server that has the VIP itself when it goes down, by `on_down`: as in NAT.

swlb sees one side of these connections: the client's packets say what state they are in.
"""

from collections.abc import Callable

import pytest
from scapy.packet import Packet

from .balanced import Scene, routed
from .frames import TCP
from .layout import MAINT, UP
from .test_dsr import dsr
from .test_server_down import OTHER, POLICIES, RESET, SAME, SILENCE

BOTH = pytest.mark.parametrize("family", [4, 6])
DOWN = pytest.mark.parametrize("ready", [0, UP | MAINT], ids=["down", "maint"])


def say(*flags: str) -> Callable[[Scene], None]:
    """The client has sent these segments, one after the other."""

    def before(scene: Scene) -> None:
        for each in flags:
            assert met(scene, scene.request(each)) == SAME

    return before


def met(scene: Scene, packet: Packet) -> int | str | None:
    """What the client's packet meets: a server, a refusal, or nothing."""
    scene.client.send(packet)
    reached = [number for number, server in enumerate(scene.servers) if scene.net.take(server.port)]
    answers = scene.net.take("client")
    assert len(reached) + len(answers) <= 1
    if reached:
        return reached[0]
    if not answers:
        return SILENCE
    assert is_refusal(scene, answers[0].payload)
    return RESET


def is_refusal(scene: Scene, answer: Packet) -> bool:
    """A reset from the VIP, or swlb's own word that the port cannot be reached."""
    if scene.protocol == "tcp":
        return answer.src == scene.vip and "R" in str(answer[TCP].flags)
    return (answer.payload.type, answer.payload.code) == ((3, 3) if scene.family == 4 else (1, 4))


@BOTH
@DOWN
@pytest.mark.parametrize(("before", "flags", "wanted"), [
    # default, keep, reschedule, reset, drop. Scheduled anew in mid-stream means: an orphan, reset by default.
    (say("S", "A"), "PA", (RESET, SAME, RESET, RESET, SILENCE)),
    (say("S", "A"), "S", (OTHER, SAME, OTHER, OTHER, OTHER)),
    (say("S"), "S", (OTHER, SAME, OTHER, OTHER, OTHER)),
    (say("S", "A", "FA"), "A", (RESET, SAME, RESET, RESET, SILENCE)),
    (say("S", "A", "FA"), "S", (OTHER, OTHER, OTHER, OTHER, OTHER)),
], ids=["established", "established, then anew", "half-open", "closing", "closing, then anew"])  # fmt: skip
def test_next_tcp_segment(family: int, ready: int, before: Callable, flags: str, wanted: tuple) -> None:
    got = []
    for policy in POLICIES:
        scene = dsr(routed, family, n_servers=2, on_down=policy)
        before(scene)
        scene.net.set_server(0, ready=ready)
        got.append(met(scene, scene.request(flags, seq=5, ack=9)))
    assert tuple(got) == wanted


@BOTH
@DOWN
def test_next_udp_datagram(family: int, ready: int) -> None:
    got = []
    for policy in POLICIES:
        scene = dsr(routed, family, protocol="udp", n_servers=2, on_down=policy)
        assert met(scene, scene.request(payload=b"first")) == SAME
        scene.net.set_server(0, ready=ready)
        got.append(met(scene, scene.request(payload=b"again")))
    assert got == [OTHER, SAME, OTHER, RESET, SILENCE]

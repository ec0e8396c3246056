"""What becomes of a server's sessions when it goes down, by `on_down`."""

from collections.abc import Callable

import pytest
from scapy.packet import Packet

from .balanced import Scene, routed
from .frames import TCP
from .layout import MAINT, UP

BOTH = pytest.mark.parametrize("family", [4, 6])
POLICIES = ("default", "keep", "reschedule", "reset", "drop")
DOWN = pytest.mark.parametrize("ready", [0, UP | MAINT], ids=["down", "maint"])

# What the client's next packet meets: 0, the server as before; 1, another; what swlb answers; or silence.
SAME, OTHER, RESET, SILENCE = 0, 1, "reset", None


def established(scene: Scene) -> str:
    scene.open()
    return "PA"


def established_then_new(scene: Scene) -> str:
    established(scene)
    return "S"


def half_open(scene: Scene) -> str:
    scene.call("S")
    return "S"


def half_open_acknowledged(scene: Scene) -> str:
    scene.call("S")
    return "A"


def closing(scene: Scene) -> str:
    scene.open()
    scene.call("FA")
    scene.answer(0, "FA")
    return "A"


def closing_then_new(scene: Scene) -> str:
    closing(scene)
    return "S"


def met(scene: Scene, flags: str) -> int | str | None:
    """What the client's packet meets."""
    scene.client.send(scene.request(flags, seq=5, ack=9))
    number = scene.receiver(flags, seq=5, ack=9)
    answers = scene.net.take("client")
    if number is not None:
        assert answers == []
        return number
    if not answers:
        return SILENCE
    assert is_reset(scene, answers[0].payload)
    return RESET


def is_reset(scene: Scene, packet: Packet) -> bool:
    return packet.src == scene.vip and "R" in str(packet[TCP].flags)


@BOTH
@DOWN
@pytest.mark.parametrize(("before", "wanted"), [
    # default, keep, reschedule, reset, drop. Scheduled anew in mid-stream means: an orphan, reset by default.
    (established, (RESET, SAME, RESET, RESET, SILENCE)),
    # Who begins anew has given the old connection up.
    (established_then_new, (OTHER, SAME, OTHER, OTHER, OTHER)),
    (half_open, (OTHER, SAME, OTHER, OTHER, OTHER)),
    (half_open_acknowledged, (RESET, SAME, RESET, RESET, SILENCE)),
    (closing, (RESET, SAME, RESET, RESET, SILENCE)),
    (closing_then_new, (OTHER, OTHER, OTHER, OTHER, OTHER)),
])
def test_next_tcp_segment(family: int, ready: int, before: Callable, wanted: tuple) -> None:
    got = []
    for policy in POLICIES:
        scene = routed(family, n_servers=2, on_down=policy)
        flags = before(scene)
        scene.net.set_server(0, ready=ready)
        got.append(met(scene, flags))
    assert tuple(got) == wanted


@BOTH
@DOWN
@pytest.mark.parametrize("answered", [False, True])
def test_next_udp_datagram(family: int, ready: int, answered: bool) -> None:
    got = []
    for policy in POLICIES:
        scene = routed(family, protocol="udp", n_servers=2, on_down=policy)
        scene.call()
        if answered:
            scene.answer(0)
        scene.net.set_server(0, ready=ready)
        scene.client.send(scene.request(payload=b"again"))
        number = scene.receiver(payload=b"again")
        errors = [frame.payload.payload.type for frame in scene.net.take("client")]
        got.append("unreachable" if errors == [3 if family == 4 else 1] else number)
        assert number is None or not errors
    assert got == [1, 0, 1, "unreachable", None]


@BOTH
def test_reset_sessions_are_gone_and_the_drop_is_counted(family: int) -> None:
    scene = routed(family, n_servers=2, on_down="reset")
    scene.open()
    scene.net.set_server(0, ready=0)
    assert met(scene, "PA") == RESET
    assert scene.sessions() == []
    assert scene.net.drops() == {"server_down": 1}
    assert met(scene, "S") == 1


@BOTH
def test_dropped_sessions_go_on_when_the_server_returns(family: int) -> None:
    scene = routed(family, n_servers=2, on_down="drop")
    scene.open()
    scene.net.set_server(0, ready=0)
    assert met(scene, "PA") is SILENCE
    assert scene.net.drops() == {"server_down": 1}
    scene.net.set_server(0)
    assert met(scene, "PA") == SAME


@BOTH
@pytest.mark.parametrize("policy", POLICIES)
def test_session_untouched_while_its_server_was_down_goes_on(family: int, policy: str) -> None:
    scene = routed(family, n_servers=2, on_down=policy)
    scene.open()
    scene.net.set_server(0, ready=0)
    scene.net.set_server(0)
    assert met(scene, "PA") == SAME


@BOTH
@pytest.mark.parametrize("policy", ["default", "reset", "drop"])
def test_expired_session_of_a_server_that_is_down_counts_for_nothing(family: int, policy: str) -> None:
    scene = routed(family, n_servers=2, on_down=policy, timeouts={"tcp_established": 5.0})
    scene.open()
    scene.net.set_server(0, ready=0)
    scene.net.now_ns += 5 * 10**9
    assert met(scene, "S") == OTHER


@BOTH
def test_rescheduled_session_is_new_and_counted_with_its_new_server(family: int) -> None:
    scene = routed(family, protocol="udp", n_servers=2)
    scene.call()
    scene.net.set_server(0, ready=0)
    assert scene.call() == 1
    assert [scene.counters(i)["sessions_inactive"] for i in (0, 1)] == [0, 1]
    assert [scene.counters(i)["sessions_total"] for i in (0, 1)] == [1, 1]


@BOTH
def test_reset_when_the_last_server_is_down(family: int) -> None:
    scene = routed(family, n_servers=1)
    scene.open()
    scene.net.set_server(0, ready=0)
    assert met(scene, "PA") == RESET
    assert met(scene, "S") == RESET
    assert scene.net.drops() == {"server_down": 1, "no_server": 1}


@BOTH
def test_reschedule_in_mid_stream_follows_what_the_service_says_about_orphans(family: int) -> None:
    scene = routed(family, n_servers=2, on_down="reschedule", orphans="drop")
    scene.open()
    scene.net.set_server(0, ready=0)
    assert met(scene, "PA") is SILENCE
    assert scene.net.drops() == {"orphan": 1}

"""How long sessions live: by state, to the millisecond when looked up, and off the list within a second."""

import pytest

from tests.oracle.tcp_states import CLIENT, SERVER, ways

from .balanced import Scene, routed

MS = 10**6
TIMEOUTS = {"tcp_syn": 3.0, "tcp_established": 7.5, "tcp_fin": 4.0, "tcp_closed": 1.25, "udp": 2.0, "udp_stream": 5.0}
OF_STATE = {"SYN_SENT": 3.0, "SYN_RECV": 3.0, "ESTABLISHED": 7.5, "FIN_WAIT": 4.0, "CLOSE_WAIT": 4.0,
            "TIME_WAIT": 4.0, "CLOSED": 1.25, "ONE_WAY": 2.0, "TWO_WAY": 5.0}
STATES = pytest.mark.parametrize("state", OF_STATE)
BOTH = pytest.mark.parametrize("family", [4, 6])


def in_state(state: str, family: int = 4, **given: object) -> Scene:
    """A scene whose one session has just come into the state."""
    protocol = "udp" if state.endswith("WAY") else "tcp"
    scene = routed(family, protocol=protocol, timeouts=TIMEOUTS, orphans="drop", refuse="drop", **given)
    scene.call("S")
    way = {"ONE_WAY": [], "TWO_WAY": [("server", "")]}.get(state) if protocol == "udp" else ways(SERVER, CLIENT)[state]
    for direction, flags in way:
        if direction == CLIENT:
            scene.client.send(scene.request(flags))
        else:
            scene.servers[0].send(scene.reply(0, flags))
    assert scene.state() == state
    scene.net.discard()
    return scene


def is_known(scene: Scene) -> bool:
    """Whether a packet of the server's is still translated; such a packet refreshes the session."""
    scene.servers[0].send(scene.reply(0, "PA"))
    return scene.net.take("client")[0].payload.src == scene.vip


@STATES
@BOTH
def test_session_is_good_to_the_last_millisecond_of_its_states_timeout(state: str, family: int) -> None:
    scene = in_state(state, family)
    scene.net.now_ns += int(OF_STATE[state] * 1000) * MS - 1 * MS
    assert scene.session()["left_ms"] == 1
    assert is_known(scene)


@STATES
@BOTH
def test_session_is_gone_at_its_states_timeout(state: str, family: int) -> None:
    scene = in_state(state, family)
    scene.net.now_ns += int(OF_STATE[state] * 1000) * MS
    assert scene.sessions() == []
    assert not is_known(scene)


@STATES
def test_expired_session_is_not_counted_a_second_later(state: str) -> None:
    scene = in_state(state)
    scene.net.wait(OF_STATE[state] - 0.1)
    assert scene.net.worker.counters()["sessions"] == 1
    scene.net.wait(1.1)
    assert scene.net.worker.counters()["sessions"] == 0
    counters = scene.counters()
    assert (counters["sessions_active"], counters["sessions_inactive"], counters["sessions_total"]) == (0, 0, 1)


def test_many_sessions_are_swept_within_a_second_of_their_timeout() -> None:
    scene = routed(4, protocol="udp", timeouts=TIMEOUTS, limits={"sessions": 5000})
    scene.net.send("client", *(bytes(scene.client.frame(scene.request(sport=port))) for port in range(1024, 2048)))
    assert scene.net.worker.counters()["sessions"] == 1024
    scene.net.wait(3.0)
    assert scene.net.worker.counters()["sessions"] == 0


@BOTH
def test_packets_of_either_side_keep_a_session(family: int) -> None:
    scene = in_state("TWO_WAY", family)
    for turn in range(6):
        scene.net.now_ns += 4900 * MS
        scene.greet()
        if turn % 2:
            scene.answer(0)
        else:
            assert scene.call() == 0
    assert scene.session()["idle_ms"] == 0
    assert scene.session()["age_ms"] == 6 * 4900


@BOTH
def test_request_after_the_timeout_is_a_new_session(family: int) -> None:
    scene = in_state("TWO_WAY", family)
    scene.net.now_ns += 5000 * MS
    assert scene.call() == 1
    assert scene.state() == "ONE_WAY"


@BOTH
def test_mid_stream_segment_after_the_timeout_is_an_orphan(family: int) -> None:
    scene = in_state("ESTABLISHED", family)
    scene.net.now_ns += 7500 * MS
    assert scene.call("PA") is None
    assert scene.net.drops() == {"orphan": 1}


def test_services_have_timeouts_of_their_own() -> None:
    short, long = (routed(4, protocol="udp", timeouts={"udp": seconds}) for seconds in (1.0, 100.0))
    for scene, alive in ((short, 0), (long, 1)):
        scene.call()
        scene.net.wait(2.0)
        assert len(scene.sessions()) == alive


def test_session_lives_on_across_the_wrap_of_the_millisecond_clock() -> None:
    scene = in_state("TWO_WAY", start_s=2**32 / 1000 - 5.0)
    for _ in range(4):
        scene.net.now_ns += 2000 * MS
        assert scene.call() == 0
    assert scene.session()["age_ms"] == 8000
    scene.net.now_ns += 5000 * MS
    assert scene.sessions() == []

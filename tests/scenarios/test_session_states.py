"""Session states: every segment in every state that segments lead to, judged by tests/oracle/tcp_states.py."""

import pytest

from tests.oracle.tcp_states import CLASSES, CLIENT, SERVER, STATES, after_reset, ways

from .balanced import Scene, routed

BOTH = pytest.mark.parametrize("family", [4, 6])
WAYS = ways(SERVER, CLIENT)
# No SYN is refused by a reset that acknowledges nothing: tests/rfc/test_rfc5961.py.
CELLS = [(state, direction, flags) for state in WAYS for direction in (CLIENT, SERVER) for flags in CLASSES
         if (state, direction, flags) != ("SYN_RECV", SERVER, "R")]
# A SYN of the client's in these is a new connection from a used port.
CLOSING = ("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED")


def step(scene: Scene, direction: str, flags: str, port: int = 40000) -> None:
    """A segment from that side has come in, of the session of that client port."""
    if direction == CLIENT:
        scene.client.send(scene.request(flags, sport=port))
    else:
        scene.servers[0].send(scene.reply(0, flags, dport=port))


def led_to(scene: Scene, state: str, port: int = 40000) -> None:
    scene.call("S", sport=port)
    for direction, flags in WAYS[state]:
        step(scene, direction, flags, port)
    assert scene.state(port) == state
    scene.net.discard()


def test_segments_lead_to_every_state_but_last_ack() -> None:
    assert set(WAYS) == set(STATES) - {"LAST_ACK"}


@BOTH
def test_every_segment_in_every_state_moves_it_as_the_table_says_and_is_passed_on(family: int) -> None:
    scene, wrong = routed(family, n_servers=1), []
    for port, (state, direction, flags) in enumerate(CELLS, start=1024):
        led_to(scene, state, port)
        step(scene, direction, flags, port)
        if scene.state(port) != (wanted := after_reset(state, direction, flags, WAYS["CLOSED"][-1][0])):
            wrong.append(f"{state} after {flags} from the {direction}: {scene.state(port)}, not {wanted}")
        there, back = (len(scene.net.take(name)) for name in ("server0", "client"))
        assert (there, back) == ((1, 0) if direction == CLIENT else (0, 1)), (state, direction, flags)
    assert wrong == []


def test_only_established_counts_as_active() -> None:
    for state in WAYS:
        scene = routed(4, n_servers=1)
        led_to(scene, state)
        counted = (scene.counters()["sessions_active"], scene.counters()["sessions_inactive"])
        assert counted == ((1, 0) if state == "ESTABLISHED" else (0, 1)), state


@BOTH
@pytest.mark.parametrize("state", [state for state in WAYS if state in CLOSING])
def test_syn_from_a_used_port_in_a_closing_state_is_scheduled_anew_at_once(family: int, state: str) -> None:
    scene = routed(family, n_servers=2)
    led_to(scene, state)
    assert scene.call("S") == 1
    assert scene.state() == "SYN_RECV"
    assert [scene.counters(i)["sessions_total"] for i in (0, 1)] == [1, 1]
    assert [scene.counters(i)["sessions_inactive"] for i in (0, 1)] == [0, 1]


@BOTH
@pytest.mark.parametrize("state", [state for state in WAYS if state not in CLOSING])
def test_syn_in_any_other_state_stays_with_its_server(family: int, state: str) -> None:
    scene = routed(family, n_servers=2)
    led_to(scene, state)
    assert [scene.call("S"), scene.call("S")] == [0, 0]
    assert scene.counters()["sessions_total"] == 1


@BOTH
def test_syn_that_carries_more_than_syn_does_not_reuse_a_port(family: int) -> None:
    scene = routed(family, n_servers=2)
    led_to(scene, "TIME_WAIT")
    assert [scene.call("SA"), scene.counters(1)["sessions_total"]] == [0, 0]


@BOTH
def test_whole_connection_from_syn_to_the_last_acknowledgement(family: int) -> None:
    scene = routed(family, n_servers=1)
    seen = []
    for direction, flags in ((CLIENT, "S"), (SERVER, "SA"), (CLIENT, "A"), (CLIENT, "PA"), (SERVER, "PA"),
                             (SERVER, "FA"), (CLIENT, "A"), (CLIENT, "FA"), (SERVER, "A")):
        step(scene, direction, flags)
        seen.append(scene.state())
    assert seen == ["SYN_RECV", "SYN_RECV", "ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "FIN_WAIT", "FIN_WAIT",
                    "TIME_WAIT", "TIME_WAIT"]


@BOTH
def test_udp_is_one_way_until_the_server_answers_and_two_way_for_good_after(family: int) -> None:
    scene = routed(family, protocol="udp", n_servers=1)
    seen = []
    for direction in (CLIENT, CLIENT, SERVER, CLIENT, SERVER):
        step(scene, direction, "")
        seen.append(scene.state())
    assert seen == ["ONE_WAY", "ONE_WAY", "TWO_WAY", "TWO_WAY", "TWO_WAY"]
    assert (scene.counters()["sessions_active"], scene.counters()["sessions_inactive"]) == (0, 1)

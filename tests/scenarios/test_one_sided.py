"""Sessions whose replies go past swlb: followed from the client alone, until a reply is heard all the same."""

from collections.abc import Callable

import pytest

from tests.oracle.tcp_states import ALONE, CLASSES, CLIENT, SERVER, after_reset, next_state, ways

from .balanced import Scene, ip, routed, transparent
from .frames import TCP

BOTH = pytest.mark.parametrize("family", [4, 6])
FORWARDS = pytest.mark.parametrize("forward", ["dsr", "ipip", "gue"])
WAYS = ways(ALONE)
CELLS = [(state, flags) for state in WAYS for flags in CLASSES]
HALF_MINUTE = 30.0


def one_sided(family: int, forward: str = "dsr", *, shape: Callable = routed, **given: object) -> Scene:
    return shape(family, server_port=0, forward=forward, n_servers=1, **given)


def send(scene: Scene, *flags: str, sport: int = 40000) -> None:
    for one in flags:
        scene.client.send(scene.request(one, sport=sport))


def reply(scene: Scene, flags: str, dport: int = 40000) -> None:
    """The server's answer comes by on the bridge."""
    scene.servers[0].send(ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, dport, flags), to=scene.client.mac)


def led_to(scene: Scene, state: str, sport: int) -> None:
    send(scene, "S", *(flags for _, flags in WAYS[state]), sport=sport)
    assert scene.state(sport) == state


def test_a_client_alone_leads_to_these_states_and_to_no_other() -> None:
    assert set(WAYS) == {"SYN_RECV", "ESTABLISHED", "FIN_WAIT", "TIME_WAIT", "CLOSED"}


@BOTH
@FORWARDS
def test_every_segment_in_every_state_moves_it_as_the_one_way_table_says(family, forward):
    scene, wrong = one_sided(family, forward), []
    for sport, (state, flags) in enumerate(CELLS, start=1024):
        led_to(scene, state, sport)
        send(scene, flags, sport=sport)
        if scene.state(sport) != (wanted := after_reset(state, ALONE, flags, ALONE)):
            wrong.append(f"{state} after {flags}: {scene.state(sport)}, not {wanted}")
    assert wrong == []


@BOTH
@pytest.mark.parametrize("heard", ["SA", "A"])
def test_from_the_first_reply_on_both_sides_count(family, heard):
    scene, wrong = one_sided(family, shape=transparent), []
    for sport, (state, flags) in enumerate(CELLS, start=1024):
        led_to(scene, state, sport)
        reply(scene, heard, sport)
        after = next_state(state, SERVER, heard)
        assert scene.state(sport) == after
        if after not in ("TIME_WAIT", "CLOSED", "FIN_WAIT"):       # where a SYN begins anew
            send(scene, flags, sport=sport)
            if scene.state(sport) != (wanted := next_state(after, CLIENT, flags)):
                wrong.append(f"{after} after {flags}: {scene.state(sport)}, not {wanted}")
    assert wrong == []


@FORWARDS
def test_an_established_connection_that_is_idle_for_a_minute_lives_on(forward):
    scene = one_sided(4, forward)
    send(scene, "S", "A")
    scene.net.wait(61.0, step=1.0)
    assert scene.state() == "ESTABLISHED"
    scene.servers[0].greet()
    send(scene, "PA")
    assert len(scene.net.take("server0")) == 1
    assert scene.net.drops() == {}


@FORWARDS
def test_a_download_after_the_client_has_closed_its_side_lives_as_long_as_it_is_acknowledged(forward):
    scene = one_sided(4, forward, timeouts={"tcp_fin": 60.0})
    send(scene, "S", "A", "FA")
    for _ in range(4):
        scene.net.wait(HALF_MINUTE, step=1.0)
        scene.servers[0].greet()
        send(scene, "A")
        assert scene.state() == "FIN_WAIT"
    assert scene.net.drops() == {}
    scene.net.wait(61.0, step=1.0)
    assert scene.sessions() == []


@BOTH
@FORWARDS
def test_datagrams_have_the_longer_time_from_the_second_on(family, forward):
    scene = one_sided(family, forward, protocol="udp", timeouts={"udp": 20.0, "udp_stream": 100.0})
    send(scene, "")
    assert (scene.state(), scene.session()["left_ms"]) == ("ONE_WAY", 20_000)
    send(scene, "")
    assert (scene.state(), scene.session()["left_ms"]) == ("TWO_WAY", 100_000)


@FORWARDS
def test_sessions_are_counted_as_active_while_established(forward):
    scene = one_sided(4, forward)
    for flags, counted in (("S", (0, 1)), ("A", (1, 0)), ("FA", (0, 1))):
        send(scene, flags)
        assert (scene.counters()["sessions_active"], scene.counters()["sessions_inactive"]) == counted


@FORWARDS
def test_bytes_are_counted_without_outer_headers(forward):
    scene = one_sided(4, forward)
    send(scene, "S", "A")
    counters = scene.counters()
    assert (counters["packets_in"], counters["bytes_in"], counters["packets_out"]) == (2, 80, 0)


@FORWARDS
def test_established_connection_of_a_server_that_went_down_is_reset(forward):
    scene = one_sided(4, forward)
    send(scene, "S", "A")
    scene.net.set_server(0, ready=0)
    send(scene, "A")
    assert scene.client.take_one()[TCP].flags == "R"
    assert scene.net.drops() == {"server_down": 1}

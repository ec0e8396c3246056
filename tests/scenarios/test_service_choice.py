"""Which server a new session gets, and what becomes of it when none can take it."""

import pytest

from .balanced import Scene, routed
from .layout import DRAIN, MAINT, UP

BOTH = pytest.mark.parametrize("family", [4, 6])


def choices(scene: Scene, n: int, first: int = 1024) -> list[int | None]:
    """Which servers n new sessions get, one after the other."""
    return [scene.call(sport=first + i) for i in range(n)]


@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_round_robin_is_in_the_order_of_the_configuration(family: int, protocol: str) -> None:
    assert choices(routed(family, protocol=protocol), 7) == [0, 1, 2, 0, 1, 2, 0]


@BOTH
def test_known_sessions_do_not_take_a_turn(family: int) -> None:
    scene = routed(family)
    assert [scene.call(sport=port) for port in (1, 1, 2, 1, 2, 3, 4)] == [0, 0, 1, 0, 1, 2, 0]


@BOTH
def test_weights_other_than_zero_do_not_matter_to_round_robin(family: int) -> None:
    assert choices(routed(family, weights=(1, 65535, 7)), 4) == [0, 1, 2, 0]


@BOTH
@pytest.mark.parametrize(("ready", "weight"), [(UP, 0), (UP | DRAIN, 1), (UP | MAINT, 1), (0, 1), (DRAIN, 1)],
                         ids=["weight-0", "drain", "maint", "down", "down-and-drain"])
def test_server_that_takes_nothing_new_is_passed_over(family: int, ready: int, weight: int) -> None:
    scene = routed(family)
    scene.net.set_server(1, ready=ready, weight=weight)
    assert choices(scene, 4) == [0, 2, 0, 2]
    scene.net.set_server(1)
    assert choices(scene, 3, first=2000) == [0, 1, 2]


@BOTH
@pytest.mark.parametrize(("ready", "weight"), [(UP, 0), (UP | DRAIN, 1)], ids=["weight-0", "drain"])
def test_known_sessions_go_on_with_a_server_that_takes_nothing_new(family: int, ready: int, weight: int) -> None:
    scene = routed(family)
    assert scene.open(sport=1024) == 0
    scene.net.set_server(0, ready=ready, weight=weight)
    assert scene.call("PA", sport=1024, payload=b"more") == 0
    scene.answer(0, "PA", dport=1024, payload=b"and more")


@BOTH
def test_no_server_left_resets_tcp(family: int) -> None:
    scene = routed(family, ready=(0, UP | DRAIN, UP | MAINT))
    scene.client.send(scene.request("S", seq=77))
    scene.client.expect(scene.reset(flags="RA", seq=0, ack=78))
    assert scene.net.drops() == {"no_server": 1}


@BOTH
def test_no_server_left_answers_udp_with_port_unreachable(family: int) -> None:
    scene = routed(family, protocol="udp", ready=(0, 0, 0))
    scene.client.send(scene.request(payload=b"hello"))
    error = scene.client.take_one()
    assert error.src == scene.client.own_address(family)
    assert (error.payload.type, error.payload.code) == ((3, 3) if family == 4 else (1, 4))
    assert bytes(error.payload)[8:] == bytes(scene.request(payload=b"hello"))
    assert scene.net.drops() == {"no_server": 1}


@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_no_server_left_is_silence_when_the_service_says_drop(family: int, protocol: str) -> None:
    scene = routed(family, protocol=protocol, refuse="drop", n_servers=1, ready=(0,))
    scene.client.send(scene.request())
    scene.net.expect_silence()
    assert scene.net.drops() == {"no_server": 1}
    assert scene.sessions() == []


@BOTH
def test_service_without_a_server_of_the_clients_family_refuses(family: int) -> None:
    scene = routed(family, n_servers=0)
    assert scene.call() is None
    assert scene.net.drops() == {"no_server": 1}


@BOTH
def test_last_server_returns_to_service(family: int) -> None:
    scene = routed(family, n_servers=1, ready=(0,), refuse="drop")
    assert scene.call() is None
    scene.net.set_server(0)
    assert scene.call() == 0

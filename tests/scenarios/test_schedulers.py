"""Who gets a new session under each scheduler, as real packets show it, and what a server's limit does."""

import pytest

from swlb.steering import owner

from .balanced import CLIENT, SERVER, VIP, Scene, ip, routed, transparent
from .frames import TCP
from .layout import UP, Server
from .network import address16
from .test_crew import HERE, KEY, THERE, Crew

BOTH = pytest.mark.parametrize("family", [4, 6])


def choices(scene: Scene, n: int, first: int = 1024, flags: str = "S") -> list[int | None]:
    """Which servers n new sessions get, one after the other."""
    return [scene.call(flags, sport=first + i) for i in range(n)]


def opened(scene: Scene, n: int, first: int = 1024) -> list[int]:
    """The same for connections that are established before the next one begins."""
    return [scene.open(sport=first + i) for i in range(n)]


def close(scene: Scene, server: int, sport: int) -> None:
    """Both sides of the established connection have closed it."""
    assert scene.call("FA", sport=sport) == server
    scene.answer(server, "FA", dport=sport)
    assert scene.call("A", sport=sport) == server


@BOTH
def test_weighted_round_robin_has_no_bursts(family: int) -> None:
    assert choices(routed(family, scheduler="wrr", weights=(5, 1, 1)), 7) == [0, 0, 1, 0, 2, 0, 0]


@BOTH
def test_the_server_with_the_fewest_connections_is_next_wherever_they_end(family: int) -> None:
    scene = routed(family, scheduler="lc")
    assert opened(scene, 6) == [0, 1, 2, 0, 1, 2]
    close(scene, 1, 1025)
    assert scene.open(sport=2000) == 1
    scene.answer(2, "R", dport=1026)
    assert scene.open(sport=2001) == 2


@BOTH
def test_connections_are_weighed_by_the_weight(family: int) -> None:
    scene = routed(family, scheduler="wlc", weights=(3, 1, 2))
    taken = opened(scene, 12)
    assert [taken.count(server) for server in range(3)] == [6, 2, 4]


def test_a_session_that_is_forgotten_does_not_weigh_any_more() -> None:
    scene = routed(4, scheduler="lc", timeouts={"tcp_syn": 5.0})
    assert choices(scene, 2) == [0, 1]
    assert scene.open(sport=2000) == 2
    scene.net.wait(7.0)
    scene.greet()
    assert choices(scene, 2, first=3000) == [0, 1]


def test_the_shortest_delay_is_foreseen_from_established_connections_only() -> None:
    scene = transparent(4, scheduler="sed", weights=(1, 2, 3))
    assert choices(scene, 3) == [2, 2, 2]
    assert opened(scene, 4, first=2000) == [2, 1, 2, 0]


def test_whoever_is_idle_does_not_let_anybody_queue() -> None:
    assert opened(routed(4, scheduler="nq", weights=(1, 2, 9)), 5) == [0, 1, 2, 2, 2]


def test_two_choices_prefer_who_has_less() -> None:
    scene = routed(4, scheduler="p2c", n_servers=2)
    taken = opened(scene, 40)
    assert abs(taken.count(0) - taken.count(1)) <= 18
    assert set(taken) == {0, 1}


def test_failover_gives_all_to_the_heaviest_that_is_there() -> None:
    scene = routed(4, scheduler="fo", weights=(1, 5, 3))
    assert choices(scene, 3) == [1, 1, 1]
    scene.net.set_server(1, ready=0, weight=5)
    assert choices(scene, 2, first=2000) == [2, 2]
    scene.net.set_server(1, weight=5)
    assert choices(scene, 1, first=3000) == [1]


@BOTH
def test_overflow_fills_one_after_the_other_and_refuses_the_rest(family: int) -> None:
    scene = routed(family, scheduler="overflow", weights=(1, 3, 2))
    assert opened(scene, 9) == [1, 1, 1, 1, 2, 2, 2, 0, 0]
    scene.client.send(scene.request("S", sport=2000, seq=77))
    scene.client.expect(scene.reset(flags="RA", seq=0, ack=78, dport=2000))
    assert scene.net.drops() == {"no_server": 1}
    close(scene, 2, 1024 + 4)
    assert scene.open(sport=2001) == 2


@BOTH
def test_a_server_at_its_limit_takes_none_until_it_has_fewer(family: int) -> None:
    scene = routed(family, n_servers=2, session_limits=((2, 2), (0, 0)))
    assert opened(scene, 5) == [0, 1, 0, 1, 1]
    close(scene, 0, 1024)
    assert choices(scene, 3, first=2000) == [0, 1, 1]


def test_a_full_server_rests_until_it_has_fewer_than_lower() -> None:
    scene = routed(4, n_servers=2, session_limits=((4, 2), (0, 0)))
    opened(scene, 8)
    for sport in (1024, 1026):
        close(scene, 0, sport)
    assert choices(scene, 2, first=2000) == [1, 1]
    close(scene, 0, 1028)
    assert sorted(choices(scene, 2, first=3000)) == [0, 1]


@BOTH
def test_sessions_of_a_full_server_go_on_and_who_finds_all_full_is_refused(family: int) -> None:
    scene = routed(family, n_servers=1, session_limits=((1, 1),))
    assert scene.open(sport=1024) == 0
    scene.client.send(scene.request("S", sport=1025, seq=77))
    scene.client.expect(scene.reset(flags="RA", seq=0, ack=78, dport=1025))
    assert scene.net.drops() == {"no_server": 1}
    assert scene.call("PA", sport=1024, payload=b"more") == 0


def test_a_limit_that_is_lowered_below_what_is_open_holds_at_once_and_one_that_is_removed_no_longer() -> None:
    scene = routed(4, n_servers=2)
    opened(scene, 6)
    scene.net.set_server(0, limit=2, lower=1)
    assert choices(scene, 2, first=2000) == [1, 1]
    scene.net.set_server(0, limit=4, lower=4)
    assert choices(scene, 3, first=3000) == [0, 1, 1]
    scene.net.set_server(0)
    assert sorted(choices(scene, 2, first=4000)) == [0, 1]


def test_a_session_that_cannot_begin_leaves_no_trace_in_the_limit() -> None:
    scene = routed(4, n_servers=1, session_limits=((1, 1),))
    for sport in range(1024, 1034):
        scene.client.send(scene.request("S", sport=sport, hops=1))
        scene.client.take_one()
    assert scene.net.drops() == {"ttl_expired": 10}
    assert scene.open(sport=2000) == 0


def two_servers(limit: int) -> tuple[Server, ...]:
    return Server(SERVER[4].format(11), 8080, limit=limit, lower=limit), Server(SERVER[4].format(12), 8080)


def ask(crew: Crew, worker: int, nth: int, flags: str = "S") -> str | None:
    """The address of the server that the nth port of that worker's reaches, while no time passes; None: nobody's."""
    ports = [port for port in range(2000, 3000) if owner(address16(CLIENT[4]), port, KEY, 2) == worker]
    crew.clients[worker].send(ip(CLIENT[4], VIP[4]) / TCP(sport=ports[nth], dport=80, flags=flags))
    frames = crew.nets[worker].take("server")
    return frames[0].payload.dst if frames else None


def test_a_limit_holds_for_all_workers_together_and_each_knows_at_once() -> None:
    crew = Crew(servers=two_servers(limit=2))
    first, second = (server.address for server in two_servers(2))
    assert [ask(crew, HERE, 0), ask(crew, THERE, 0)] == [first, first]
    assert [ask(crew, HERE, n) for n in (1, 2, 3)] == [second] * 3
    assert [ask(crew, THERE, n) for n in (1, 2, 3)] == [second] * 3
    assert [ask(crew, HERE, 0, flags) for flags in "AR"] == [first] * 2
    crew.wait()
    assert first in [ask(crew, THERE, n) for n in (4, 5)]


def test_a_server_that_another_worker_has_filled_is_free_again_as_soon_as_that_one_s_session_ends() -> None:
    crew = Crew(servers=two_servers(limit=1)[:1])
    first = SERVER[4].format(11)
    assert [ask(crew, HERE, 0), ask(crew, THERE, 0), ask(crew, THERE, 1)] == [first, None, None]
    assert [ask(crew, HERE, 0, flags) for flags in "AR"] == [first] * 2
    assert [ask(crew, THERE, 2), ask(crew, HERE, 1)] == [first, None]


def test_what_is_open_counts_from_the_moment_a_limit_is_given_in_all_workers() -> None:
    crew = Crew(servers=two_servers(limit=0)[:1])
    assert {ask(crew, worker, n) for worker in (HERE, THERE) for n in range(3)} == {SERVER[4].format(11)}
    for net in crew.nets:
        net.set_server(0, ready=UP, weight=1, limit=7, lower=7)
    crew.wait()
    assert [ask(crew, worker, 3) is None for worker in (HERE, THERE)] == [False, True]


def test_who_finds_that_another_worker_has_just_filled_all_is_refused_as_by_the_one() -> None:
    crew = Crew(servers=two_servers(limit=1)[:1])
    assert ask(crew, HERE, 0) == SERVER[4].format(11)
    crew.nets[THERE].drops()
    assert ask(crew, THERE, 0) is None
    assert [frame.payload.payload.flags for frame in crew.nets[THERE].take("client")] == ["RA"]
    assert crew.nets[THERE].drops() == {"no_server": 1}


def test_a_server_that_cannot_have_what_it_is_named_for_is_owed_it_however_long_that_lasts() -> None:
    scene = routed(4, n_servers=2, scheduler="wrr", port=(80, 89))
    # Weights that have no divisor: credits are as large as they get.
    scene.net.set_server(0, weight=65521, share=255)
    scene.net.set_server(1, weight=65519, share=256)
    owed = scene.open(sport=1024, dport=80)
    other = 1 - owed
    for _ in range(200):
        assert scene.call(sport=1024, dport=81) == other
        scene.answer(other, "RA", dport=1024, sport=81)
    assert choices(scene, 5, first=2000) == [owed] * 5

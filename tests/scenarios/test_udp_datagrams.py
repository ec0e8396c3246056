"""Clients that are scheduled anew by the number of datagrams: `requests` (1 is one_packet) and `responses`."""

import random
from collections import Counter

import pytest

from swlb._testing_sessions import audit

from .balanced import Scene, routed, transparent
from .test_dsr import dsr
from .test_quoted_errors import KINDS, error
from .test_source_nat import Scene as SourceNat
from .tunnelled import tunnelled

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])


def counted(shape=routed, family: int = 4, **given: object) -> Scene:
    return shape(family, protocol="udp", **given)


@SHAPES
@BOTH
def test_with_one_packet_every_datagram_of_a_client_is_scheduled_anew(shape, family: int) -> None:
    scene = counted(shape, family, requests=1)
    assert [scene.call(payload=b"%d" % n) for n in range(7)] == [0, 1, 2, 0, 1, 2, 0]


@SHAPES
@BOTH
def test_replies_of_all_servers_reach_the_client_as_the_vips_in_any_order(shape, family: int) -> None:
    scene = counted(shape, family, requests=1)
    for n in range(6):
        scene.call(payload=b"%d" % n)
    for server in (1, 0, 2, 2, 1, 0):
        scene.answer(server, payload=b"from %d" % server)
    assert scene.net.drops() == {}


@BOTH
def test_a_client_has_one_session_with_each_server_however_many_datagrams_it_sends(family: int) -> None:
    scene = counted(routed, family, requests=1)
    for _ in range(30):
        scene.call()
    assert sorted(row["packets_in"] for row in scene.sessions()) == [10, 10, 10]
    assert [scene.counters(server)["sessions_total"] for server in range(3)] == [1, 1, 1]
    assert audit(scene.net.worker) is None


@BOTH
@pytest.mark.parametrize("requests", [2, 3])
def test_after_so_many_requests_the_next_is_scheduled_anew(family: int, requests: int) -> None:
    scene = counted(routed, family, requests=requests)
    got = []
    for n in range(4 * requests):
        got.append(scene.call(payload=b"%d" % n))
        scene.answer(got[-1])
    assert got == [n // requests % 3 for n in range(4 * requests)]


@BOTH
def test_once_every_datagram_is_answered_the_next_is_scheduled_anew(family: int) -> None:
    scene = counted(routed, family, responses=1)
    for n in range(5):
        assert scene.call(payload=b"%d" % n) == n % 3
        scene.answer(n % 3)
    assert {row["state"] for row in scene.sessions()} == {"CLOSED"}


@BOTH
def test_datagrams_that_wait_for_a_reply_stay_together(family: int) -> None:
    scene = counted(routed, family, responses=2)
    assert [scene.call(), scene.call()] == [0, 0]
    for _ in range(3):
        scene.answer(0)
        assert scene.call() == 0            # 2 of 4 have come, then 4 of 8 ...
        scene.answer(0)
    while scene.state() != "CLOSED":
        scene.answer(0)
    row = scene.session()
    assert row["packets_out"] == 2 * row["packets_in"]
    assert scene.call() == 1


@BOTH
def test_an_answered_session_is_gone_as_soon_as_a_closed_one(family: int) -> None:
    scene = counted(routed, family, responses=1, timeouts={"tcp_closed": 2.0})
    scene.call()
    scene.answer(0)
    scene.answer(0)                         # one more than was due is the VIP's all the same
    scene.net.wait(1.5)
    assert scene.state() == "CLOSED"
    scene.net.wait(2.0)
    assert scene.sessions() == []


@BOTH
def test_answered_sessions_do_not_count_as_open(family: int) -> None:
    scene = counted(routed, family, responses=1, n_servers=1, session_limits=((1, 1),))
    for sport in range(2000, 2005):
        assert scene.call(sport=sport) == 0
        scene.answer(0, dport=sport)
    assert scene.counters()["sessions_total"] == 5


@BOTH
def test_a_client_with_more_servers_than_sessions_may_be_of_one_end_point_reaches_them_all(family: int) -> None:
    scene = counted(routed, family, requests=1, n_servers=90, limits={"sessions": 1000})
    assert [scene.call() for _ in range(180)] == [*range(90), *range(90)]
    scene.answer(89)
    assert scene.net.drops() == {}
    assert audit(scene.net.worker) is None


@BOTH
def test_two_services_with_the_same_servers_and_one_client_port_do_not_mix_up_replies(family: int) -> None:
    # Ports of the range are one end point at the server; the reply is that of whom it was asked last.
    scene = counted(routed, family, requests=1, port=(80, 81), n_servers=1)
    for dport in (80, 81, 80):
        assert scene.call(dport=dport) == 0
        scene.answer(0, sport=dport)


@pytest.mark.parametrize(("family", "given"), [(4, {"requests": 1}), (6, {"requests": 3}), (4, {"responses": 1}),
                                               (6, {"requests": 1, "responses": 1})])
def test_any_order_of_datagrams_and_replies_agrees_with_a_book_of_who_was_asked(family: int, given: dict) -> None:
    scene, chance = counted(routed, family, **given), random.Random(f"{family} {given}")
    asked: dict[int, Counter] = {}
    for _ in range(100):
        sport = chance.randrange(4000, 4004)
        if chance.random() < 0.6 or not asked.get(sport):
            server = scene.call(sport=sport, payload=chance.randbytes(4))
            asked.setdefault(sport, Counter())[server] += 1
        else:
            server = chance.choice(sorted(asked[sport]))
            scene.answer(server, dport=sport, payload=chance.randbytes(4))
    assert audit(scene.net.worker) is None
    assert scene.net.drops() == {}


@SHAPES
@BOTH
def test_an_error_of_the_client_is_for_the_server_whose_reply_came_last(shape, family: int) -> None:
    scene = counted(shape, family, requests=1)
    for _ in range(3):
        scene.call()
    mine, kind = scene.client.addresses[0], KINDS[family][1]
    for server in (1, 0, 2):
        scene.net.wait(0.1)
        scene.answer(server)
        scene.client.send(error(mine, scene.vip, kind, scene.restored()))
        theirs, hops = scene.servers[server].addresses[0], 64 - scene.hops_lost
        scene.servers[server].expect(error(mine, theirs, kind, scene.reply(server, hops=hops), hops=hops))


@BOTH
def test_source_nat_brings_replies_of_all_servers_back_to_the_client(family: int) -> None:
    scene = SourceNat(family, protocol="udp", n_servers=3, source_nat="always", requests=1, responses=1)
    for _ in range(3):
        requests = [scene.call() for _ in range(6)]
        assert len({(request.src, request.sport, request.dst) for request in requests}) == 3
        for request in reversed(requests):
            scene.answer(request)
            reply = scene.client.take_one()
            assert (reply.src, reply.sport, reply.dport) == (scene.vip, 80, 40000)


@BOTH
def test_source_ports_of_answered_sessions_are_used_again(family: int) -> None:
    scene = SourceNat(family, protocol="udp", n_servers=1, source_nat="always", ports=(5000, 5003), responses=1)
    for sport in range(2000, 2012):
        scene.answer(scene.call(sport=sport))
        assert scene.client.take_one().dport == sport
    assert scene.net.drops() == {}


@SHAPES
@BOTH
def test_direct_services_send_each_datagram_to_the_next_server_and_keep_one_session(shape, family: int) -> None:
    scene = dsr(shape, family, protocol="udp", requests=1)
    reached = []
    for n in range(6):
        scene.client.send(scene.request(payload=b"%d" % n))
        reached += [i for i, server in enumerate(scene.servers) if scene.net.take(server.port)]
    assert reached == [0, 1, 2, 0, 1, 2]
    assert len(scene.sessions()) == 1
    assert audit(scene.net.worker) is None


@pytest.mark.parametrize(("forward", "inner", "outer"), [("ipip", 4, 6), ("gue", 6, 4)])
def test_tunnels_take_each_datagram_to_the_next_server(forward: str, inner: int, outer: int) -> None:
    scene = tunnelled(forward, inner, outer, protocol="udp", n_servers=3, requests=1)
    for n in range(6):
        request = scene.request(payload=b"%d" % n)
        scene.client.send(request)
        assert [scene.arrived(i) for i in range(3)] == [[bytes(request)] if i == n % 3 else [] for i in range(3)]


def test_services_beside_are_not_concerned() -> None:
    scene = counted(routed, 4)
    assert [scene.call() for _ in range(4)] == [0, 0, 0, 0]
    scene.answer(0)
    assert scene.call() == 0
    assert scene.state() == "TWO_WAY"

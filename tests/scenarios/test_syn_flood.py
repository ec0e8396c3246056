"""Above the quota of half-open sessions SYNs go to their servers without one; handshakes are completed all the same."""

import random
from collections import Counter
from typing import Any

import pytest

from swlb._testing_sessions import audit

from .balanced import VIP, Scene, Shared, routed, transparent
from .frames import TCP, UDP
from .layout import DRAIN, UP, Server, Service

BOTH = pytest.mark.parametrize("family", [4, 6])
QUOTA = 8
SYN_S = 60.0
FORGED = {4: "192.0.2.{}", 6: "2001:db8::{}"}
MINE = 50001


def scene(family: int = 4, *, near: bool = False, quota: int = QUOTA, sessions: int = 1000, **given: Any) -> Scene:
    return (transparent if near else routed)(family, limits={"half_open": quota, "sessions": sessions}, **given)


def flood(of: Scene, n: int = 40, flags: str = "S", *, first: int = 1024) -> None:
    """So many SYNs of addresses that nobody has; what comes of them is thrown away."""
    for i in range(n):
        of.client.send(of.request(flags, sport=first + i, src=FORGED[of.family].format(1 + i % 200)))
    for station in (of.client, *of.servers):
        of.net.take(station.port)


def figures(of: Scene) -> tuple[int, int]:
    """Sessions that are half open, and SYNs that were forwarded without one."""
    assert audit(of.net.worker) is None
    return of.net.worker.counters()["half_open"], of.net.worker.service(0)["stateless"]


def kinds(of: Scene) -> list[str]:
    return [event["kind"] for event in of.net.worker.events()]


@BOTH
@pytest.mark.parametrize("near", [False, True])
def test_the_quota_is_exact_and_all_above_it_is_forwarded_without_a_session(family: int, near: bool) -> None:
    of = scene(family, near=near)
    for i in range(20):
        assert of.call(sport=2000 + i) is not None
    assert figures(of) == (QUOTA, 20 - QUOTA)
    assert len(of.sessions()) == QUOTA
    assert kinds(of) == ["syn_flood"]
    assert of.net.drops() == {}


@BOTH
@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("scheduler", ["rr", "wlc", "hash", "fo", "maglev"])
def test_a_handshake_is_completed_without_a_session_and_then_has_one(family: int, near: bool, scheduler: str) -> None:
    of = scene(family, near=near, scheduler=scheduler, n_servers=4)
    flood(of)
    server = of.call("S", sport=MINE, seq=1)
    assert server is not None
    assert of.call("S", sport=MINE, seq=1) == server
    of.answer(server, "SA", dport=MINE, seq=5, ack=2)
    assert of.call("A", sport=MINE, seq=2, ack=6) == server
    assert of.call("PA", sport=MINE, seq=2, ack=6, payload=b"GET") == server
    assert not [row for row in of.sessions() if row["client_port"] == MINE]
    of.answer(server, "A", dport=MINE, seq=6, ack=5)
    assert of.state(MINE) == "ESTABLISHED"
    of.answer(server, "PA", dport=MINE, payload=b"200")
    assert of.call("FA", sport=MINE) == server
    of.answer(server, "FA", dport=MINE)
    assert of.state(MINE) == "TIME_WAIT"
    assert of.net.drops() == {}


def test_a_service_with_ports_of_its_own_finds_out_which_was_called() -> None:
    of = scene(port=(80, 89), server_port=0)
    flood(of)
    server = of.call("S", sport=MINE, dport=85)
    assert server is not None
    of.answer(server, "SA", dport=MINE, sport=85)
    assert of.call("PA", sport=MINE, dport=85) == server
    of.answer(server, "A", dport=MINE, sport=85)
    assert of.state(MINE) == "ESTABLISHED"


def test_where_the_port_of_the_vip_would_be_forgotten_the_oldest_gives_way() -> None:
    of = scene(port=(80, 89), server_port=8080)
    flood(of, QUOTA)
    first = {row["client_port"] for row in of.sessions()}
    assert of.call("S", sport=MINE, dport=85) is not None
    assert of.state(MINE) == "SYN_RECV"
    assert figures(of) == (QUOTA, 0)
    assert first - {row["client_port"] for row in of.sessions()} == {1024}


def test_a_server_that_refuses_is_heard() -> None:
    of = scene()
    flood(of)
    server = of.call("S", sport=MINE)
    assert server is not None
    of.answer(server, "RA", dport=MINE)
    assert not [row for row in of.sessions() if row["client_port"] == MINE]


def test_a_client_that_never_asked_resets_what_it_is_sent() -> None:
    of = scene()
    flood(of)
    server = of.call("S", sport=MINE)
    assert server is not None
    of.answer(server, "SA", dport=MINE)
    assert of.call("R", sport=MINE) == server


@BOTH
def test_established_sessions_are_not_touched(family: int) -> None:
    of = scene(family, quota=4, sessions=20)
    opened = {3000 + i: of.open(sport=3000 + i) for i in range(10)}
    flood(of, 200)
    flood(of, 200, "A", first=10000)
    for sport, server in opened.items():
        assert of.call("PA", sport=sport, payload=b"more") == server
        of.answer(server, "PA", dport=sport, payload=b"yes")
    assert figures(of)[0] == 4


def test_servers_get_their_part_of_a_flood_by_weight_and_nobody_foresees_whom() -> None:
    parts = []
    for _ in range(2):
        of = scene(n_servers=3, weights=(1, 1, 2), scheduler="wrr")
        flood(of, QUOTA)
        parts.append([of.call(sport=sport) for sport in range(2000, 2400)])
    counts = Counter(parts[0])
    assert 60 < counts[0] < 140
    assert 60 < counts[1] < 140
    assert 150 < counts[2] < 250
    assert sum(a == b for a, b in zip(*parts, strict=True)) < 250


def test_who_takes_no_session_gets_no_syn() -> None:
    of = scene(ready=(UP, UP | DRAIN, 0))
    flood(of)
    assert {of.call(sport=sport) for sport in range(2000, 2050)} == {0}


@BOTH
def test_a_client_comes_back_to_its_server_also_in_a_flood(family: int) -> None:
    of = scene(family, persistence=300.0)
    server = of.open(sport=3000)
    of.call("R", sport=3000)
    of.net.discard()
    flood(of)
    assert {of.call(sport=sport) for sport in range(2000, 2020)} == {server}
    of.answer(server, "SA", dport=2000)
    assert of.call("A", sport=2000) == server
    of.answer(server, "PA", dport=2000)
    assert of.state(2000) == "ESTABLISHED"


def test_the_flood_is_over_once_no_syn_was_too_many_for_the_time_of_one() -> None:
    of = scene()
    flood(of, 40)
    assert kinds(of) == ["syn_flood"]
    of.net.wait(SYN_S - 1)
    of.greet()
    assert kinds(of) == []
    of.net.wait(2.0)
    over = of.net.worker.events()
    assert [(event["kind"], event["port"], int.from_bytes(event["mac"], "little")) for event in over] == [
        ("syn_flood_over", 0, 40 - QUOTA)]
    assert figures(of) == (0, 40 - QUOTA)
    of.greet()
    of.net.discard()
    # From now on what a server sends to a stranger is its own again.
    of.send_reply(0, "SA", dport=MINE)
    assert [frame.payload.src for frame in of.net.take("client")] == [of.servers[0].addresses[0]]
    flood(of)
    assert kinds(of) == ["syn_flood"]


def test_in_a_flood_only_who_might_have_been_asked_answers_as_the_vip() -> None:
    of = scene(n_servers=3)
    flood(of)
    named = of.call("S", sport=MINE)
    assert named is not None
    for server in range(3):
        of.send_reply(server, "SA", dport=MINE)
        expected = of.vip if server == named else of.servers[server].addresses[0]
        assert [frame.payload.src for frame in of.net.take("client")] == [expected]


def test_a_server_that_connects_to_a_client_is_routed_on_in_a_flood_too() -> None:
    of = scene(n_servers=1)
    flood(of)
    of.send_reply(0, "S", dport=MINE)
    assert [frame.payload.src for frame in of.net.take("client")] == [of.servers[0].addresses[0]]


def test_what_swlb_itself_has_asked_a_server_is_answered_to_swlb_in_a_flood_too() -> None:
    of = scene(n_servers=1, host=True)
    flood(of)
    of.servers[0].send(of.reply(0, "SA", dst="10.0.2.1", dport=MINE))
    assert [frame.payload.src for frame in of.net.take("inside-host")] == [of.servers[0].addresses[0]]


# ---- where a session is unavoidable ----


def test_a_service_of_all_ports_has_a_session_for_each_so_that_servers_can_connect_to_others() -> None:
    of = scene(port=(1, 65535), server_port=0, n_servers=1)
    flood(of)
    assert figures(of) == (QUOTA, 0)
    of.send_reply(0, "A", dport=MINE, sport=40001)
    assert [frame.payload.src for frame in of.net.take("client")] == [of.servers[0].addresses[0]]


@BOTH
def test_who_is_done_with_makes_no_room_in_the_quota_and_is_left_alone(family: int) -> None:
    of = scene(family, port=(1, 65535), server_port=0, n_servers=1)
    for i in range(QUOTA):
        of.open(sport=3000 + i)
        of.call("FA", sport=3000 + i)
        of.answer(0, "FA", dport=3000 + i)
    flood(of)
    assert figures(of) == (QUOTA, 0)
    assert {of.state(3000 + i) for i in range(QUOTA)} == {"TIME_WAIT"}


@BOTH
def test_what_begins_in_mid_stream_keeps_to_the_quota_where_a_session_is_unavoidable(family: int) -> None:
    of = scene(family, port=(1, 65535), server_port=0, scheduler="hash")
    flood(of, flags="A")
    assert figures(of) == (QUOTA, 0)
    assert of.call("A", sport=MINE) is not None
    assert of.state(MINE) == "SYN_RECV"


def test_where_another_address_stands_for_clients_the_oldest_half_open_one_gives_way() -> None:
    of = routed(source_nat="always", source_pool=("10.0.2.200",), limits={"half_open": 4})
    for i in range(30):
        of.client.send(of.request("S", sport=2000 + i))
    of.net.discard()
    assert [row["client_port"] for row in sorted(of.sessions(), key=lambda row: row["client_port"])] == [
        2026, 2027, 2028, 2029]
    assert figures(of)[0] == 4
    assert of.net.drops() == {}


def test_a_flood_does_not_use_up_the_ports_that_stand_for_clients() -> None:
    of = routed(source_nat="always", source_pool=("10.0.2.200",), source_ports=(2000, 2003), limits={"half_open": 100})
    for i in range(30):
        of.client.send(of.request("S", sport=2000 + i))
    assert sum(len(of.net.take(server.port)) for server in of.servers) == 30
    assert of.net.drops() == {}
    assert len(of.sessions()) == 4


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_where_ports_that_stand_for_clients_are_used_up_only_their_own_sessions_give_way(protocol: str) -> None:
    named = Service((VIP[4],), (Server("10.0.2.11", 53),), port=53, protocol=protocol, source_nat="always",
                    source_pool=("10.0.2.200",), source_ports=(2000, 2003))
    of = Shared(named, Service((VIP[4],), (Server("10.0.2.12", 8080),)))
    for sport in range(1024, 1032):
        assert of.call(VIP[4], TCP(sport=sport, dport=80, flags="S")) == ("10.0.2.12", 8080)
    for sport in range(3000, 3030):
        l4 = TCP(sport=sport, dport=53, flags="S") if protocol == "tcp" else UDP(sport=sport, dport=53)
        assert of.call(VIP[4], l4) == ("10.0.2.11", 53)
    for sport in range(1024, 1032):
        assert of.answer("10.0.2.12", TCP(sport=8080, dport=sport, flags="SA")) == (VIP[4], 80)
    assert of.net.drops() == {}
    assert audit(of.net.worker) is None


# ---- in mid-stream ----


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
def test_forged_segments_to_a_service_that_hashes_stay_within_the_quota(scheduler: str) -> None:
    of = scene(scheduler=scheduler)
    flood(of, 50, "A")
    assert figures(of) == (QUOTA, 0)
    assert {row["state"] for row in of.sessions()} == {"SYN_RECV"}
    server = of.call("PA", sport=MINE)
    assert server is not None
    of.answer(server, "PA", dport=MINE)
    assert of.state(MINE) == "ESTABLISHED"


def test_a_server_that_does_not_know_the_connection_ends_it() -> None:
    of = scene(scheduler="hash")
    server = of.call("PA", sport=MINE)
    assert server is not None
    of.answer(server, "R", dport=MINE)
    assert of.state(MINE) == "CLOSED"
    assert figures(of)[0] == 0


@pytest.mark.parametrize("forward", ["dsr", "ipip"])
def test_where_replies_pass_by_the_acknowledgement_begins_a_half_open_session(forward: str) -> None:
    of = scene(near=forward == "dsr", forward=forward, server_port=0)
    flood(of)

    def reached(flags: str) -> list[int]:
        of.client.send(of.request(flags, sport=MINE))
        return [n for n, station in enumerate(of.servers) if of.net.take(station.port)]

    first = reached("S")
    assert len(first) == 1
    assert not [row for row in of.sessions() if row["client_port"] == MINE]
    assert reached("A") == first
    assert of.state(MINE) == "SYN_RECV"
    assert figures(of)[0] == QUOTA
    assert reached("PA") == first
    assert of.state(MINE) == "ESTABLISHED"


# ---- anything ----


@pytest.mark.parametrize("seed", range(4))
def test_no_mixture_of_segments_breaks_the_tables_or_the_quota(seed: int) -> None:
    dice = random.Random(seed)
    given: dict[str, Any] = dice.choice([{}, {"scheduler": "hash"}, {"persistence": 5.0}, {"port": (80, 81)}])
    of = scene(dice.choice([4, 6]), quota=dice.choice([1, 5]), sessions=dice.choice([12, 40]), **given)
    for _ in range(400):
        sport, flags = 2000 + dice.randrange(60), dice.choice(["S", "S", "S", "A", "PA", "FA", "R", "SA", "RA"])
        if dice.random() < 0.6:
            of.client.send(of.request(flags, sport=sport))
        else:
            of.servers[dice.randrange(3)].send(of.reply(0, flags, dport=sport))
        if dice.random() < 0.05:
            of.net.wait(dice.choice([0.1, 3.0, 61.0]))
            of.greet()
        if dice.random() < 0.02:
            of.net.set_server(dice.randrange(3), ready=dice.choice([UP, 0, UP | DRAIN]))
        of.net.discard()
        assert audit(of.net.worker) is None, seed
        counters = of.net.worker.counters()
        assert counters["sessions"] <= 40

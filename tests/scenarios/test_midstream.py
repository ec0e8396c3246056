"""TCP in mid-stream without a session: where a hash names the server it goes on there, else the sender is reset."""

import pytest

from tests.oracle import hashing

from .balanced import Scene, routed, transparent
from .layout import DRAIN, UP

BOTH = pytest.mark.parametrize("family", [4, 6])
HASHED = pytest.mark.parametrize("scheduler", ["hash", "maglev"])
SPORTS = range(40000, 40020)
KEY = "five_tuple"


def scene(family: int = 4, *, scheduler: str = "hash", near: bool = False, **given: object) -> Scene:
    return (transparent if near else routed)(family, n_servers=4, scheduler=scheduler, hash_key=KEY, **given)


def owner(of: Scene, scheduler: str, sport: int) -> int:
    """The server that the twin names."""
    servers = [hashing.Server(station.addresses[0], of.server_port) for station in of.servers]
    flow = hashing.Flow(of.client.addresses[0], sport, of.vip, of.port)
    table = hashing.maglev(servers) if scheduler == "maglev" else None
    return hashing.named(servers, hashing.flow_hash(KEY, flow), table)[0]


@BOTH
@HASHED
@pytest.mark.parametrize("near", [False, True])
def test_a_second_worker_built_alike_goes_on_with_what_the_first_began(family: int, scheduler: str, near: bool) -> None:
    first, second = (scene(family, scheduler=scheduler, near=near) for _ in range(2))
    servers = {sport: first.open(sport=sport) for sport in SPORTS}
    assert len(set(servers.values())) == 4
    for sport, server in servers.items():
        assert second.call("PA", sport=sport, seq=77, ack=99, payload=b"more") == server
        assert second.state(sport) == "SYN_RECV"
        second.answer(server, "PA", dport=sport, payload=b"yes")
        assert second.state(sport) == "ESTABLISHED"
    assert second.net.drops() == {}
    assert sum(second.counters(n)["sessions_active"] for n in range(4)) == len(SPORTS)


@HASHED
def test_the_server_is_the_one_that_the_hash_names(scheduler: str) -> None:
    of = scene(scheduler=scheduler)
    for sport in SPORTS[:8]:
        assert of.call("A", sport=sport) == owner(of, scheduler, sport)


@BOTH
def test_a_connection_that_is_closing_goes_on_to_its_end(family: int) -> None:
    first, second = scene(family), scene(family)
    server = first.open()
    assert second.call("FA") == server
    assert second.state() == "SYN_RECV"
    second.answer(server, "FA")
    assert second.state() == "FIN_WAIT"
    second.call("A")
    assert second.session()["left_ms"] == 120_000


@pytest.mark.parametrize("flags", ["R", "RA", "SA", "", "F", "P", "SFA"])
def test_segments_that_no_connection_would_send_in_mid_stream_begin_nothing(flags: str) -> None:
    of = scene()
    assert of.call(flags) is None
    assert of.sessions() == []
    assert of.net.drops() == {"orphan": 1}


@BOTH
def test_other_schedulers_reset_whoever_is_in_mid_stream(family: int) -> None:
    of = scene(family, scheduler="rr")
    assert of.call("A", seq=5, ack=77) is None
    of.client.expect(of.reset(flags="R", seq=77))
    assert of.net.drops() == {"orphan": 1}


def test_a_client_that_another_address_stood_for_is_reset() -> None:
    of = scene(source_nat="always", source_pool=("10.0.2.200",))
    assert of.call("A", seq=5, ack=77) is None
    of.client.expect(of.reset(flags="R", seq=77))
    assert of.net.drops() == {"orphan": 1}
    assert of.sessions() == []


def test_orphans_drop_is_silent_where_nothing_can_go_on() -> None:
    of = scene(source_nat="always", source_pool=("10.0.2.200",), orphans="drop")
    assert of.call("A") is None
    of.net.expect_silence()


def test_a_port_that_is_another_session_at_the_server_is_not_taken_over() -> None:
    of = scene(port=(80, 81))
    taken = next(sport for sport in SPORTS if of_both(of, sport))
    server = of.open(sport=taken, dport=80)
    assert of.call("A", sport=taken, dport=81) is None
    assert of.net.drops() == {"orphan": 1}
    assert [row["vip_port"] for row in of.sessions()] == [80]
    assert of.call("A", sport=taken, dport=80) == server


def of_both(of: Scene, sport: int) -> bool:
    """Whether both ports of the VIP lead to one server."""
    flows = [hashing.Flow(of.client.addresses[0], sport, of.vip, port) for port in (80, 81)]
    return len({hashing.flow_hash(KEY, flow) % 4 for flow in flows}) == 1


def test_who_takes_no_new_session_gets_none_in_mid_stream() -> None:
    of = scene()
    server = owner(of, "hash", 40000)
    of.net.set_server(server, ready=UP | DRAIN)
    other = of.call("A")
    assert other not in (None, server)
    for n in range(4):
        of.net.set_server(n, ready=UP | DRAIN)
    assert of.call("A", sport=40001) is None
    assert of.net.drops() == {"orphan": 1}


def test_a_segment_that_has_no_hop_left_is_told_so() -> None:
    of = scene()
    assert of.call("A", hops=1) is None
    assert of.net.drops() == {"ttl_expired": 1}
    assert of.sessions() == []


# ---- the server speaks first ----


@BOTH
@HASHED
@pytest.mark.parametrize("ports", [{}, {"port": (80, 81), "server_port": 0}])
def test_a_server_on_a_private_segment_may_speak_first(family: int, scheduler: str, ports: dict[str, object]) -> None:
    first, second = (scene(family, scheduler=scheduler, private=True, **ports) for _ in range(2))
    for sport in SPORTS:
        server = first.open(sport=sport)
        second.answer(server, "PA", dport=sport, payload=b"more")
        assert second.state(sport) == "ESTABLISHED"
        assert second.call("A", sport=sport) == server
    assert second.net.drops() == {}
    assert sum(second.counters(n)["sessions_total"] for n in range(4)) == len(SPORTS)


def routed_on(of: Scene, server: int, flags: str = "PA", **fields: object) -> bool:
    """Whether the server's segment reached the client as the server's own, and no session began."""
    n = len(of.sessions())
    of.send_reply(server, flags, **fields)
    frames = of.net.take("client")
    assert len(of.sessions()) == n
    return [frame.payload.src for frame in frames] == [of.servers[server].addresses[0]]


def test_where_clients_may_have_connections_with_the_server_itself_it_is_routed_as_one() -> None:
    of = scene()
    assert all(routed_on(of, server) for server in range(4))


def test_who_is_not_named_by_the_hash_is_routed_on() -> None:
    of = scene(private=True)
    named = owner(of, "hash", 40000)
    assert all(routed_on(of, server) for server in range(4) if server != named)
    of.answer(named, "A")


@pytest.mark.parametrize("flags", ["R", "RA", "S", "SA", "", "F"])
def test_what_opens_or_ends_a_connection_of_the_servers_begins_no_session(flags: str) -> None:
    of = scene(private=True)
    assert routed_on(of, owner(of, "hash", 40000), flags)


@pytest.mark.parametrize("given", [{"scheduler": "rr"}, {"source_nat": "always", "source_pool": ("10.0.2.200",)}])
def test_where_no_hash_tells_whose_a_connection_was_it_is_routed_on(given: dict[str, object]) -> None:
    of = scene(private=True, **given)
    assert all(routed_on(of, server) for server in range(4))


def test_what_does_not_come_from_a_port_of_the_service_is_routed_on() -> None:
    of = scene(private=True)
    named = owner(of, "hash", 40000)
    packet = of.reply(named, "PA")
    packet.payload.sport = 8081
    del packet.payload.chksum
    of.servers[named].send(packet)
    assert [frame.payload.src for frame in of.net.take("client")] == [of.servers[named].addresses[0]]
    assert of.sessions() == []


def test_a_client_that_has_its_session_with_another_server_keeps_it() -> None:
    of = scene(private=True)
    named = owner(of, "hash", 40000)
    of.net.set_server(named, ready=UP | DRAIN)
    other = of.open()
    of.net.set_server(named, ready=UP)
    assert routed_on(of, named)
    assert of.call("A") == other


@pytest.mark.parametrize("forward", ["dsr", "ipip"])
def test_servers_that_answer_past_swlb_keep_their_connections_too(forward: str) -> None:
    if forward == "dsr":
        first, second = (scene(near=True, server_port=0, forward=forward) for _ in range(2))
    else:
        first, second = (scene(server_port=0, forward=forward) for _ in range(2))
    for sport in SPORTS[:6]:
        reached = []
        for of, flags in ((first, "S"), (first, "A"), (second, "A"), (second, "PA")):
            of.client.send(of.request(flags, sport=sport))
            reached.append([n for n, station in enumerate(of.servers) if of.net.take(station.port)])
        assert len(reached[0]) == 1
        assert reached[0] == reached[1] == reached[2] == reached[3]
        assert second.state(sport) == "ESTABLISHED"


def test_udp_knows_no_mid_stream_and_is_named_anew() -> None:
    first, second = (scene(protocol="udp") for _ in range(2))
    for sport in SPORTS:
        assert first.call(sport=sport) == second.call(sport=sport)
    assert second.state(SPORTS[0]) == "ONE_WAY"



"""A client of a persistent service comes back to its server: who counts as one client, how long, and when not.

Servers take turns, so a client that is not remembered gets the next one.
"""

import pytest

from swlb._worker import Persists

from .balanced import CLIENT, INSIDE, OUTSIDE, SERVER, VIP, Scene, ip, routed, transparent
from .frames import TCP
from .layout import DRAIN, MAINT, UP, Segment, Server, Service
from .network import Network, address_text
from .test_dsr import to_server
from .test_pins import PORT as PROBE_PORT
from .test_pins import probe
from .tunnelled import ALL_WAYS, tunnelled

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
TIMEOUT_S = 100.0
OTHER = {4: "10.0.1.11", 6: "fd00:1::11"}
CLOSED_S = 10.0                # what is left of a session after a reset


def persistent(family: int, shape=routed, **given: object) -> Scene:
    return shape(family, persistence=TIMEOUT_S, **given)


def ended(scene: Scene, sport: int) -> None:
    """The client's session is over and gone, as by a reset."""
    scene.call("A", sport=sport)
    scene.call("R", sport=sport)
    scene.net.wait(CLOSED_S + 1.1)
    scene.greet()
    scene.net.discard()


def rows(net: Network) -> list[tuple[str, int, int]]:
    """(client, its server by number, sessions) of all that are remembered."""
    told = [row for rows in net.worker.persistence_slices(now_ns=net.now_ns) for row in rows]
    return sorted((address_text(client), net.servers.index(server), n) for _, client, server, _, _, n in told)


# ---- who is one client ----


@SHAPES
@BOTH
@PROTOCOLS
def test_a_client_comes_back_from_every_port_and_others_take_turns(shape, family, protocol):
    scene = persistent(family, shape, protocol=protocol)
    assert [scene.call(sport=sport) for sport in (1024, 1025, 1026)] == [0, 0, 0]
    other = {routed: OTHER[family], transparent: OTHER[family].replace("10.0.1", "10.0.0").replace("00:1:", "00:")}
    assert [scene.call(sport=sport, src=other[shape]) for sport in (1024, 1025)] == [1, 1]
    assert scene.call(sport=1027) == 0
    assert scene.net.drops() == {}


@BOTH
def test_without_persistence_it_gets_the_next(family):
    scene = routed(family)
    assert [scene.call(sport=sport) for sport in (1024, 1025, 1026)] == [0, 1, 2]
    assert rows(scene.net) == []


@pytest.mark.parametrize(("family", "masks", "same", "others"), [
    (4, (32, 128), [], ["10.0.1.11", "10.0.1.9"]),
    (4, (31, 128), ["10.0.1.11"], ["10.0.1.12", "10.0.1.8"]),
    (4, (28, 0), ["10.0.1.3", "10.0.1.14"], ["10.0.1.16", "10.0.1.240"]),
    (4, (0, 128), ["10.0.1.254", "10.0.1.2"], []),
    (6, (32, 128), [], ["fd00:1::11", "fd00:1::1:10"]),
    (6, (0, 64), ["fd00:1::11", "fd00:1::ffff:ffff:ffff:ffff"], ["fd00:1:0:1::10"]),
    (6, (32, 60), ["fd00:1:0:f::10"], ["fd00:1:0:10::10"]),
    (6, (32, 0), ["fd00:1::11", "2001:db8::1"], []),
])
def test_clients_are_one_whose_addresses_agree_under_the_mask(family, masks, same, others):
    scene = persistent(family, persistence_masks=masks, routes=[("::/0", "fd00:1::10")])
    assert scene.call() == 0
    assert [scene.call(src=address) for address in same] == [0] * len(same)
    assert [scene.call(src=address) for address in others] == [1, 2][:len(others)]


def test_the_same_client_has_a_server_in_each_service():
    services = [Service((VIP[4],), (Server("10.0.2.11", 8080), Server("10.0.2.12", 8080)), port, persistence=TIMEOUT_S)
                for port in (80, 81)]
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web",), INSIDE)}, services=services)
    client, web = net.station("client", CLIENT[4], OTHER[4]), net.station("web", "10.0.2.11", "10.0.2.12")
    client.greet()
    web.greet()
    for src, port in ((OTHER[4], 80), (CLIENT[4], 80), (CLIENT[4], 81)):
        client.send(ip(src, VIP[4]) / TCP(sport=1000 + port, dport=port, flags="S"))
    assert rows(net) == [(CLIENT[4], 1, 1), (CLIENT[4], 2, 1), (OTHER[4], 0, 1)]


# ---- how long ----


@BOTH
def test_it_is_remembered_until_the_timeout_after_its_last_session(family):
    scene = persistent(family)
    assert scene.call(sport=1024) == 0
    ended(scene, 1024)
    scene.net.wait(TIMEOUT_S - 5)
    scene.greet()
    assert scene.call(sport=1025) == 0
    ended(scene, 1025)
    scene.net.wait(TIMEOUT_S + 1)
    assert rows(scene.net) == []
    scene.greet()
    assert scene.call(sport=1026) == 1


@BOTH
def test_a_session_keeps_it_however_long_it_lasts(family):
    scene = persistent(family)
    assert scene.open(sport=1024) == 0
    assert scene.call(sport=1025) == 0
    ended(scene, 1025)
    scene.net.wait(5 * TIMEOUT_S)
    scene.greet()
    assert rows(scene.net) == [(CLIENT[family], 0, 1)]
    assert scene.call(sport=1026) == 0


@BOTH
def test_what_is_over_is_swept_away(family):
    scene = persistent(family)
    scene.call(sport=1024)
    ended(scene, 1024)
    assert len(scene.net.persists) == 1
    scene.net.wait(TIMEOUT_S + 301, step=1.0)
    assert len(scene.net.persists) == 0


# ---- a server that may not have it ----


@BOTH
@pytest.mark.parametrize(("ready", "weight"), [(0, 1), (UP | MAINT, 1), (UP, 0), (UP | DRAIN, 0)])
def test_a_server_that_is_down_or_weighs_nothing_is_not_come_back_to(family, ready, weight):
    scene = persistent(family)
    assert scene.call(sport=1024) == 0
    scene.net.set_server(0, ready=ready, weight=weight)
    assert scene.call(sport=1025) == 1
    # The other one is the client's now, also when the first is as before.
    scene.net.set_server(0, ready=UP)
    assert [scene.call(sport=sport) for sport in (1026, 1027)] == [1, 1]


@BOTH
def test_a_server_that_is_full_is_not_come_back_to(family):
    scene = persistent(family)
    assert scene.call(sport=1024) == 0
    scene.net.worker.set_server(scene.net.servers[0], ready=UP, weight=1, limit=1, lower=1)
    assert [scene.call(sport=sport) for sport in (1025, 1026)] == [1, 1]


@BOTH
@pytest.mark.parametrize("ready", [0, UP | MAINT])
def test_a_server_that_was_down_meanwhile_is_not_come_back_to(family, ready):
    scene = persistent(family)
    assert scene.call(sport=1024) == 0
    scene.net.set_server(0, ready=ready)
    assert rows(scene.net) == []
    scene.net.set_server(0, ready=UP)
    assert [scene.call(sport=sport) for sport in (1025, 1026)] == [1, 1]


@BOTH
def test_a_server_whose_weight_was_0_meanwhile_is_come_back_to(family):
    scene = persistent(family)
    assert scene.call(sport=1024) == 0
    scene.net.set_server(0, weight=0)
    scene.net.set_server(0, weight=5)
    assert scene.call(sport=1025) == 0


@BOTH
def test_a_server_that_drains_is_come_back_to_and_takes_nobody_else(family):
    scene = persistent(family)
    assert scene.call(sport=1024) == 0
    scene.net.set_server(0, ready=UP | DRAIN)
    assert [scene.call(sport=sport) for sport in (1025, 1026)] == [0, 0]
    assert scene.call(sport=1024, src=OTHER[family]) == 1


@BOTH
def test_while_all_drain_only_those_who_had_one_are_served(family):
    scene = persistent(family, refuse="drop")
    assert scene.call(sport=1024) == 0
    for server in range(3):
        scene.net.set_server(server, ready=UP | DRAIN)
    assert scene.call(sport=1025) == 0
    assert scene.call(sport=1024, src=OTHER[family]) is None
    assert scene.net.drops() == {"no_server": 1}


@BOTH
def test_a_session_that_its_server_could_not_tell_from_another_goes_elsewhere_and_the_client_stays(family):
    scene = persistent(family, port=(80, 81))
    assert scene.call(sport=1024, dport=80) == 0
    assert scene.call(sport=1024, dport=81) == 1
    assert rows(scene.net) == [(CLIENT[family], 0, 2)]
    assert scene.call(sport=1025, dport=81) == 0


@BOTH
def test_datagrams_of_a_server_that_went_down_go_to_another_which_is_then_the_client_s(family):
    scene = persistent(family, protocol="udp")
    assert [scene.call(sport=sport) for sport in (1024, 1025)] == [0, 0]
    scene.net.set_server(0, ready=0)
    assert [scene.call(sport=sport) for sport in (1024, 1025, 1026)] == [1, 1, 1]
    assert rows(scene.net) == [(CLIENT[family], 1, 3)]


# ---- ways to a server ----


@SHAPES
@BOTH
def test_it_comes_back_where_servers_answer_themselves(shape, family):
    scene = persistent(family, shape, server_port=0, forward="dsr")
    for sport in (1024, 1025, 1026):
        packet = scene.request(sport=sport)
        scene.client.send(packet)
        assert [bytes(frame) for frame in scene.net.take("server0")] == [to_server(scene, packet)]


@ALL_WAYS
def test_it_comes_back_through_tunnels(forward, inner, outer):
    scene = tunnelled(forward, inner, outer, n_servers=2, persistence=TIMEOUT_S)
    for sport in (1024, 1025, 1026):
        scene.client.send(scene.request(sport=sport))
    assert [len(scene.arrived(server)) for server in (0, 1)] == [3, 0]


@BOTH
def test_it_comes_back_in_swlb_s_own_name(family):
    own = {4: "10.0.2.1", 6: "fd00:2::1"}[family]
    scene = persistent(family, source_nat="always", source_pool=(own,))
    for sport in (1024, 1025, 1026):
        scene.client.send(scene.request(sport=sport))
    assert [len(scene.net.take(f"server{n}")) for n in range(3)] == [3, 0, 0]


@BOTH
def test_a_probe_of_swlb_s_own_is_no_client(family):
    scene = persistent(family, host=True, probe_idle=3.0)
    scene.net.pin(PROBE_PORT, 2)
    probe(scene)
    assert len(scene.net.take("server2")) == 1
    assert rows(scene.net) == []
    assert scene.call() == 0


# ---- forgetting, and no room ----


@BOTH
def test_flushed_clients_are_scheduled_anew_and_their_sessions_go_on(family):
    scene = persistent(family)
    assert scene.open(sport=1024) == 0
    assert scene.net.persists.forget(server=scene.net.servers[1]) == 0
    assert scene.net.persists.forget(service=1) == 0
    assert scene.net.persists.forget(service=0, server=scene.net.servers[0]) == 1
    assert rows(scene.net) == []
    assert scene.call("A", sport=1024) == 0
    assert [scene.call(sport=sport) for sport in (1025, 1026)] == [1, 1]
    assert rows(scene.net) == [(CLIENT[family], 1, 3)]
    assert scene.net.worker.flush_sessions(now_ns=scene.net.now_ns) == 3
    assert rows(scene.net) == [(CLIENT[family], 1, 0)]
    assert scene.net.persists.forget() == 1
    assert len(scene.net.persists) == 0


def test_an_entry_flushed_while_it_is_held_is_gone_with_the_last_session():
    scene = persistent(4)
    scene.call(sport=1024)
    scene.call(sport=1025)
    assert scene.net.persists.forget() == 1
    ended(scene, 1024)
    assert len(scene.net.persists) == 1
    ended(scene, 1025)
    assert len(scene.net.persists) == 0


def test_a_session_that_does_not_begin_holds_nothing():
    scene = persistent(4, limits={"sessions": 1})
    assert scene.open(sport=1024) == 0
    assert scene.call(sport=1025) is None
    assert scene.call(sport=1025, src=OTHER[4]) is None
    assert scene.net.drops() == {"session_full": 2}
    assert rows(scene.net) == [(CLIENT[4], 0, 1), (OTHER[4], 1, 0)]


class Small:
    """A service for whose clients there is one bucket, of seven places."""

    def __init__(self) -> None:
        servers = (Server(SERVER[4].format(11), 8080), Server(SERVER[4].format(12), 8080))
        self.net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web",), INSIDE)},
                           services=[Service((VIP[4],), servers, protocol="tcp", persistence=TIMEOUT_S)], sealed=False)
        self.persists = Persists(1)
        self.net.worker.use_persists(self.persists)
        self.net.seal()
        self.client = self.net.station("client", CLIENT[4])
        self.web = self.net.station("web", *(server.address for server in servers))
        self.client.greet()
        self.web.greet()

    def call(self, n: int, flags: str = "S") -> str:
        """Which server the n-th client's packet reaches."""
        self.client.send(ip(f"10.0.1.{100 + n}", VIP[4]) / TCP(sport=1024, dport=80, flags=flags))
        return self.net.take_one("web").payload.dst

    def end(self, n: int) -> None:
        """The n-th client has reset its connection."""
        self.call(n, "A")
        self.call(n, "R")

    def known(self) -> list[int]:
        return [int(client.rpartition(".")[2]) - 100 for client, _, _ in rows(self.net)]


def test_a_client_for_whom_there_is_no_room_is_served_and_the_operator_told():
    small = Small()
    servers = {n: small.call(n) for n in range(9)}
    assert len(set(servers.values())) == 2
    assert small.known() == list(range(7))
    assert small.persists.unremembered == 2
    assert [(event["kind"], event["ip"]) for event in small.net.events()] == [("unremembered", "10.0.1.107")]
    # Their sessions release nothing that is others'.
    for n in (7, 8):
        small.end(n)
    small.net.wait(CLOSED_S + 1.1)
    assert [n for _, _, n in rows(small.net)] == [1] * 7


def test_where_there_is_no_room_who_was_unused_longest_gives_way_and_nobody_with_a_session():
    small = Small()
    for n in range(7):
        small.call(n)
        small.net.wait(0.1)
    for n in (3, 1, 5):
        small.end(n)
        small.net.wait(1.1)    # a sweep of sessions takes a second
    small.net.wait(CLOSED_S + 1.1)
    small.client.greet()
    small.web.greet()
    for n, known in ((7, [0, 1, 2, 4, 5, 6, 7]), (8, [0, 2, 4, 5, 6, 7, 8]), (9, [0, 2, 4, 6, 7, 8, 9])):
        small.call(n)
        assert small.known() == known
    small.call(10)
    assert small.known() == [0, 2, 4, 6, 7, 8, 9]
    assert small.persists.unremembered == 1

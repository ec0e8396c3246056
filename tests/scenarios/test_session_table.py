"""The session table: held against a dict over random steps, its limit, its crowds, and being flushed."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from swlb._testing_sessions import Sessions, audit
from tests.ext.values import STATES
from tests.oracle.tcp_states import CLIENT, SERVER, after_reset

from .balanced import Scene, Shared, routed
from .frames import TCP, UDP
from .layout import DRAIN, UP, Service
from .layout import Server as RealServer
from .network import address16

MS = 10**6
BOTH = pytest.mark.parametrize("family", [4, 6])
TIMEOUTS = {"tcp_syn": 3.0, "tcp_established": 9.0, "tcp_fin": 2.0, "tcp_closed": 1.0}
TIMEOUT_MS = {"SYN_SENT": 3000, "SYN_RECV": 3000, "ESTABLISHED": 9000, "FIN_WAIT": 2000, "CLOSE_WAIT": 2000,
              "LAST_ACK": 2000, "TIME_WAIT": 2000, "CLOSED": 1000}
CLOSING = ("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED")
MILLION = 1_000_000
CLIENTS = 0x0B000000
TWO_WAY = STATES["TWO_WAY"]
LIMIT = 50          # in 64 buckets, so that most chains hold several


class Model:
    """Sessions as a dict, and the same steps done to it as to swlb."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.sessions: dict[tuple[int, int], dict] = {}
        self.takes = [True] * 3
        self.last = 2
        self.total = [0] * 3

    def now_ms(self) -> int:
        return self.scene.net.now_ns // MS

    def alive(self) -> dict[tuple[int, int], dict]:
        return {key: row for key, row in self.sessions.items()
                if self.now_ms() - row["seen"] < TIMEOUT_MS[row["state"]]}

    def choose(self) -> int | None:
        for i in range(1, 4):
            if self.takes[(self.last + i) % 3]:
                self.last = (self.last + i) % 3
                return self.last
        return None

    def request(self, key: tuple[int, int], flags: str) -> int | None:
        """The server that has to receive the client's segment."""
        row = self.alive().get(key)
        if row is None or (flags == "S" and row["state"] in CLOSING):
            self.sessions.pop(key, None)
            server = self.choose() if flags == "S" else None
            if server is None:
                return None
            row = self.sessions[key] = {"server": server, "state": "SYN_RECV", "in": 0, "out": 0,
                                        "reset": frozenset()}
            self.total[server] += 1
        else:
            self.follow(row, CLIENT, flags)
        row["seen"] = self.now_ms()
        row["in"] += 1
        return row["server"]

    def follow(self, row: dict, side: str, flags: str) -> None:
        """The session's state is that after the segment; who resets it and goes on has not reset it."""
        row["state"] = after_reset(row["state"], side, flags, side if side in row["reset"] else None)
        if "R" not in flags:
            row["reset"] = row["reset"] - {side}
        elif row["state"] == "CLOSED":
            row["reset"] = row["reset"] | {side}

    def reply(self, key: tuple[int, int], server: int, flags: str) -> bool:
        """Whether the server's segment has to be translated."""
        row = self.alive().get(key)
        if row is None or row["server"] != server:
            return False
        self.follow(row, SERVER, flags)
        row.update(seen=self.now_ms(), out=row["out"] + 1)
        return True

    def rows(self) -> set[tuple]:
        return {(*key, row["server"], row["state"], row["in"], row["out"]) for key, row in self.alive().items()}


def rows_of(scene: Scene) -> set[tuple]:
    return {(row["client_port"], row["vip_port"], row["server"], row["state"], row["packets_in"], row["packets_out"])
            for row in scene.sessions()}


def random_step(model: Model, scene: Scene, dice: random.Random) -> None:
    key = dice.randrange(1, 12), dice.randrange(1, 5)
    what = dice.random()
    if what < 0.5:
        flags = dice.choice(["S", "S", "S", "A", "PA", "FA", "R"])
        wanted = model.request(key, flags)
        assert scene.call(flags, sport=key[0], dport=key[1]) == wanted
    elif what < 0.9:
        server, flags = dice.randrange(3), dice.choice(["SA", "A", "PA", "FA", "RA"])
        if key in model.sessions and dice.random() < 0.8:
            server = model.sessions[key]["server"]
        translated = model.reply(key, server, flags)
        scene.servers[server].send(scene.reply(server, flags, dport=key[0], sport=key[1]))
        assert [out.payload.src == scene.vip for out in scene.net.take("client")] == [translated]
    elif what < 0.95:
        number = dice.randrange(3)
        model.takes[number] = not model.takes[number]
        scene.net.set_server(number, ready=UP if model.takes[number] else UP | DRAIN)
    else:
        scene.net.wait(dice.choice([0.001, 0.5, 1.0, 2.999, 3.0]))
        scene.greet()
    scene.net.discard()


@BOTH
@pytest.mark.parametrize("seed", [1, 2])
def test_table_is_a_dict_under_random_steps(family: int, seed: int) -> None:
    scene = routed(family, port=(1, 4), server_port=0, timeouts=TIMEOUTS, limits={"sessions": LIMIT})
    model, dice = Model(scene), random.Random(seed)
    for number in range(250):
        random_step(model, scene, dice)
        assert rows_of(scene) == model.rows(), f"seed {seed}, step {number}"
        counted = [scene.counters(i)["sessions_active"] + scene.counters(i)["sessions_inactive"] for i in range(3)]
        assert sum(counted) == scene.net.worker.counters()["sessions"], f"seed {seed}, step {number}"
        established = Counter(row["server"] for row in model.alive().values() if row["state"] == "ESTABLISHED")
        assert all(scene.counters(i)["sessions_active"] >= established[i] for i in range(3))
    assert [scene.counters(i)["sessions_total"] for i in range(3)] == model.total
    scene.net.wait(10.0)
    for i in range(3):
        assert (scene.counters(i)["sessions_active"], scene.counters(i)["sessions_inactive"]) == (0, 0)


def dual(**limits: int) -> Shared:
    """One UDP service with a VIP and a server of each family, one TCP service of IPv4."""
    return Shared(Service(("10.0.1.100", "fd00:1::100"), (RealServer("10.0.2.11", 53), RealServer("fd00:2::11", 53)),
                          port=53, protocol="udp", timeouts={"udp": 30.0, "udp_stream": 30.0}),
                  Service(("10.0.1.100",), (RealServer("10.0.2.12", 80),), port=80), **limits)


def udp4(shared: Shared, port: int) -> bool:
    """Whether the client's datagram has reached the server, whose answer has reached the client."""
    return both_ways(shared, "10.0.1.100", "10.0.2.11", port)


def udp6(shared: Shared, port: int) -> bool:
    return both_ways(shared, "fd00:1::100", "fd00:2::11", port)


def both_ways(shared: Shared, vip: str, server: str, port: int) -> bool:
    if shared.call(vip, UDP(sport=port, dport=53)) is None:
        return False
    return shared.answer(server, UDP(sport=53, dport=port)) == (vip, 53)


@pytest.mark.parametrize(("first", "second"), [(udp4, udp6), (udp6, udp4)])
def test_limit_holds_exactly_for_both_families_together(first: Callable, second: Callable) -> None:
    shared = dual(sessions=10)
    assert [first(shared, port) for port in range(1, 8)] == [True] * 7
    assert [second(shared, port) for port in range(1, 5)] == [True, True, True, False]
    assert not first(shared, 8)
    assert shared.net.drops() == {"session_full": 2}


def test_limit_can_be_reached_by_one_family_alone() -> None:
    shared = dual(sessions=10)
    assert [udp6(shared, port) for port in range(1, 12)] == [True] * 10 + [False]


def test_full_table_keeps_every_session_it_has() -> None:
    shared = dual(sessions=3)
    assert [udp4(shared, port) for port in (1, 2, 3, 4, 5)] == [True, True, True, False, False]
    assert [udp4(shared, port) for port in (1, 2, 3)] == [True] * 3
    assert shared.answer("10.0.2.11", UDP(sport=53, dport=2)) == ("10.0.1.100", 53)


def test_full_table_is_reported_once_a_second() -> None:
    shared = dual(sessions=1)
    udp4(shared, 1)
    reports = []
    for step in range(30):
        shared.net.now_ns += 100 * MS
        udp4(shared, 1000 + step)
        reports += [step for event in shared.net.events() if event["kind"] == "table_full"]
    assert reports == [0, 10, 20]
    assert shared.net.drops() == {"session_full": 30}


def test_room_is_used_again_after_sessions_expired() -> None:
    shared = dual(sessions=2)
    assert [udp4(shared, 1), udp6(shared, 1), udp4(shared, 2)] == [True, True, False]
    shared.net.wait(31.0)
    assert [udp4(shared, 3), udp4(shared, 4), udp4(shared, 5)] == [True, True, False]


def test_a_million_sessions_fit_not_one_more_and_all_of_them_expire() -> None:
    shared = dual(sessions=MILLION)
    sessions, now_ms = Sessions(shared.net.worker, 4), shared.net.now_ns // MS
    for number in range(MILLION - 1):
        client = address16("10.0.1.0")[:12] + (CLIENTS + number // 50).to_bytes(4, "big")
        assert sessions.insert(client, 1024 + number % 50, 17, 53, 0, now_ms, TWO_WAY), number
    assert [udp6(shared, 1), udp4(shared, 1), udp6(shared, 2)] == [True, False, False]
    assert shared.net.drops() == {"session_full": 2}
    assert [event["kind"] for event in shared.net.events() if event["kind"] == "table_full"] == ["table_full"]
    assert shared.net.worker.counters()["sessions"] == MILLION
    assert audit(shared.net.worker) is None
    shared.net.wait(29.8)
    assert shared.net.worker.counters()["sessions"] == MILLION
    shared.net.wait(1.3)
    assert shared.net.worker.counters()["sessions"] == 0
    assert audit(shared.net.worker) is None
    assert udp4(shared, 1)


@BOTH
def test_one_client_port_may_have_64_sessions_and_no_more(family: int) -> None:
    scene = routed(family, protocol="udp", port=(1, 65535), server_port=0, refuse="drop")
    got = [scene.call(dport=port) is not None for port in range(1, 67)]
    assert got == [True] * 64 + [False, False]
    assert scene.net.drops() == {"session_crowded": 2}
    assert scene.call(dport=64) is not None
    assert scene.call(sport=40001, dport=66) is not None


def test_flush_all_ends_every_session_of_both_families() -> None:
    shared = dual()
    assert [udp4(shared, 1), udp6(shared, 1)] == [True, True]
    assert shared.net.worker.flush_sessions() == 2
    assert shared.net.worker.sessions(now_ns=shared.net.now_ns) == []
    assert shared.net.worker.counters()["sessions"] == 0
    assert shared.net.worker.flush_sessions() == 0


def test_flush_by_service_ends_only_its_sessions() -> None:
    shared = dual()
    assert [udp4(shared, 1), udp6(shared, 1)] == [True, True]
    shared.call("10.0.1.100", TCP(sport=1, dport=80, flags="S"))
    assert shared.net.worker.flush_sessions(service=0) == 2
    assert [row[0] for row in shared.net.worker.sessions(now_ns=shared.net.now_ns)] == [6]


@BOTH
def test_flush_by_server_ends_only_its_sessions_and_counts_them_off(family: int) -> None:
    scene = routed(family)
    for port in range(1, 7):
        scene.open(sport=port)
    assert scene.net.worker.flush_sessions(server=scene.net.servers[1]) == 2
    assert {row["server"] for row in scene.sessions()} == {0, 2}
    assert [scene.counters(i)["sessions_active"] for i in range(3)] == [2, 0, 2]
    assert scene.call("PA", sport=2) is None

"""Who comes back to whom through random histories: clients that call and fall silent, servers that change, flushes.

The twin (tests/oracle/persistence.py) says which server a client must get; where it says nobody, any that takes new
sessions will do. Sessions are of UDP, and end by themselves once nothing was sent for IDLE_S.
"""

import ipaddress
import random
from dataclasses import dataclass, field

import pytest

from tests.oracle.persistence import Past, Persistence, Void

from .balanced import Scene, routed
from .layout import DRAIN, MAINT, UP
from .network import SECOND, address_text

STEPS = 1500
IDLE_S, TIMEOUT_S = 5.0, 12.0
BITS = {4: 29, 6: 125}
PREFIX = {4: "10.0.1.{}", 6: "fd00:1::{:x}"}
ADDRESSES = range(16, 56)      # of five networks
GREETING_S = 40.0              # after 60 of silence swlb asks where a server is


@dataclass
class History:
    """The scene, the twin, and what of the scene's sessions and servers has to be known to judge it."""

    scene: Scene
    twin: Persistence
    ready: list[int] = field(default_factory=lambda: [UP] * 3)
    weight: list[int] = field(default_factory=lambda: [1] * 3)
    sessions: dict[tuple[str, int], tuple[int, float, Past]] = field(default_factory=dict)
    greeted: float = 0.0

    @property
    def now(self) -> float:
        return round(self.scene.net.now_ns / SECOND, 3)

    def serves(self, server: int) -> bool:
        return self.ready[server] & (UP | MAINT) == UP

    def may_return(self, server: int) -> bool:
        return self.serves(server) and self.weight[server] > 0

    def takes(self, server: int) -> bool:
        return self.ready[server] == UP and self.weight[server] > 0

    def wait(self, seconds: float) -> None:
        """Time passes, and sessions end of it; swlb keeps knowing where everybody is."""
        end = round(self.now + seconds, 3)
        while self.now < end:
            self.scene.net.wait(min(1.0, round(end - self.now, 3)))
            if self.now - self.greeted >= GREETING_S:
                self.scene.greet()
                self.greeted = self.now
        for key, (_, seen, past) in list(self.sessions.items()):
            if self.now - seen >= IDLE_S - 1e-6:
                past.ended = round(seen + IDLE_S, 3)
                del self.sessions[key]

    def call(self, address: str, sport: int) -> None:
        """A datagram of the client's has reached whom it had to reach."""
        got = self.scene.call(src=address, sport=sport)
        if (address, sport) in self.sessions:
            server, _, past = self.sessions[address, sport]
            if self.serves(server):
                assert got == server
                self.sessions[address, sport] = (server, self.now, past)
                return
            past.ended = self.now
            del self.sessions[address, sport]
        had = self.twin.server_of(self.twin.client(address), self.now)
        if had is not None and self.may_return(had):
            assert got == had
        else:
            takers = [server for server in range(3) if self.takes(server)]
            assert got in takers if takers else got is None
        if got is not None:
            self.sessions[address, sport] = (got, self.now, self.twin.began(address, got, self.now))

    def change(self, server: int, ready: int, weight: int) -> None:
        """The server is as told."""
        if self.serves(server) and ready & (UP | MAINT) != UP:
            self.twin.given.append(Void(server))
        self.ready[server], self.weight[server] = ready, weight
        self.scene.net.set_server(server, ready=ready, weight=weight)

    def forget(self, server: int | None) -> None:
        """Clients are forgotten, those of the server or all; swlb says how many that were."""
        wanted = [known for known in self.twin.known(self.now).values() if server in (None, known[0])]
        index = None if server is None else self.scene.net.servers[server]
        # Those that are over count as well until they are swept.
        assert self.scene.net.persists.forget(server=index) >= len(wanted)
        self.twin.given.append(Void(server))

    def flush(self) -> None:
        """No session is left."""
        self.scene.net.worker.flush_sessions(now_ns=self.scene.net.now_ns)
        for _, _, past in self.sessions.values():
            past.ended = self.now
        self.sessions.clear()

    def rows(self) -> dict[str, tuple[int, int, float]]:
        """What swlb tells of every client, in the twin's words."""
        told = {}
        for rows in self.scene.net.worker.persistence_slices(now_ns=self.scene.net.now_ns):
            for _, client, server, age_ms, left_ms, n in rows:
                network = str(ipaddress.ip_network(f"{address_text(client)}/{self.twin.bits}"))
                told[network] = (self.scene.net.servers.index(server), n, age_ms / 1000)
                assert left_ms == (None if n else int(TIMEOUT_S * 1000) - age_ms)
        return told


@pytest.mark.parametrize("family", [4, 6])
def test_clients_come_back_as_the_twin_says(family):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    scene = routed(family, protocol="udp", persistence=TIMEOUT_S, persistence_masks=(BITS[4], BITS[6]),
                   timeouts={"udp": IDLE_S}, limits={"sessions": 100})
    history = History(scene, Persistence(BITS[family], TIMEOUT_S), greeted=scene.net.now_ns / SECOND)
    for step in range(STEPS):
        kind = choose.random()
        if kind < 0.55:
            history.call(PREFIX[family].format(choose.choice(ADDRESSES)), choose.randrange(2000, 2003))
        elif kind < 0.85:
            history.wait(choose.choice((0.1, 0.1, 1.0, 3.0, 5.0, 11.9, 12.0, 17.0)))
        elif kind < 0.97:
            server = choose.randrange(3)
            ready = choose.choice((UP, UP, UP, UP | DRAIN, UP | MAINT, 0))
            history.change(server, ready, choose.choice((0, 1, 1, 1)))
        elif kind < 0.99:
            history.forget(choose.choice((None, 0, 1, 2)))
        else:
            history.flush()
        if step % 10 == 0:
            assert history.rows() == history.twin.known(history.now), f"seed {seed}, step {step}"
    assert set(scene.net.drops()) <= {"no_server"}

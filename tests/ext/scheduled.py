"""A service with a scheduler, and the same once more as its twin: what is done to one is done to both."""

import random
from typing import Any

from swlb._testing_schedule import Schedule
from swlb._testing_sessions import Services, Sessions
from swlb._worker import Worker
from tests.ext.values import STATES, TIMEOUTS_MS, ip, mac
from tests.oracle.schedule import FULL_SHARE, SCHEDULERS, Server

UP = 1
VIP, PORT = ip("10.0.0.100"), 80
CLIENT = ip("192.0.2.1")
PROTOCOLS = {"tcp": 6, "udp": 17}
CLOSING, CLOSED = "FIN_WAIT", "CLOSED"


def service_of(scheduler: str, weights: tuple[int, ...], *, protocol: str = "tcp",
               backups: frozenset[int] = frozenset(), sessions: int = 1000, **options: Any) -> Any:
    """A Worker with one service on port 80, whose servers have these weights."""
    worker = Worker(sessions=sessions, n_services=1, n_servers=len(weights), n_addresses=2)
    segment = worker.add_segment(mac=mac("02:00:00:00:00:01"))
    service = worker.add_service(vips=[(VIP, segment), (ip("fd00::100"), segment)], protocol=PROTOCOLS[protocol],
                                 l4_first=PORT, l4_last=PORT, refuse=0, orphans=0, on_down=0,
                                 timeouts_ns=[ms * 10**6 for ms in TIMEOUTS_MS], scheduler=scheduler, **options)
    for n, weight in enumerate(weights):
        worker.add_server(service, ip=ip(f"10.1.{n >> 8}.{n & 255}"), l4_port=8080, weight=weight, ready=UP,
                          backup=n in backups)
    worker.seal(now_ns=0)
    return worker


class Pair:
    """A Worker's service and its twin. A session is known by the port of its client."""

    def __init__(self, scheduler: str, weights: tuple[int, ...], *, backups: frozenset[int] = frozenset(),
                 **options: Any) -> None:
        self.worker = service_of(scheduler, weights, backups=backups, **options)
        self.sessions = Sessions(self.worker, 4)
        self.schedule = Schedule(self.worker, 0, 4)
        self.servers = [Server(weight, backup=n in backups) for n, weight in enumerate(weights)]
        self.twin = SCHEDULERS[scheduler](self.servers)
        self.alive: list[int] = []                       # ports
        self.of: dict[int, tuple[int, str]] = {}         # by port: server and state
        self.next_port = 1

    def choose(self) -> tuple[int | None, int | None]:
        """Whom swlb names, and whom the twin does."""
        return self.schedule.choose(), self.twin.choose()

    def begin(self, server: int) -> int:
        """A session with the server, whose SYN has come; its port."""
        port, self.next_port = self.next_port, self.next_port + 1
        assert self.sessions.insert(CLIENT, port, 6, PORT, server, 0, STATES["SYN_RECV"])
        self.alive.append(port)
        self.of[port] = server, "SYN_RECV"
        self.servers[server].inactive += 1
        self.count_open(server, 1)
        return port

    def take_named(self) -> int:
        """The server that both name."""
        named, wanted = self.choose()
        assert named == wanted is not None
        return wanted

    def goes_to(self, port: int, state: str) -> None:
        """The session is in that state, or with None it is gone."""
        server, before = self.of[port]
        assert self.sessions.set_state((CLIENT, port, 6, VIP, PORT), STATES[state])
        self.of[port] = server, state
        self.servers[server].active += (state == "ESTABLISHED") - (before == "ESTABLISHED")
        self.servers[server].inactive -= (state == "ESTABLISHED") - (before == "ESTABLISHED")
        self.count_open(server, (before == CLOSED) - (state == CLOSED))

    def end(self, port: int) -> None:
        """The session is gone."""
        assert self.sessions.remove((CLIENT, port, 6, VIP, PORT))
        self.alive.remove(port)
        server, state = self.of.pop(port)
        self.servers[server].active -= state == "ESTABLISHED"
        self.servers[server].inactive -= state != "ESTABLISHED"
        self.count_open(server, -(state != CLOSED))

    def count_open(self, server: int, more: int) -> None:
        self.servers[server].open += more
        if self.servers[server].fills():
            self.twin.changed()

    def set_server(self, number: int, **changes: Any) -> None:
        """The server is as the twin's fields say; a new limit is judged by what is open, not by what was."""
        server = self.servers[number]
        if (changes.get("limit", server.limit), changes.get("lower", server.lower)) != (server.limit, server.lower):
            server.full = False
        for name, value in changes.items():
            setattr(server, name, value)
        server.fills()
        self.worker.set_server(number, ready=UP * server.ready, weight=server.weight, share=server.share,
                               limit=server.limit, lower=server.lower, now_ns=0)
        self.twin.changed()

    def audit(self) -> None:
        """swlb counts what the twin counts, and its tables are whole."""
        assert (self.sessions.audit(), Services(self.worker).audit()) == (None, None)
        for number, server in enumerate(self.servers):
            counted = self.worker.server(number)
            assert (counted["sessions_active"], counted["sessions_inactive"], counted["sessions_open"]) == (
                server.active, server.inactive, server.open)


def any_change(choose: random.Random) -> dict[str, Any]:
    """Something that an operator, a check or time may do to a server."""
    limit = choose.randrange(1, 12)
    return choose.choice([
        {"weight": choose.choice([0, 1, 2, 3, 5, 100, 65535])}, {"weight": choose.randrange(1, 20)},
        {"share": choose.randrange(1, FULL_SHARE + 1)}, {"share": FULL_SHARE}, {"ready": False}, {"ready": True},
        {"ready": True, "share": 1}, {"limit": limit, "lower": choose.randrange(1, limit + 1)},
        {"limit": limit, "lower": 0}, {"limit": 0, "lower": 0}])

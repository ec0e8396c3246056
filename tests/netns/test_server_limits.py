"""No server has more sessions than it may, and one that comes back gets them little by little: real connections."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from netns.running import made_namespaces, wait_until
from netns.sites import CHECK, Routed, serving, site
from netns.traffic import connect, shares

pytestmark = pytest.mark.root

VIP = Routed.vips[4]
EACH, RESTS, BACKED, SLOW = 81, 82, 83, 84  # the services' ports
SLOW_START_S = 6
WHOLE = 256  # a weight of which a share of 1/256 is 1


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A routed site, everything ready, with services of which some servers have limits."""

    def more(config):
        servers = config["services"]["web"]["servers"]

        def service(port: int, given: dict[str, dict], **keys: object) -> dict:
            chosen = {name: servers[name] | words for name, words in given.items()}
            return {"vip": VIP, "port": port, "check": dict(CHECK), "servers": chosen, **keys}

        names = ("web1", "web2", "web3")
        config["services"] |= {
            "each": service(EACH, {name: {"max_connections": 2} for name in names}),
            "rests": service(RESTS, {"web1": {"max_connections": {"upper": 3, "lower": 2}}}),
            "backed": service(BACKED, {"web1": {"max_connections": 1}, "web3": {"backup": True}}),
            "slow": service(SLOW, {name: {"weight": WHOLE} for name in names}, slow_start=f"{SLOW_START_S}s"),
        }

    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("limited"), change=more) as at,
        serving(at),
    ):
        yield at


class Connections:
    """Open connections of a client to a port of the VIP."""

    def __init__(self, at, port: int, stack: ExitStack) -> None:
        self.at, self.port, self._stack = at, port, stack

    def open(self) -> tuple[socket.socket, str]:
        """A new one, and who has it."""
        sock = self._stack.enter_context(connect(self.at.client, VIP, self.port))
        client = "{}:{}".format(*sock.getsockname())
        server = self.at.swlb.row("sessions", client=client)["server"]
        names = {f"{host.ipv4}:8080": name for name, host in self.at.hosts.items()}
        return sock, names[server]

    def end(self, sock: socket.socket, service: str, server: str) -> None:
        """It is closed by both sides, and swlb knows."""
        before = self.row(service, server)["sessions_open"]
        sock.close()
        wait_until(lambda: self.row(service, server)["sessions_open"] == before - 1, "one session less")

    def row(self, service: str, server: str) -> dict:
        return self.at.swlb.row("servers", service=service, server=server)

    def expect_refusal(self) -> None:
        with pytest.raises(ConnectionRefusedError):
            connect(self.at.client, VIP, self.port)


@contextmanager
def connections(at, port: int) -> Iterator[Connections]:
    """Those that are opened within the block are closed after it, and their sessions have ended."""
    with ExitStack() as stack:
        yield Connections(at, port, stack)
    wait_until(lambda: not any(row["sessions_open"] for row in at.swlb.show("servers")), "all sessions ended")


def test_servers_take_no_more_sessions_than_they_may_and_one_again_when_one_has_ended(limited):
    before = limited.swlb.row("services", service="each")["refused"]
    with connections(limited, EACH) as held:
        opened = [held.open() for _ in range(6)]
        assert sorted(server for _, server in opened) == ["web1", "web1", "web2", "web2", "web3", "web3"]
        held.expect_refusal()
        assert limited.swlb.row("services", service="each")["refused"] == before + 1
        row = held.row("each", "web2")
        assert (row["sessions_open"], row["max_connections"], row["full"]) == (2, 2, True)
        why = limited.swlb.cli("why", "each/web2").stdout
        assert why.startswith("each/web2 takes no new sessions: it has 2 sessions of 2 it may have (max_connections).")
        freed = next(sock for sock, server in opened if server == "web2")
        held.end(freed, "each", "web2")
        assert held.open()[1] == "web2"
        held.expect_refusal()


def test_a_server_with_two_numbers_rests_until_it_has_fewer_than_the_lower(limited):
    with connections(limited, RESTS) as held:
        socks = [held.open()[0] for _ in range(3)]
        held.expect_refusal()
        held.end(socks[0], "rests", "web1")
        held.expect_refusal()
        held.end(socks[1], "rests", "web1")
        held.open()
        held.open()
        held.expect_refusal()


def test_a_backup_takes_what_the_others_are_too_full_for(limited):
    with connections(limited, BACKED) as held:
        sock, server = held.open()
        assert server == "web1"
        assert held.open()[1] == "web3"
        held.end(sock, "backed", "web1")
        assert held.open()[1] == "web1"


def test_full_servers_are_no_events(limited):
    kinds = [event["kind"] for event in limited.swlb.show("events") if event["service"] in ("each", "rests", "backed")]
    assert set(kinds) <= {"server_up", "service_up"}


def test_a_server_that_comes_back_gets_its_share_little_by_little(limited):
    def weight() -> int:
        return limited.swlb.row("servers", service="slow", server="web1")["effective_weight"]

    assert shares(limited.client, VIP, 30, port=SLOW) == {"web1": 10, "web2": 10, "web3": 10}
    limited.swlb.order("slow/web1", "maint")
    limited.swlb.order("slow/web1", "ready")
    wait_until(lambda: weight() > 0, "web1 takes sessions")
    early, n = 0, 0
    while True:
        served = shares(limited.client, VIP, 15, port=SLOW)["web1"]
        if weight() > WHOLE // 4:
            break
        early, n = early + served, n + 15
    # In the first quarter its share is an eighth of theirs on average, and a quarter at most: one of nine.
    assert n > 0
    assert early <= n / 9 + 2
    wait_until(lambda: weight() == WHOLE, "web1 has its whole share", within=3 * SLOW_START_S)
    assert shares(limited.client, VIP, 30, port=SLOW)["web1"] in (9, 10, 11)

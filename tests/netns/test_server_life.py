"""How servers come and go, seen by real clients: waiting for a drain, backups, and what is said when nobody is left."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from netns.running import ROOT, SWLB, made_namespaces, wait_until
from netns.sites import CHECK, Routed, serving, site
from netns.traffic import connect, keep_errors, kept_error, shares, udp_client

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
VIP = Routed.vips[4]
SPARE, NOBODY = 81, 82  # services with a backup, and without servers
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
MUST_END_S = 20.0


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """A routed site, everything ready, with services beside `web`."""

    def more(config):
        services, servers = config["services"], config["services"]["web"]["servers"]
        spare = {name: servers[name] for name in ("web1", "web2")} | {"web3": servers["web3"] | {"backup": True}}
        services["spare"] = {"vip": VIP, "port": SPARE, "check": dict(CHECK), "servers": spare}
        nobody = {"vip": list(Routed.vips.values()), "port": NOBODY, "refuse": "unreachable", "servers": {}}
        services |= {"nobody": nobody, "nobody-udp": nobody | {"protocol": "udp"}}

    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("life"), change=more) as at,
        serving(at),
    ):
        yield at


@pytest.fixture
def site_at_rest(life):
    yield life
    for row in life.swlb.show("servers"):
        if row["admin"] != "ready":
            life.swlb.order(f"{row['service']}/{row['server']}", "ready")
        if row["weight"] != 1:
            life.swlb.order(f"{row['service']}/{row['server']}", "weight=1")
    life.swlb.wait_operational("up")


@contextmanager
def held_by_web1(at) -> Iterator[socket.socket]:
    """A connection that web1 has, in whose other end nobody has said anything yet."""
    for name in ("web2", "web3"):
        at.swlb.order(f"web/{name}", "drain")
    with connect(at.client, VIP, 80) as sock:
        for name in ("web2", "web3"):
            at.swlb.order(f"web/{name}", "ready")
        wait_until(lambda: web1(at)["sessions_open"] == 1, "one open session at web1")
        yield sock


def web1(at) -> dict:
    return at.swlb.row("servers", service="web", server="web1")


@dataclass
class Wait:
    """A `swlb set server web/web1 ... --wait`, and once it has ended what it has said."""

    process: subprocess.Popen[str]
    code: int | None = None
    out: str = ""
    err: str = ""


@contextmanager
def waiting(at, order: str, *wait: str) -> Iterator[Wait]:
    """Within the block it has given its order; afterwards it has ended."""
    argv = [*SWLB, "set", "server", "web/web1", order, *wait, "--control", str(at.swlb.control)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            waited = Wait(process)
            wait_until(lambda: web1(at)["effective_weight"] == 0, "the order", within=MUST_END_S)
            yield waited
            waited.out, waited.err = process.communicate(timeout=MUST_END_S)
            waited.code = process.returncode
        finally:
            process.kill()


def answered(sock: socket.socket) -> bytes:
    """The server's answer on that connection, which it then ends; we do, too."""
    sock.sendall(REQUEST)
    answer = sock.recv(4096, socket.MSG_WAITALL)
    sock.shutdown(socket.SHUT_WR)
    return answer


@pytest.mark.parametrize("order", ["drain", "weight=0"])
def test_a_drain_is_waited_for_until_the_last_session_is_gone(site_at_rest, order):
    with held_by_web1(site_at_rest) as sock, waiting(site_at_rest, order, "--wait", "30s") as wait:
        assert wait.process.poll() is None
        assert b'"server": "web1"' in answered(sock)
    assert wait.code == 0
    assert "server web/web1: no session is left" in wait.out


def test_a_drain_that_takes_too_long_exits_1_and_says_how_many_sessions_are_left(site_at_rest):
    with held_by_web1(site_at_rest) as sock:
        with waiting(site_at_rest, "drain", "--wait", "300ms") as wait:
            pass
        assert wait.code == 1
        assert "server web/web1: 1 session is open after 300ms; the order holds." in wait.err
        assert web1(site_at_rest)["admin"] == "drain"
        assert b'"server": "web1"' in answered(sock)


def test_an_interrupt_ends_the_wait_and_not_the_drain(site_at_rest):
    with held_by_web1(site_at_rest):
        with waiting(site_at_rest, "drain", "--wait") as wait:
            assert wait.process.stderr.readline() == "server web/web1: 1 session is open: waiting\n"
            wait.process.send_signal(signal.SIGINT)
        assert wait.code == 1
        assert "1 session is open; the wait is over, the order holds" in wait.err
        assert web1(site_at_rest)["admin"] == "drain"


def test_maintenance_ends_a_session_at_its_next_packet_and_is_waited_for_as_well(site_at_rest):
    with held_by_web1(site_at_rest) as sock, waiting(site_at_rest, "maint", "--wait", "30s") as wait:
        assert wait.process.poll() is None
        sock.sendall(REQUEST)
        with pytest.raises(ConnectionResetError):
            sock.recv(4096)
    assert wait.code == 0


def test_an_idle_server_is_not_waited_for(site_at_rest):
    wait_until(lambda: web1(site_at_rest)["sessions_open"] == 0, "no session at web1")
    done = site_at_rest.swlb.cli("set", "server", "web/web1", "drain", "--wait")
    assert (done.returncode, done.stderr) == (0, "")


def test_wrong_words_beside_wait_change_nothing(site_at_rest):
    for order, wait in (("ready", "1s"), ("drain", "soon")):
        done = site_at_rest.swlb.cli("set", "server", "web/web1", order, "--wait", wait)
        assert (done.returncode, done.stdout) == (2, "")
    assert web1(site_at_rest)["admin"] == "ready"


def test_a_backup_comes_when_nobody_else_is_left_and_goes_when_somebody_is(site_at_rest):
    swlb, client = site_at_rest.swlb, site_at_rest.client
    assert shares(client, VIP, 10, port=SPARE) == {"web1": 5, "web2": 5}
    swlb.order("spare/web1", "drain")
    assert shares(client, VIP, 6, port=SPARE) == {"web2": 6}
    swlb.order("spare/web2", "maint")
    assert shares(client, VIP, 6, port=SPARE) == {"web3": 6}
    swlb.order("spare/web1", "ready")
    assert shares(client, VIP, 6, port=SPARE) == {"web1": 6}
    texts = [event["text"] for kind in ("backup", "backup_over") for event in swlb.events(kind)]
    assert texts == ["service spare: no other server can take sessions: its backup web3 does",
                     "service spare: web1 takes sessions again: its backup web3 rests"]  # fmt: skip


def test_a_session_of_a_backup_stays_there_when_the_others_are_back(site_at_rest):
    for name in ("web1", "web2"):
        site_at_rest.swlb.order(f"spare/{name}", "drain")
    with connect(site_at_rest.client, VIP, SPARE) as sock:
        for name in ("web1", "web2"):
            site_at_rest.swlb.order(f"spare/{name}", "ready")
        assert b'"server": "web3"' in answered(sock)


@FAMILIES
def test_a_tcp_client_hears_port_unreachable_where_a_service_is_to_say_so(life, family):
    before = life.swlb.row("services", service="nobody")["refused"]
    with closing(life.client.socket(family, socket.SOCK_STREAM)) as sock:
        sock.settimeout(3)
        keep_errors(sock)
        with pytest.raises(ConnectionRefusedError):
            sock.connect((Routed.vips[family], NOBODY))
        error = kept_error(sock)
    assert (error.type, error.code, error.sender) == ((3, 3) if family == 4 else (1, 4)) + (Routed.routers[family],)
    wait_until(lambda: life.swlb.row("services", service="nobody")["refused"] == before + 1, "one refusal counted")


@FAMILIES
def test_a_udp_client_hears_it_as_well(life, family):
    with udp_client(life.client, Routed.vips[family], NOBODY) as sock:
        sock.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)

"""`swlb plan` before a reload, with real connections: what it says of them is what then becomes of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from netns.running import Site, cli, made_namespaces, wait_until
from netns.sites import ECHO_PORT, Routed, config_of, site, unchanged
from netns.traffic import connect, listening, udp_client, udp_echo

pytestmark = pytest.mark.root

VIP, OWN_VIP = Routed.vips[4], "10.0.1.101"
KEPT_PORT = 7777
PATIENCE_S = 0.5  # for an answer that is not to come
Change = Callable[[dict[str, Any]], None]


def start(config: dict[str, Any]) -> None:
    """Service kept, at the VIP of others, and service own, at a VIP of its own; both have web1 and web2."""
    servers = {name: {"address": f"10.0.2.{n}", "port": KEPT_PORT} for name, n in (("web1", 11), ("web2", 12))}
    for name, vip in (("kept", VIP), ("own", OWN_VIP)):
        config["services"][name] = {"vip": vip, "port": 90, "servers": dict(servers)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("plan")
    with made_namespaces() as make, site(Routed, make, directory, change=start) as at, ExitStack() as stack:
        for host in at.servers:
            stack.enter_context(listening(host, host.ipv4, KEPT_PORT, echo))
            stack.enter_context(udp_echo(host, host.ipv4, ECHO_PORT))
        yield at


@pytest.fixture
def at(shared):
    """A site with the configuration of the start, without a session."""
    yield shared
    for row in shared.swlb.show("servers"):
        if row["admin"] != "ready":
            shared.swlb.order(f"{row['service']}/{row['server']}", "ready")
    reload(shared, unchanged)
    assert shared.swlb.cli("flush", "sessions").returncode == 0


def echo(sock) -> None:
    while data := sock.recv(100):
        sock.sendall(data)


def write(at: Site, change: Change) -> str:
    """The name of a file with the configuration of the start after the change."""

    def both(config: dict[str, Any]) -> None:
        start(config)
        change(config)

    at.swlb.file.write_text(config_of(Routed, at.hosts, both))
    return str(at.swlb.file)


def reload(at: Site, change: Change) -> None:
    done = at.swlb.cli("reload", write(at, change))
    assert done.returncode == 0, done.stderr


def planned(at: Site, change: Change) -> dict[str, tuple[str, int, str]]:
    """Action, sessions and effect of each step of going over to the file, by name; and that nothing has changed."""
    before = what_is_shown(at)
    done = at.swlb.cli("plan", write(at, change), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert what_is_shown(at) == before
    return {step["name"]: (step["action"], step["sessions"], step["effect"]) for step in json.loads(done.stdout)}


def what_is_shown(at: Site) -> list[Any]:
    """What a reload would change, and what traffic counts, in a site without traffic."""
    sessions = sorted(sorted(session_of(row).items()) for row in at.swlb.show("sessions"))
    figures = ("service", "server", "weight", "sessions_active", "sessions_inactive", "packets_in", "bytes_out")
    servers = [
        tuple(row[name] for name in figures)
        for row in at.swlb.show("servers") if row["service"] in ("kept", "own", "echo")
    ]  # fmt: skip
    kinds = [row["kind"] for row in at.swlb.show("events") if row["kind"].startswith("config")]
    return [sessions, servers, kinds]


def session_of(row: dict[str, Any]) -> dict[str, Any]:
    """What does not change with time."""
    return {name: row[name] for name in ("client", "vip", "server", "service", "state", "packets_in", "packets_out")}


def removed(service: str, *servers: str) -> Change:
    """The service, or these servers of it, are gone."""

    def change(config: dict[str, Any]) -> None:
        for server in servers:
            del config["services"][service]["servers"][server]
        if not servers:
            del config["services"][service]

    return change


@contextmanager
def connections(at: Site, vip: str, n: int) -> Iterator[list]:
    """Within the block so many are open, in turn to web1 and web2, and have been answered."""
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(at.client, vip, 90))) for _ in range(n)]
        assert [answer(client) for client in clients] == [b"here"] * n
        wait_until(lambda: len(established(at, vip)) == n, "all established")
        yield clients


def answer(client) -> bytes:
    client.sendall(b"here")
    return client.recv(100)


def established(at: Site, vip: str) -> dict[str, str]:
    """The server of each established connection at the VIP, by client."""
    return {
        row["client"]: row["server"] for row in at.swlb.show("sessions")
        if row["vip"] == f"{vip}:90" and row["state"] == "ESTABLISHED"
    }  # fmt: skip


def test_connections_of_a_server_that_leaves_are_counted_and_go_on(at):
    with connections(at, VIP, 5) as clients:
        before = established(at, VIP)
        n = sum(server.startswith("10.0.2.12:") for server in before.values())
        assert planned(at, removed("kept", "web2")) == {
            "kept/web2": ("remove", n, f"{n} connections go on to their end")
        }
        reload(at, removed("kept", "web2"))
        assert [answer(client) for client in clients] == [b"here"] * 5
        assert established(at, VIP) == before
        # Back again, it is a new one, and those of before are not its own.
        assert planned(at, unchanged)["kept/web2"] == ("add", 0, "")


def test_connections_of_a_service_that_leaves_go_on_where_its_vip_stays(at):
    with connections(at, VIP, 4) as clients:
        told = planned(at, removed("kept"))
        assert told["kept"] == ("remove", 0, "")
        assert [told[f"kept/{name}"][1:] for name in ("web1", "web2")] == [(2, "2 connections go on to their end")] * 2
        reload(at, removed("kept"))
        assert [answer(client) for client in clients] == [b"here"] * 4


def test_whoever_is_connected_to_a_vip_that_leaves_hears_no_more(at):
    with connections(at, OWN_VIP, 2) as clients:
        told = planned(at, removed("own"))
        text = "1 connection gets no answer any more, as its VIP leaves: drain the servers first to let them end"
        assert told["own/web1"] == ("remove", 1, text)
        reload(at, removed("own"))
        for client in clients:
            client.settimeout(PATIENCE_S)
            with pytest.raises(OSError, match=r"timed out|No route"):
                answer(client)


def test_datagrams_of_a_server_that_leaves_get_another(at):
    with closing(udp_client(at.client, VIP, 7)) as sock:
        name = spoken_to(sock)
        told = planned(at, removed("echo", name))
        assert told == {f"echo/{name}": ("remove", 1, "1 session gets another server at its next packet")}
        reload(at, removed("echo", name))
        assert spoken_to(sock) not in (name, None)


def test_datagrams_of_a_service_that_leaves_are_refused(at):
    with closing(udp_client(at.client, VIP, 7)) as sock:
        name = spoken_to(sock)
        told = planned(at, removed("echo"))
        assert told[f"echo/{name}"] == ("remove", 1, "1 session is refused at its next packet")
        reload(at, removed("echo"))
        with pytest.raises(ConnectionRefusedError):
            spoken_to(sock)


def spoken_to(sock) -> str:
    """The name of the server that answers."""
    sock.sendall(b"hello")
    return sock.recv(100).split()[0].decode()


def on_down(policy: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        config["services"]["kept"]["on_down"] = policy

    return change


def both(*changes: Change) -> Change:
    def change(config: dict[str, Any]) -> None:
        for one in changes:
            one(config)

    return change


@pytest.mark.parametrize(("policy", "effect", "error"), [
    ("reset", "1 connection ends at its next packet, as the server is down", ConnectionResetError),
    ("reschedule", "1 connection ends at its next packet, as the server is down", ConnectionResetError),
    ("drop", "1 connection gets no answer, as the server is down", TimeoutError),
    ("keep", "1 connection goes on to its end", None),
])  # fmt: skip
def test_connections_of_a_server_that_was_out_already(at, policy, effect, error):
    reload(at, on_down(policy))
    with connections(at, VIP, 2) as clients:
        at.swlb.order("kept/web2", "maint")
        without = both(on_down(policy), removed("kept", "web2"))
        assert planned(at, without) == {"kept/web2": ("remove", 1, effect)}
        reload(at, without)
        fates = [outcome(client) for client in clients]
        assert sorted(fates, key=str) == sorted([None, error], key=str)


def outcome(client) -> type[OSError] | None:
    """What goes wrong with the connection, if anything does."""
    client.settimeout(2 * PATIENCE_S)
    try:
        assert answer(client) == b"here"
    except OSError as error:
        return type(error)
    return None


# ---- what is refused ----


@pytest.mark.parametrize(
    "change",
    [lambda config: config.update(workers=3), lambda config: config["ports"]["web1"].update(tap="sw-other"),
     lambda config: config["services"]["kept"].update(scheduler="round")],
    ids=["workers", "device", "scheduler"],
)  # fmt: skip
def test_what_a_reload_would_refuse_a_plan_refuses_in_the_same_words(at, change):
    before = what_is_shown(at)
    done = at.swlb.cli("plan", write(at, change))
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected" in done.stderr
    assert what_is_shown(at) == before
    assert at.swlb.cli("reload", str(at.swlb.file)).stderr == done.stderr


def test_no_file_is_refused(at, tmp_path):
    done = at.swlb.cli("plan", str(tmp_path / "none.yaml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.yaml: found nothing that can be read" in done.stderr


def test_the_file_in_force_is_no_change(at):
    done = at.swlb.cli("plan", write(at, unchanged))
    assert (done.returncode, done.stdout) == (0, "nothing is different: a reload would change nothing\n")


def test_an_order_is_told_and_changed(at):
    def backwards(config: dict[str, Any]) -> None:
        config["services"] = dict(reversed(config["services"].items()))

    assert planned(at, backwards) == {"services": ("change", 0, "")}
    reload(at, backwards)
    assert at.swlb.events("config_loaded")[-1]["text"].endswith(": 1 setting changed")
    assert [row["service"] for row in at.swlb.show("services")] == ["own", "kept", "echo", "web"]


def test_without_swlb_there_is_no_plan(tmp_path):
    done = cli("plan", "new.yaml", "--control", str(tmp_path / "none.sock"))
    assert (done.returncode, done.stdout) == (3, "")

"""Schedulers that hash, and one of somebody's own, with real clients: shares, and connections after a restart."""

import queue
import signal
import socket
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from netns.running import Host, Site, Swlb, made_namespaces, running, wait_until
from netns.sites import WEB_PORT, Routed, serving, site
from netns.traffic import connect, listening, shares
from netns.wires import wired

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
CONNECTIONS = 24
PATIENCE_S = 10.0
OWN = """\
class Twice:
    def table(self, servers):
        return [name for name in ("web1", "web3", "web1", "web3v6") if name in {s.name for s in servers if s.takes}]
"""


def scheduled(scheduler: str):
    """A change of the configuration: that scheduler, and nobody probed."""

    def change(config: dict[str, Any]) -> None:
        web = config["services"]["web"]
        del web["check"]
        web["scheduler"] = scheduler

    return change


def echo(host: Host):
    """What serves a connection: everything comes back behind the server's name."""

    def serve(connection: socket.socket) -> None:
        connection.settimeout(None)
        while data := connection.recv(4096):
            connection.sendall(f"{host.name} ".encode() + data)

    return serve


def asked(connection: socket.socket, words: str) -> str:
    """The name of the server that answers."""
    connection.settimeout(PATIENCE_S)
    connection.sendall(words.encode())
    name, _, back = connection.recv(4096).decode().partition(" ")
    assert back == words
    return name


def restarted(at: Site, stack: ExitStack, tmp_path) -> Swlb:
    """Another swlb over the same wires, after the first was killed."""
    at.swlb.process.send_signal(signal.SIGKILL)
    at.swlb.wait_end()
    directory = tmp_path / "again"
    directory.mkdir()
    return stack.enter_context(running(at.swlb.file.read_text(), netns=at.swlb.netns, directory=directory))


@pytest.mark.parametrize(("scheduler", "family"), [("maglev", 4), ("maglev", 6), ("hash", 4)])
def test_connections_outlive_a_swlb_that_is_killed(scheduler, family, tmp_path):
    with ExitStack() as stack:
        make = stack.enter_context(made_namespaces())
        at = stack.enter_context(wired(Routed, make, tmp_path, change=scheduled(scheduler)))
        for host in at.servers:
            stack.enter_context(listening(host, host.address(family), WEB_PORT, echo(host)))
        near = [stack.enter_context(connect(at.client, Routed.vips[family], 80)) for _ in range(CONNECTIONS)]
        before = [asked(connection, "before") for connection in near]
        again = restarted(at, stack, tmp_path)
        assert [asked(connection, "after") for connection in near] == before
        states = Counter(row["state"] for row in again.show("sessions"))
        assert states == {"ESTABLISHED": CONNECTIONS}


def test_a_download_goes_on_where_nothing_but_services_leads_to_the_servers(tmp_path):
    def change(config: dict[str, Any]) -> None:
        scheduled("maglev")(config)
        config["segments"]["inside"]["access"] = "private"

    accepted: queue.Queue[socket.socket] = queue.Queue()
    with ExitStack() as stack:
        make = stack.enter_context(made_namespaces())
        at = stack.enter_context(wired(Routed, make, tmp_path, change=change))
        for host in at.servers:
            stack.enter_context(listening(host, host.ipv4, WEB_PORT, lambda sock: accepted.put(sock.dup())))
        pairs = []
        for _ in range(CONNECTIONS):
            near = stack.enter_context(connect(at.client, Routed.vips[4], 80))
            near.settimeout(PATIENCE_S)
            pairs.append((near, stack.enter_context(accepted.get(timeout=PATIENCE_S))))
        restarted(at, stack, tmp_path)
        # The client has nothing to say.
        for number, (near, far) in enumerate(pairs):
            far.sendall(f"block {number}".encode())
            assert near.recv(4096) == f"block {number}".encode()


def test_under_other_schedulers_they_are_reset(tmp_path):
    with ExitStack() as stack:
        make = stack.enter_context(made_namespaces())
        at = stack.enter_context(wired(Routed, make, tmp_path, change=scheduled("rr")))
        stack.enter_context(listening(at["web1"], at["web1"].ipv4, WEB_PORT, echo(at["web1"])))
        near = stack.enter_context(connect(at.client, Routed.vips[4], 80))
        assert asked(near, "before") == "web1"
        restarted(at, stack, tmp_path)
        with pytest.raises(ConnectionResetError):
            asked(near, "after")


def test_a_scheduler_in_python_says_who_gets_the_next_connection(tmp_path):
    (tmp_path / "twice.py").write_text(OWN)
    change = scheduled("python:twice.Twice")
    with made_namespaces() as make, site(Routed, make, tmp_path, change=change) as at, serving(at):
        # Until the class has answered, servers take turns.
        wait_until(lambda: shares(at.client, Routed.vips[4], 3) == {"web1": 2, "web3": 1}, "the first table")
        assert shares(at.client, Routed.vips[4], 30) == {"web1": 20, "web3": 10}
        assert shares(at.client, Routed.vips[6], 5) == {"web3": 5}
        at.swlb.order("web/web3", "drain")
        # The old table does no harm meanwhile: who takes nothing is passed by.
        assert shares(at.client, Routed.vips[4], 10) == {"web1": 10}
        assert at.swlb.events("scheduler_failed") == []

"""`swlb show sessions` with filters, and `swlb show decisions`: told by a running swlb of real connections."""

import json
from contextlib import ExitStack

import pytest

from netns.running import Host, Site, wait_until
from netns.sites import Routed
from netns.traffic import connect, udp_client

pytestmark = pytest.mark.root

SAME = ("protocol", "vip", "service")  # in a decision and in its session


def shown(at: Site, noun: str, *words: str) -> list[dict]:
    done = at.swlb.cli("show", noun, *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def endpoint(host: Host, family: int, port: int) -> str:
    return f"{host.ipv4}:{port}" if family == 4 else f"[{host.ipv6}]:{port}"


@pytest.fixture(scope="module")
def clients(routed):
    """The end points of open connections and datagrams of both families, by (protocol, family)."""
    routed.swlb.cli("flush", "sessions")
    found = {}
    with ExitStack() as stack:
        for family, vip in Routed.vips.items():
            tcp = stack.enter_context(connect(routed.client, vip, 80))
            udp = stack.enter_context(udp_client(routed.client, vip, 7))
            udp.send(b"hello")
            udp.recv(100)
            found["tcp", family] = endpoint(routed.client, family, tcp.getsockname()[1])
            found["udp", family] = endpoint(routed.client, family, udp.getsockname()[1])
        established = "both connections are established"
        wait_until(lambda: len(shown(routed, "sessions", "--state", "ESTABLISHED")) == 2, established)
        yield found


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], [("tcp", 4), ("tcp", 6), ("udp", 4), ("udp", 6)]),
        (["--protocol", "udp"], [("udp", 4), ("udp", 6)]),
        (["--state", "two_way"], [("udp", 4), ("udp", 6)]),
        (["--service", "web"], [("tcp", 4), ("tcp", 6)]),
        (["--client", "fd00:1::/64"], [("tcp", 6), ("udp", 6)]),
        (["--client", "10.0.1.10", "--service", "web"], [("tcp", 4)]),
        (["--client", "10.0.1.11"], []),
    ],
    ids=str,
)
def test_sessions_are_those_that_the_options_name(routed, clients, words, wanted):
    rows = shown(routed, "sessions", *words)
    assert {row["client"] for row in rows} == {clients[which] for which in wanted}


def test_a_server_s_sessions_are_those_that_it_serves(routed, clients):
    for row in shown(routed, "sessions"):
        (server,) = (server for server in routed.swlb.show("servers") if server["service"] == row["service"]
                     and row["server"] in (f"{server['address']}:{server['port']}",
                                           f"[{server['address']}]:{server['port']}"))  # fmt: skip
        rows = shown(routed, "sessions", "--server", f"{row['service']}/{server['server']}")
        assert row["client"] in {row["client"] for row in rows}
        assert {row["server"] for row in rows} == {row["server"]}


def test_no_more_rows_come_than_are_wanted(routed, clients):
    assert len(shown(routed, "sessions", "--limit", "3")) == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sessions", "--service", "mail"], 1, "no service 'mail'; there are: web, echo"),
        (["sessions", "--server", "web/web9"], 1, "there are: web/web1"),
        (["sessions", "--state", "ASLEEP"], 2, "ESTABLISHED"),
        (["sessions", "--client", "web"], 2, "an address or a prefix"),
        (["sessions", "--protocol", "sctp"], 2, "tcp, udp or icmp"),
        (["sessions", "--limit", "0"], 2, "from 1"),
        (["decisions", "--service", "mail"], 1, "no service 'mail'"),
        (["decisions", "--state", "CLOSED"], 2, "--state goes with sessions, not with decisions"),
        (["fdb", "--service", "web"], 2, "--service goes with sessions, decisions, persistence, not with fdb"),
    ],
    ids=str,
)
def test_what_is_not_there_or_means_nothing_is_refused_with_what_does(routed, words, code, said):
    done = routed.swlb.cli("show", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_decision_is_told_for_each_new_session(routed, clients):
    rows = {row["client"]: row for row in shown(routed, "decisions")}
    sessions = {row["client"]: row for row in shown(routed, "sessions")}
    assert rows.keys() >= sessions.keys() == set(clients.values())
    servers = {(row["service"], row["server"]): row for row in routed.swlb.show("servers")}
    for client, session in sessions.items():
        row = rows[client]
        assert {name: row[name] for name in SAME} == {name: session[name] for name in SAME}
        assert servers[row["service"], row["server"]]["address"] in session["server"]
        assert (row["candidates"], row["because"]) == (3, "scheduler")
        assert row["text"] == "rr: next in turn of 3 servers"


def test_decisions_can_be_those_of_a_service(routed, clients):
    assert {row["service"] for row in shown(routed, "decisions", "--service", "echo")} == {"echo"}

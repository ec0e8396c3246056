"""Persistence for real clients: curl from many addresses, connections at once, and what the operator sees and flushes.

Two workers, so that the connections of one address come to both.
"""

import json
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack

import pytest

from netns.running import Site, made_namespaces
from netns.sites import Routed, serving, site

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PREFIX = {4: "10.0.1.{}", 6: "fd00:1::{}"}
LENGTH = {4: 24, 6: 64}
WHOLE = {4: 32, 6: 128}
NAMES = {"web1", "web2", "web3"}
ADDRESSES = range(20, 80)


def change(config: dict) -> None:
    config["workers"] = 2
    config["services"]["web"]["persistence"] = {"by": "source", "timeout": "5m"}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """The routed site, whose client has many addresses."""
    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("crowded"), change=change) as at,
        serving(at),
    ):
        for family, prefix in PREFIX.items():
            for n in ADDRESSES:
                at.client.ip(f"address add {prefix.format(n)}/{LENGTH[family]} dev {at.client.device}"
                             + (" nodad" if family == 6 else ""))  # fmt: skip
        yield at


@pytest.fixture(autouse=True)
def unremembered(crowded):
    """Nobody is remembered, nobody has a session, and all servers are ready."""
    for name in NAMES:
        for server in (f"web/{name}", f"web/{name}v6"):
            crowded.swlb.order(server, "ready")
    crowded.swlb.wait_operational("up")
    for table in ("sessions", "persistence"):
        assert crowded.swlb.cli("flush", table).returncode == 0


def url(family: int) -> str:
    vip = Routed.vips[family]
    return f"http://[{vip}]/" if family == 6 else f"http://{vip}/"


def curled(at: Site, family: int, addresses: Iterable[str]) -> dict[str, list[str]]:
    """The servers that answered each address, in the order of its requests."""
    one = ["--silent", "--show-error", "--fail", "--max-time", "5", "--globoff", "--interface"]
    words = [word for address in addresses for word in ("--next", *one, address, url(family))][1:]
    done = at.client.run("curl", *words)
    assert done.returncode == 0, done.stderr
    answered = defaultdict(list)
    for body in re.findall(r"\{[^}]*\}", done.stdout):
        said = json.loads(body)
        answered[said["peer"][0]].append(said["server"])
    return answered


def clients(family: int, n: int) -> list[str]:
    return [PREFIX[family].format(at) for at in ADDRESSES][:n]


@FAMILIES
def test_curl_from_many_addresses_gets_one_server_each_and_all_have_their_share(crowded, family):
    # From each address thrice, and never twice in a row.
    answered = curled(crowded, family, clients(family, 45) * 3)
    assert {address: len(servers) for address, servers in answered.items()} == dict.fromkeys(clients(family, 45), 3)
    assert {address for address, servers in answered.items() if len(set(servers)) > 1} == set()
    counts = Counter(servers[0] for servers in answered.values())
    # Each of the two workers takes turns for itself.
    assert set(counts) == NAMES
    assert max(counts.values()) - min(counts.values()) <= 2


@FAMILIES
def test_connections_of_an_address_that_begin_at_once_have_one_server(crowded, family):
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with ExitStack() as stack:
        socks: dict[str, list[socket.socket]] = defaultdict(list)
        for address in clients(family, 30):
            for _ in range(4):
                sock = stack.enter_context(crowded.client.socket(kind, socket.SOCK_STREAM))
                sock.bind((address, 0))
                sock.setblocking(False)
                socks[address].append(sock)
        for each in socks.values():
            for sock in each:
                sock.connect_ex((Routed.vips[family], 80))
        for address, each in socks.items():
            servers = set()
            for sock in each:
                sock.settimeout(5)
                # The connection is there, or blocks until it is.
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                said = b"".join(iter(lambda sock=sock: sock.recv(4096), b""))
                servers.add(json.loads(said.partition(b"\r\n\r\n")[2])["server"])
            assert len(servers) == 1, address


@FAMILIES
def test_show_tells_each_client_with_the_server_that_answers_it(crowded, family):
    answered = curled(crowded, family, clients(family, 10))
    done = crowded.swlb.cli("show", "persistence", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    suffix = "" if family == 4 else "v6"
    assert {row["client"]: row["server"] for row in rows} == {
        f"{address}/{WHOLE[family]}": f"web/{server}{suffix}" for address, (server,) in answered.items()
    }
    for row in rows:
        # The connection is closed, and its session is still there.
        assert (row["service"], row["sessions"], row["expires_s"]) == ("web", 1, None)
        assert isinstance(row["age_s"], int | float)
    done = crowded.swlb.cli("show", "persistence")
    assert len(done.stdout.splitlines()) == 11


@FAMILIES
def test_a_server_that_drains_keeps_its_clients_and_one_in_maintenance_loses_them(crowded, family):
    suffix = "" if family == 4 else "v6"
    before = curled(crowded, family, clients(family, 12))
    mine = [address for address, (server,) in before.items() if server == "web1"]
    assert 2 <= len(mine) <= 6
    crowded.swlb.order(f"web/web1{suffix}", "drain")
    again = curled(crowded, family, clients(family, 24))
    assert {address for address, (server,) in again.items() if server == "web1"} == set(mine)
    assert all(again[address] == before[address] for address in before)
    crowded.swlb.order(f"web/web1{suffix}", "maint")
    away = curled(crowded, family, mine)
    crowded.swlb.order(f"web/web1{suffix}", "ready")
    crowded.swlb.wait_operational("up")
    assert "web1" not in {server for servers in away.values() for server in servers}
    # Others have them now.
    assert curled(crowded, family, mine) == away


def test_flushed_clients_are_counted_and_gone(crowded):
    curled(crowded, 4, clients(4, 9))
    of_web2 = [row for row in crowded.swlb.show("persistence") if row["server"] == "web/web2"]
    assert of_web2
    done = crowded.swlb.cli("flush", "persistence", "--server", "web/web2")
    assert (done.returncode, done.stdout) == (0, f"{len(of_web2)} clients flushed\n")
    assert {row["server"] for row in crowded.swlb.show("persistence")} == {"web/web1", "web/web3"}
    done = crowded.swlb.cli("flush", "persistence", "--service", "web")
    assert done.stdout == f"{9 - len(of_web2)} clients flushed\n"
    assert crowded.swlb.show("persistence") == []
    assert "no client has a server" in crowded.swlb.cli("show", "persistence").stdout


@pytest.mark.parametrize(("words", "code"), [(["--service", "nosuch"], 1), (["--server", "web"], 1),
                                             (["--segment", "inside"], 2)])  # fmt: skip
def test_flush_of_what_is_not_there_or_has_none_changes_nothing(crowded, words, code):
    curled(crowded, 4, clients(4, 3))
    done = crowded.swlb.cli("flush", "persistence", *words)
    assert done.returncode == code
    assert done.stderr
    assert len(crowded.swlb.show("persistence")) == 3

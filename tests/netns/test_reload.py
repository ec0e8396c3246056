"""`swlb reload` and SIGHUP, with real servers and clients: what changes does, and what stays does not notice."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any

import pytest

from netns.running import Host, Site, cli, ip, made_namespaces, wait_until
from netns.sites import WEB_PORT, Routed, config_of, serving, site, unchanged
from netns.streams import BLOCK_LEN, block, send_stream
from netns.traffic import connect, get, http_server, listening, shares, udp_client
from swlb.client import ask

pytestmark = pytest.mark.root

VIP = Routed.vips[4]
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with made_namespaces() as make, site(Routed, make, tmp_path_factory.mktemp("reload")) as at, serving(at):
        yield at


@pytest.fixture
def at(shared):
    """A site with the configuration of the start; it has that again afterwards."""
    yield shared
    for row in shared.swlb.show("servers"):
        if row["admin"] != "ready":
            shared.swlb.order(f"{row['service']}/{row['server']}", "ready")
    reload(shared, unchanged)
    shared.swlb.wait_operational("up")


def reload(at: Site, change: Change) -> str:
    """The configuration after the change is in force; the sentence that says what was changed."""
    at.swlb.file.write_text(config_of(Routed, at.hosts, change))
    return ask(at.swlb.control, "POST", "/reload", {"file": str(at.swlb.file)})["done"]


def service(name: str, **keys: Any) -> Change:
    """These keys of a service are others; None: it has them no more."""

    def change(config: dict[str, Any]) -> None:
        of = config["services"].setdefault(name, {})
        of.update({key: value for key, value in keys.items() if value is not None})
        for key in [key for key, value in keys.items() if value is None]:
            del of[key]

    return change


def without(name: str, *servers: str) -> Change:
    """The service has these servers no more."""

    def change(config: dict[str, Any]) -> None:
        for server in servers:
            del config["services"][name]["servers"][server]

    return change


def both(*changes: Change) -> Change:
    """All of the changes, one after the other."""

    def change(config: dict[str, Any]) -> None:
        for one in changes:
            one(config)

    return change


def named(at: Site) -> list[str]:
    return [row["server"] for row in at.swlb.show("servers") if row["service"] == "web"]


# ---- what changes ----


def test_a_reload_says_what_it_has_changed_and_does_it(at):
    reload(at, without("web", "web3", "web3v6"))
    assert shares(at.client, VIP, 10) == {"web1": 5, "web2": 5}
    at.swlb.file.write_text(config_of(Routed, at.hosts))
    done = at.swlb.cli("reload", str(at.swlb.file))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "reloaded: 2 servers added\n"
    at.swlb.wait_operational("up")
    assert shares(at.client, VIP, 9) == {"web1": 3, "web2": 3, "web3": 3}
    assert at.swlb.events("config_loaded")[-1]["text"] == f"{at.swlb.file}: 2 servers added"


def test_a_file_that_says_the_same_changes_nothing(at):
    assert reload(at, unchanged) == "nothing is different"


def test_a_service_comes_and_goes(at):
    web = {"vip": VIP, "port": 81, "servers": {"web1": {"address": at["web1"].ipv4, "port": WEB_PORT}}}
    reload(at, service("more", **web))
    assert get(at.client, VIP, 81).server == "web1"
    reload(at, unchanged)
    with pytest.raises(ConnectionRefusedError):
        get(at.client, VIP, 81)
    assert get(at.client, VIP).server


def test_a_service_moves_to_another_port_and_another_vip(at):
    reload(at, service("web", port=8000))
    assert get(at.client, VIP, 8000).server
    with pytest.raises(ConnectionRefusedError):
        get(at.client, VIP, 80)
    reload(at, service("web", vip="10.0.1.101", servers={"web1": {"address": at["web1"].ipv4, "port": WEB_PORT}}))
    assert get(at.client, "10.0.1.101", 80).server == "web1"


def test_a_weight_of_the_file_holds(at):
    at.swlb.order("web/web2", "weight=5")
    reload(at, lambda config: config["services"]["web"]["servers"]["web1"].update(weight=0))
    assert shares(at.client, VIP, 10) == {"web2": 5, "web3": 5}
    rows = {row["server"]: row["weight"] for row in at.swlb.show("servers") if row["service"] == "web"}
    assert (rows["web1"], rows["web2"]) == (0, 5)
    reload(at, lambda config: config["services"]["web"]["servers"]["web2"].update(weight=1))


def test_a_port_with_a_host_comes_and_goes(at, make_netns):
    netns = make_netns()

    def more(config: dict[str, Any]) -> None:
        config["ports"]["late"] = {"tap": "sw-late", "netns": netns}
        config["segments"]["late"] = {"ports": ["late"], "addresses": ["10.0.3.1/24"]}
        config["services"]["web"]["servers"]["late"] = {"address": "10.0.3.9", "port": WEB_PORT}

    reload(at, more)
    ip(netns, "address add 10.0.3.9/24 dev sw-late")
    ip(netns, "route add default via 10.0.3.1")
    late = Host("late", netns, "sw-late", ("10.0.3.9/24",))
    with http_server(late, "10.0.3.9", WEB_PORT):
        at.swlb.wait_operational("up", "web/late")
        assert shares(at.client, VIP, 8) == {"web1": 2, "web2": 2, "web3": 2, "late": 2}
        reload(at, unchanged)
        assert shares(at.client, VIP, 9) == {"web1": 3, "web2": 3, "web3": 3}
    assert "sw-late" not in ip(netns, "link show")


# ---- what stays ----


def read(sock, n: int) -> bytes:
    """That many bytes."""
    received = bytearray()
    while len(received) < n and (more := sock.recv(n - len(received))):
        received += more
    return bytes(received)


def test_a_download_does_not_notice_ten_reloads(at):
    """Between two reloads, of which each takes a server away and brings one back, four blocks of it come."""
    with listening(at["web1"], at["web1"].ipv4, 9000, lambda sock: send_stream(sock, 41)):
        big = {"vip": VIP, "port": 90, "servers": {"web1": {"address": at["web1"].ipv4, "port": 9000}}}
        reload(at, service("big", **big))
        with closing(connect(at.client, VIP, 90)) as sock:
            for n in range(10):
                for number in range(4 * n, 4 * n + 4):
                    assert read(sock, BLOCK_LEN) == block(number), number
                reload(at, both(service("big", **big, on_down="drop"), without("web", f"web{n % 3 + 1}")))
            assert read(sock, BLOCK_LEN + 1) == block(40)


@pytest.mark.parametrize("name", ["web", "more"], ids=["server", "service"])
def test_a_connection_of_what_left_goes_on_and_is_shown(at, name):
    """Service web gets its other servers back, and loses this one; service more has left with its server."""
    host, port = at["web1"], {"web": 80, "more": 83}[name]
    servers = {f"other{n}": {"address": host.address(n), "port": 7777} for n in (4, 6)}
    reload(at, service(name, vip=list(Routed.vips.values()), port=port, servers=servers, check={"initial": "up"}))
    with (
        listening(host, host.ipv4, 7777, lambda sock: [sock.sendall(sock.recv(100)) for _ in range(2)]),
        closing(connect(at.client, VIP, port)) as sock,
    ):
        sock.sendall(b"one")
        assert sock.recv(100) == b"one"
        reload(at, unchanged)
        row = at.swlb.row("sessions", vip=f"{VIP}:{port}", server=f"{host.ipv4}:7777")
        assert (row["service"], row["state"]) == (name, "ESTABLISHED")
        sock.sendall(b"two")
        assert sock.recv(100) == b"two"


def test_orders_counters_and_health_stay(at):
    at.swlb.order("web/web2", "drain")
    shares(at.client, VIP, 4)
    before = {row["server"]: row for row in at.swlb.show("servers") if row["service"] == "web"}
    reload(at, service("web", on_down="keep"))
    after = {row["server"]: row for row in at.swlb.show("servers") if row["service"] == "web"}
    assert after.keys() == before.keys()
    assert after["web2"]["admin"] == "drain"
    for name, row in after.items():
        was = before[name]
        assert (row["operational"], row["sessions_total"]) == (was["operational"], was["sessions_total"])
        assert all(row[figure] >= was[figure] for figure in ("since_s", "packets_in", "bytes_out")), (was, row)


def test_probes_go_on_as_if_nothing_had_happened(at):
    accepted: list[float] = []
    host = at["web1"]
    server = {"web1": {"address": host.ipv4, "port": 7778}}
    with listening(host, host.ipv4, 7778, lambda _: accepted.append(time.monotonic())):
        reload(at, service("more", vip=VIP, port=82, servers=server, check={"interval": "1s", "initial": "up"}))
        wait_until(lambda: accepted, "a first probe")
        for n in range(6):
            time.sleep(0.25)
            keys = {"vip": VIP, "port": 82 + n % 2, "servers": server, "check": {"interval": "1s", "initial": "up"}}
            reload(at, service("more", **keys))
        wait_until(lambda: len(accepted) >= 3, "three probes")
    # Started anew with each reload, they would have been sent four times as often.
    assert min(later - earlier for earlier, later in pairwise(accepted)) > 0.4, accepted


def test_another_check_takes_nobody_out(at):
    check = {"type": "http", "interval": "200ms", "initial": "checking"}
    began = len(at.swlb.show("events"))
    reload(at, service("web", check=check))
    assert shares(at.client, VIP, 9) == {"web1": 3, "web2": 3, "web3": 3}
    wait_until(lambda: {row["check_status"] for row in at.swlb.show("health")} == {"L7OK"}, "all asked")
    assert [event["kind"] for event in at.swlb.show("events")[began:]] == ["config_loaded"]


def test_probes_through_the_vip_go_on(at):
    through = {"type": "tcp", "via": "vip", "interval": "200ms", "retries": 2, "initial": "checking"}
    before = len(at.swlb.events("server_down"))
    reload(at, service("web", check=through))
    for n in range(10):
        reload(at, service("web", check=through, on_down=("keep", "drop")[n % 2]))
        time.sleep(0.05)
    at.swlb.wait_operational("up")
    assert {row["via"] for row in at.swlb.show("health")} == {"vip"}
    assert len(at.swlb.events("server_down")) == before


def test_udp_of_a_server_that_left_goes_to_another(at):
    with closing(udp_client(at.client, VIP, 7)) as sock:
        sock.sendall(b"1")
        name = sock.recv(100).split()[0].decode()
        reload(at, without("echo", name))
        sock.sendall(b"2")
        assert sock.recv(100).split()[0].decode() in {"web1", "web2", "web3"} - {name}


def test_connections_of_two_workers_go_on(make_netns, tmp_path):
    """Twenty of them, held open while a server leaves and comes back and the service gets another port."""

    def echo(sock) -> None:
        while data := sock.recv(100):
            sock.sendall(data)

    def two(config: dict[str, Any]) -> None:
        config["workers"] = 2
        config["services"]["web"]["check"]["initial"] = "up"

    with site(Routed, make_netns, tmp_path, change=two) as at, ExitStack() as stack:
        for host in at.servers:
            stack.enter_context(listening(host, host.ipv4, WEB_PORT, echo))
        at.swlb.wait_operational("up", "web/web1", "web/web2", "web/web3")
        clients = [stack.enter_context(closing(connect(at.client, VIP, 80))) for _ in range(20)]
        for change in (without("web", "web1"), service("web", port=81), unchanged):
            reload(at, both(two, change))
            for client in clients:
                client.sendall(b"here")
            assert [read(client, 4) for client in clients] == [b"here"] * len(clients)


# ---- what is refused ----


def what_is_shown(at: Site) -> list[list[tuple]]:
    """What only a reload changes of the site."""
    columns = {"ports": ("port", "device", "mtu"), "servers": ("service", "server", "weight"),
               "services": ("service", "vip", "port", "scheduler"), "timeouts": ("name", "seconds")}  # fmt: skip
    return [[tuple(str(row[name]) for name in names) for row in at.swlb.show(noun)] for noun, names in columns.items()]


@pytest.mark.parametrize(
    "change",
    [lambda config: config.update(workers=3), lambda config: config["limits"].update(sessions=77),
     lambda config: config["ports"]["web1"].update(tap="sw-other"),
     service("web", scheduler="round"), lambda config: config["ports"]["web1"].update(netns="nowhere")],
    ids=["workers", "limits", "device", "scheduler", "netns"],
)  # fmt: skip
def test_a_bad_file_changes_nothing_and_says_what_is_wrong(at, change):
    before = what_is_shown(at)
    at.swlb.file.write_text(config_of(Routed, at.hosts, change))
    done = at.swlb.cli("reload", str(at.swlb.file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{at.swlb.file}:")
    assert "expected" in done.stderr
    event = at.swlb.events("config_refused")[-1]
    assert event["problems"] == done.stderr.splitlines()
    assert what_is_shown(at) == before
    assert shares(at.client, VIP, 9) == {"web1": 3, "web2": 3, "web3": 3}


def test_what_check_says_is_what_reload_says(at):
    at.swlb.file.write_text(config_of(Routed, at.hosts, service("web", scheduler="round", port="many")))
    assert at.swlb.cli("reload", str(at.swlb.file)).stderr == cli("check", str(at.swlb.file)).stderr != ""


def test_a_device_that_cannot_be_made_leaves_everything_as_it_was(at, make_netns):
    netns = make_netns()
    ip(netns, "link add sw-taken type bridge")

    def more(config: dict[str, Any]) -> None:
        config["ports"] |= {"new": {"tap": "sw-new", "netns": netns}, "taken": {"tap": "sw-taken", "netns": netns}}
        config["segments"]["new"] = {"ports": ["new", "taken"], "addresses": ["10.0.9.1/24"]}
        del config["services"]["web"]["servers"]["web1"]

    at.swlb.file.write_text(config_of(Routed, at.hosts, more))
    done = at.swlb.cli("reload", str(at.swlb.file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "port taken (sw-taken)" in done.stderr
    assert "sw-new" not in ip(netns, "link show")
    assert "10.0.9.1" not in ip(at.swlb.netns, "address show")
    assert "web1" in named(at)
    assert shares(at.client, VIP, 9) == {"web1": 3, "web2": 3, "web3": 3}


def test_no_file_is_refused(at, tmp_path):
    done = at.swlb.cli("reload", str(tmp_path / "none.yaml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.yaml: found nothing that can be read" in done.stderr


# ---- SIGHUP ----


def test_sighup_reads_the_file_of_the_last_load_again(at, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(config_of(Routed, at.hosts, without("web", "web3", "web3v6")))
    assert at.swlb.cli("reload", str(other)).returncode == 0
    other.write_text(config_of(Routed, at.hosts, without("web", "web2", "web2v6")))
    at.swlb.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "web2" not in named(at), "web2 gone")
    assert "web3" in named(at)
    assert f"SIGHUP: reading {other}" in at.swlb.log
    assert at.swlb.cli("reload").stdout == "reloaded: nothing is different\n"


def test_sighup_with_a_bad_file_changes_nothing_and_is_told(at):
    refused = len(at.swlb.events("config_refused"))
    at.swlb.file.write_text("ports: [")
    at.swlb.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(at.swlb.events("config_refused")) > refused, "the refusal")
    assert at.swlb.events("config_refused")[-1]["text"] in at.swlb.log
    assert shares(at.client, VIP, 9) == {"web1": 3, "web2": 3, "web3": 3}

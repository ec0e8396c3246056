"""swlb with several workers: everything is as with one, to clients, servers and the operator.

Which worker a connection comes to is the key's affair, new at each start. Workers take turns over the servers each
for itself, so n of them share requests out as evenly as n counts that differ by one.
"""

import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netns import running as processes
from netns.running import Site, made_namespaces, running, wait_until
from netns.sites import WEB_PORT, Routed, Transparent, config_of, serving, site
from netns.traffic import connect, echoed, get, http_server, ping, shares, udp_client

pytestmark = pytest.mark.root

NAMES = frozenset({"web1", "web2", "web3"})
REQUESTS = 60
FAMILIES = pytest.mark.parametrize("family", [4, 6])

# A kernel that refuses every bpf(2), as far as swlb can tell.
REFUSING = """\
import swlb.bpf, swlb.cli
swlb.bpf.SYSCALL.clear()
swlb.bpf.SYSCALL_OF_OTHERS = -1
swlb.cli.main()
"""


@dataclass(frozen=True)
class Case:
    """The shape of a site, how many workers it has, and whether the kernel lets them be steered to."""

    shape: type[Routed] | type[Transparent]
    workers: int
    steered: bool

    def __str__(self) -> str:
        return f"{self.shape.__name__.lower()}-{self.workers}-{'steered' if self.steered else 'not steered'}"

    def change(self, config: dict[str, Any]) -> None:
        config["workers"] = self.workers


CASES = [
    *(Case(shape, workers, True) for shape in (Routed, Transparent) for workers in (2, 4)),
    Case(Routed, 2, False),
    Case(Transparent, 4, False),
]


@dataclass(frozen=True)
class Several:
    """A site of the case, everybody serving."""

    at: Site
    case: Case

    def vip(self, family: int) -> str:
        return self.case.shape.vips[family]

    def totals(self, noun: str, service: str, key: str) -> Counter[str]:
        """sessions_total of the service's rows, by key."""
        rows = (row for row in self.at.swlb.show(noun) if row["service"] == service)
        return Counter({row[key]: row["sessions_total"] for row in rows})

    def assert_even(self, counts: Counter[str], names: frozenset[str] = NAMES) -> None:
        """As even as workers can be that take turns each for itself."""
        assert set(counts) == names
        assert max(counts.values()) - min(counts.values()) <= self.case.workers, counts


@contextmanager
def kernel_of(case: Case) -> Iterator[None]:
    """Within the block a swlb that is started finds the case's kernel."""
    with pytest.MonkeyPatch.context() as patch:
        if not case.steered:
            patch.setattr(processes, "SWLB", [sys.executable, "-c", REFUSING])
        yield


@pytest.fixture(scope="module", params=CASES, ids=str)
def several(request, tmp_path_factory):
    case = request.param
    with (
        made_namespaces() as make,
        kernel_of(case),
        site(case.shape, make, tmp_path_factory.mktemp("several"), change=case.change) as at,
        serving(at),
    ):
        yield Several(at, case)


def endpoint(address: tuple[str, int]) -> str:
    return "[{}]:{}".format(*address) if ":" in address[0] else "{}:{}".format(*address)


# ---- start and end ----


@pytest.mark.parametrize("workers", [2, 16])
def test_every_worker_has_a_thread_and_they_end(make_netns, tmp_path, workers):
    hosts, case = Routed.hosts(make_netns), Case(Routed, workers, True)
    config = config_of(Routed, hosts, case.change)
    with running(config, netns=make_netns(), directory=tmp_path, hosts=hosts.values()) as swlb:
        assert len(list(Path(f"/proc/{swlb.process.pid}/task").iterdir())) > workers
        assert swlb.stop(signal.SIGTERM) == 0


def test_every_device_has_a_queue_for_each_worker_kernel_twins_too(several):
    queues: Counter[str] = Counter()
    for file in Path(f"/proc/{several.at.swlb.process.pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # a probe's socket, closed meanwhile
            queues.update(re.findall(r"iff:\t(\S+)", file.read_text()))
    devices = {row["device"] for row in several.at.swlb.show("ports")}
    assert queues == dict.fromkeys(devices, several.case.workers)


def test_a_line_in_the_log_says_when_frames_are_not_steered(several):
    lines = [line for line in several.at.swlb.log.splitlines() if "frames are not steered" in line]
    assert len(lines) == (0 if several.case.steered else 1)


def test_every_port_is_up_and_one_row(several):
    rows = several.at.swlb.show("ports")
    assert {row["state"] for row in rows} == {"up"}
    assert len({row["port"] for row in rows}) == len(rows)


# ---- traffic ----


@FAMILIES
def test_every_request_is_answered_and_servers_share_them(several, family):
    several.assert_even(shares(several.at.client, several.vip(family), REQUESTS))


@FAMILIES
def test_sessions_are_counted_once_each_at_the_server_that_answered(several, family):
    servers = several.totals("servers", "web", "server")
    service = several.totals("services", "web", "service")
    answered = shares(several.at.client, several.vip(family), REQUESTS)
    suffix = "" if family == 4 else "v6"
    counted = several.totals("servers", "web", "server") - servers
    assert counted == Counter({name + suffix: count for name, count in answered.items()})
    assert several.totals("services", "web", "service") - service == Counter(web=REQUESTS)


@FAMILIES
def test_connections_that_are_open_are_each_a_session_and_work_on(several, family):
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(several.at.client, several.vip(family), 80)) for _ in range(REQUESTS)]
        wanted = {endpoint(sock.getsockname()[:2]) for sock in socks}

        def established() -> list[str]:
            return [row["client"] for row in several.at.swlb.show("sessions") if row["state"] == "ESTABLISHED"]

        wait_until(lambda: wanted <= set(established()), "all are established")
        assert Counter(client for client in established() if client in wanted) == Counter(wanted)
        for sock in socks:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")


@FAMILIES
def test_the_server_sees_the_client_s_own_end(several, family):
    for _ in range(8):
        answer = get(several.at.client, several.vip(family))
        assert answer.peer == answer.client


@FAMILIES
def test_datagrams_of_a_flow_stay_with_one_server(several, family):
    for _ in range(8):
        with udp_client(several.at.client, several.vip(family), 7) as sock:
            servers = set()
            for n in range(5):
                sock.send(b"%d" % n)
                server, _, back = sock.recv(100).partition(b" ")
                servers.add(server)
                assert back == b"%d" % n
        assert len(servers) == 1


@FAMILIES
def test_flows_of_datagrams_are_shared(several, family):
    several.assert_even(Counter(echoed(several.at.client, several.vip(family), 7) for _ in range(30)))


@pytest.mark.parametrize("size", [1473, 8000, 60_000])
@FAMILIES
def test_a_fragmented_datagram_comes_back(several, family, size):
    data = bytes(n % 251 for n in range(size))
    for _ in range(4):
        assert echoed(several.at.client, several.vip(family), 7, data).startswith("web")


@FAMILIES
def test_the_vip_and_swlb_s_own_address_answer_pings(several, family):
    for address in (several.vip(family), several.case.shape.routers[family]):
        assert ping(several.at.client, address) == address


@FAMILIES
def test_hosts_reach_each_other_past_the_services(several, family):
    client, server = several.at.client, several.at["web1"]
    # The client's kernel may choose a port from which a session of an earlier test called the VIP: then the server's
    # answer would be taken for that session's.
    assert several.at.swlb.cli("flush", "sessions").returncode == 0
    for _ in range(8):
        assert get(client, server.address(family), WEB_PORT).server == "web1"
    assert ping(server, client.address(family)) == client.address(family)


@FAMILIES
def test_a_server_is_a_client_of_the_vip(several, family):
    name = "web/web1" if family == 4 else "web/web1v6"
    # Chosen for its own call a server would answer itself, past swlb.
    several.at.swlb.order(name, "drain")
    try:
        assert get(several.at["web1"], several.vip(family)).server in NAMES - {"web1"}
    finally:
        several.at.swlb.order(name, "ready")


@FAMILIES
def test_a_port_without_a_service_is_refused(several, family):
    for _ in range(8):
        with pytest.raises(ConnectionRefusedError):
            connect(several.at.client, several.vip(family), 4444)


# ---- operation ----


@FAMILIES
def test_a_drained_server_gets_nothing_new_from_any_worker_and_keeps_what_it_has(several, family):
    name = "web/web1" if family == 4 else "web/web1v6"
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(several.at.client, several.vip(family), 80)) for _ in range(12)]
        several.at.swlb.order(name, "drain")
        try:
            several.assert_even(shares(several.at.client, several.vip(family), 24), NAMES - {"web1"})
            for sock in socks:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert all(sock.recv(4096).startswith(b"HTTP/1.1 200 ") for sock in socks)
        finally:
            several.at.swlb.order(name, "ready")
    several.assert_even(shares(several.at.client, several.vip(family), REQUESTS))


def test_flushing_sessions_reaches_every_worker(several):
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(connect(several.at.client, several.vip(4), 80))
        done = several.at.swlb.cli("flush", "sessions", "--service", "web")
        assert done.returncode == 0
        assert int(done.stdout.split()[0]) >= 12
        assert [row for row in several.at.swlb.show("sessions") if row["state"] == "ESTABLISHED"] == []


def test_a_station_and_a_neighbour_are_one_row_each(several):
    for family in (4, 6):
        shares(several.at.client, several.vip(family), 12)
    stations = [(row["segment"], row["mac"], row["vlan"]) for row in several.at.swlb.show("fdb")]
    neighbours = [(row["segment"], row["address"]) for row in several.at.swlb.show("neighbours")]
    assert len(stations) == len(set(stations))
    assert len(neighbours) == len(set(neighbours))


def test_nobody_is_told_of_a_conflict(several):
    kinds = {event["kind"] for event in several.at.swlb.show("events")}
    assert kinds.isdisjoint({"mac_moved", "address_conflict", "vip_conflict", "neighbour_lost", "table_full"})


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[4]], ids=str)
def test_a_server_that_stops_is_taken_out_of_all_workers_and_comes_back(make_netns, tmp_path, case):
    with ExitStack() as stack:
        stack.enter_context(kernel_of(case))
        at = stack.enter_context(site(case.shape, make_netns, tmp_path, change=case.change))
        several = Several(at, case)
        serving_at = {host.name: stack.enter_context(ExitStack()) for host in at.servers}

        def start(name: str) -> None:
            for family in (4, 6):
                serving_at[name].enter_context(http_server(at[name], at[name].address(family), WEB_PORT))

        for name in NAMES:
            start(name)
        at.swlb.wait_operational("up")
        serving_at["web2"].close()
        at.swlb.wait_operational("down", "web/web2", "web/web2v6")
        for family in (4, 6):
            several.assert_even(shares(at.client, several.vip(family), 24), NAMES - {"web2"})
        start("web2")
        at.swlb.wait_operational("up")
        for family in (4, 6):
            several.assert_even(shares(at.client, several.vip(family), REQUESTS))

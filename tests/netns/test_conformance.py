"""What clients may rely on, in every mode: the same is asked of all of them, IPv4 and IPv6."""

import itertools
import socket
import time
from contextlib import ExitStack, contextmanager

import pytest

from netns.capture import capturing, unwrapped, wrong_checksums
from netns.journeys import as_it_arrives, but_checksums, is_last, packets_between
from netns.links import MTUS, Links, laid
from netns.modes import BEFORE_A_LINK, BULK, ECHO, MODES, NARROW_MTU, WEB, WIDE_MTU, narrowed, serving, standing
from netns.pmtu import attempts
from netns.running import made_namespaces, wait_until
from netns.stacks import BRIEFLY, services_for, stacks
from netns.streams import transfer
from netns.traffic import PATIENCE_S, connect, get, icmp_error, ping, shares, udp_client

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
DIRECTIONS = pytest.mark.parametrize("direction", ["up", "down"])
REQUESTS, MIB, NARROW_MIB, FLOWS, IDLE_S = 200, 256, 32, 12, 60
N_SERVERS = 3
IP_MTU, IPV6_MTU = 14, 24  # linux/in.h, in6.h
UNUSED = itertools.count(10_000)  # ports of clients: one that comes again would belong to the session of before
HEADERS = {4: 28, 6: 48}  # of IP and UDP


@pytest.fixture(scope="module", params=MODES, ids=lambda mode: mode.name)
def served(request, tmp_path_factory):
    """swlb in the mode, and servers that all serve."""
    with (
        made_namespaces() as make,
        standing(request.param, make, tmp_path_factory.mktemp(request.param.name),
                 further=services_for(request.param)) as at,  # fmt: skip
        serving(at) as served,
    ):
        yield served


@pytest.fixture(scope="module")
def tools(served, tmp_path_factory):
    """What the tools of real hosts ask for is served, too."""
    with stacks(served, tmp_path_factory.getbasetemp(), mib=64, seconds=0) as tools:
        yield tools


@pytest.fixture(scope="module", autouse=True)
def idle(tmp_path_factory):
    """Connections that bypass swlb on their way back, in which nothing is said from now on; and when that began.

    Beside all other tests of this file, which take longer than the silence.
    """
    (dsr,) = (mode for mode in MODES if mode.name == "dsr")
    with (
        made_namespaces() as make,
        standing(dsr, make, tmp_path_factory.mktemp("idle")) as at,
        serving(at) as served,
        connected(served, 4) as in_ipv4,
        connected(served, 6) as in_ipv6,
    ):
        yield at, [in_ipv4, in_ipv6], time.monotonic()


@contextmanager
def connected(served, family):
    """The server that has got a connection of service bulk, and its ends: the client's and the server's."""
    with connect(served.at.client, served.at.vip(family), BULK) as near:
        host, far = served.bulk.get(timeout=5)
        with far:
            yield host, near, far


@FAMILIES
def test_requests_take_turns_over_the_servers(served, family):
    at = served.at
    names = [get(at.client, at.vip(family)).server for _ in range(REQUESTS)]
    assert sorted(names[:N_SERVERS]) == ["web1", "web2", "web3"]
    assert names == [names[n % N_SERVERS] for n in range(REQUESTS)]


@FAMILIES
def test_servers_see_of_a_request_what_the_mode_says(served, family):
    at = served.at
    for answer in [get(at.client, at.vip(family)) for _ in range(N_SERVERS)]:
        host = at.ground.hosts[answer.server]
        assert answer.local == (at.seen_address(host, family), at.mode.port(WEB))
        assert answer.peer[0] == at.seen_source(family)
        assert at.mode.source or answer.peer == answer.client


@FAMILIES
def test_a_request_arrives_as_it_was_sent_but_for_what_the_mode_changes(served, family):
    at = served.at
    with ExitStack() as stack:
        near = stack.enter_context(capturing(at.client))
        far = {host.name: stack.enter_context(capturing(host)) for host in at.ground.servers}
        answer = get(at.client, at.vip(family))

        def arrived() -> list[bytes]:
            return packets_between(far[answer.server].packets(outgoing=False), answer.peer, answer.local)

        wait_until(lambda: any(map(is_last, arrived())), "the end of the connection")
    sent = packets_between(near.packets(outgoing=True), answer.client, (at.vip(family), WEB))
    if at.mode.forward == "dsr":
        # After the MACs not a byte differs.
        assert arrived() == sent
    else:
        assert [but_checksums(data) for data in arrived()] == [as_it_arrives(data, at, answer) for data in sent]


@FAMILIES
def test_replies_pass_swlb_where_the_mode_says_and_nowhere_else(served, family):
    at = served.at
    before = at.swlb.row("services", service="web")
    with ExitStack() as stack:
        doors = [stack.enter_context(capturing(door)) for door in at.ground.doors]
        answer = get(at.client, at.vip(family))
        wait_until(lambda: at.swlb.row("services", service="web")["packets_in"] > before["packets_in"], "counted")
    entered = [frame for door in doors for frame in door.packets(outgoing=True)]
    replies = packets_between(entered, answer.local, answer.peer)
    counted = at.swlb.row("services", service="web")["packets_out"] - before["packets_out"]
    assert (replies == [], counted == 0) == (at.mode.is_direct, at.mode.is_direct)


@DIRECTIONS
@FAMILIES
def test_256_mib_compare_equal_and_no_checksum_is_wrong(served, family, direction):
    with connected(served, family) as (host, near, far), capturing(host, one_in=64) as capture:
        transfer(near, far, MIB) if direction == "up" else transfer(far, near, MIB)
    packets = capture.packets()
    assert len(packets) > 10
    assert wrong_checksums(packets) == []
    assert wrong_checksums([unwrapped(frame) for frame in packets]) == []


def test_a_server_that_stops_is_left_out_and_comes_back(served):
    at = served.at
    _, stopped, _ = at.ground.servers
    served.stop(stopped)
    at.swlb.wait_operational("down", *at.of_web(stopped))
    for family in (4, 6):
        assert shares(at.client, at.vip(family), 20) == {"web1": 10, "web3": 10}
    served.start(stopped)
    at.swlb.wait_operational("up")
    for family in (4, 6):
        assert shares(at.client, at.vip(family), 30) == {"web1": 10, "web2": 10, "web3": 10}


def test_a_server_that_is_drained_is_left_out_at_once_and_used_again_at_once(served):
    at = served.at
    _, _, drained = at.ground.servers
    for order, left in (("drain", {"web1": 10, "web2": 10}), ("ready", {"web1": 10, "web2": 10, "web3": 10})):
        for server in at.of_web(drained):
            at.swlb.order(server, order)
        for family in (4, 6):
            assert shares(at.client, at.vip(family), sum(left.values())) == left


@pytest.mark.parametrize("size", [5, 1400])
@FAMILIES
def test_datagrams_of_many_flows_are_echoed(served, family, size):
    at = served.at
    data = bytes(n % 251 for n in range(size))
    names = []
    for _ in range(FLOWS):
        with at.client.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.bind(("", next(UNUSED)))
            sock.connect((at.vip(family), ECHO))
            sock.send(data)
            name, _, back = sock.recv(65536).partition(b" ")
        assert back == data
        names.append(name.decode())
    assert {names.count(name) for name in ("web1", "web2", "web3")} == {FLOWS // N_SERVERS}


@pytest.mark.parametrize("tool", BRIEFLY, ids=lambda tool: tool.__name__)
def test_tools_of_real_hosts_see_what_the_mode_says(tools, tool):
    # Each in one family here, the next mode in the other; `make stacks` asks all in both, and more of it.
    tool(tools, (4, 6)[(MODES.index(tools.at.mode) + BRIEFLY.index(tool) // 2) % 2])


@FAMILIES
def test_the_vip_answers_a_ping(served, family):
    assert ping(served.at.client, served.at.vip(family)) == served.at.vip(family)


@pytest.fixture
def narrow(served):
    """The link behind swlb carries less than the one before it; the MTUs that clients are to be told of."""
    with narrowed(served.at) as told:
        yield told


BEFORE_A_LINK_ONLY = pytest.mark.parametrize("served", BEFORE_A_LINK, ids=lambda mode: mode.name, indirect=True)
TOO_LONG = {4: (3, 4), 6: (2, 0)}  # RFC 1191, RFC 4443


@BEFORE_A_LINK_ONLY
@FAMILIES
def test_a_datagram_too_long_for_the_link_behind_is_answered_with_what_fits(served, narrow, family):
    at = served.at
    with udp_client(at.client, at.vip(family), ECHO) as sock:
        known = WIDE_MTU
        while known != narrow[-1]:
            error = icmp_error(sock, bytes(known - HEADERS[family]))
            assert (error.type, error.code) == TOO_LONG[family]
            assert error.info in narrow
            assert error.info < known
            known = error.info
    data = bytes(narrow[-1] - HEADERS[family])
    with udp_client(at.client, at.vip(family), ECHO) as sock:
        sock.send(data)
        assert sock.recv(2000).endswith(data)


@BEFORE_A_LINK_ONLY
@DIRECTIONS
@FAMILIES
def test_a_transfer_finds_what_the_link_behind_carries(served, narrow, family, direction):
    level, option = (socket.IPPROTO_IP, IP_MTU) if family == 4 else (socket.IPPROTO_IPV6, IPV6_MTU)
    with connected(served, family) as (_, near, far), near.dup() as still_open:
        transfer(near, far, NARROW_MIB) if direction == "up" else transfer(far, near, NARROW_MIB)
        assert direction == "down" or still_open.getsockopt(level, option) == narrow[-1]


@BEFORE_A_LINK_ONLY
def test_nothing_is_lost_between_a_wide_link_and_a_narrow_one(served):
    # The programs of eBPF that stand for a kernel's tunnel devices put nothing together.
    narrowest = NARROW_MTU if served.at.mode.unpacks == "kernel" else MTUS[-1]
    with laid(served.at) as lay:
        for links in (Links(MTUS[0], narrowest), Links(MTUS[-1], MTUS[0])):
            lay(links)
            assert [outcome for outcome in attempts(served, links, discover=True) if outcome.error] == []


def test_a_direct_connection_that_was_idle_for_a_minute_goes_on(idle):
    at, connections, since = idle
    time.sleep(max(0, since + IDLE_S - time.monotonic()))
    sessions = [row for row in at.swlb.show("sessions") if row["service"] == "bulk"]
    assert len([row for row in sessions if row["state"] == "ESTABLISHED" and row["idle_s"] >= IDLE_S - 1]) == 2
    for _, near, far in connections:
        for sender, receiver in ((near, far), (far, near)):
            receiver.settimeout(PATIENCE_S)
            sender.send(b"still here")
            assert receiver.recv(100) == b"still here"

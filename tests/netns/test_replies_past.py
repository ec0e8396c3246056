"""Servers that answer as the VIP, reached by MAC and through IPIP and GUE tunnels: with what real sockets send."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import dpkt
import pytest

from netns.capture import capturing, tcp_of, wrong_checksums
from netns.running import Host, Site, inside, made_namespaces, wait_until
from netns.sites import Routed, Shape, Transparent, site
from netns.streams import receive_stream, send_stream
from netns.traffic import connect, echoed, get, http_server, listening, ping, udp_echo

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PORT, STREAM_PORT = 80, 81
N_SERVERS = 3
N_BLOCKS = 16
STREAM_PATIENCE_S = 20.0


def untranslated(forward: str) -> Callable[[dict[str, Any]], None]:
    """The site's services with that `forward`, each server at the VIP's own port."""

    def change(config: dict[str, Any]) -> None:
        for service in config["services"].values():
            service["forward"] = forward
            service.pop("check", None)
            for server in service["servers"].values():
                del server["port"]
        config["services"]["web"]["port"] = f"{PORT}-{STREAM_PORT}"

    return change


def there_and_back(sock: socket.socket) -> None:
    """What a server does with a stream: every block is compared, and as many are sent back."""
    sock.settimeout(STREAM_PATIENCE_S)
    send_stream(sock, receive_stream(sock))


def take_vips(host: Host, shape: Shape) -> None:
    """What `swlb doctor` says of a server on the balancer's own network."""
    host.ip(f"address add {shape.vips[4]}/32 dev lo")
    host.ip(f"address add {shape.vips[6]}/128 dev lo nodad")
    for line in ("arp_ignore=1", "arp_announce=2"):
        assert host.run("sysctl", "-qw", f"net.ipv4.conf.all.{line}").returncode == 0


@contextmanager
def decapsulating(host: Host, shape: Shape) -> Iterator[None]:
    """Within the block the server takes packets for the VIPs out of their tunnels."""
    vips = [word for vip in shape.vips.values() for word in ("--vip", vip)]
    process = subprocess.Popen([*inside(host.netns), sys.executable, "-m", "swlb", "decap", *vips], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(scope="module", params=["dsr", "ipip", "gue"])
def direct(request, tmp_path_factory) -> Iterator[tuple[Site, Shape, str]]:
    """Three servers that serve at the VIPs, with swlb before them; for tunnels it is their gateway as well."""
    forward = request.param
    shape = Transparent if forward == "dsr" else Routed
    with ExitStack() as stack:
        make_netns = stack.enter_context(made_namespaces())
        directory = tmp_path_factory.mktemp(forward)
        at = stack.enter_context(site(shape, make_netns, directory, change=untranslated(forward)))
        for host in at.servers:
            if forward == "dsr":
                take_vips(host, shape)
            else:
                stack.enter_context(decapsulating(host, shape))
            for vip in shape.vips.values():
                stack.enter_context(http_server(host, vip, PORT))
                stack.enter_context(listening(host, vip, STREAM_PORT, there_and_back))
                stack.enter_context(udp_echo(host, vip, 7))
        yield at, shape, forward


@FAMILIES
def test_the_server_sees_the_client_at_the_vip_and_all_serve(direct, family):
    at, shape, _ = direct
    answers = [get(at.client, shape.vips[family]) for _ in range(2 * N_SERVERS)]
    assert {answer.local for answer in answers} == {(shape.vips[family], PORT)}
    assert all(answer.peer == answer.client for answer in answers)
    # At the end of a tunnel each is a server of either family, so each is two of them.
    assert {answer.server for answer in answers} == {host.name for host in at.servers}


@FAMILIES
def test_datagrams_are_answered(direct, family):
    at, shape, _ = direct
    assert {echoed(at.client, shape.vips[family], 7) for _ in range(2 * N_SERVERS)} == {h.name for h in at.servers}


@FAMILIES
def test_a_large_transfer_arrives_as_it_was_sent_both_ways(direct, family):
    at, shape, _ = direct
    # As many as there are servers for it, so that each has one: over the other family, too, where that is a tunnel.
    for _ in range(2 * N_SERVERS):
        with connect(at.client, shape.vips[family], STREAM_PORT) as sock:
            sock.settimeout(STREAM_PATIENCE_S)
            send_stream(sock, N_BLOCKS)
            assert receive_stream(sock) == N_BLOCKS


@FAMILIES
def test_the_vip_answers_echo(direct, family):
    at, shape, _ = direct
    assert ping(at.client, shape.vips[family]) == shape.vips[family]


def test_no_frame_was_dropped_and_no_answer_has_a_wrong_checksum(direct):
    at, shape, _ = direct
    get(at.client, shape.vips[4])
    before = at.swlb.drops()
    with capturing(at.client) as capture:
        for family in (4, 6):
            for _ in range(2 * N_SERVERS):
                get(at.client, shape.vips[family])
    assert at.swlb.drops() == before
    assert wrong_checksums(capture.packets(outgoing=False)) == []


def test_the_client_hears_the_server_s_own_mac_where_frames_are_not_translated(direct):
    at, shape, forward = direct
    with capturing(at.client) as capture:
        answer = get(at.client, shape.vips[4])
    heard = {frame.data[6:12].hex(":") for frame in capture.packets(outgoing=False) if tcp_of(frame)}
    macs = {host.name: host.mac for host in at.servers}
    assert (heard == {macs[answer.server]}) == (forward == "dsr")


def test_nothing_claims_the_vip(direct):
    at, _, _ = direct
    assert at.swlb.events("vip_conflict") == []


def announce(host: Host, address: str) -> None:
    """The host says unasked, and to everybody, that the address is at its MAC."""
    mac, ip4 = bytes.fromhex(host.mac.replace(":", "")), socket.inet_aton(address)
    arp = dpkt.arp.ARP(op=dpkt.arp.ARP_OP_REPLY, sha=mac, spa=ip4, tha=b"\xff" * 6, tpa=ip4)
    frame = dpkt.ethernet.Ethernet(dst=b"\xff" * 6, src=mac, type=dpkt.ethernet.ETH_TYPE_ARP, data=arp)
    with closing(host.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
        sock.bind((host.device, 0))
        sock.send(bytes(frame))


def test_a_server_that_claims_the_vip_is_reported_and_the_guard_silences_it(make_netns, tmp_path):
    def change(config: dict[str, Any]) -> None:
        untranslated("dsr")(config)
        config["segments"]["lan"]["vip_guard"] = True

    with site(Transparent, make_netns, tmp_path, change=change) as at:
        server, vip = at["web1"], Transparent.vips[4]
        ping(at.client, vip)
        known = at.client.ip(f"neighbour show {vip}")
        with capturing(at.client) as capture:
            announce(server, vip)
            wait_until(lambda: at.swlb.events("vip_conflict"), "a conflict reported")
        assert at.swlb.drops()["vip_guarded"] == 1
        assert at.client.ip(f"neighbour show {vip}").split()[4] == known.split()[4] != server.mac
        heard = {frame.data[6:12].hex(":") for frame in capture.frames if frame.data[12:14] == b"\x08\x06"}
        assert server.mac not in heard

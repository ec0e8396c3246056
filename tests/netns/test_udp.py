"""A UDP service: echo through the VIP."""

import socket
import subprocess
from collections import Counter
from contextlib import closing
from itertools import chain

import pytest
from scapy.layers.inet import UDP
from scapy.packet import Raw

from netns.running import inside, wait_until
from netns.sites import ECHO_PORT, Routed, Transparent
from netns.traffic import echoed, udp_client
from tests.scenarios.balanced import ip
from tests.scenarios.cut import pieces_of

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@FAMILIES
def test_every_server_echoes_the_same_number_of_flows(routed, family):
    counted = Counter(echoed(routed.client, Routed.vips[family], 7) for _ in range(12))
    assert counted == {"web1": 4, "web2": 4, "web3": 4}


@FAMILIES
def test_every_server_echoes_the_same_number_of_flows_in_transparent_mode(transparent, family):
    counted = Counter(echoed(transparent.client, Transparent.vips[family], 7) for _ in range(12))
    assert counted == {"web1": 4, "web2": 4, "web3": 4}


@FAMILIES
def test_datagrams_of_a_flow_stay_with_one_server(routed, family):
    with udp_client(routed.client, Routed.vips[family], 7) as sock:
        servers = set()
        for n in range(10):
            sock.send(b"%d" % n)
            server, _, back = sock.recv(100).partition(b" ")
            servers.add(server)
            assert back == b"%d" % n
    assert len(servers) == 1


def test_a_resolver_that_keeps_its_port_leaves_a_server_that_is_gone(routed):
    with udp_client(routed.client, Routed.vips[4], 7) as sock:
        for n in range(2):
            sock.send(b"%d" % n)
            gone = sock.recv(100).partition(b" ")[0].decode()
        routed.swlb.order(f"echo/{gone}", "maint")
        try:
            sock.send(b"again")
            name, _, back = sock.recv(100).partition(b" ")
        finally:
            routed.swlb.order(f"echo/{gone}", "ready")
    assert back == b"again"
    assert name.decode() != gone


@pytest.mark.parametrize("size", [0, 1, 1471, 1473, 4096, 65_500])
@FAMILIES
def test_a_datagram_of_any_size_comes_back(routed, family, size):
    # Beyond the mtu it is fragments: those of a datagram go where the first goes.
    data = bytes(n % 251 for n in range(size))
    assert echoed(routed.client, Routed.vips[family], 7, data).startswith("web")


@FAMILIES
def test_a_fragmented_datagram_comes_back_in_transparent_mode(transparent, family):
    assert echoed(transparent.client, Transparent.vips[family], 7, bytes(5000)).startswith("web")


@FAMILIES
def test_datagrams_whose_pieces_come_in_reverse_and_in_turns_are_answered(routed, family):
    """Two of one sender, their pieces in turns, the last first: kernels put together what comes out."""
    vip, client = Routed.vips[family], routed.client
    own = client.address(family)
    data = [bytes((n + k) % 251 for n in range(4096)) for k in (0, 1)]
    with udp_client(client, vip, 7) as one, udp_client(client, vip, 7) as two:
        in_turns = []
        for number, sock in enumerate((one, two)):
            packet = ip(own, vip) / UDP(sport=sock.getsockname()[1], dport=7) / Raw(data[number])
            datagram = bytes(type(packet)(bytes(packet)).payload)
            in_turns.append(pieces_of(own, vip, 4000 + number, datagram, 1232)[::-1])
        with closing(client.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)) as raw:
            for piece in chain.from_iterable(zip(*in_turns, strict=True)):
                raw.sendto(bytes(piece), (vip, 0))
        answers = [sock.recv(65536).partition(b" ")[2] for sock in (one, two)]
    assert answers == data


@FAMILIES
def test_an_answer_whose_pieces_come_in_reverse_reaches_the_client(routed, family):
    vip = Routed.vips[family]
    with udp_client(routed.client, vip, 7) as sock:
        sock.send(b"hello")
        server = routed[sock.recv(100).partition(b" ")[0].decode()]
        src, dst = server.address(family), routed.client.address(family)
        packet = ip(src, dst) / UDP(sport=ECHO_PORT, dport=sock.getsockname()[1]) / Raw(bytes(5000))
        datagram = bytes(type(packet)(bytes(packet)).payload)
        with closing(server.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)) as raw:
            for piece in reversed(pieces_of(src, dst, 4000, datagram, 1232)):
                raw.sendto(bytes(piece), (dst, 0))
        assert sock.recv(65536) == bytes(5000)


@FAMILIES
def test_a_ping_in_pieces_is_answered_by_the_vip(routed, family):
    asked = ["ping", "-c", "1", "-W", "5", "-s", "4000", "-M", "dont", Routed.vips[family]]
    command = [*inside(routed.client.netns), *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "4008 bytes from" in done.stdout, done.stdout + done.stderr


def test_a_flow_is_two_way_once_it_was_answered(routed):
    with udp_client(routed.client, Routed.vips[4], 7) as sock:
        sock.send(b"hello")
        sock.recv(100)
        client = "{}:{}".format(*sock.getsockname())
        wait_until(lambda: routed.swlb.row("sessions", client=client)["state"] == "TWO_WAY", "TWO_WAY")

"""A transparent swlb between hosts that know nothing of it."""

import socket
from contextlib import closing

import pytest

from netns.capture import capturing, tcp_of
from netns.running import wait_until
from netns.sites import WEB_PORT, Transparent
from netns.traffic import get, ping, shares

pytestmark = pytest.mark.root

IP_RECVTTL = 12  # linux/in.h
NAMES = ("web1", "web2", "web3")
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@FAMILIES
def test_every_server_answers_the_same_number_of_requests(transparent, family):
    assert shares(transparent.client, Transparent.vips[family], 30) == dict.fromkeys(NAMES, 10)


@FAMILIES
def test_the_server_sees_the_client_s_own_address_and_port(transparent, family):
    answer = get(transparent.client, Transparent.vips[family])
    assert answer.peer == answer.client


@FAMILIES
def test_hosts_talk_past_the_vip_untouched(transparent, family):
    server = transparent["web1"]
    answer = get(transparent.client, server.address(family), WEB_PORT)
    assert (answer.server, answer.peer, answer.local) == ("web1", answer.client, (server.address(family), WEB_PORT))


@FAMILIES
def test_hosts_ping_each_other(transparent, family):
    address = transparent["web2"].address(family)
    assert ping(transparent["web1"], address) == address


def test_hosts_know_each_other_by_their_own_macs(transparent):
    ping(transparent["web1"], transparent["web3"].ipv4)
    neighbour = transparent["web1"].ip(f"neighbour show {transparent['web3'].ipv4}")
    assert transparent["web3"].mac in neighbour


def test_a_bridged_packet_keeps_its_ttl(transparent):
    with closing(transparent["web2"].socket(4, socket.SOCK_DGRAM)) as listener:
        listener.bind((transparent["web2"].ipv4, 9000))
        listener.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        listener.settimeout(3)
        with closing(transparent.client.socket(4, socket.SOCK_DGRAM)) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            sender.sendto(b"one hop", (transparent["web2"].ipv4, 9000))
        _, control, _, _ = listener.recvmsg(100, 100)
    assert [int.from_bytes(data, "little") for _, kind, data in control if kind == socket.IP_TTL] == [1]


def test_every_station_is_known_behind_its_port(transparent):
    for host in transparent.hosts.values():
        ping(host, Transparent.routers[4])
    stations = {row["mac"]: row["port"] for row in transparent.swlb.show("fdb") if not row["static"]}
    assert {host.mac: name for name, host in transparent.hosts.items()}.items() <= stations.items()


def test_frames_for_the_vip_are_not_flooded(transparent):
    with capturing(transparent["web3"]) as capture:
        chosen = [get(transparent.client, Transparent.vips[4]) for _ in range(6)]
    others = [answer.client[1] for answer in chosen if answer.server != "web3"]
    seen = {tcp.sport for frame in capture.packets(outgoing=False) if (tcp := tcp_of(frame))}
    assert len(others) == 4
    assert seen.isdisjoint(others)


@pytest.mark.parametrize(
    ("tags", "seen", "rest"),
    [
        ("81002abc", (0x8100, 0x2ABC), ""),
        ("88a80abc81000007", (0x88A8, 0x0ABC), "81000007"),
        ("88b5", None, "88b5"),
    ],
    ids=["one tag", "two tags", "no tag"],
)
def test_a_tagged_frame_crosses_the_switch_untouched(transparent, tags, seen, rest):
    server, payload = transparent["web1"], b"\x88\xb5" + bytes(range(100))  # an EtherType for local experiments
    macs = bytes.fromhex((server.mac + transparent.client.mac).replace(":", ""))
    with capturing(server) as capture, closing(transparent.client.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
        sock.bind((transparent.client.device, 0))
        sock.send(macs + bytes.fromhex(tags) + payload)
        # The kernel shows the outer tag apart from the frame.
        wanted = (macs + bytes.fromhex(rest) + payload, seen)
        wait_until(lambda: wanted in [(frame.data, frame.tag) for frame in capture.frames], "the frame at the server")

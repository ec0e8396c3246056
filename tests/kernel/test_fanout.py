"""Several packet sockets of one interface share its frames as the steering program says (PACKET_FANOUT_EBPF).

The program's result is the place at which a socket joined the group, so a worker's number is the place of its socket.
The data it sees begins behind the Ethernet header; of a TUN, which has none, too.
"""

import os
import random
import socket
from collections import Counter
from contextlib import closing
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet
from wire import MACS, VNET, lay

from swlb.addresses import packed
from swlb.devices import namespace, open_packet, open_tap
from swlb.packets import Packet as Held
from swlb.packets import listen
from swlb.steering import SERVER, VIP, Steering, owner

pytestmark = pytest.mark.root

KEY, N = 0xFEDC_BA98_7654_3210, 4
VIPS = {4: "10.0.1.100", 6: "fd00:1::100"}
SERVERS = {4: "10.0.2.11", 6: "fd00:2::11"}
ROLES = {packed(ip_address(text)): VIP for text in VIPS.values()}
ROLES |= {packed(ip_address(text)): SERVER for text in SERVERS.values()}
ETHER = Ether(src=MACS["far"], dst=MACS["near"])
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def drained(fds: tuple[int, ...], header_len: int) -> list[tuple[int, bytes]]:
    """(place of the descriptor, frame) of everything that waits, without offload headers."""
    found = []
    for number, fd in enumerate(fds):
        try:
            while True:
                found.append((number, os.read(fd, 70_000)[header_len:]))
        except BlockingIOError:
            pass
    return found


@pytest.fixture
def wire(make_netns):
    wire = lay(make_netns)
    wire.run("near", "ip", "address", "flush", "dev", "near")
    return wire


@pytest.fixture
def held(wire):
    """The near end, held by four sockets that share its frames."""
    with namespace(wire.near), closing(open_packet("a", "near", netns=None, mtu=1500, queues=N)) as packet:
        with closing(Steering(ROLES, key=KEY, n=N)) as steering:
            listen(packet, steering.program_fd(ethernet=False))
        yield packet


def heard(wire, held: Held, *frames: Packet) -> list[int]:
    """By which socket each of the frames was heard, which the far end has sent."""
    with wire.packet_socket("far") as far:
        for frame in frames:
            far.send(VNET.pack(0, 0, 0, 0, 0, 0) + bytes(frame))
    got = drained(held.fds, VNET.size)
    wanted = [bytes(frame) for frame in frames]
    assert sorted(frame for _, frame in got if frame in wanted) == sorted(wanted), "each frame once"
    place = {frame: number for number, frame in got}
    return [place[frame] for frame in wanted]


def random_ends(family: int, count: int) -> list[tuple[str, int]]:
    chosen = random.Random(family)
    bits, start = (24, 0xCB << 24) if family == 4 else (64, 0x2001_0DB8 << 96)
    return [(str(ip_address(start + chosen.getrandbits(bits))), chosen.randrange(1, 65536)) for _ in range(count)]


def packet(src: str, sport: int, dst: str, dport: int, l4: type = TCP) -> Packet:
    return (IPv6 if ":" in src else IP)(src=src, dst=dst) / l4(sport=sport, dport=dport)


@pytest.mark.parametrize("l4", [TCP, UDP])
@FAMILIES
def test_both_directions_of_a_session_are_heard_by_its_owner(wire, held, family, l4):
    ends = random_ends(family, 40)
    there = [ETHER / packet(client, port, VIPS[family], 80, l4) for client, port in ends]
    back = [ETHER / packet(SERVERS[family], 8080, client, port, l4) for client, port in ends]
    owners = [owner(packed(ip_address(client)), port, KEY, N) for client, port in ends]
    assert len(set(owners)) == N
    assert heard(wire, held, *there) == owners
    assert heard(wire, held, *back) == owners


def test_what_has_no_ports_to_tell_by_is_heard_by_the_first(wire, held):
    client, _ = next(end for end in random_ends(4, 99) if owner(packed(ip_address(end[0])), end[1], KEY, N))
    frames = [ETHER / ARP(psrc=client, pdst=VIPS[4]), ETHER / IP(src=client, dst=VIPS[4]) / ICMP() / bytes(30),
              ETHER / IP(src=client, dst=VIPS[4], frag=3, proto=17) / bytes(30)]
    assert heard(wire, held, *frames) == [0, 0, 0]


def test_a_tag_beside_a_frame_does_not_hide_whose_it_is(wire, held):
    client, port = next(end for end in random_ends(4, 99) if owner(packed(ip_address(end[0])), end[1], KEY, N))
    tagged = ETHER / Dot1Q(vlan=5) / packet(client, port, VIPS[4], 80)
    untagged = bytes(ETHER) + bytes(tagged)[18:]
    with wire.packet_socket("far") as far:
        far.send(VNET.pack(0, 0, 0, 0, 0, 0) + bytes(tagged))
    assert [number for number, frame in drained(held.fds, VNET.size) if frame[14:] == untagged[14:]] == [
        owner(packed(ip_address(client)), port, KEY, N)]


def test_the_order_survives_a_link_that_goes_down_and_up(wire, held):
    wire.run("near", "ip", "link", "set", "near", "down")
    for fd in held.fds:
        with pytest.raises(OSError, match="Network is down"):
            os.read(fd, 100)
    wire.run("near", "ip", "link", "set", "near", "up")
    test_both_directions_of_a_session_are_heard_by_its_owner(wire, held, 4, TCP)


def test_without_the_program_the_first_hears_everything(wire):
    ends = random_ends(4, 20)
    with namespace(wire.near), closing(open_packet("a", "near", netns=None, mtu=1500, queues=N)) as packet_:
        listen(packet_, None)
        assert heard(wire, packet_, *(ETHER / packet(*end, VIPS[4], 80) for end in ends)) == [0] * 20


def test_nobody_hears_anything_before_it_listens(wire):
    with namespace(wire.near), closing(open_packet("a", "near", netns=None, mtu=1500, queues=2)) as packet_:
        with wire.packet_socket("far") as far:
            far.send(VNET.pack(0, 0, 0, 0, 0, 0) + bytes(ETHER / packet("192.0.2.7", 1, VIPS[4], 80)))
        assert drained(packet_.fds, VNET.size) == []


@FAMILIES
def test_a_tun_is_steered_by_the_same_rule(make_netns, family):
    netns = make_netns()
    tun = open_tap("client", "swt0", netns=netns, mtu=1500, queues=N, ethernet=False)
    with closing(tun), closing(Steering(ROLES, key=KEY, n=N)) as steering, namespace(netns):
        steering.attach(tun.fd, ethernet=False)
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
            places = Counter()
            for client, port in random_ends(family, 40):
                frame = bytes(packet(client, port, VIPS[family], 80))
                sock.sendto(frame, ("swt0", 0x0800 if family == 4 else 0x86DD))
                (place,) = (number for number, got in drained(tun.fds, VNET.size) if got == frame)
                assert place == owner(packed(ip_address(client)), port, KEY, N)
                places[place] += 1
    assert len(places) == N

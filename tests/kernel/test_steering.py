"""The steering program puts a frame into the queue that its Python twin names, and a session's two directions into one.

The frames are really sent, through a raw socket on the device; the kernel asks the program for the queue.
"""

import errno
import os
import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from swlb.addresses import packed
from swlb.devices import Tap, namespace, open_tap
from swlb.steering import SERVER, VIP, Steering, SteeringError, owner

pytestmark = pytest.mark.root

KEY = 0xFEDC_BA98_7654_3210
N = 4
VIPS = {4: "10.0.1.100", 6: "fd00:1::100"}
SERVERS = {4: "10.0.2.11", 6: "fd00:2::11"}
CLIENTS = {4: "192.0.2.7", 6: "2001:db8::7"}
STRANGERS = {4: "198.51.100.9", 6: "2001:db8:9::9"}
ROLES = {packed(ip_address(text)): VIP for text in VIPS.values()}
ROLES |= {packed(ip_address(text)): SERVER for text in SERVERS.values()}
ETHER = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:03")

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", [TCP, UDP])


class Steered:
    """A TAP with a queue for each worker, and a raw socket that sends by it."""

    def __init__(self, tap: Tap, sock: socket.socket) -> None:
        self.tap = tap
        self.sock = sock

    def queue_of(self, frame: Packet) -> int:
        """The one queue in which the frame is found."""
        data = bytes(frame)
        self.sock.send(data)
        # Sending is over when the frame is in its queue.
        (queue,) = (number for number, fd in enumerate(self.tap.fds) if data in drained(fd))
        return queue


def drained(fd: int) -> list[bytes]:
    """The frames that waited, without their virtio-net headers."""
    frames = []
    while True:
        try:
            frames.append(os.read(fd, 70_000)[10:])
        except BlockingIOError:
            return frames


def steered_tap(make_netns: Callable[[], str], roles: dict[bytes, int], n: int) -> Tap:
    """In a namespace of its own, steered; the program's own descriptors are closed again."""
    tap = open_tap("client", "swc0", netns=make_netns(), mtu=9000, queues=n)
    with closing(Steering(roles, key=KEY, n=n)) as steering:
        steering.attach(tap.fd)
    return tap


def raw_socket(netns: str, device: str = "swc0") -> socket.socket:
    with namespace(netns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sock.bind((device, 0))
    return sock


@pytest.fixture
def steered(make_netns):
    with (
        closing(steered_tap(make_netns, ROLES, N)) as tap,
        closing(raw_socket(tap.netns)) as sock,
    ):
        yield Steered(tap, sock)


def packet(src: str, sport: int, dst: str, dport: int, protocol: type = TCP, payload: bytes = b"") -> Packet:
    ip = IPv6 if ":" in src else IP
    return ETHER / ip(src=src, dst=dst) / protocol(sport=sport, dport=dport) / payload


def owner_of(address: str, port: int, n: int = N) -> int:
    return owner(packed(ip_address(address)), port, KEY, n)


def random_ends(family: int, count: int) -> list[tuple[str, int]]:
    """Clients' addresses and ports; the same at every run."""
    chosen = random.Random(family)
    bits, start = (24, 0xCB << 24) if family == 4 else (64, 0x2001_0DB8 << 96)
    return [(str(ip_address(start + chosen.getrandbits(bits))), chosen.randrange(1, 65536)) for _ in range(count)]


@PROTOCOLS
@FAMILIES
def test_what_a_client_sends_to_a_vip_is_at_its_owner(steered, family, protocol):
    for client, port in random_ends(family, 50):
        frame = packet(client, port, VIPS[family], 80, protocol)
        assert steered.queue_of(frame) == owner_of(client, port), (client, port)


@PROTOCOLS
@FAMILIES
def test_what_a_server_answers_meets_what_the_client_sent(steered, family, protocol):
    for client, port in random_ends(family, 50):
        reply = packet(SERVERS[family], 8080, client, port, protocol)
        assert steered.queue_of(reply) == owner_of(client, port), (client, port)


@FAMILIES
def test_a_server_that_is_a_client_of_a_vip_is_known_by_its_own_end(steered, family):
    frame = packet(SERVERS[family], 40_000, VIPS[family], 80)
    assert steered.queue_of(frame) == owner_of(SERVERS[family], 40_000)


@PROTOCOLS
@FAMILIES
def test_both_directions_between_strangers_meet(steered, family, protocol):
    for client, port in random_ends(family, 20):
        there = steered.queue_of(packet(client, port, STRANGERS[family], 443, protocol))
        back = steered.queue_of(packet(STRANGERS[family], 443, client, port, protocol))
        assert there == back, (client, port)


@FAMILIES
def test_strangers_are_known_by_both_their_ends(steered, family):
    both = bytes(a ^ b for a, b in zip(*(packed(ip_address(x[family])) for x in (CLIENTS, STRANGERS)), strict=True))
    frame = packet(CLIENTS[family], 4000, STRANGERS[family], 443)
    assert steered.queue_of(frame) == owner(both, 4000 ^ 443, KEY, N)


def end_with_another_owner_than_queue_0(family: int) -> tuple[str, int]:
    return next(end for end in random_ends(family, 100) if owner_of(*end) != 0)


def unlike_queue_0(family: int) -> dict[str, object]:
    """The arguments of a frame that would not be at queue 0 if it were an ordinary one."""
    client, port = end_with_another_owner_than_queue_0(family)
    return {"src": client, "sport": port, "dst": VIPS[family], "dport": 80}


V4, V6 = unlike_queue_0(4), unlike_queue_0(6)
IP4, L4 = IP(src=V4["src"], dst=V4["dst"]), UDP(sport=V4["sport"], dport=80)
IP6, L6 = IPv6(src=V6["src"], dst=V6["dst"]), UDP(sport=V6["sport"], dport=80)
PAYLOAD = bytes(40)
WITHOUT_OWNER = {
    "ARP": ETHER / ARP(psrc=V4["src"], pdst=V4["dst"]),
    "another EtherType": Ether(bytes(ETHER)[:12] + b"\x88\xb5" + bytes(IP4 / L4)),
    "shorter than its headers": Ether(bytes(ETHER / IP4 / L4)[:36]),
    "shorter than IPv4": Ether(bytes(ETHER / IP4)[:30]),
    "shorter than IPv6": Ether(bytes(ETHER / IP6 / L6)[:50]),
    "ICMP": ETHER / IP4 / ICMP() / PAYLOAD,
    "ICMPv6": ETHER / IP6 / ICMPv6EchoRequest() / PAYLOAD,
    "a first fragment": ETHER / IP(src=V4["src"], dst=V4["dst"], flags="MF") / L4 / PAYLOAD,
    "a later fragment": ETHER / IP(src=V4["src"], dst=V4["dst"], frag=3, proto=17) / PAYLOAD,
    "a first fragment of IPv6": ETHER / IP6 / IPv6ExtHdrFragment(m=1) / L6 / PAYLOAD,
    "behind an extension header": ETHER / IP6 / IPv6ExtHdrHopByHop() / L6 / PAYLOAD,
    "tagged, where the tag lies within": ETHER / Dot1Q(vlan=5) / IP4 / L4 / PAYLOAD,
}


@pytest.mark.parametrize("frame", WITHOUT_OWNER.values(), ids=WITHOUT_OWNER)
def test_what_has_no_ports_to_tell_by_is_at_queue_0(steered, frame):
    assert steered.queue_of(frame) == 0


@pytest.mark.parametrize("ordinary", [ETHER / IP4 / L4, ETHER / IP6 / L6], ids=["IPv4", "IPv6"])
def test_the_same_without_that_is_not(steered, ordinary):
    assert steered.queue_of(ordinary) != 0


def test_do_not_fragment_is_no_fragment(steered):
    frame = ETHER / IP(src=V4["src"], dst=V4["dst"], flags="DF") / L4
    assert steered.queue_of(frame) == owner_of(V4["src"], V4["sport"])


@pytest.mark.parametrize("words", range(1, 11))
def test_ports_are_found_behind_ipv4_options(steered, words):
    frame = ETHER / IP(src=V4["src"], dst=V4["dst"], options=b"\x01" * 4 * words) / L4
    assert steered.queue_of(frame) == owner_of(V4["src"], V4["sport"])


def test_a_tag_that_lies_beside_the_frame_makes_no_difference(steered):
    # What a device receives has its tag taken out of it; a bridge hands it to the TAP like that.
    for command in (
        "link add br0 type bridge",
        "link add v0 type veth peer v1",
        "link set v0 master br0",
        "link set swc0 master br0",
        *(f"link set {device} up" for device in ("v1", "v0", "br0")),
    ):
        subprocess.run(["ip", "-n", steered.tap.netns, *command.split()], check=True)
    wanted = bytes(ETHER / Dot1Q(vlan=5) / IP4 / L4 / PAYLOAD)
    with closing(raw_socket(steered.tap.netns, "v1")) as sock:
        sock.send(wanted)
    deadline = time.monotonic() + 1
    while not (found := [number for number, fd in enumerate(steered.tap.fds) if wanted in drained(fd)]):
        assert time.monotonic() < deadline, "the frame has not crossed the bridge within a second"
    assert found == [owner_of(V4["src"], V4["sport"])]


def test_a_large_frame_is_steered_as_a_small_one(steered):
    frame = packet(**V4, payload=bytes(8000))
    assert steered.queue_of(frame) == owner_of(V4["src"], V4["sport"])


def test_the_program_survives_the_device_s_move_to_another_namespace(steered, make_netns):
    other = make_netns()
    subprocess.run(["ip", "-n", steered.tap.netns, "link", "set", "swc0", "netns", other], check=True)
    subprocess.run(["ip", "-n", other, "link", "set", "swc0", "up"], check=True)
    with closing(raw_socket(other)) as sock:
        moved = Steered(steered.tap, sock)
        for client, port in random_ends(4, 20):
            assert moved.queue_of(packet(client, port, VIPS[4], 80)) == owner_of(client, port)


def test_without_any_role_frames_are_steered_by_both_ends(make_netns):
    with closing(steered_tap(make_netns, {}, N)) as tap, closing(raw_socket(tap.netns)) as sock:
        there, back = packet("10.0.0.1", 1, "10.0.0.2", 2), packet("10.0.0.2", 2, "10.0.0.1", 1)
        steered = Steered(tap, sock)
        assert steered.queue_of(there) == steered.queue_of(back)


@pytest.mark.parametrize("n", [2, 3, 4, 16])
@FAMILIES
def test_owners_are_spread_evenly(family, n):
    counts = Counter(owner_of(*end, n) for end in random_ends(family, 16_000))
    assert all(0.85 < count * n / 16_000 < 1.15 for count in counts.values()), counts
    assert len(counts) == n


@pytest.mark.parametrize("n", [2, 4])
def test_ports_of_one_client_are_spread_evenly(n):
    counts = Counter(owner_of("192.0.2.7", port, n) for port in range(32_768, 61_000))
    assert all(0.9 < count * n / sum(counts.values()) < 1.1 for count in counts.values()), counts


@pytest.mark.parametrize("n", [2, 4])
@FAMILIES
def test_frames_of_many_clients_are_spread_over_all_queues(make_netns, family, n):
    with closing(steered_tap(make_netns, ROLES, n)) as tap, closing(raw_socket(tap.netns)) as sock:
        for client, port in random_ends(family, 800):
            sock.send(bytes(packet(client, port, VIPS[family], 80)))
        # The kernel has a few frames of its own to send.
        counts = [sum(frame.startswith(bytes(ETHER)[:12]) for frame in drained(fd)) for fd in tap.fds]
    assert all(0.7 < count * n / 800 < 1.3 for count in counts), counts


def test_another_key_is_another_order():
    ends = [(packed(ip_address(address)), port) for address, port in random_ends(4, 200)]
    same = sum(owner(*end, 1, N) == owner(*end, 2, N) for end in ends)
    assert 20 < same < 80


def test_a_descriptor_that_is_no_tap_is_refused():
    with closing(Steering(ROLES, key=KEY, n=2)) as steering, open(os.devnull, "rb") as null:
        with pytest.raises(SteeringError) as refusal:
            steering.attach(null.fileno())
        assert refusal.value.errno == errno.ENOTTY


def test_a_second_close_does_nothing():
    steering = Steering({}, key=KEY, n=2)
    steering.close()
    steering.close()

"""Which worker's queue frames go to when the configuration changes. The frames are really sent, and none is lost."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from netns.changing import Changing, changing, members, set_to, without
from netns.running import ip, wait_until
from swlb.addresses import packed
from swlb.devices import namespace
from swlb.steering import owner

pytestmark = pytest.mark.root

N = 4
VNET_LEN = 10
NEW_VIP = set_to(["10.0.1.101", "fd00:1::100"], "services", "web", "vip")
PORTS = range(1000, 1032)


@pytest.fixture
def at(make_netns):
    with changing(make_netns, workers=N) as made:
        yield made


def raw_socket(at: Changing, device: str) -> socket.socket:
    with namespace(at.ends):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sock.bind((device, 0))
    return sock


def frame(src: str, dst: str, sport: int, dport: int, payload: bytes = b"") -> bytes:
    ether = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:03")
    return bytes(ether / IP(src=src, dst=dst) / TCP(sport=sport, dport=dport) / payload)


def waiting(fd: int) -> Iterator[bytes]:
    """The frames that wait in a queue, without their virtio-net headers."""
    while True:
        try:
            yield os.read(fd, 70_000)[VNET_LEN:]
        except BlockingIOError:
            return
        except OSError as error:
            # A packet socket tells once that its interface was down when it was bound.
            if error.errno != errno.ENETDOWN:
                raise


def queues_of(at: Changing, port: str, device: str, frames: list[bytes]) -> list[int]:
    """The queue of the port in which each of the frames was found, having been sent by the device."""
    fds = at.ports.opened[port].device.fds
    for fd in fds:
        list(waiting(fd))
    with closing(raw_socket(at, device)) as sock:
        for data in frames:
            sock.send(data)
    found: dict[bytes, int] = {}

    def all_found() -> bool:
        found.update((data, number) for number, fd in enumerate(fds) for data in waiting(fd))
        return found.keys() >= set(frames)

    wait_until(all_found, "every frame in a queue")
    return [found[data] for data in frames]


def owners(at: Changing, client: str) -> list[int]:
    """The worker to which each of PORTS belongs, at the client's address."""
    return [owner(packed(ip_address(client)), port, at.built.key, N) for port in PORTS]


def requests(vip: str) -> list[bytes]:
    return [frame("192.0.2.7", vip, port, 80) for port in PORTS]


def replies(server: str) -> list[bytes]:
    return [frame(server, "192.0.2.7", 80, port) for port in PORTS]


def test_a_new_vip_s_frames_go_to_their_owners(at):
    assert queues_of(at, "client", "sw-client", requests("10.0.1.101")) != owners(at, "192.0.2.7")
    at.reload(NEW_VIP)
    assert queues_of(at, "client", "sw-client", requests("10.0.1.101")) == owners(at, "192.0.2.7")


def test_a_new_server_s_frames_go_to_their_owners(at):
    assert queues_of(at, "web1", "sw-web1", replies("10.0.2.12")) != owners(at, "192.0.2.7")
    at.reload(set_to({"address": "10.0.2.12"}, "services", "web", "servers", "web2"))
    assert queues_of(at, "web1", "sw-web1", replies("10.0.2.12")) == owners(at, "192.0.2.7")


def test_frames_of_what_has_left_go_where_they_went(at):
    at.reload(without("services", "web"))
    assert queues_of(at, "client", "sw-client", requests("10.0.1.100")) == owners(at, "192.0.2.7")
    assert queues_of(at, "web1", "sw-web1", replies("10.0.2.11")) == owners(at, "192.0.2.7")


def test_a_new_port_s_frames_go_to_their_owners(at):
    at.reload(set_to({"tap": "sw-web3", "netns": at.ends}, "ports", "web3"),
              members("inside", "web1", "web2", "web3"))  # fmt: skip
    assert queues_of(at, "web3", "sw-web3", replies("10.0.2.11")) == owners(at, "192.0.2.7")


def test_frames_at_an_interface_go_to_their_owners(at):
    ip(at.ends, "link add wire type veth peer name wire-far")
    ip(at.ends, "link set wire-far up")
    at.reload(set_to({"packet": "wire", "netns": at.ends}, "ports", "wire"),
              members("outside", "client", "other", "wire"))  # fmt: skip
    assert queues_of(at, "wire", "wire-far", requests("10.0.1.100")) == owners(at, "192.0.2.7")
    at.reload(NEW_VIP)
    assert queues_of(at, "wire", "wire-far", requests("10.0.1.101")) == owners(at, "192.0.2.7")


def test_no_frame_is_lost_while_programs_are_exchanged(at):
    fds = at.ports.opened["client"].device.fds
    for fd in fds:
        list(waiting(fd))
    over = threading.Event()
    sent, found = 0, set()

    def send() -> None:
        nonlocal sent
        with closing(raw_socket(at, "sw-client")) as sock:
            while not over.is_set():
                sock.send(frame("192.0.2.7", "10.0.1.100", 1000, 80, sent.to_bytes(4)))
                sent += 1
                over.wait(0.001)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for number in range(20):
            at.reload(set_to([f"10.0.1.{101 + number}", "fd00:1::100"], "services", "web", "vip"))
            found |= {data for fd in fds for data in waiting(fd)}
    finally:
        over.set()
        sender.join()
    found |= {data for fd in fds for data in waiting(fd)}
    numbers = {int.from_bytes(Ether(data)[TCP].payload.load) for data in found if TCP in Ether(data)}
    assert numbers == set(range(sent))

"""What a packet socket with a virtio-net header hears and sends on a veth.

A super-frame arrives whole and is described as on a TAP. One that is sent is cut by the kernel when the interface has
no offloads, in the same frames as by our own segmenter, so that a port never has to ask what an interface can do. A
VLAN tag is taken off and told beside the frame; the header's offsets do not count it. When the device goes away, the
socket says ENETDOWN at most once, and from then on is bound to no device.
"""

import errno
import socket
import struct
import subprocess

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from wire import MACS, VNET, lay, received, waiting

from swlb import _testing as c
from tests.oracle.pieces import super_frame, wire_frames

pytestmark = pytest.mark.root

NEEDS_CSUM, UDP_L4 = 1, 5
UDP_SEGMENT = 103  # linux/udp.h
OFFLOADS = ("rx", "tx", "tso", "gso", "gro")
ENDS = {"src": "10.99.0.1", "dst": "10.99.0.9"}
ENDS6 = {"src": "fd99::1", "dst": "fd99::9"}
ETHER = {"src": MACS["near"], "dst": MACS["far"]}
PAYLOAD = Raw(bytes(i * 7 % 251 for i in range(9000)))
STAMPED = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
SUPER_FRAMES = {
    "TCP": (IP(**ENDS, id=65534) / TCP(seq=2**32 - 2000, flags="FPA", options=STAMPED) / PAYLOAD, 1448),
    "TCP with CWR": (IP(**ENDS) / TCP(flags="CPA") / PAYLOAD, 1460),
    "TCP over IPv6": (IPv6(**ENDS6, fl=5) / TCP(flags="PA") / PAYLOAD, 1440),
    "UDP": (IP(**ENDS, flags="DF") / UDP(sport=1, dport=2) / PAYLOAD, 1400),
    "UDP over IPv6": (IPv6(**ENDS6) / UDP(sport=1, dport=2) / PAYLOAD, 1000),
    "a whole number of segments": (IP(**ENDS) / UDP(sport=1, dport=2) / PAYLOAD, 1000),
    "only to be completed": (IP(**ENDS) / TCP(flags="PA") / Raw(b"x" * 99), 0),
}


@pytest.fixture
def wire(make_netns):
    return lay(make_netns)


def without_offloads(wire) -> None:
    for end in ("near", "far"):
        words = [word for name in OFFLOADS for word in (name, "off")]
        subprocess.run(["ip", "netns", "exec", getattr(wire, end), "ethtool", "-K", end, *words], check=True,
                       capture_output=True)


def test_a_super_frame_of_the_other_end_is_heard_whole(wire):
    with wire.packet_socket("near") as near, wire.socket("far", socket.SOCK_DGRAM) as far:
        far.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
        far.sendto(bytes(4500), ("10.99.0.1", 9))
        (flags, kind, _, size, start, offset), frame, _ = received(near)
    assert (flags, kind, size, start, offset) == (NEEDS_CSUM, UDP_L4, 1000, 34, 6)
    assert len(frame) == 42 + 4500


def test_a_super_frame_that_is_sent_arrives_whole(wire):
    packet, size = SUPER_FRAMES["TCP"]
    offload, frame = super_frame(bytes(Ether(**ETHER, type=0x0800)), packet, size)
    with wire.packet_socket("near") as near, wire.packet_socket("far") as far:
        near.send(offload + frame)
        got, arrived, _ = received(far)
    assert arrived == frame
    assert (got[0], got[1], got[3]) == (NEEDS_CSUM, 1, size)


@pytest.mark.parametrize("tagged", [False, True], ids=["untagged", "tagged"])
@pytest.mark.parametrize("case", SUPER_FRAMES)
def test_without_offloads_it_arrives_as_the_frames_that_scapy_and_swlb_make_of_it(wire, case, tagged):
    packet, size = SUPER_FRAMES[case]
    kind = 0x0800 if packet.version == 4 else 0x86DD
    head = bytes(Ether(**ETHER) / Dot1Q(vlan=7, type=kind)) if tagged else bytes(Ether(**ETHER, type=kind))
    offload, frame = super_frame(head, packet, size)
    without_offloads(wire)
    with wire.packet_socket("near") as near, wire.packet_socket("far") as far:
        near.send(offload + frame)
        arrived = waiting(far)
    # The tag has been taken off.
    wanted = [made[:12] + made[16:] if tagged else made for made in wire_frames(head, packet, size)]
    assert arrived == wanted
    assert c.pieces(frame, offload) == wire_frames(head, packet, size)


@pytest.mark.parametrize(("tags", "told", "left"), [
    (Dot1Q(vlan=7, prio=5), (0x8100, 0xA007), 0), (Dot1Q(vlan=0, prio=3), (0x8100, 0x6000), 0),
    (Dot1AD(vlan=9) / Dot1Q(vlan=7), (0x88A8, 9), 4)], ids=["one", "priority", "two"])
def test_the_outermost_tag_lies_beside_the_frame_and_offsets_do_not_count_it(wire, tags, told, left):
    packet = IP(**ENDS) / UDP(sport=1, dport=2) / Raw(b"x" * 50)
    head = bytes(Ether(**ETHER) / tags)
    offload, frame = super_frame(head[:-2] + b"\x08\0", packet, 0)
    with wire.packet_socket("near") as near, wire.packet_socket("far") as far:
        near.send(offload + frame)
        (flags, _, _, _, start, _), arrived, tag = received(far)
    assert tag == told
    assert arrived == frame[:12] + frame[16:]
    assert (flags, start) == (NEEDS_CSUM, 34 + left)


def test_what_the_interface_itself_sends_is_not_heard(wire):
    with wire.packet_socket("near") as near, wire.socket("near", socket.SOCK_DGRAM) as own:
        own.sendto(b"hello", ("10.99.0.2", 9))
        assert [frame for frame in waiting(near) if frame[6:12] == bytes.fromhex(MACS["near"].replace(":", ""))] == []


def bound_to(sock: socket.socket) -> str:
    return sock.getsockname()[0]


def errors_of(sock: socket.socket, n: int = 4) -> list[int]:
    sock.setblocking(False)
    found = []
    for _ in range(n):
        with pytest.raises(OSError) as failure:
            sock.recv(100)
        found.append(failure.value.errno)
    return found


def test_a_device_that_goes_down_says_so_once_and_is_heard_again_when_it_is_up(wire):
    with wire.packet_socket("near") as near, wire.packet_socket("far") as far:
        waiting(near)
        wire.run("near", "ip", "link", "set", "near", "down")
        assert errors_of(near) == [errno.ENETDOWN, errno.EAGAIN, errno.EAGAIN, errno.EAGAIN]
        assert bound_to(near) == "near"
        wire.run("near", "ip", "link", "set", "near", "up")
        far.send(VNET.pack(0, 0, 0, 0, 0, 0) + bytes(Ether(src=MACS["far"], dst=MACS["near"], type=0x88B5)) + b"again")
        assert any(frame.endswith(b"again") for frame in waiting(near))


@pytest.mark.parametrize("how", [("link", "delete", "near"), ("link", "set", "near", "netns", "far")],
                         ids=["deleted", "moved"])
def test_a_device_that_is_gone_leaves_the_socket_bound_to_nothing(wire, how):
    with wire.packet_socket("near") as near:
        waiting(near)
        wire.run("near", "ip", *(wire.far if word == "far" else word for word in how))
        assert set(errors_of(near)) <= {errno.ENETDOWN, errno.EAGAIN}
        assert errors_of(near) == [errno.EAGAIN] * 4
        # The name of device number -1, which is none.
        assert bound_to(near) == ""
        with pytest.raises(OSError) as failure:
            near.send(VNET.pack(0, 0, 0, 0, 0, 0) + bytes(60))
        assert failure.value.errno == errno.ENXIO


def test_what_finds_no_room_is_counted_once(wire):
    with wire.packet_socket("near") as near, wire.socket("far", socket.SOCK_DGRAM) as far:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(200):
            far.sendto(bytes(1000), ("10.99.0.1", 9))
        n, dropped = statistics(near)
        assert 0 < dropped < n
        assert statistics(near) == (0, 0)


def statistics(sock: socket.socket) -> tuple[int, int]:
    """Frames and drops since the last call (PACKET_STATISTICS)."""
    return struct.unpack("=II", sock.getsockopt(263, 6, 8))

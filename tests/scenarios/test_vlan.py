"""`port.VID`: frames of a VLAN come and go by a trunk with their tag, and are untagged within the segment."""

import random
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from tests.oracle.vlan import Place, Switch

from .network import Network, Segment, Server, Service
from .shapes import V4

A, B, C = "02:aa:00:00:00:0a", "02:aa:00:00:00:0b", "02:aa:00:00:00:0c"
ALL = "ff:ff:ff:ff:ff:ff"
PACKET = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"data"
INNER = Dot1Q(vlan=30, prio=2) / PACKET
OFFLOAD = struct.Struct("<BBHHHH")


def frame(*tags, src=A, dst=B, packet=PACKET):
    made = Ether(src=src, dst=dst)
    for tag in (*tags, packet):
        made = made / tag
    return made


def q(vid, prio=0, dei=0):
    return Dot1Q(vlan=vid, prio=prio, dei=dei)


def lan():
    """Untagged and VLAN 20 on one segment by a trunk and an ordinary port; VLAN 7 of two trunks on another."""
    return Network({"native": Segment(("trunk", "plain")), "lan": Segment(("host", "trunk.20", "far.20")),
                    "through": Segment(("trunk.7", "far.9"))})


# What comes in, by which port; then what leaves by which port, or the reason why nothing does.
FLOODED = {
    "untagged by a host's port": ("host", frame(), {"trunk": frame(q(20)), "far": frame(q(20))}),
    "a priority tag by a host's port becomes the VLAN's": (
        "host", frame(q(0, 5, 1)), {"trunk": frame(q(20, 5, 1)), "far": frame(q(20, 5, 1))}),
    "a tag by a host's port, even the VLAN's own": ("host", frame(q(20)), "not_member"),
    "a service tag by a host's port is carried within": (
        "host", frame(Dot1AD(vlan=9)), {"trunk": frame(q(20), Dot1AD(vlan=9)), "far": frame(q(20), Dot1AD(vlan=9))}),
    "tagged by a trunk, with its priority": (
        "trunk", frame(q(20, 3, 1)), {"host": frame(), "far": frame(q(20, 3, 1))}),
    "two tags by a trunk: the inner one is carried": (
        "trunk", frame(q(20), q(30, 2)), {"host": frame(q(30, 2)), "far": frame(q(20), q(30, 2))}),
    "a priority tag within a tag": ("trunk", frame(q(20, 3), q(0, 6)), {"host": frame(q(0, 6)), "far": frame(q(20, 6))}),
    "three tags by a trunk": (
        "trunk", frame(q(20), q(30), q(31)), {"host": frame(q(30), q(31)), "far": frame(q(20), q(30), q(31))}),
    "a VLAN that no segment names": ("trunk", frame(q(21)), "not_member"),
    "VLAN 4095, which is none": ("trunk", frame(q(4095)), "not_member"),
    "untagged by a trunk that is in no segment itself": ("far", frame(), "not_member"),
    "a priority tag by such a trunk": ("far", frame(q(0, 1)), "not_member"),
    "untagged by a trunk that is": ("trunk", frame(), {"plain": frame()}),
    "a priority tag by a trunk that is": ("trunk", frame(q(0, 4)), {"plain": frame(q(0, 4))}),
    "a service tag by a trunk is of no VLAN": ("trunk", frame(Dot1AD(vlan=20)), {"plain": frame(Dot1AD(vlan=20))}),
    "untagged from beside a trunk": ("plain", frame(), {"trunk": frame()}),
    "a tag from beside a trunk must not become a VLAN of it": ("plain", frame(q(20)), "not_member"),
    "from VLAN to VLAN another tag is put on": ("trunk", frame(q(7, 6)), {"far": frame(q(9, 6))}),
    "a tag that is cut short": ("trunk", Raw(bytes(frame(q(20)))[:16]), {"plain": None}),
}


@pytest.mark.parametrize("case", FLOODED)
@pytest.mark.parametrize("known", [False, True], ids=["flooded", "to a known station"])
def test_what_comes_in_by_one_port_leaves_by_the_others_as_their_members_say(case, known):
    port, sent, wanted = FLOODED[case]
    net = lan()
    if wanted == {"plain": None}:
        net.send(port, sent)
        assert net.drops() == {"runt": 1}
        return
    goals = wanted if isinstance(wanted, dict) else {}
    if known and goals:
        # The station answers from behind the last of the ports, with the tags with which it would hear the frame.
        goal, expected = list(goals.items())[-1]
        answer = expected.copy()
        answer.src, answer.dst = B, ALL
        net.send(goal, answer)
        net.discard()
        # Where that is refused, as a host's port carries no tag, nobody has been learned.
        goals = {goal: expected}
    net.send(port, sent)
    for name, expected in goals.items():
        net.expect(name, expected)
    net.expect_silence()
    assert net.drops() == ({wanted: 1} if isinstance(wanted, str) else {})


def test_a_station_is_known_by_mac_segment_and_the_tag_that_is_left():
    net = lan()
    net.send("trunk", frame(q(20), src=A), frame(q(7), src=A), frame(q(20), q(30), src=A), frame(src=C))
    assert net.fdb("lan") == {(A, 0): "trunk.20", (A, 30): "trunk.20"}
    assert net.fdb("through") == {(A, 0): "trunk.7"}
    assert net.fdb("native") == {(C, 0): "trunk"}
    net.send("trunk", frame(q(20), src=B, dst=A))
    assert net.drops() == {"same_port": 1}


@pytest.mark.parametrize("payload", [1500, 1501])
@pytest.mark.parametrize("tags", [(), (q(30),)], ids=["one tag", "two tags"])
def test_a_frame_is_as_long_as_its_packet_may_be_whatever_tags_it_has(payload, tags):
    net = lan()
    net.send("trunk", frame(q(20), *tags, packet=Raw(bytes(payload))))
    longest = frame(q(20), *tags, packet=Raw(bytes(payload)))
    net.take("host")
    if payload == 1500:
        net.expect("far", longest)
    else:
        net.expect("far")


def test_random_frames_through_random_switches_go_where_the_twin_says():
    for seed in range(40):
        choose = random.Random(seed)
        layout = random_layout(choose)
        net = Network({name: Segment(tuple(map(written, places))) for name, places in layout.items()})
        twin = Switch(layout)
        ports = sorted({place.port for places in layout.values() for place in places})
        if not ports:
            continue
        for number in range(120):
            port, data = choose.choice(ports), random_frame(choose)
            left, reasons = twin.receive(port, data)
            net.send(port, data)
            what = f"seed {seed}, frame {number} by {port}: {data[:26].hex()}"
            for name in ports:
                got = [out for _, out in net.take_raw(name)]
                assert got == ([left[name]] if name in left else []), f"{what}, at {name}"
            dropped = net.drops()
            assert (len(dropped) == len(reasons) == 0 or (len(dropped) == 1 and dropped.keys() <= reasons
                                                          and sum(dropped.values()) == 1)), f"{what}: {dropped}"


def written(place):
    return f"{place.port}.{place.vid}" if place.vid else place.port


def random_layout(choose):
    """Two or three segments over five ports, each port once in a segment, untagged in one of them at most."""
    names = ("a", "b", "c")[: choose.choice((2, 3))]
    layout = {name: [] for name in names}
    for port in ("p1", "p2", "p3", "p4", "p5"):
        untagged = choose.choice((None, *names))
        vids = choose.sample((1, 2, 20, 4094), len(names))
        for name, vid in zip(names, vids, strict=True):
            if name == untagged or choose.random() < 0.5:
                layout[name].append(Place(port, 0 if name == untagged else vid))
    return layout


def random_frame(choose):
    macs = [bytes.fromhex(f"02aa000000{n:02x}") for n in range(4)] + [b"\xff" * 6]
    tags = b""
    for _ in range(choose.choice((0, 1, 1, 2, 2, 3))):
        tpid = b"\x81\x00" if choose.random() < 0.8 else b"\x88\xa8"
        tags += tpid + (choose.randrange(16) << 12 | choose.choice((0, 1, 2, 20, 20, 77, 4094, 4095))).to_bytes(2)
    return choose.choice(macs) + choose.choice(macs[:4]) + tags + b"\x08\x00" + bytes(choose.choice((46, 1500, 1504)))

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
    "a priority tag within a tag": (
        "trunk", frame(q(20, 3), q(0, 6)), {"host": frame(q(0, 6)), "far": frame(q(20, 6))}),
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


NEEDS_CSUM, GSO_TCPV4, GSO_UDP = 1, 1, 5


def offload(l3_off, *, kind=0, size=0):
    """The header of a TCP packet whose checksum is left to be completed."""
    return OFFLOAD.pack(NEEDS_CSUM, kind, l3_off + 40 if kind else 0, size, l3_off + 20, 16)


@pytest.mark.parametrize("kind", [0, GSO_TCPV4], ids=["a partial checksum", "a super-frame"])
@pytest.mark.parametrize("inner", [(), (q(30),)], ids=["one tag", "two tags"])
def test_an_offload_header_tells_of_the_frame_as_it_is_at_each_port(kind, inner):
    net = lan()
    packet = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, chksum=0x1234) / bytes(4000 if kind else 900)
    within = 14 + 4 * len(inner)
    net.send("trunk", frame(q(20, 3), *inner, packet=packet), offload=offload(within + 4, kind=kind, size=1000))
    assert net.take_raw("host") == [(offload(within, kind=kind, size=1000), bytes(frame(*inner, packet=packet)))]
    assert net.take_raw("far") == [(offload(within + 4, kind=kind, size=1000),
                                    bytes(frame(q(20, 3), *inner, packet=packet)))]
    # The copy for the trunk has left the frame as it was.
    net.send("host", frame(packet=packet), offload=offload(14, kind=kind, size=1000))
    assert net.take_raw("trunk") == [(offload(18, kind=kind, size=1000), bytes(frame(q(20), packet=packet)))]


def test_a_trunk_that_takes_no_offloads_gets_tagged_pieces():
    net = Network({"lan": Segment(("host", "trunk.20"), plain=("trunk",))})
    packet = IP(src="10.0.0.1", dst="10.0.0.2", id=7) / TCP(sport=1, dport=2, flags="A")
    whole = bytes(frame(packet=packet / bytes(2500)))
    partial = whole[:50] + partial_sum(whole).to_bytes(2) + whole[52:]
    net.send("host", partial, offload=offload(14, kind=GSO_TCPV4, size=1000))
    pieces = [frame(q(20), packet=IP(src="10.0.0.1", dst="10.0.0.2", id=7 + n)
                    / TCP(sport=1, dport=2, flags="A", seq=1000 * n) / bytes(size)) for n, size in
              enumerate((1000, 1000, 500))]
    net.expect("trunk", *pieces)


def partial_sum(raw):
    """The sum of the pseudo-header of the TCP packet in an untagged frame (RFC 9293 3.1)."""
    total = sum(struct.unpack("!4H", raw[26:34])) + 6 + len(raw) - 34
    return (total & 0xFFFF) + (total >> 16)


def test_a_trunk_that_goes_down_takes_its_vlans_with_it():
    net = lan()
    net.send("trunk", frame(q(20), src=A), frame(q(7), src=B))
    net.discard()
    net.set_port("trunk", up=False)
    assert (net.fdb("lan"), net.fdb("through")) == ({}, {})
    net.send("far", frame(q(9), src=C))
    assert net.drops() == {"nowhere": 1}
    assert [net.worker.port(net.ports[name])["up"] for name in ("trunk", "trunk.20", "far.20")] == [False, False, True]
    net.set_port("trunk", mtu=1400)
    net.send("far", frame(q(9), src=C, packet=Raw(bytes(1401))))
    assert net.drops() == {"oversize": 1}
    net.send("far", frame(q(9), src=C, packet=Raw(bytes(1400))))
    net.expect("trunk", frame(q(7), src=C, packet=Raw(bytes(1400))))


def test_a_vlan_counts_its_frames_and_so_does_its_trunk():
    net = lan()
    net.send("trunk", frame(q(20), src=A), frame(q(20), src=A, dst=A), frame(q(99)), frame(src=C))
    net.send("host", frame(src=B, dst=A))
    told = {name: net.worker.port(net.ports[name]) for name in ("trunk", "trunk.20", "trunk.7")}
    counted = ("rx_frames", "rx_dropped", "tx_frames", "made")
    assert {name: tuple(row[count] for count in counted) for name, row in told.items()} == {
        "trunk": (4, 2, 1, 1), "trunk.20": (2, 1, 1, 1), "trunk.7": (0, 0, 0, 0)}
    # Whoever adds up ports with devices has counted everything once.
    rows = [net.worker.port(net.ports[name]) for name in ("trunk", "far", "plain", "host")]
    came_in, made, left = (sum(row[count] for row in rows) for count in ("rx_frames", "made", "tx_frames"))
    assert came_in + made == left + sum(net.drops().values())


def test_errors_and_announcements_go_out_tagged():
    net = Network({"outside": Segment(("trunk.10",), ("10.0.1.1/24",)),
                   "inside": Segment(("trunk.20", "web"), ("10.0.2.1/24",))},
                  services=[Service(("10.0.1.100",), (Server("10.0.2.11", 8080),))], quiet=False)
    net.wait(0.2)
    announced = net.take("trunk")
    assert [(f[Dot1Q].vlan, f[ARP].psrc) for f in announced] == [(10, "10.0.1.100")]
    net.wait(3)
    net.discard()
    client = frame(q(10, 5), src=A, dst=net.mac("outside"), packet=IP(src="10.0.1.10", dst="10.0.2.11", ttl=1) / UDP())
    net.send("trunk", Ether(src=A, dst=ALL) / q(10) / ARP(hwsrc=A, psrc="10.0.1.10", pdst="10.0.1.1"), client)
    reply, error = net.take("trunk")
    assert (reply[Dot1Q].vlan, reply[ARP].psrc, reply.dst) == (10, "10.0.1.1", A)
    # An answer has the priority of what it answers.
    assert (error[Dot1Q].vlan, error[Dot1Q].prio, error[ICMP].type, error.dst) == (10, 5, 11, A)
    assert (error[ICMP].payload.src, error[ICMP].payload.dst) == ("10.0.1.10", "10.0.2.11")


def test_a_request_goes_from_vlan_to_vlan_of_one_trunk_with_its_priority():
    net = Network({"outside": Segment(("trunk.10",), ("10.0.1.1/24",)),
                   "inside": Segment(("trunk.20",), ("10.0.2.1/24",))},
                  services=[Service((V4.vip,), (Server(V4.server, 8080),))])
    for vid, mac, ip, own in ((10, A, V4.client, V4.outside), (20, B, V4.server, V4.inside)):
        net.send("trunk", Ether(src=mac, dst=ALL) / q(vid) / ARP(hwsrc=mac, psrc=ip, pdst=own))
    net.discard()
    syn = TCP(sport=1024, dport=80, flags="S")
    net.send("trunk", frame(q(10, 6, 1), src=A, dst=net.mac("outside"), packet=IP(src=V4.client, dst=V4.vip) / syn))
    to_server = TCP(sport=1024, dport=8080, flags="S")
    net.expect("trunk", frame(q(20, 6, 1), src=net.mac("inside"), dst=B,
                              packet=IP(src=V4.client, dst=V4.server, ttl=63) / to_server))
    answer = TCP(sport=8080, dport=1024, flags="SA")
    net.send("trunk", frame(q(20, 2), src=B, dst=net.mac("inside"), packet=IP(src=V4.server, dst=V4.client) / answer))
    net.expect("trunk", frame(q(10, 2), src=net.mac("outside"), dst=A, packet=IP(src=V4.vip, dst=V4.client, ttl=63)
                              / TCP(sport=80, dport=1024, flags="SA")))

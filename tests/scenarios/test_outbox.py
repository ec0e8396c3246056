"""What leaves by a port without offloads is whole frames with complete checksums; other ports get it as it came."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tests.oracle.pieces import super_frame, wire_frames

from .network import Network, Segment
from .shapes import FAMILIES, INSIDE, OUTSIDE, V4, service

A, B, EVERYONE = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "ff:ff:ff:ff:ff:ff"
ENDS = {"src": "10.0.1.10", "dst": "10.0.1.11"}
ENDS6 = {"src": "fd00:1::10", "dst": "fd00:1::11"}


def mixed(**fields) -> Network:
    """A plain switch of a port with offloads and others without, whose stations are known."""
    net = Network({"lan": Segment(("tap", "wire", "other"), plain=("wire", "other"), **fields)})
    for port, mac in (("tap", A), ("wire", B)):
        net.send(port, Ether(src=mac, dst=EVERYONE, type=0x88B5))
    net.discard()
    return net


def bridged(packet, size: int, *, dst: str = B, tag=None) -> tuple[bytes, bytes, bytes]:
    """What the station at the port with offloads sends: frame, offload header, and what is in front of the packet."""
    ether = Ether(src=A, dst=dst, type={4: 0x0800, 6: 0x86DD}[packet.version])
    if tag is not None:
        ether = Ether(src=A, dst=dst) / Dot1Q(vlan=tag, type=ether.type)
    offload, frame = super_frame(bytes(ether), packet, size)
    return frame, offload, bytes(ether)


PACKETS = {"TCP": IP(**ENDS) / TCP(flags="PA") / Raw(bytes(range(250)) * 80),
           "TCP over IPv6": IPv6(**ENDS6) / TCP(flags="PA") / Raw(bytes(range(250)) * 80),
           "UDP": IP(**ENDS, flags="DF") / UDP(sport=1, dport=2) / Raw(bytes(range(250)) * 40),
           "UDP over IPv6": IPv6(**ENDS6) / UDP(sport=1, dport=2) / Raw(bytes(range(250)) * 9)}


@pytest.mark.parametrize("tag", [None, 7])
@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_a_super_frame_leaves_as_the_frames_it_stands_for(packet, tag):
    net = mixed()
    frame, offload, head = bridged(packet, 1400, tag=tag)
    before = net.worker.port(net.ports["wire"])
    net.send("tap", frame, offload=offload)
    wanted = wire_frames(head, packet, 1400)
    net.expect("wire", *wanted)
    counted = net.worker.port(net.ports["wire"])
    assert counted["tx_frames"] - before["tx_frames"] == len(wanted)
    assert counted["tx_bytes"] - before["tx_bytes"] == sum(map(len, wanted))
    assert net.drops() == {}


@pytest.mark.parametrize("packet", [IP(**ENDS) / TCP() / Raw(b"x" * 9), IP(**ENDS) / UDP() / Raw(b"x" * 9)],
                         ids=["TCP", "UDP"])
def test_a_partial_checksum_leaves_complete(packet):
    net = mixed()
    frame, offload, head = bridged(packet, 0)
    net.send("tap", frame, offload=offload)
    net.expect("wire", head + bytes(packet))


def test_a_flooded_super_frame_is_whole_for_those_who_take_it_so():
    net = mixed()
    frame, offload, head = bridged(PACKETS["TCP"], 1400, dst=EVERYONE)
    net.send("other", frame, offload=offload)
    assert net.take_raw("tap") == [(offload, frame)]
    net.expect("wire", *wire_frames(head, PACKETS["TCP"], 1400))


def test_a_frame_without_offloads_is_not_touched():
    net = mixed()
    frame = Ether(src=A, dst=B) / IP(**ENDS) / TCP(chksum=1) / b"bad"
    net.send("tap", frame)
    net.expect("wire", frame)


def test_what_a_port_without_offloads_sends_is_taken_as_it_is():
    net = mixed()
    frame, offload, _ = bridged(PACKETS["TCP"], 1400)
    frame = bytes(Ether(src=B, dst=A)[Ether])[:12] + frame[12:]
    net.send("wire", frame, offload=offload)
    assert net.take_raw("tap") == [(offload, frame)]


def test_more_pieces_than_there_is_room_for_leave_in_order():
    net = mixed()
    packets = [IP(**ENDS, id=1000 * n) / TCP(sport=n, flags="A") / Raw(bytes([n]) * 60_000) for n in range(1, 61)]
    for packet in packets:
        frame, offload, head = bridged(packet, 1448)
        assert net.worker.put(net.ports["tap"], frame, offload)
    net.send("tap")
    net.expect("wire", *(piece for packet in packets for piece in wire_frames(head, packet, 1448)))
    assert net.drops() == {}


def test_a_super_frame_of_more_pieces_than_there_are_places_for_leaves_in_order():
    net = mixed()
    packet = IP(**ENDS) / TCP(flags="A") / Raw(bytes(i % 251 for i in range(3000)))
    frame, offload, head = bridged(packet, 2)
    net.send("tap", frame, offload=offload)
    net.expect("wire", *wire_frames(head, packet, 2))


def test_the_same_of_one_that_leaves_by_several_vlans_with_their_tags():
    net = Network({"lan": Segment(("tap", "trunk.5", "trunk.6"), plain=("trunk",))})
    packet = IP(**ENDS) / TCP(flags="A") / Raw(bytes(i % 251 for i in range(3000)))
    frame, offload, head = bridged(packet, 2, dst=EVERYONE)
    net.send("tap", frame, offload=offload)
    tagged = [head[:12] + bytes((0x81, 0, 0, vid)) + head[12:] for vid in (5, 6)]
    net.expect("trunk", *(piece for head in tagged for piece in wire_frames(head, packet, 2)))


def test_fragments_for_all_ports_are_whole_by_each_however_many():
    vlans = range(1, 13)
    net = Network({"outside": Segment(("client",), OUTSIDE, mtu={"client": 65535}),
                   "inside": Segment(("web", *(f"trunk.{vid}" for vid in vlans)), INSIDE, ageing=5.0)}, sealed=False)
    # Asked last, when the others have had their own.
    net.ports["last"] = net.worker.add_port(net.segments["inside"])
    net.seal()
    for port in ("trunk", "web", "last"):
        net.set_port(port, mtu=576)
    client, web = net.station("client", V4.client), net.station("web", V4.server)
    client.greet()
    web.greet()
    net.wait(10.0)
    net.discard()
    data = bytes(i % 251 for i in range(65_000))
    client.send(IP(src=V4.client, dst=V4.server, id=1) / UDP(sport=1, dport=2) / Raw(data))
    came = {}
    for port in ("web", "trunk", "last"):
        for ether in net.take(port):
            by = ether[Dot1Q].vlan if Dot1Q in ether else port
            came[by] = came.get(by, b"") + bytes(ether[IP].payload)[:ether[IP].len - 20]
    assert {by: datagram[8:] == data for by, datagram in came.items()} == dict.fromkeys(["web", *vlans, "last"], True)


def test_frames_of_other_ports_leave_when_the_arena_is_full_and_stay_in_order():
    net = mixed()
    packet = IP(**ENDS) / TCP(flags="A") / Raw(bytes(60_000))
    frame, offload, head = bridged(packet, 1448)
    plain = [Ether(src=B, dst=A, type=0x88B5) / bytes([n]) for n in range(40)]
    for number in range(40):
        assert net.worker.put(net.ports["tap"], frame, offload)
        assert net.worker.put(net.ports["wire"], bytes(plain[number]), bytes(10))
    net.send("tap")
    net.expect("wire", *wire_frames(head, packet, 1448) * 40)
    net.expect("tap", *plain)


def test_a_super_frame_that_contradicts_itself_is_refused_by_a_port_that_would_cut_it():
    net = mixed()
    frame, offload, _ = bridged(PACKETS["TCP"], 1400)
    net.send("tap", frame, offload=offload[:6] + b"\x23\0" + offload[8:])
    net.expect("wire")
    assert net.drops() == {"bad_offload": 1}
    assert net.worker.port(net.ports["wire"])["tx_dropped"] == 1


def test_pieces_that_the_port_refuses_are_counted_each():
    net = mixed(mtu={"wire": 65535})
    frame, offload, _ = bridged(IP(**ENDS) / TCP(flags="A") / Raw(bytes(60_000)), 1448)
    n_sent = 0
    while not net.worker.port(net.ports["wire"])["tx_dropped"]:
        net.send("tap", frame, offload=offload)
        n_sent += 1
    counted = net.worker.port(net.ports["wire"])
    greeting = 1
    assert counted["tx_frames"] - greeting + counted["tx_dropped"] == 42 * n_sent
    assert net.drops() == {"tx_failed": counted["tx_dropped"]}


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_balanced_super_frame_leaves_rewritten_and_cut(family):
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE, plain=("web1",))},
                  services=[service()])
    client, web = net.station("client", family.client), net.station("web1", family.server)
    client.greet()
    web.greet()
    client.send(family.ip(family.client, family.vip) / TCP(sport=4000, dport=80, flags="S"))
    web.send(family.ip(family.server, family.client) / TCP(sport=8080, dport=4000, flags="SA"))
    net.discard()
    sent = family.ip(family.client, family.vip) / TCP(sport=4000, dport=80, flags="PA") / Raw(b"x" * 5000)
    offload, frame = super_frame(bytes(client.frame(sent))[:14], sent, 1400)
    net.send("client", frame, offload=offload)
    rewritten = family.ip(family.client, family.server, 63) / TCP(sport=4000, dport=8080, flags="PA") / Raw(b"x" * 5000)
    head = bytes(Ether(src=net.mac("inside"), dst=web.mac, type=0x0800 if family.version == 4 else 0x86DD))
    net.expect("web1", *wire_frames(head, rewritten, 1400))


def test_swlb_s_own_answers_need_no_completion():
    net = Network({"outside": Segment(("client",), OUTSIDE, plain=("client",))})
    client = net.station("client", V4.client)
    net.send("client", client.question(V4.client))
    assert net.take_one("client")[ARP].psrc == V4.outside

"""What comes in goes out or is dropped and counted: nothing vanishes, nothing is doubled."""

import random
import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet

from .network import Network, Segment
from .shapes import FAMILIES, INSIDE, OUTSIDE, V4, V6, service, switch


def balance_of(net: Network) -> tuple[int, int]:
    """(frames that came in, frames that left or were dropped) since the worker was made."""
    ports = [net.worker.port(index) for index in net.ports.values()]
    return (sum(port["rx_frames"] for port in ports),
            sum(port["tx_frames"] for port in ports) + sum(net.worker.drops()))


def mac(i: int) -> str:
    return f"02:aa:00:00:01:{i:02x}"


@pytest.mark.parametrize("seed", range(4))
def test_unicast_between_known_stations_leaves_once_or_is_dropped_once(seed):
    chance = random.Random(seed)
    net = switch("p1", "p2", "p3", "p4")
    places = {i: f"p{1 + i % 4}" for i in range(12)}
    for i, port in places.items():
        net.send(port, Ether(src=mac(i), dst="ff:ff:ff:ff:ff:ff", type=0x88B5))
    came_in, went = balance_of(net)
    for _ in range(500):
        src, dst = chance.sample(sorted(places), 2)
        frame = Ether(src=chance.choice([mac(src)] * 9 + ["ff:ff:ff:ff:ff:ff"]),
                      dst=chance.choice([mac(dst)] * 9 + ["01:80:c2:00:00:02"]), type=0x88B5)
        net.send(places[src], bytes(frame / bytes(chance.choice([50, 1504, 1505])))[:chance.choice([9, *[2000] * 9])])
    now_in, now_went = balance_of(net)
    assert (now_in - came_in, now_went - went) == (500, 500), f"seed {seed}"


def packets(chance: random.Random) -> Packet:
    """A packet of the client's: routed, balanced, refused or hopeless."""
    family = chance.choice(FAMILIES)
    dst = chance.choice([family.server, family.vip, family.far, family.outside, "127.0.0.1" if family is V4 else "::1"])
    hops = chance.choice([0, 1, 2, 64])
    return chance.choice([
        family.udp(family.client, dst, hops),
        family.ip(family.client, dst, hops) / TCP(sport=chance.randrange(1024, 1100), dport=80,
                                                  flags=chance.choice("SAFR")),
        family.echo(family.client, dst, hops=hops),
        IP(src=V4.client, dst=V4.server, chksum=1),
        family.udp(family.client, dst, hops, payload=bytes(1450)),
    ])


@pytest.mark.parametrize("seed", range(4))
def test_routed_and_balanced_traffic_leaves_once_or_is_dropped_once(seed):
    """Without answers of swlb's own (no ICMP errors, no resets), every frame has exactly one fate."""
    chance = random.Random(seed)
    quiet = service()
    quiet = type(quiet)(quiet.vips, quiet.servers, refuse="drop", orphans="drop")
    net = Network({"outside": Segment(("client",), OUTSIDE, host=True),
                   "inside": Segment(("web1",), INSIDE, host=True)}, services=[quiet], icmp_errors=0)
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    client.greet()
    web.greet()
    came_in, went = balance_of(net)
    for _ in range(250):
        packet = packets(chance)
        if TCP in packet and packet.dst in (V4.vip, V6.vip):
            packet[TCP].flags = "S"                      # another port of a VIP is answered by a reset
        tagged = chance.random() < 0.1
        frame = client.frame(packet)
        net.send("client", Ether(src=frame.src, dst=frame.dst) / Dot1Q(vlan=3) / packet if tagged else frame)
    now_in, now_went = balance_of(net)
    assert (now_in - came_in, now_went - went) == (250, 250), f"seed {seed}"


def test_a_flood_counts_once_for_every_port_it_leaves_by():
    net = switch("p1", "p2", "p3")
    net.send("p1", Ether(src=mac(1), dst=mac(2), type=0x88B5))
    assert balance_of(net) == (1, 2)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_frames_that_waited_are_accounted_for_in_the_end(family):
    net = Network({"outside": Segment(("client",), OUTSIDE), "inside": Segment(("web1",), INSIDE)}, icmp_errors=0)
    client = net.station("client", family.client)
    client.greet()
    came_in, went = balance_of(net)
    client.send(*[family.udp(family.client, family.server)] * 100)
    net.wait(4.0)
    now_in, now_went = balance_of(net)
    requests = len(net.take("web1"))
    assert (now_in - came_in, now_went - went - requests) == (100, 100)


def books_of(net: Network) -> tuple[int, int]:
    """(frames that came in or were made, frames that left or were dropped) since the worker was made."""
    came_in, went = balance_of(net)
    return came_in + sum(net.worker.port(index)["made"] for index in net.ports.values()), went


@pytest.mark.parametrize("seed", range(2))
def test_with_what_swlb_says_itself_nothing_vanishes_either(seed):
    """Errors, resets, echoes, requests for neighbours, announcements, floods, pieces: each is in the books."""
    chance = random.Random(seed)
    net = Network({"outside": Segment(("client", "other"), OUTSIDE, host=True, plain=("other",)),
                   "inside": Segment(("web1", "web2"), INSIDE, host=True, mtu={"web1": 1400, "web2": 1400})},
                  services=[service()], quiet=False)
    client, web = net.station("client", V4.client, V6.client), net.station("web1", V4.server, V6.server)
    client.greet()
    for number in range(400):
        if number == 100:
            web.greet()
        frame = bytes(client.frame(packets(chance)))
        if chance.random() < 0.2:
            family = chance.choice(FAMILIES)
            frame = bytes(web.frame(family.ip(family.server, family.client) / TCP(sport=80, dport=2000, flags="A")))
        if chance.random() < 0.1:
            frame = b"\xff" * 6 + frame[6:]
        net.send(chance.choice(["client", "other", "web1", "web2"]), frame)
        net.wait(chance.choice([0, 0, 0, 0.1, 0.3]))
    made = sum(net.worker.port(index)["made"] for index in net.ports.values())
    net.wait(5.0)
    came_in, went = books_of(net)
    assert made > 50
    assert came_in == went, f"seed {seed}"


def test_the_segments_of_a_super_frame_for_a_port_that_takes_none_are_made():
    net = Network({"lan": Segment(("one", "two"), plain=("two",))})
    for mac_from, port in ((mac(1), "one"), (mac(2), "two")):
        net.send(port, Ether(src=mac_from, dst="ff:ff:ff:ff:ff:ff", type=0x88B5))
    before = books_of(net)
    frame = Ether(src=mac(1), dst=mac(2)) / IP(src=V4.client, dst=V4.server) / TCP(flags="A") / bytes(4000)
    net.send("one", frame, offload=struct.pack("<BBHHHH", 1, 1, 54, 1000, 34, 16))
    after = books_of(net)
    assert (after[0] - before[0], after[1] - before[1]) == (4, 4)

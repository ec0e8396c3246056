"""Bursts of anything: each flow's datagrams leave merging ports in the order, and as what, they leave others."""

import random

from scapy.packet import Packet

from .balanced import ip
from .frames import NO_OFFLOAD, TCP
from .merging import ON_ALL_WAYS, Frame, Twins, Way
from .test_coalesce_apart import fragments
from .test_offload_nat import NEEDS_CSUM, UDP_L4, Offload, partial

BURSTS = 6
SIZES = (0, 1, 1, 2, 17, 18, 19, 100, 100, 100, 100, 1000, 1000, 1472 - 20)
FLOWS = 12
# Of ten frames about six are as most are; what else they may be is drawn evenly.
FLAWS = ("ttl", "tos", "label", "no DF", "no checksum", "wrong checksum", "padding", "fragments", "tcp", "super",
         "ttl 1", "trailing", "repeat")


def hops(way: Way, packet: Packet, value: int) -> None:
    setattr(packet, "ttl" if way.family == 4 else "hlim", value)


def flawed(twins: Twins, packet: Packet, flaw: str, choose: random.Random) -> list[Packet | Frame]:
    """The datagram with that about it."""
    way, v4 = twins.way, twins.way.family == 4
    if flaw == "ttl":
        hops(way, packet, choose.choice((2, 33)))
    elif flaw == "ttl 1":
        hops(way, packet, 1)
    elif flaw == "tos":
        setattr(packet, "tos" if v4 else "tc", choose.choice((1, 4)))
    elif flaw == "label" and not v4:
        packet.fl = choose.choice((1, 0xFFFFF))
    elif flaw == "no DF" and v4:
        packet.flags = 0
    elif flaw == "no checksum" and v4:
        packet.payload.chksum = 0
    elif flaw == "wrong checksum":
        packet.payload.chksum = choose.randrange(1, 0x10000)
    elif flaw == "padding":
        return [(NO_OFFLOAD, bytes(twins.frame(packet)).ljust(60, b"\0"))]
    elif flaw == "trailing":
        return [(NO_OFFLOAD, bytes(twins.frame(packet)) + b"\xcc" * choose.randrange(1, 30))]
    elif flaw == "fragments":
        packet.payload.add_payload(bytes(600))
        return choose.sample(pieces := fragments(way.family, packet), choose.randrange(1, len(pieces) + 1))
    elif flaw == "tcp":
        return [ip(packet.src, packet.dst) / TCP(sport=packet.payload.sport, dport=packet.payload.dport, flags="A")]
    elif flaw == "repeat":
        return [packet] * choose.randrange(2, 70)
    return [packet]


def super_frame(twins: Twins, packet: Packet) -> Frame:
    """Its payload repeated, for a card to cut."""
    size = len(packet.payload.payload)
    packet.payload.payload.load *= 3
    l4_off = 14 + (20 if twins.way.family == 4 else 40)
    return bytes(Offload(NEEDS_CSUM, UDP_L4, l4_off + 8, size, l4_off, 6)), bytes(twins.frame(partial(packet)))


def mixture(twins: Twins, choose: random.Random) -> list[Packet | Frame]:
    """A burst, or more than one."""
    out: list[Packet | Frame] = []
    favourites = choose.sample(range(FLOWS), choose.randrange(1, 5))
    while len(out) < choose.randrange(1, 200):
        size = choose.choice(SIZES)
        for _ in range(choose.choice((1, 1, 2, 5, 20))):
            flow = choose.choice(favourites)
            packet = twins.way.packet(twins, choose.randbytes(size), flow=flow)
            flaw = choose.choice(FLAWS) if choose.random() < 0.4 else "none"
            if flaw == "super":
                if size:
                    out.append(super_frame(twins, packet))
                continue
            out += flawed(twins, packet, flaw, choose)
    return out


@ON_ALL_WAYS
def test_the_datagrams_of_each_flow_are_those_of_an_unmerged_run_in_their_order(way: Way) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    twins = Twins(way, flows=FLOWS)
    merged = sent = 0
    for _ in range(BURSTS):
        frames = mixture(twins, choose)
        pieces = twins.send(*frames)
        # Where the senders are, answers arrive: ICMP errors, which are in the order of their causes.
        twins.taken("client" if way.port != "client" else "server0")
        merged += sum(n > 1 for n in pieces)
        sent += len(frames)
    assert merged, f"seed {seed}: nothing was merged of {sent} frames"
    merging, plain = twins.each(lambda scene: [
        {name: row[name] for name in ("client_port", "packets_in", "packets_out", "bytes_in", "bytes_out")}
        for row in sorted(scene.sessions(), key=lambda row: row["client_port"])])
    assert merging == plain, f"seed {seed}"
    counted = twins.each(lambda scene: [scene.net.worker.port(index)["tx_frames"]
                                        for index in scene.net.ports.values()])
    assert counted[0] == counted[1], f"seed {seed}"
    dropped = twins.each(lambda scene: scene.net.drops())
    assert dropped[0] == dropped[1], f"seed {seed}"

"""Fragments in any order, twice, in too great a number: what comes out is the datagram that was sent, or nothing."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable

from scapy.layers.inet6 import IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether

from tests.oracle.checksum import flaws
from tests.oracle.fragments import Follower, Fragment, put_together

from .balanced import Scene, ip, routed, transparent
from .cut import cuts, payloads, piece, pieces_of, read
from .frames import UDP
from .layout import Segment, Server, Service
from .network import Network
from .test_fragments_nat import BOTH, PAYLOAD, SHAPES, as_one, pieces, taken, together
from .test_masquerade import Scene as Masquerade
from .test_source_nat import Scene as Standing
from .tunnelled import ALL_WAYS, tunnelled

TIMEOUT = 30


def l4_of(scene: Scene, packet: object) -> bytes:
    return bytes(type(packet)(bytes(packet)).payload)


@SHAPES
@BOTH
def test_a_request_whose_first_piece_comes_last_arrives_as_if_whole(shape: Callable, family: int) -> None:
    scene = shape(family, protocol="udp")
    first, *later = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(*reversed(later))
    scene.net.expect_silence()
    scene.client.send(first)
    whole = together(sorted(taken(scene, "server0"), key=lambda p: read(p)[1]))
    assert flaws(bytes(whole)) == []
    assert bytes(whole.payload) == bytes(as_one(scene, scene.delivered(0, payload=PAYLOAD)).payload)
    assert scene.net.drops() == {}


@SHAPES
@BOTH
def test_a_reply_in_reverse_order_arrives_as_if_whole_from_the_vip(shape: Callable, family: int) -> None:
    scene = shape(family, protocol="udp")
    scene.call()
    to = None if scene.hops_lost else scene.client.mac
    scene.servers[0].send(*reversed(pieces(scene.reply(0, payload=PAYLOAD))), to=to)
    frames = scene.net.take("client")
    assert {(frame.src, frame.dst) for frame in frames} == {(scene.net.mac(scene.client.segment), scene.client.mac)}
    whole = together(sorted([frame.payload for frame in frames], key=lambda p: read(p)[1]))
    assert flaws(bytes(whole)) == []
    assert bytes(whole.payload) == bytes(as_one(scene, scene.restored(payload=PAYLOAD)).payload)


@BOTH
def test_the_largest_datagram_passes_in_reverse_order_at_the_least_mtu(family: int) -> None:
    scene = routed(family, protocol="udp")
    datagram = l4_of(scene, scene.request(payload=random.Random(1).randbytes(65_507 if family == 4 else 65_490)))
    scene.client.send(*reversed(pieces_of(scene.client.addresses[0], scene.vip, 9, datagram, 1232)))
    got = put_together([part[1:] for part in payloads(scene.net.take("server0"))])
    assert got is not None
    assert got[8:] == datagram[8:]
    assert scene.net.drops() == {}


@ALL_WAYS
def test_through_a_tunnel_pieces_leave_in_any_order_as_they_came(forward: str, inner: int, outer: int) -> None:
    left = []
    for order in (1, -1):
        scene = tunnelled(forward, inner, outer, protocol="udp")
        scene.client.send(*pieces(scene.request(payload=PAYLOAD))[::order])
        left.append(sorted(scene.arrived()))
    assert left[0] == left[1]
    assert len(left[0]) >= 3


@BOTH
def test_past_a_server_that_answers_itself_pieces_leave_in_any_order_as_they_came(family: int) -> None:
    scene = transparent(family, protocol="udp", server_port=0, forward="dsr")
    sent = pieces(scene.request(payload=PAYLOAD))
    scene.client.send(*reversed(sent))
    head = {"src": scene.net.mac("near"), "dst": scene.servers[0].mac}
    wanted = sorted(bytes(Ether(**head) / packet) for packet in sent)
    assert sorted(bytes(frame) for frame in scene.net.take("server0")) == wanted


@BOTH
def test_what_comes_out_of_any_mixture_is_what_the_slow_twin_says(family: int) -> None:
    """Datagrams of two clients with the same identifications: cut anywhere, twice, overlapping, shuffled, in turns."""
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    scene = routed(family, protocol="udp", n_servers=1)
    other = scene.net.station("client", {4: "10.0.1.11", 6: "fd00:1::11"}[family])
    other.greet()
    twin, wanted, sent, forged_ends = Follower(TIMEOUT), defaultdict(Counter), {}, set()
    for number in range(60):
        arriving = []
        for station in (scene.client, other):
            key = (station.addresses[0], number)
            payload = choose.randbytes(choose.randrange(16, 1400))
            sent[key] = l4_of(scene, scene.request(src=key[0], sport=5000 + number % 3, payload=payload))
            whole = cuts(len(sent[key]), choose, key)
            arriving += whole + choose.sample(whole, choose.randrange(2) * choose.randrange(1, len(whole)))
            if choose.random() < 0.4:
                at = choose.randrange(1, (len(sent[key]) + 7) // 8) * 8
                arriving.append(Fragment(key, at, 8 * choose.randrange(1, 20), choose.random() < 0.8))
                # What an invented end completes only the checksum tells from what was sent.
                forged_ends |= set() if arriving[-1].more else {key}
        if choose.random() < 0.9:
            choose.shuffle(arriving)
        for new in arriving:
            for gone in twin.arrive(new, number):
                wanted[new.packet][gone.at, gone.n, gone.more] += 1
            data = sent[new.packet][new.at:new.end].ljust(new.n, b"x")
            scene.client.send(piece(new.packet[0], scene.vip, number, new.at, data, new.more))
    got = defaultdict(list)
    for frame in scene.net.take("server0"):
        identification, *part = read(frame.payload)
        got[frame.payload.src, identification].append(tuple(part))
    counted = {key: Counter((at, len(data), more) for at, data, more in parts) for key, parts in got.items()}
    assert counted == wanted, f"seed {seed}"
    complete = 0
    for key, parts in got.items():
        whole = put_together(parts)
        assert whole is None or whole[8:] == sent[key][8:] or key in forged_ends, f"seed {seed}: {key}"
        complete += whole is not None
    assert complete > 30, f"seed {seed}"


@BOTH
def test_who_stands_behind_one_address_does_not_share_identifications(family: int) -> None:
    """Two clients in whose name one address asks choose the same: the server can tell their pieces apart."""
    scene = Standing(family, protocol="udp", source_nat="always", n_servers=1)
    other = scene.net.station("switch", scene.at(20))
    other.greet()
    sent = {}
    for sport, station in ((5001, scene.client), (5002, other)):
        payload = PAYLOAD if sport == 5001 else PAYLOAD[::-1]
        sent[sport] = pieces(ip(station.addresses[0], scene.vip) / UDP(sport=sport, dport=80) / payload, 77)
    scene.net.discard()
    for one, two in zip(sent[5001], sent[5002], strict=True):
        scene.client.send(one)
        other.send(two)
    by_id = defaultdict(list)
    for frame in scene.net.take("switch"):
        assert frame.payload.src == scene.sources[0]
        assert flaws(bytes(frame.payload)) == []
        identification, *part = read(frame.payload)
        by_id[identification].append(tuple(part))
    wholes = [put_together(parts) for parts in by_id.values()]
    assert sorted(whole[8:] for whole in wholes) == sorted([PAYLOAD, PAYLOAD[::-1]])


@BOTH
def test_masqueraded_pieces_leave_and_enter_in_any_order(family: int) -> None:
    scene = Masquerade(family)
    question = ip(scene.host, scene.peer) / UDP(sport=5000, dport=53) / PAYLOAD
    scene.inside.send(*reversed(pieces(question)))
    asked = together(sorted((f.payload for f in scene.net.take("outside")), key=lambda p: read(p)[1]))
    assert flaws(bytes(asked)) == []
    assert asked.src == scene.own
    answer = ip(scene.peer, scene.own) / UDP(sport=53, dport=asked.sport) / PAYLOAD[::-1]
    scene.outside.send(*reversed(pieces(answer)))
    told = together(sorted((f.payload for f in scene.net.take("inside")), key=lambda p: read(p)[1]))
    assert flaws(bytes(told)) == []
    assert (told.dst, told.dport) == (scene.host, 5000)


@BOTH
def test_the_answer_of_a_host_that_others_called_leaves_as_it_is_in_pieces(family: int) -> None:
    """A segment that masquerades, and is open: what others began is answered in the host's own name."""
    scene = Masquerade(family)
    scene.outside.send(ip(scene.peer, scene.host) / UDP(sport=700, dport=2049) / b"question")
    scene.net.discard()
    sent = pieces(ip(scene.host, scene.peer) / UDP(sport=2049, dport=700) / PAYLOAD)
    scene.inside.send(*sent)
    assert [read(frame.payload) for frame in scene.net.take("outside")] == [read(packet) for packet in sent]


def test_ipv6_options_in_the_first_fragment_only_do_not_part_it_from_the_others() -> None:
    """RFC 8200 4.5: the fragment headers of a packet may name different next headers."""
    scene = routed(6, protocol="udp")
    datagram = l4_of(scene, scene.request(payload=bytes(64)))
    options = bytes(IPv6ExtHdrDestOpt(nh=17))
    first = piece(scene.client.addresses[0], scene.vip, 5, 0, options + datagram[:32], True, protocol=60)
    scene.client.send(first, piece(scene.client.addresses[0], scene.vip, 5, len(options) + 32, datagram[32:], False))
    assert len(scene.net.take("server0")) == 2


def test_at_most_64_pieces_wait_for_one_first_and_512_in_all() -> None:
    # So many sets that no five packets meet in one.
    scene = routed(4, protocol="udp", limits={"fragments": 65536})
    src = scene.client.addresses[0]
    scene.client.send(*(piece(src, scene.vip, 1, 8 * n, bytes(8), True) for n in range(1, 66)))
    assert scene.net.drops() == {"fragment_queue": 1}
    scene.client.send(*(piece(src, scene.vip, 100 + n, 8, bytes(8), True) for n in range(450)))
    assert scene.net.drops() == {"fragment_queue": 2}
    scene.net.wait(31)
    assert scene.net.drops() == {"fragment": 512}


def flooded(family: int, *, limits: dict[str, int]) -> Network:
    """One client, one server and a port from which a flood may come."""
    vip = {4: "10.0.1.100", 6: "fd00:1::100"}[family]
    server = {4: "10.0.2.11", 6: "fd00:2::11"}[family]
    return Network({"outside": Segment(("client", "flood"), ("10.0.1.1/24", "fd00:1::1/64")),
                    "inside": Segment(("server",), ("10.0.2.1/24", "fd00:2::1/64"))},
                   services=[Service((vip,), (Server(server, 8080),), 80, "udp")], **limits)


def test_datagrams_in_pieces_pass_beside_a_flood_of_100_000_fragments() -> None:
    """Of random senders and identifications, with and without a beginning, a thousand between two pieces."""
    net = flooded(4, limits={"sessions": 200_000, "fragments": 1024})
    client, server = net.station("client", "10.0.1.10"), net.station("server", "10.0.2.11")
    client.greet()
    server.greet()
    choose = random.Random(7)
    mac = bytes.fromhex("02dead00000102dead000002")
    template = bytes(piece("10.9.9.9", "10.0.1.100", 1, 8, bytes(16), True))
    head = bytes.fromhex((net.mac("outside")).replace(":", "")) + mac[:6] + b"\x08\x00"

    def stray() -> bytes:
        """A later fragment of a sender of its own; its header's checksum is made good by the identification."""
        words = [int.from_bytes(template[i:i + 2], "big") for i in range(0, 20, 2)]
        words[6], words[7] = 0x0A00 + choose.randrange(3, 200), choose.randrange(1, 65000)
        words[2] = choose.randrange(65536)
        words[5] = 0
        total = sum(words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        words[5] = ~total & 0xFFFF
        return head + b"".join(word.to_bytes(2, "big") for word in words) + template[20:]

    sent = 0
    for number in range(25):
        payload = random.Random(number).randbytes(2000)
        datagram = bytes(UDP(sport=5000 + number, dport=80, chksum=0, len=8 + 2000) / payload)
        parts = pieces_of("10.0.1.10", "10.0.1.100", number, datagram, 504)
        for part in parts:
            client.send(part)
            for _ in range(10):
                net.send("flood", *(stray() for _ in range(100)))
                sent += 100
        got = put_together([part[1:] for part in payloads(net.take("server"))])
        assert got is not None, number
        assert got[8:] == datagram[8:], number
    assert sent == 25 * len(parts) * 1000 == 100_000
    dropped = net.drops()
    assert set(dropped) <= {"fragment_queue", "fragment_overlap", "fragment_again"}, dropped

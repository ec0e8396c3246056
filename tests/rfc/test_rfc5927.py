"""RFC 5927, ICMP attacks against TCP: an error quotes what can have been sent, and ends no session."""

from random import Random

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig
from scapy.packet import Packet

from tests.scenarios.balanced import SERVER, Scene, ip, routed, transparent
from tests.scenarios.frames import TCP
from tests.scenarios.test_masquerade import Scene as Masqueraded
from tests.scenarios.test_quoted_errors import error
from tests.scenarios.test_source_nat import Scene as StoodFor
from tests.scenarios.test_tunnel_errors import answer, too_big, went
from tests.scenarios.tunnelled import tunnelled

BOTH = pytest.mark.parametrize("family", [4, 6])
ISN = {"client": 0xFFFF0100, "server": 0x7000}
FORGED = {"forged_icmp": 1}


def kinds(family: int) -> tuple[Packet, ...]:
    return ((ICMP(type=3, code=3), ICMP(type=3, code=4, nexthopmtu=1300)) if family == 4
            else (ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1300)))


@pytest.fixture(params=[(routed, 4), (routed, 6), (transparent, 4), (transparent, 6)],
                ids=lambda p: f"{p[0].__name__}-v{p[1]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    shape, family = request.param
    scene = shape(family, n_servers=1)
    scene.call("S", seq=ISN["client"])
    scene.answer(0, "SA", seq=ISN["server"], ack=ISN["client"] + 1)
    scene.call("A", seq=ISN["client"] + 1, ack=ISN["server"] + 1)
    return scene


def complain(scene: Scene, side: str, kind: Packet, seq: int) -> list[Packet]:
    """That side has sent an error about a segment of the other's, of which 8 bytes are quoted; what arrived there."""
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    if side == "client":
        scene.client.send(error(mine, scene.vip, kind, scene.restored("A", seq=seq), 8))
        return scene.net.take("server0")
    to = None if scene.hops_lost else scene.client.mac
    scene.servers[0].send(error(theirs, mine, kind, scene.delivered(0, "A", seq=seq), 8), to=to)
    return scene.net.take("client")


@pytest.mark.parametrize(("side", "sender"), [("client", "server"), ("server", "client")])
def test_section_4_1_only_numbers_that_were_sent_are_believed(scene: Scene, side: str, sender: str) -> None:
    """An error passes if it quotes a number of the 64 MiB that were sent last, else it counts as forged."""
    before, random = scene.session(), Random(side)
    for kind in kinds(scene.family):
        for seq in (ISN[sender], ISN[sender] + 1, ISN[sender] - 2**26 + 65536, ISN[sender] + 65535):
            assert len(complain(scene, side, kind, seq % 2**32)) == 1, hex(seq)
        assert scene.net.drops() == {}
        for _ in range(10):
            seq = ISN[sender] + random.randrange(2 * 65536, 2**32 - 2**26 - 65536)
            assert complain(scene, side, kind, seq % 2**32) == []
            assert scene.net.drops() == FORGED
    assert scene.session() == before


def test_section_4_1_a_stream_in_doubt_loses_no_error(scene: Scene) -> None:
    """Where segments do not fit what is known, errors are left to their receiver: a lost one makes a black hole."""
    scene.call("A", seq=2**30, ack=2**30)
    assert len(complain(scene, "server", kinds(scene.family)[1], 2**30)) == 1
    scene.call("A", seq=ISN["client"] + 1, ack=ISN["server"] + 1)
    assert complain(scene, "server", kinds(scene.family)[1], 2**30) == []


@BOTH
@pytest.mark.parametrize("forward", ["ipip", "gue"])
def test_section_4_1_holds_within_tunnels(forward: str, family: int) -> None:
    """An error about a tunnel's packet is judged by the packet within; a forged one teaches no path MTU."""
    scene = tunnelled(forward, family, 4).open()
    whole = {"flags": "DF"} if family == 4 else {}       # else it may be taken apart, and its sender need not know
    segment = TCP(sport=40000, dport=80, flags="A", seq=1) / bytes(1400)
    sent = ip(scene.client.addresses[0], scene.vip, **whole) / segment
    outer = went(scene, sent)
    forged = bytes(outer).replace(bytes(sent[TCP])[:8], bytes(sent[TCP])[:4] + b"\x40\0\0\0")
    scene.net.discard()
    answer(scene, too_big(4, 1300), type(outer)(forged))
    assert (scene.net.take("client"), scene.net.drops()) == ([], FORGED)
    answer(scene, too_big(4, 1300), outer)
    assert len(scene.net.take("client")) == 1


@BOTH
def test_section_4_1_holds_for_masqueraded_flows_both_ways(family: int) -> None:
    """An error into and out of a segment that masquerades is about what was sent; the flow lives on."""
    scene = Masqueraded(family)
    kind = kinds(family)[0]
    seen = scene.leaves(ip(scene.host, scene.peer) / TCP(sport=5000, dport=53, flags="S", seq=100))
    reply = TCP(sport=53, dport=seen.sport, flags="SA", seq=2**31, ack=101)
    scene.outside.send(ip(scene.peer, scene.own) / reply)
    got = scene.inside.take_one()
    before = scene.net.worker.flows(now_ns=scene.net.now_ns)
    for number, count in ((100, 1), (2**30, 0)):
        seen[TCP].seq = number
        scene.outside.send(error(scene.peer, scene.own, kind, seen, 8))
        assert len(scene.net.take("inside")) == count
        assert scene.net.drops() == ({} if count else FORGED)
    for number, count in ((2**31, 1), (2**30, 0)):
        got[TCP].seq = number
        scene.inside.send(error(scene.host, scene.peer, kind, got, 8))
        assert len(scene.net.take("outside")) == count
        assert scene.net.drops() == ({} if count else FORGED)
    assert scene.net.worker.flows(now_ns=scene.net.now_ns) == before


@BOTH
def test_section_4_1_holds_where_an_address_stands_for_the_client(family: int) -> None:
    """An error of the server about what it was sent in another's name is judged by the client's numbers."""
    scene = StoodFor(family)
    seen = scene.call()
    kind = kinds(family)[1]
    for number, drops in ((seen[TCP].seq, {}), (2**30, FORGED)):
        seen[TCP].seq = number
        scene.servers[0].send(error(SERVER[family].format(11), seen.src, kind, seen, 8))
        assert scene.net.drops() == drops


@BOTH
def test_section_4_1_udp_has_no_number_to_be_judged_by(family: int) -> None:
    """What lies there in a datagram is its length and checksum."""
    scene = routed(family, protocol="udp", n_servers=1)
    scene.call("", payload=b"question")
    mine, theirs = scene.client.addresses[0], scene.servers[0].addresses[0]
    scene.servers[0].send(error(theirs, mine, kinds(family)[0], scene.delivered(0, payload=b"question"), 8))
    assert len(scene.net.take("client")) == 1

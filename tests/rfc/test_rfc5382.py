"""RFC 5382, what a NAT owes TCP: sessions of services, and flows of segments that masquerade.

Not followed: REQ-1 and REQ-3. A mapping is of one pair of ends (ext/tables/flow.pxd), as nobody else is to use it.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach
from scapy.packet import Packet

from swlb.config.service_models import TIMEOUTS
from tests.oracle.checksum import flaws
from tests.scenarios.balanced import ip, routed
from tests.scenarios.frames import TCP
from tests.scenarios.test_masquerade import Scene as Masqueraded
from tests.scenarios.test_quoted_errors import error

BOTH = pytest.mark.parametrize("family", [4, 6])
TWO_HOURS_4_MINUTES = 7440.0
FOUR_MINUTES = 240.0


class Pair:
    """A masqueraded host and its peer outside, who are heard by each other, whatever they say."""

    def __init__(self, family: int = 4, **given: object) -> None:
        self.scene = Masqueraded(family, **given)
        self.port = 0                                          # as the peer sees the host

    def host(self, flags: str, **fields: int) -> Packet:
        """The host's segment, as it reached the peer."""
        scene = self.scene
        seen = scene.leaves(ip(scene.host, scene.peer) / TCP(sport=5000, dport=53, flags=flags, **fields))
        assert self.port in (0, seen.sport)
        self.port = seen.sport
        return seen

    def peer(self, flags: str, **fields: int) -> None:
        """The peer's segment, which has reached the host as sent to it."""
        scene, fields = self.scene, {"sport": 53, "flags": flags, **fields}
        scene.outside.send(ip(scene.peer, scene.own) / TCP(dport=self.port, **fields))
        scene.inside.expect(ip(scene.peer, scene.host, 63) / TCP(dport=5000, **fields))

    def state(self) -> str:
        (row,) = self.scene.net.worker.flows(now_ns=self.scene.net.now_ns)
        return row[5]


@BOTH
def test_section_5_req_2_a_connection_from_syn_to_fin_passes(family: int) -> None:
    """All segments of an ordinary connection pass in both directions."""
    pair = Pair(family)
    pair.host("S", seq=10)
    pair.peer("SA", seq=90, ack=11)
    pair.host("A", seq=11, ack=91)
    assert pair.state() == "ESTABLISHED"
    pair.host("FA", seq=11, ack=91)
    pair.peer("A", seq=91, ack=12)
    pair.peer("FA", seq=91, ack=12)
    pair.host("A", seq=12, ack=92)
    assert pair.state() == "TIME_WAIT"


@BOTH
def test_section_4_2_req_2_both_ends_may_begin_at_once(family: int) -> None:
    """Two SYNs that cross are one connection, which is established once each has acknowledged the other's."""
    pair = Pair(family)
    pair.host("S", seq=10)
    pair.peer("S", seq=90)
    pair.host("SA", seq=10, ack=91)
    pair.peer("SA", seq=90, ack=11)
    pair.host("A", seq=11, ack=91)
    assert pair.state() == "ESTABLISHED"
    pair.peer("PA", seq=91, ack=11)


@BOTH
def test_section_4_3_req_4_an_unsolicited_syn_is_not_answered(family: int) -> None:
    """A SYN that comes before the host's own is dropped and not refused, so that its repetition passes."""
    source = {4: "10.0.1.200", 6: "fd00:1::200"}[family]
    pair = Pair(family, pool=(source,))
    scene = pair.scene
    pair.host("S", seq=10)
    pool = scene.net.worker.flows(now_ns=scene.net.now_ns)
    assert len(pool) == 1
    scene.outside.send(ip(scene.peer, source) / TCP(sport=54, dport=pair.port, flags="S", seq=7))
    scene.net.expect_silence()
    assert scene.net.drops() == {"orphan": 1}
    scene.outside.send(ip(scene.peer, source) / TCP(sport=53, dport=pair.port, flags="S", seq=7))
    assert scene.inside.take_one()[TCP].flags == "S"


@BOTH
@pytest.mark.parametrize("closer", ["client", "server"])
def test_section_4_4_a_half_closed_connection_lives_as_long_as_it_is_used(family: int, closer: str) -> None:
    """One side has closed and the other goes on sending, now and then, for an hour."""
    scene = routed(family, n_servers=1)
    scene.open()
    if closer == "client":
        scene.call("FA")
    else:
        scene.answer(0, "FA")
    for _ in range(40):
        scene.net.now_ns += 100 * 10**9
        scene.greet()
        if closer == "client":
            scene.servers[0].send(scene.reply(0, "PA"))
        else:
            scene.client.send(scene.request("PA"))
        assert scene.state() == ("CLOSE_WAIT" if closer == "client" else "FIN_WAIT")
        assert len(scene.net.take("client" if closer == "client" else "server0")) == 1


def test_section_5_req_5_idle_timeout_of_established() -> None:
    """An established connection that is idle is kept for two hours and four minutes, unless it is told otherwise."""
    assert TIMEOUTS.tcp_established >= TWO_HOURS_4_MINUTES
    scene = routed(4, n_servers=1, timeouts={"tcp_established": TIMEOUTS.tcp_established})
    scene.open()
    scene.net.now_ns += int(TWO_HOURS_4_MINUTES * 10**9) - 10**6
    scene.servers[0].send(scene.reply(0, "PA"))
    assert scene.state() == "ESTABLISHED"
    assert len(scene.net.take("client")) == 1


@pytest.mark.parametrize(("state", "key"), [("SYN_RECV", "tcp_syn"), ("CLOSE_WAIT", "tcp_fin"),
                                            ("TIME_WAIT", "tcp_fin")])
def test_section_5_req_5_transitory_timeout_can_be_four_minutes(state: str, key: str) -> None:
    """By default it is shorter; what is set holds."""
    assert getattr(TIMEOUTS, key) < FOUR_MINUTES
    scene = routed(4, n_servers=1, timeouts={key: FOUR_MINUTES})
    scene.call("S")
    if state != "SYN_RECV":
        scene.answer(0, "SA")
        scene.call("A")
        scene.call("FA")
    if state == "TIME_WAIT":
        scene.answer(0, "FA")
    assert (scene.state(), scene.session()["left_ms"]) == (state, FOUR_MINUTES * 1000)


def test_section_7_1_req_7_no_port_is_overloaded() -> None:
    """No two of a host's connections are one port outside, whomever they are with."""
    scene = Masqueraded(4)
    seen = {scene.leaves(ip(scene.host, scene.peer) / TCP(sport=sport, dport=1 + sport % 3, flags="S")).sport
            for sport in range(5000, 5200)}
    assert len(seen) == 200


@BOTH
def test_section_7_4_req_9_unreachable_is_translated(family: int) -> None:
    """An error about a connection reaches the host about its own segment."""
    pair = Pair(family)
    scene, seen = pair.scene, pair.host("S", seq=10)
    kind = ICMP(type=3, code=1) if family == 4 else ICMPv6DestUnreach(code=3)
    scene.outside.send(error(scene.peer, scene.own, kind, seen))
    got = scene.inside.take_one()
    assert (got.dst, flaws(bytes(got))) == (scene.host, [])
    quoted = bytes(got)[-len(bytes(seen)):]
    sent = type(seen)(bytes(ip(scene.host, scene.peer, 63) / TCP(sport=5000, dport=53, flags="S", seq=10)))
    assert quoted == bytes(sent)


@BOTH
def test_section_7_4_req_10_an_error_ends_nothing(family: int) -> None:
    """After any error about it the connection goes on, through the same mapping and for as long."""
    pair = Pair(family)
    scene, seen = pair.scene, pair.host("S", seq=10)
    before = scene.net.worker.flows(now_ns=scene.net.now_ns)
    for code in range(16 if family == 4 else 7):
        kind = ICMP(type=3, code=code) if family == 4 else ICMPv6DestUnreach(code=code)
        scene.outside.send(error(scene.peer, scene.own, kind, seen))
    assert scene.net.worker.flows(now_ns=scene.net.now_ns) == before
    scene.net.discard()
    pair.peer("SA", seq=90, ack=11)


@BOTH
@pytest.mark.parametrize("isn", [5000, 2**31 + 5000])
def test_section_5_a_closed_connection_may_be_opened_again_at_once(family: int, isn: int) -> None:
    """A SYN from the ports of a connection that was closed or reset is a new one, with numbers of its own."""
    scene = routed(family, n_servers=1)
    scene.open(seq=1)
    scene.call("RA", seq=1)
    assert scene.state() == "CLOSED"
    assert scene.call("S", seq=isn) == 0
    scene.answer(0, "SA", seq=77, ack=isn + 1)
    assert scene.call("A", seq=isn + 1, ack=78) == 0
    assert scene.state() == "ESTABLISHED"
    scene.call("R", seq=1 + 2**30)
    assert scene.state() == "ESTABLISHED"
    scene.call("R", seq=isn + 1)
    assert scene.state() == "CLOSED"


@BOTH
def test_section_5_a_syn_that_is_sent_again_keeps_its_session(family: int) -> None:
    """Retransmissions of the SYN go to the same server and are one session."""
    scene = routed(family, n_servers=3)
    assert [scene.call("S", seq=5) for _ in range(4)] == [0] * 4
    assert (len(scene.sessions()), scene.state()) == (1, "SYN_RECV")


@BOTH
def test_section_5_req_5_what_others_began_before_a_restart_is_established(family: int) -> None:
    """A connection into an open segment that is met in mid-stream is kept as long as any established one."""
    scene = Masqueraded(family)
    scene.outside.send(ip(scene.peer, scene.host) / TCP(sport=7, dport=22, flags="PA", seq=2**31, ack=5))
    scene.net.now_ns += 3600 * 10**9
    scene.outside.greet()
    scene.inside.greet()
    scene.inside.send(ip(scene.host, scene.peer) / TCP(sport=22, dport=7, flags="A", seq=5, ack=2**31))
    scene.outside.expect(ip(scene.host, scene.peer, 63) / TCP(sport=22, dport=7, flags="A", seq=5, ack=2**31))

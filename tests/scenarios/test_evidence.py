"""What traffic says of a server: who was answered, asked again, was refused, or was never answered."""

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig
from scapy.packet import Packet

from .balanced import Scene, ip, routed, transparent

BOTH = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
FORWARDS = pytest.mark.parametrize("forward", ["dsr", "ipip", "gue"])
NAMES = ("answered", "repeated", "refused", "unanswered")
SYN_S, UDP_S = 5.0, 4.0
SWEPT_S = 1.2           # an expired session is found within a second


def behind(family: int, protocol: str = "tcp", *, shape: Callable = routed, **service: object) -> Scene:
    """One server, whose sessions expire soon."""
    return shape(family, protocol=protocol, n_servers=1, timeouts={"tcp_syn": SYN_S, "udp": UDP_S}, **service)


def evidence(scene: Scene, server: int = 0) -> dict[str, int]:
    """What was counted at all."""
    counters = scene.counters(server)
    return {name: counters[name] for name in NAMES if counters[name]}


def ask(scene: Scene, *pauses: float, sport: int = 40000, flags: str = "S") -> None:
    """The client has asked, and after each pause once more."""
    scene.client.send(scene.request(flags, sport=sport))
    for pause in pauses:
        scene.net.wait(pause)
        scene.client.send(scene.request(flags, sport=sport))


def expire(scene: Scene) -> None:
    """Whatever was not answered has expired."""
    scene.net.wait(max(SYN_S, UDP_S) + SWEPT_S, step=0.5)
    assert {row["state"] for row in scene.sessions()} <= {"ESTABLISHED", "TWO_WAY", "CLOSED"}


# ---- TCP ----

@BOTH
def test_a_connection_is_answered_once_the_client_has_acknowledged_it(family):
    scene = behind(family)
    scene.call("S")
    scene.answer(0, "SA")
    assert evidence(scene) == {}
    scene.call("A")
    assert evidence(scene) == {"answered": 1}


@BOTH
def test_what_an_established_connection_does_is_no_evidence(family):
    scene = behind(family)
    scene.open()
    for flags, reply in (("PA", "A"), ("S", "A"), ("FA", "FA"), ("A", "R")):
        scene.call(flags)
        scene.send_reply(0, reply)
    expire_closed = 130.0
    scene.net.wait(expire_closed, step=5.0)
    assert evidence(scene) == {"answered": 1}


@BOTH
@pytest.mark.parametrize("pauses", [(1.0,), (1.0, 2.0), (0.5,)])
def test_a_connection_that_is_asked_for_again_counts_once(family, pauses):
    scene = behind(family)
    ask(scene, *pauses)
    assert evidence(scene) == {"repeated": 1}
    expire(scene)
    assert evidence(scene) == {"repeated": 1}


def test_the_same_syn_twice_is_not_asking_again():
    scene = behind(4)
    ask(scene, 0.0, 0.4)
    assert evidence(scene) == {}


@BOTH
def test_a_client_that_asks_again_although_the_server_has_answered_is_no_evidence(family):
    """The answer was lost on its way to the client."""
    scene = behind(family)
    ask(scene)
    scene.send_reply(0, "SA")
    scene.net.wait(1.0)
    ask(scene)
    assert evidence(scene) == {}


@BOTH
def test_a_reset_where_an_answer_was_due_is_a_refusal(family):
    scene = behind(family)
    scene.call("S")
    scene.answer(0, "RA")
    assert evidence(scene) == {"refused": 1}
    expire_closed = 12.0
    scene.net.wait(expire_closed, step=1.0)
    assert evidence(scene) == {"refused": 1}


@BOTH
@pytest.mark.parametrize(("flags", "ack"), [("R", 0), ("RA", 2**30)])
def test_a_reset_that_does_not_answer_the_syn_says_nothing(family, flags, ack):
    scene = behind(family)
    scene.call("S")
    scene.answer(0, flags, ack=ack)
    assert evidence(scene) == {}


@BOTH
def test_a_port_that_is_refused_twice_counts_twice(family):
    scene = behind(family)
    for _ in range(2):
        scene.call("S")
        scene.answer(0, "RA")
    assert evidence(scene) == {"refused": 2}


@BOTH
@pytest.mark.parametrize("before", ["SA", "A"])
def test_a_reset_after_an_answer_is_no_refusal(family, before):
    scene = behind(family)
    scene.call("S")
    scene.answer(0, before)
    scene.answer(0, "R")
    assert evidence(scene) == {}


@BOTH
def test_a_client_that_resets_says_nothing_of_the_server(family):
    scene = behind(family)
    scene.call("S")
    scene.call("R")
    expire(scene)
    assert evidence(scene) == {}


@BOTH
def test_a_client_that_acknowledges_what_was_never_sent_was_not_answered(family):
    scene = behind(family)
    scene.call("S")
    scene.call("A")
    assert evidence(scene) == {}


@BOTH
def test_a_connection_that_expires_without_an_answer_counts_then(family):
    scene = behind(family)
    ask(scene)
    scene.net.wait(SYN_S - 0.1)
    assert evidence(scene) == {}
    expire(scene)
    assert evidence(scene) == {"unanswered": 1}


@BOTH
def test_a_connection_that_the_client_gives_up_after_an_answer_is_no_evidence(family):
    """A flood of SYN: the server answers, nobody acknowledges."""
    scene = behind(family)
    for sport in range(40000, 40020):
        scene.call("S", sport=sport)
        scene.answer(0, "SA", dport=sport)
    expire(scene)
    assert evidence(scene) == {}


@BOTH
def test_one_that_has_expired_and_is_asked_for_again_before_it_was_swept_counts(family):
    scene = behind(family)
    ask(scene)
    scene.net.now_ns += int(SYN_S * 1e9)
    ask(scene)
    assert evidence(scene) == {"unanswered": 1}


# ---- UDP ----

@BOTH
def test_a_session_of_datagrams_is_answered_once(family):
    scene = behind(family, "udp")
    scene.call()
    assert evidence(scene) == {}
    for _ in range(3):
        scene.answer(0)
        scene.call()
    assert evidence(scene) == {"answered": 1}


@BOTH
def test_datagrams_that_are_never_answered_count_when_their_session_ends(family):
    scene = behind(family, "udp")
    ask(scene, 1.0, 1.0)
    assert evidence(scene) == {}
    expire(scene)
    assert evidence(scene) == {"unanswered": 1}


# ---- ICMP errors ----

def error(scene: Scene, kind: str, sender: str) -> Packet:
    """What the sender says of the request that reached the server: there is nobody, it is forbidden, it is too big."""
    quoted = bytes(scene.delivered(0, "S"))
    head = ip(sender, scene.client.addresses[0])
    if scene.family == 4:
        return head / ICMP(type=3, code={"nobody": 3, "forbidden": 13, "too big": 4}[kind]) / quoted
    if kind == "too big":
        return head / ICMPv6PacketTooBig(mtu=1280) / quoted
    return head / ICMPv6DestUnreach(code={"nobody": 4, "forbidden": 1}[kind]) / quoted


@BOTH
@PROTOCOLS
@pytest.mark.parametrize("kind", ["nobody", "forbidden"])
def test_a_server_that_says_there_is_nobody_refuses(family, protocol, kind):
    scene = behind(family, protocol)
    scene.call("S")
    scene.servers[0].send(error(scene, kind, scene.servers[0].addresses[0]))
    assert evidence(scene) == {"refused": 1}


@BOTH
@PROTOCOLS
def test_a_server_that_says_it_was_too_big_does_not_refuse(family, protocol):
    scene = behind(family, protocol)
    scene.call("S")
    scene.servers[0].send(error(scene, "too big", scene.servers[0].addresses[0]))
    assert evidence(scene) == {}


@BOTH
@PROTOCOLS
def test_a_router_that_says_there_is_nobody_is_not_the_server(family, protocol):
    scene = behind(family, protocol)
    scene.call("S")
    scene.servers[0].send(error(scene, "nobody", "10.0.2.77" if family == 4 else "fd00:2::77"))
    assert evidence(scene) == {}


@BOTH
def test_an_error_about_an_answered_session_is_no_refusal(family):
    scene = behind(family, "udp")
    scene.call()
    scene.answer(0)
    scene.servers[0].send(error(scene, "nobody", scene.servers[0].addresses[0]))
    assert evidence(scene) == {"answered": 1}


# ---- what ends sessions, and who has them ----

@BOTH
def test_a_session_that_is_flushed_says_nothing(family):
    scene = behind(family)
    ask(scene)
    scene.net.worker.flush_sessions()
    expire(scene)
    assert evidence(scene) == {}


def test_each_server_has_its_own_evidence():
    scene = routed(4, n_servers=2)
    assert [scene.call("S", sport=sport) for sport in (1, 2)] == [0, 1]
    scene.answer(0, "RA", dport=1)
    scene.net.wait(1.0)
    scene.call("S", sport=2)
    assert [evidence(scene, server) for server in (0, 1)] == [{"refused": 1}, {"repeated": 1}]


@BOTH
@PROTOCOLS
def test_behind_an_address_of_swlb_s_own_it_is_the_same(family, protocol):
    pool = ("10.0.2.1" if family == 4 else "fd00:2::1",)
    scene = behind(family, protocol, source_nat="always", source_pool=pool)

    def called(flags: str, sport: int) -> Packet:
        scene.client.send(scene.request(flags, sport=sport))
        return scene.net.take("server0")[-1].payload

    def replied(to: Packet, flags: str) -> None:
        scene.servers[0].send(ip(to.dst, to.src) / scene.l4(8080, to.payload.sport, flags))

    answered = called("S", 1)
    replied(answered, "SA")
    called("A", 1)
    called("S", 2)
    scene.net.wait(1.0)
    called("S", 2)
    if protocol == "tcp":
        replied(called("S", 3), "RA")
        assert evidence(scene) == {"answered": 1, "repeated": 1, "refused": 1}
    expire(scene)
    assert evidence(scene) == ({"answered": 1, "repeated": 1, "refused": 1} if protocol == "tcp"
                               else {"answered": 1, "unanswered": 1})


# ---- replies that go past swlb ----

@BOTH
@FORWARDS
def test_where_replies_go_past_the_client_s_acknowledgement_is_the_answer(family, forward):
    scene = behind(family, forward=forward, server_port=0)
    ask(scene)
    assert evidence(scene) == {}
    ask(scene, flags="A")
    assert evidence(scene) == {"answered": 1}


@BOTH
@FORWARDS
def test_where_replies_go_past_only_asking_again_is_evidence(family, forward):
    scene = behind(family, forward=forward, server_port=0)
    ask(scene, sport=1)
    ask(scene, 1.0, sport=2)
    expire(scene)
    assert evidence(scene) == {"repeated": 1}


@BOTH
@FORWARDS
def test_where_replies_go_past_datagrams_are_no_evidence(family, forward):
    scene = behind(family, "udp", forward=forward, server_port=0)
    ask(scene, 1.0, sport=1)
    ask(scene, sport=2)
    scene.net.wait(310.0, step=5.0)
    assert scene.sessions() == []
    assert evidence(scene) == {}


@BOTH
def test_a_reset_that_is_heard_all_the_same_is_a_refusal(family):
    scene = behind(family, shape=transparent, forward="dsr", server_port=0)
    ask(scene)
    scene.servers[0].send(ip(scene.vip, scene.client.addresses[0]) / scene.l4(80, 40000, "RA"), to=scene.client.mac)
    assert evidence(scene) == {"refused": 1}

"""Why a new session was given to its server: what a worker writes down about it, and for how long."""

import pytest
from scapy.layers.l2 import Ether

from .balanced import Scene, Shared, ip, routed
from .frames import TCP
from .layout import DRAIN, UP, Service
from .layout import Server as RealServer
from .network import address_text

BOTH = pytest.mark.parametrize("family", [4, 6])


def decisions(scene: Scene) -> list[dict]:
    """All that are kept, oldest first; servers by their number in the scenario."""
    return [{**row, "client": address_text(row["client"])} for row in scene.net.worker.decisions()]


@BOTH
@pytest.mark.parametrize(("protocol", "number"), [("tcp", 6), ("udp", 17)])
def test_a_decision_says_whose_session_it_is_and_when_it_began(family: int, protocol: str, number: int) -> None:
    scene = routed(family, protocol=protocol)
    scene.net.wait(2.5)
    assert scene.call(sport=40000) == 0
    (row,) = decisions(scene)
    assert (row["client"], row["client_port"], row["vip_port"]) == (scene.client.addresses[0], 40000, 80)
    assert (row["protocol"], row["server"], row["at_ns"]) == (number, scene.net.servers[0], scene.net.now_ns)
    assert (row["scheduler"], row["because"], row["named"]) == ("rr", "scheduler", None)
    assert (row["backup"], row["mid_stream"]) == (False, False)


def test_there_is_one_for_every_new_session_and_none_for_more_packets_of_it() -> None:
    scene = routed()
    assert [scene.open(sport=port) for port in (1, 2, 3, 4)] == [0, 1, 2, 0]
    assert [(row["client_port"], row["server"]) for row in decisions(scene)] == [(1, 0), (2, 1), (3, 2), (4, 0)]


def test_figures_are_of_the_moment_before_the_session_began() -> None:
    scene = routed(n_servers=2, weights=(3, 5))
    scene.open(sport=1)
    assert [scene.call(sport=port) for port in (2, 3, 4, 5)] == [1, 0, 1, 0]
    assert [(row["active"], row["inactive"], row["weight"]) for row in decisions(scene)] == [
        (0, 0, 3), (0, 0, 5), (1, 0, 3), (0, 1, 5), (1, 1, 3)]


def test_candidates_are_servers_that_take_sessions() -> None:
    scene = routed()
    scene.call(sport=1)
    scene.net.set_server(1, ready=UP | DRAIN)
    scene.call(sport=2)
    scene.net.set_server(2, weight=0)
    scene.call(sport=3)
    assert [row["candidates"] for row in decisions(scene)] == [3, 2, 1]


@BOTH
def test_who_cannot_tell_the_session_from_another_is_named_with_the_next(family: int) -> None:
    scene = routed(family, port=(80, 89))
    assert [scene.call(sport=port, dport=80) for port in (1, 2, 3)] == [0, 1, 2]
    assert scene.call(sport=2, dport=81) == 0
    # It is the turn of server 1, which has the port of client 2 in use; so has server 0.
    assert scene.call(sport=2, dport=82) == 2
    row = decisions(scene)[-1]
    assert (row["because"], row["named"], row["server"]) == ("next", 1, 2)
    assert [row["because"] for row in decisions(scene)[:-1]] == ["scheduler"] * 4


def test_a_port_that_is_used_again_is_a_new_decision() -> None:
    scene = routed()
    scene.open(sport=1)
    scene.call("R", sport=1)
    assert scene.call("S", sport=1) == 1
    assert [(row["client_port"], row["server"]) for row in decisions(scene)] == [(1, 0), (1, 1)]


def test_what_began_no_session_was_no_decision() -> None:
    scene = routed(limits={"sessions": 1})
    scene.open(sport=1)
    assert scene.call(sport=2) is None
    scene.client.send(scene.request("A", sport=3))
    for number in range(3):
        scene.net.set_server(number, ready=0)
    assert scene.call(sport=4) is None
    assert scene.net.drops() == {"session_full": 1, "orphan": 1, "no_server": 1}
    assert [row["client_port"] for row in decisions(scene)] == [1]


def test_probes_of_swlb_s_own_are_none() -> None:
    scene = routed(host=True, probe_idle=5.0)
    scene.net.pin(40000, 1)
    frame = scene.client.frame(scene.request(sport=40000, src="10.0.1.1"))
    scene.net.send("outside-host", frame)
    assert len(scene.net.take("server1")) == 1
    assert decisions(scene) == []


def test_a_backup_is_told_to_be_one() -> None:
    net = Shared(Service(("10.0.1.100",), (RealServer("10.0.2.11", 80), RealServer("10.0.2.12", 80, backup=True)))).net
    syn = ip("10.0.1.10", "10.0.1.100") / TCP(dport=80, flags="S")
    for sport, ready in ((1, UP), (2, 0)):
        net.set_server(0, ready=ready)
        syn.sport = sport
        net.send("client", Ether(dst=net.mac("outside")) / syn)
    assert [(row["server"], row["backup"], row["candidates"]) for row in net.worker.decisions()] == [
        (0, False, 1), (1, True, 1)]


def test_the_last_1024_are_kept() -> None:
    scene = routed(protocol="udp")
    scene.client.send(*[scene.request(sport=port) for port in range(1, 1101)])
    scene.net.discard()
    assert [row["client_port"] for row in decisions(scene)] == list(range(77, 1101))


def test_a_probe_takes_nobody_s_place_among_them() -> None:
    scene = routed(host=True, probe_idle=5.0)
    scene.client.send(*[scene.request(sport=port) for port in range(1, 1101)])
    scene.net.pin(40000, 1)
    scene.net.send("outside-host", scene.client.frame(scene.request(sport=40000, src="10.0.1.1")))
    scene.net.discard()
    assert [row["client_port"] for row in decisions(scene)] == list(range(77, 1101))

"""A server, or a client, whose MAC nobody answers for: host unreachable, about the packet as its sender sent it."""

from collections.abc import Callable

import pytest

from tests.oracle.checksum import flaws

from .balanced import Scene, routed, transparent

BOTH = pytest.mark.parametrize("family", [4, 6])
KINDS = pytest.mark.parametrize("kind", [(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")], ids=str)
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])
RESOLVING_S = 3.2       # three requests, one a second


def unanswered(shape: Callable, family: int, protocol: str = "tcp") -> Scene:
    """A scene in which only the client is known."""
    scene = shape(family, protocol=protocol, greet=False)
    scene.client.greet()
    scene.net.drops()
    return scene


@SHAPES
@KINDS
def test_host_unreachable_quotes_what_the_client_sent_to_the_vip(shape: Callable, kind: tuple[int, str]) -> None:
    family, protocol = kind
    scene = unanswered(shape, family, protocol)
    scene.client.send(scene.request("S", payload=b"hello", hops=5))
    scene.net.worker.take(scene.net.ports["client"])
    scene.net.wait(RESOLVING_S)
    # In one segment the client hears swlb ask for the server, too.
    error, = (frame.payload for frame in scene.net.take("client") if frame.dst == scene.client.mac)
    assert (error.src, error.dst) == (scene.client.own_address(family), scene.client.addresses[0])
    assert (error.payload.type, error.payload.code) == ((3, 1) if family == 4 else (1, 3))
    assert bytes(error.payload)[8:] == bytes(scene.request("S", payload=b"hello", hops=5))
    assert flaws(bytes(error)) == []
    assert scene.net.drops() == {"neighbour_failed": 1}


@BOTH
def test_host_unreachable_comes_at_once_while_the_server_is_known_to_be_silent(family: int) -> None:
    scene = unanswered(routed, family)
    scene.client.send(scene.request("S"))
    scene.net.wait(RESOLVING_S)
    scene.net.discard()
    scene.client.send(scene.request("S"))
    assert bytes(scene.client.take_one().payload)[8:] == bytes(scene.request("S"))


@BOTH
def test_packets_that_waited_leave_in_order_once_the_server_answers(family: int) -> None:
    scene = unanswered(routed, family)
    scene.client.send(scene.request("S"), scene.request("A"), scene.request("PA", payload=b"x"))
    scene.net.discard()
    scene.net.send("server0", scene.servers[0].question(scene.servers[0].addresses[0]))
    got = [bytes(frame.payload) for frame in scene.net.take("server0")][1:]
    assert got == [bytes(scene.delivered(0, "S")), bytes(scene.delivered(0, "A")),
                   bytes(scene.delivered(0, "PA", payload=b"x"))]


@BOTH
def test_server_is_told_host_unreachable_about_its_own_packet_when_the_client_is_silent(family: int) -> None:
    scene = routed(family)
    scene.call("S")
    scene.net.worker.flush_neighbours(scene.net.segments["outside"])
    scene.servers[0].send(scene.reply(0, "SA", hops=7, payload=b"data"))
    scene.net.wait(RESOLVING_S)
    error = scene.net.take("server0")[-1].payload
    assert error.src == scene.servers[0].own_address(family)
    assert bytes(error.payload)[8:] == bytes(scene.reply(0, "SA", hops=7, payload=b"data"))

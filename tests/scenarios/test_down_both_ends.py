"""A session that ends because its server went down: client and server are both told, whoever speaks next."""

from collections.abc import Callable

import pytest
from scapy.layers.inet import TCP
from scapy.packet import Packet

from . import test_source_nat as standing_in
from .balanced import SERVER, Scene, ip, routed, transparent
from .network import Network
from .test_dsr import dsr
from .tunnelled import ALL_WAYS, tunnelled

BOTH = pytest.mark.parametrize("family", [4, 6])
SHAPES = pytest.mark.parametrize("shape", [routed, transparent])
TICK_S = 0.2
SEQ, ACK = 5000, 9000


def own(family: int) -> dict[str, object]:
    """How swlb's own IP headers differ from scapy's defaults."""
    return {"id": 0, "flags": "DF"} if family == 4 else {}


def reset(family: int, src: str, dst: str, sport: int, dport: int, seq: int) -> Packet:
    """A reset as swlb writes one."""
    return ip(src, dst, **own(family)) / TCP(sport=sport, dport=dport, flags="R", seq=seq, window=0)


def to_server(scene: Scene, seq: int, server: int = 0) -> Packet:
    """The reset that the server has to receive, as from its client."""
    client, address = scene.client.addresses[0], scene.servers[server].addresses[0]
    return reset(scene.family, client, address, 40000, scene.server_port or scene.port, seq)


def to_client(scene: Scene, seq: int, hops: int = 64) -> Packet:
    """The reset that the client has to receive, as from the VIP."""
    packet = reset(scene.family, scene.vip, scene.client.addresses[0], scene.port, 40000, seq)
    setattr(packet, "ttl" if scene.family == 4 else "hlim", hops)
    return packet


def settled(net: Network) -> None:
    """What swlb announces at the start is over."""
    net.wait(4)
    net.discard()


def down(shape: Callable[..., Scene], family: int, **service: object) -> Scene:
    """The scene with an established connection to server 0, which has gone down since."""
    scene = shape(family, n_servers=1, **service)
    settled(scene.net)
    scene.open()
    scene.net.set_server(0, ready=0)
    return scene


def waited(scene: Scene) -> None:
    scene.net.wait(TICK_S)


@SHAPES
@BOTH
@pytest.mark.parametrize("on_down", ["default", "reset"])
def test_when_the_client_speaks_both_are_told(shape: Callable, family: int, on_down: str) -> None:
    scene = down(shape, family, on_down=on_down)
    scene.client.send(scene.request("PA", seq=SEQ, ack=ACK, payload=b"more"))
    scene.client.expect(to_client(scene, ACK))
    waited(scene)
    scene.servers[0].expect(to_server(scene, SEQ))
    assert (scene.sessions(), scene.net.drops()) == ([], {"server_down": 1})


@SHAPES
@BOTH
@pytest.mark.parametrize("on_down", ["default", "reset"])
def test_when_the_server_speaks_both_are_told(shape: Callable, family: int, on_down: str) -> None:
    scene = down(shape, family, on_down=on_down)
    scene.send_reply(0, "PA", seq=SEQ, ack=ACK, payload=b"pushed")
    scene.client.expect(to_client(scene, SEQ, hops=64 - scene.hops_lost))
    waited(scene)
    scene.servers[0].expect(to_server(scene, ACK))
    assert (scene.sessions(), scene.net.drops()) == ([], {"server_down": 1})


@BOTH
def test_a_super_frame_of_the_server_is_answered_by_one_whole_reset(family: int) -> None:
    scene = down(routed, family)
    # VIRTIO_NET_HDR_F_NEEDS_CSUM, GSO_TCPV4 or GSO_TCPV6, the L4 header's place and segments of 1000 bytes.
    headers = 14 + (20 if family == 4 else 40)
    offload = bytes((1, 1 if family == 4 else 4)) + b"".join(
        number.to_bytes(2, "little") for number in (headers + 20, 1000, headers, 16))  # fmt: skip
    scene.send_reply(0, "PA", offload=offload, seq=SEQ, ack=ACK, payload=bytes(3000))
    scene.client.expect(to_client(scene, SEQ, hops=63))


@BOTH
@pytest.mark.parametrize("on_down", ["keep", "reschedule", "drop"])
def test_what_the_server_says_goes_on_by_the_other_policies(family: int, on_down: str) -> None:
    scene = down(routed, family, on_down=on_down)
    scene.answer(0, "PA", seq=SEQ, ack=ACK, payload=b"pushed")
    waited(scene)
    scene.servers[0].expect()
    assert len(scene.sessions()) == 1


@BOTH
@pytest.mark.parametrize("flags", ["FA", "R", "RA"])
def test_a_server_that_ends_the_connection_itself_is_let_do_so(family: int, flags: str) -> None:
    scene = down(routed, family)
    scene.answer(0, flags, seq=SEQ, ack=ACK)
    waited(scene)
    scene.servers[0].expect()


@BOTH
def test_a_server_whose_connections_are_closing_is_left_alone(family: int) -> None:
    scene = routed(family, n_servers=1)
    scene.open()
    assert scene.call("FA") == 0
    scene.net.set_server(0, ready=0)
    scene.answer(0, "A")


@BOTH
def test_the_reset_of_a_client_tells_the_server_and_is_not_answered(family: int) -> None:
    scene = down(routed, family)
    scene.client.send(scene.request("RA", seq=SEQ, ack=ACK))
    waited(scene)
    scene.client.expect()
    scene.servers[0].expect(to_server(scene, SEQ))


@BOTH
def test_a_server_of_which_no_mac_is_known_is_not_asked_for(family: int) -> None:
    scene = down(routed, family)
    for segment in scene.net.segments.values():
        scene.net.worker.flush_neighbours(segment)
    scene.client.greet()
    scene.net.drops()
    scene.client.send(scene.request("PA", seq=SEQ, ack=ACK))
    scene.client.expect(to_client(scene, ACK))
    waited(scene)
    scene.net.expect_silence()
    assert scene.net.drops() == {"server_down": 1}


@BOTH
@pytest.mark.parametrize("speaks", ["client", "server"])
def test_a_server_that_knows_another_address_is_told_as_by_that(family: int, speaks: str) -> None:
    scene = standing_in.Scene(family=family, n_servers=1)
    client, server = scene.client, scene.servers[0]

    def request(flags: str) -> Packet:
        client.send(ip(client.addresses[0], scene.vip) / scene.l4(40000, 80, flags, seq=SEQ, ack=ACK))
        return scene.net.take("switch")[0].payload

    def reply(flags: str) -> Packet:
        server.send(ip(server.addresses[0], source) / TCP(sport=8080, dport=port, flags=flags, seq=SEQ, ack=ACK))
        return scene.net.take("switch")[0].payload

    settled(scene.net)
    syn = request("S")
    source, port = syn.src, syn[TCP].sport
    assert source == scene.sources[0]
    reply("SA")
    request("A")
    scene.net.set_server(0, ready=0)
    told = request("PA") if speaks == "client" else reply("PA")
    seq, other = (ACK, SEQ) if speaks == "client" else (SEQ, ACK)
    assert bytes(told) == bytes(reset(family, scene.vip, client.addresses[0], 80, 40000, seq))
    scene.net.wait(TICK_S)
    server.expect(reset(family, source, server.addresses[0], port, 8080, other))


@SHAPES
@BOTH
def test_a_server_that_has_the_vip_itself_is_told_as_by_the_client(shape: Callable, family: int) -> None:
    scene = dsr(shape, family, n_servers=1)
    settled(scene.net)
    scene.client.send(scene.request("S"))
    scene.client.send(scene.request("A"))
    assert len(scene.net.take(scene.servers[0].port)) == 2
    scene.net.set_server(0, ready=0)
    scene.client.send(scene.request("PA", seq=SEQ, ack=ACK))
    scene.client.expect(to_client(scene, ACK))
    waited(scene)
    scene.servers[0].expect(reset(family, scene.client.addresses[0], scene.vip, 40000, 80, SEQ))


@ALL_WAYS
def test_a_server_behind_a_tunnel_is_told_through_it(forward: str, inner: int, outer: int) -> None:
    scene = tunnelled(forward, inner, outer)
    settled(scene.net)
    scene.client.send(scene.request("S"))
    scene.client.send(scene.request("A"))
    assert len(scene.arrived()) == 2
    scene.net.set_server(0, ready=0)
    packet = scene.request("PA")
    packet[TCP].seq, packet[TCP].ack = SEQ, ACK
    scene.client.send(packet)
    scene.net.take("client")
    scene.net.wait(TICK_S)
    wanted = reset(inner, scene.client.addresses[0], scene.vip, 40000, 80, SEQ)
    assert scene.arrived() == [bytes(wanted)]
    # What swlb says next of itself is whole again.
    scene.net.worker.announce(scene.net.segments["outside"], now_ns=scene.net.now_ns)
    scene.net.wait(TICK_S)
    assert [frame.src for frame in scene.net.take("client")] == [scene.net.mac("outside")]


def test_more_resets_than_there_is_room_for_are_given_up() -> None:
    scene = routed(4, n_servers=1, limits={"sessions": 3000})
    ports = range(20000, 21100)
    for port in ports:
        scene.open(sport=port)
    scene.net.set_server(0, ready=0)
    frames = [scene.client.frame(scene.request("PA", sport=port, seq=SEQ, ack=ACK)) for port in ports]
    for frame in frames:
        scene.net.worker.put(scene.net.ports["client"], bytes(frame), bytes(10))
        scene.net.worker.turn(scene.net.now_ns)
    assert len(scene.net.take("client")) == len(ports)
    waited(scene)
    told = scene.net.take(scene.servers[0].port)
    assert len({frame[TCP].sport for frame in told}) == len(told) == 1024
    assert all(frame[TCP].flags == "R" and frame.payload.dst == SERVER[4].format(11) for frame in told)

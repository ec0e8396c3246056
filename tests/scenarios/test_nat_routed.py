"""NAT between two segments: what the client and the servers see of it, over both families and protocols."""

import pytest

from tests.oracle.checksum import flaws

from .balanced import Scene, ip, routed
from .frames import TCP, Raw

BOTH = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(params=[(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")], ids=lambda p: f"{p[1]}-v{p[0]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    family, protocol = request.param
    return routed(family, protocol=protocol)


def test_request_reaches_the_server_at_its_address_port_and_mac_with_one_hop_less(scene: Scene) -> None:
    scene.client.send(scene.request("S", payload=b"odd", hops=17))
    scene.servers[0].expect(scene.delivered(0, "S", payload=b"odd", hops=17))


def test_reply_reaches_the_client_from_the_vip_and_the_segment_mac_with_one_hop_less(scene: Scene) -> None:
    scene.call()
    scene.servers[0].send(scene.reply(0, payload=b"abcde", hops=9))
    scene.client.expect(scene.restored(payload=b"abcde", hops=9))


def test_checksums_are_what_a_full_recompute_gives(scene: Scene) -> None:
    scene.client.send(scene.request(payload=b"x" * 999))
    out = bytes(scene.servers[0].take_one())
    scene.servers[0].send(scene.reply(0, payload=b"y" * 1001))
    back = bytes(scene.client.take_one())
    assert flaws(out) == flaws(back) == []


def test_wrong_checksum_stays_wrong_by_as_much(scene: Scene) -> None:
    packet = scene.request(payload=b"data")
    right = type(packet)(bytes(packet))
    packet[scene.protocol.upper()].chksum = right[scene.protocol.upper()].chksum ^ 0x5A5A
    scene.client.send(packet)
    assert len(flaws(bytes(scene.servers[0].take_one()))) == 1


def test_traffic_class_flow_label_and_options_are_carried(scene: Scene) -> None:
    fields = {"tos": 0xB9, "id": 7, "flags": "DF"} if scene.family == 4 else {"tc": 0xB9, "fl": 0x12345}
    l4 = scene.l4(1, 80, options=[("MSS", 1460)]) if scene.protocol == "tcp" else scene.l4(1, 80)
    wanted = scene.l4(1, 8080, options=[("MSS", 1460)]) if scene.protocol == "tcp" else scene.l4(1, 8080)
    scene.client.send(ip(scene.client.addresses[0], scene.vip, **fields) / l4)
    scene.servers[0].expect(ip(scene.client.addresses[0], scene.servers[0].addresses[0], 63, **fields) / wanted)


def test_padding_behind_a_short_packet_does_not_count() -> None:
    scene = routed(4)
    scene.client.send(scene.request() / Raw(b""))
    scene.servers[0].take_one()
    scene.net.send("client", bytes(scene.client.frame(scene.request("A"))).ljust(60, b"\xee"))
    frame = bytes(scene.net.take_one("server0"))
    assert frame[:54] == bytes(scene.servers[0].frame(b""))[6:12] + bytes.fromhex("020000000002") + b"\x08\x00" + bytes(
        scene.delivered(0, "A"))
    assert scene.session()["bytes_in"] == 80


@BOTH
def test_client_behind_a_router_is_answered_through_that_router(family: int) -> None:
    far, gateway = {4: ("192.0.2.7", "10.0.1.254"), 6: ("2001:db8::7", "fd00:1::254")}[family]
    scene = routed(family, routes=[({4: "0.0.0.0/0", 6: "::/0"}[family], gateway)])
    router = scene.net.station("client", gateway)
    router.greet()
    router.send(scene.request(src=far, hops=60))
    scene.servers[0].expect(scene.delivered(0, src=far, hops=60))
    scene.servers[0].send(scene.reply(0, dst=far))
    router.expect(scene.restored(dst=far))


@BOTH
def test_a_server_that_calls_out_on_its_own_is_routed_untranslated(family: int) -> None:
    scene = routed(family)
    mine, theirs = scene.servers[0].addresses[0], scene.client.addresses[0]
    scene.servers[0].send(ip(mine, theirs) / TCP(sport=8080, dport=9, flags="S"))
    scene.client.expect(ip(mine, theirs, 63) / TCP(sport=8080, dport=9, flags="S"))


@BOTH
def test_a_server_reached_directly_is_routed_without_a_session(family: int) -> None:
    scene = routed(family)
    mine, theirs = scene.client.addresses[0], scene.servers[1].addresses[0]
    scene.client.send(ip(mine, theirs) / TCP(sport=5, dport=8080, flags="S"))
    scene.servers[1].expect(ip(mine, theirs, 63) / TCP(sport=5, dport=8080, flags="S"))
    assert scene.sessions() == []


@BOTH
def test_last_hop_to_the_vip_gives_time_exceeded_and_no_session(family: int) -> None:
    scene = routed(family)
    scene.client.send(scene.request(hops=1, payload=b"probe"))
    error = scene.client.take_one()
    own = scene.client.own_address(family)
    assert (error.src, error.dst) == (own, scene.client.addresses[0])
    kind = error.payload
    assert (kind.type, kind.code) == ((11, 0) if family == 4 else (3, 0))
    assert bytes(kind)[8:] == bytes(scene.request(hops=1, payload=b"probe"))
    assert flaws(bytes(error)) == []
    assert scene.sessions() == []
    assert scene.net.drops() == {"ttl_expired": 1}


@BOTH
def test_last_hop_of_a_known_session_gives_time_exceeded_about_the_vip(family: int) -> None:
    scene = routed(family)
    scene.call("S")
    scene.client.send(scene.request("A", hops=1))
    assert bytes(scene.client.take_one().payload)[8:] == bytes(scene.request("A", hops=1))


@BOTH
def test_last_hop_of_a_reply_gives_time_exceeded_about_the_servers_own_packet(family: int) -> None:
    scene = routed(family)
    scene.call("S")
    scene.servers[0].send(scene.reply(0, "SA", hops=1))
    assert bytes(scene.servers[0].take_one().payload)[8:] == bytes(scene.reply(0, "SA", hops=1))


@BOTH
def test_client_in_the_servers_network_is_balanced_without_losing_a_hop(family: int) -> None:
    scene = routed(family, n_servers=2)
    inmate = {4: "10.0.2.77", 6: "fd00:2::77"}[family]
    station = scene.net.station("server1", inmate)
    station.greet()
    station.send(scene.request(src=inmate))
    scene.servers[0].expect(scene.delivered(0, src=inmate, hops=65))
    scene.servers[0].send(scene.reply(0, dst=inmate), to=station.mac)
    station.expect(scene.restored(dst=inmate, hops=65))

"""RFC 4787: what a NAT does with UDP: of masquerade, and of services where they are the NAT between two hosts."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb.config.service_models import Timeouts
from tests.scenarios.layout import TIMEOUTS
from tests.scenarios.test_masquerade import POOL, Scene

from .common import BYTES, FAMILIES, PORTS, UDP, Packet, Raw, assert_error, examples, icmp_message, ip, message

BOTH = pytest.mark.parametrize("family", FAMILIES)
SECOND = 10**9
PEER_PORTS = st.integers(1, 65535)
FLOWS = st.lists(st.tuples(PORTS, PEER_PORTS), min_size=1, max_size=40, unique=True)


def sent(scene: Scene, sport: int, dport: int, payload: bytes = b"x") -> Packet | None:
    """The host has sent a datagram; as it left, or None."""
    scene.inside.send(ip(scene.host, scene.peer) / UDP(sport=sport, dport=dport) / Raw(payload))
    return next(datagrams(scene, "outside"), None)


def answered(scene: Scene, to: int, dport: int, *, by: str | None = None, payload: bytes = b"y") -> Packet | None:
    """A host outside has sent a datagram to that port of swlb's; as it reached the host, or None."""
    scene.outside.send(ip(by or scene.peer, scene.own) / UDP(sport=dport, dport=to) / Raw(payload))
    return next(datagrams(scene, "inside"), None)


def datagrams(scene: Scene, port: str) -> Iterable[Packet]:
    """What left by the port, but for requests for a MAC."""
    return (frame.payload for frame in scene.net.take(port) if UDP in frame and frame.payload.name != "ARP")


def idle(scene: Scene, seconds: float) -> None:
    """So much later nobody has sent anything, but everybody's MAC is known."""
    scene.net.now_ns += int(seconds * SECOND)
    scene.net.worker.turn(scene.net.now_ns)
    scene.outside.greet()
    scene.inside.greet()
    scene.net.discard()


@BOTH
@examples(10)
@given(flows=FLOWS)
def test_section_4_1_req_2_one_host_keeps_one_address(family: int, flows: list[tuple[int, int]]) -> None:
    """All flows of a host leave in the name of the same address, though the pool has several."""
    more = {4: "10.0.1.201", 6: "fd00:1::201"}[family]
    scene = Scene(family, pool=(POOL[family], more))
    assert {sent(scene, *flow).src for flow in flows} == {POOL[family]}


@BOTH
@examples(10)
@given(flows=FLOWS)
def test_section_4_2_1_req_3_no_port_is_used_twice(family: int, flows: list[tuple[int, int]]) -> None:
    """No two mappings share an external port, be they to one peer or to several."""
    scene = Scene(family)
    ports = [sent(scene, *flow).sport for flow in flows]
    assert len(set(ports)) == len(flows)


@examples(10)
@given(flows=FLOWS)
def test_section_4_2_1_req_3a_ports_stay_in_the_users_range(flows: list[tuple[int, int]]) -> None:
    """A port from 1024 on becomes one from 1024 on."""
    scene = Scene()
    assert all(sent(scene, *flow).sport >= 1024 for flow in flows)


def test_section_4_3_req_5_no_mapping_ends_within_two_minutes() -> None:
    """A mapping lasts at least two minutes, and five once it is used both ways; both times can be set."""
    assert Timeouts().udp >= 120
    assert Timeouts().udp_stream >= 300
    assert (TIMEOUTS["udp"], TIMEOUTS["udp_stream"]) == (Timeouts().udp, Timeouts().udp_stream)
    assert Timeouts(udp=7200.0).udp == 7200.0


@BOTH
@examples(10)
@given(quiet=st.floats(0, 119.9), later=st.floats(0, 299.9))
def test_section_4_3_req_5_a_mapping_is_there_until_its_time_is_over(family: int, quiet: float, later: float) -> None:
    """Within that time an answer always gets in, and the mapping keeps its port; afterwards none does."""
    scene = Scene(family)
    port = sent(scene, 5000, 53).sport
    idle(scene, quiet)
    assert answered(scene, port, 53).dport == 5000
    idle(scene, later)
    assert sent(scene, 5000, 53).sport == port
    idle(scene, 300)
    assert answered(scene, port, 53) is None


@BOTH
@examples(5)
@given(gaps=st.lists(st.floats(1, 119), min_size=2, max_size=6))
def test_section_4_3_req_6_what_goes_out_refreshes(family: int, gaps: list[float]) -> None:
    """Packets from inside alone keep a mapping for as long as they come."""
    scene = Scene(family)
    port = sent(scene, 5000, 53).sport
    for gap in gaps:
        idle(scene, gap)
        assert sent(scene, 5000, 53).sport == port
    assert answered(scene, port, 53) is not None


@BOTH
@examples(5)
@given(gaps=st.lists(st.floats(1, 299), min_size=2, max_size=6))
def test_section_4_3_req_6a_what_comes_in_refreshes_too(family: int, gaps: list[float]) -> None:
    """Packets of the peer alone keep a mapping; of nobody else any gets in to do so."""
    scene = Scene(family)
    port = sent(scene, 5000, 53).sport
    assert answered(scene, port, 53) is not None
    for gap in gaps:
        idle(scene, gap)
        assert answered(scene, port, 53) is not None


@BOTH
@examples(15)
@given(strangers=st.lists(st.tuples(st.integers(1, 250), PEER_PORTS, PORTS), min_size=1, max_size=20))
def test_section_5_req_8_only_the_peer_gets_in(family: int, strangers: list[tuple[int, int, int]]) -> None:
    """Filtering is by address and port: what does not come from just where the host has sent to stays outside."""
    scene = Scene(family)
    port = sent(scene, 5000, 53).sport
    own = int(scene.own.rsplit(":" if family == 6 else ".", 1)[1])
    for host, source, to in strangers:
        by = scene.own.rsplit("::", 1)[0] + f"::{host:x}" if family == 6 else f"10.0.1.{host}"
        if (by, source, to) == (scene.peer, 53, port) or host == own:
            continue
        assert answered(scene, to, source, by=by) is None
        assert answered(scene, port, source if source != 53 else 54, by=by) is None
    assert answered(scene, port, 53) is not None


@BOTH
@examples(25)
@given(payload=st.binary(max_size=600), where=st.integers(0, 100))
def test_section_7_req_10_no_payload_is_touched(family: int, payload: bytes, where: int) -> None:
    """There is no application level gateway: payloads pass as they are, also those that name an address or a port."""
    scene = Scene(family)
    payload = payload[:where] + f"{scene.host}:5060".encode() + scene.host.encode() + payload[where:]
    out = sent(scene, 5060, 5060, payload)
    assert bytes(out[UDP].payload) == payload
    payload = payload + f"{scene.own}:{out.sport}".encode()
    assert bytes(answered(scene, out.sport, 5060, payload=payload)[UDP].payload) == payload


@examples(10)
@given(hosts=st.lists(PORTS, min_size=5, max_size=12, unique=True))
def test_section_8_req_11_scarcity_changes_nothing_for_mappings_that_are(hosts: list[int]) -> None:
    """When ports run out, new mappings are refused; those that are keep theirs, and who gets in stays the same."""
    scene = Scene(ports=(2000, 2003))
    got = {host: leaves.sport for host in hosts if (leaves := sent(scene, host, 53)) is not None}
    assert sorted(got.values()) == [2000, 2001, 2002, 2003]
    assert list(got) == hosts[:4]
    for host, port in got.items():
        assert sent(scene, host, 53).sport == port
        assert answered(scene, port, 53).dport == host
        assert answered(scene, port, 54) is None


@BOTH
@examples(15)
@given(kinds=st.lists(st.tuples(BYTES, BYTES, st.booleans(), st.booleans()), min_size=1, max_size=10))
def test_section_9_req_12_no_icmp_message_ends_a_mapping(family: int,
                                                        kinds: list[tuple[int, int, bool, bool]]) -> None:
    """Whatever ICMP comes from wherever, about the mapping or not, it is neither ended nor kept alive by it."""
    scene = Scene(family)
    leaves = sent(scene, 5000, 53)
    scene.net.now_ns += 5 * SECOND
    for kind, code, about, inside in kinds:
        if family == 6 and kind in (135, 136):
            continue
        quoted = bytes(leaves if not inside else ip(scene.peer, scene.host) / UDP(sport=53, dport=5000))
        head = ip(scene.host, scene.peer) if inside else ip(scene.peer, scene.own)
        station = scene.inside if inside else scene.outside
        station.send(icmp_message(head, kind, code, body=quoted if about else bytes(40)))
    row, = (row for row in scene.net.worker.flows(now_ns=scene.net.now_ns) if row[0] == 17)
    assert (row[2], row[7], row[14]) == (5000, 5000, leaves.sport)
    scene.net.discard()
    assert answered(scene, leaves.sport, 53).dport == 5000


@BOTH
@examples(15)
@given(over=st.integers(1, 100), sport=PORTS)
def test_section_10_req_13_too_big_is_said_about_the_hosts_own_packet(family: int, over: int, sport: int) -> None:
    """A packet that may not be taken apart and does not fit the link outside is answered with what would fit."""
    scene = Scene(family)
    scene.net.set_port("outside", mtu=1400)
    head = ip(scene.host, scene.peer, **({"flags": "DF"} if family == 4 else {}))
    packet = head / UDP(sport=sport, dport=53) / Raw(bytes(1400 + over - len(head / UDP())))
    scene.inside.send(packet)
    assert scene.net.take("outside") == []
    error = scene.inside.take_one()
    assert_error(error, (3, 4) if family == 4 else (2, 0), message(error)[8:], rest=1400)
    assert bytes(packet).startswith(message(error)[8:])
    assert len(message(error)) >= 500

"""What belongs to a service: ports and ranges of a VIP, protocols, families, several services beside each other."""

import pytest

from .balanced import Shared, routed
from .frames import TCP, UDP
from .layout import Server, Service

BOTH = pytest.mark.parametrize("family", [4, 6])


@BOTH
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_port_range_is_inclusive_at_both_ends(family: int, protocol: str) -> None:
    scene = routed(family, protocol=protocol, port=(8000, 8099), server_port=0, refuse="drop")
    got = [scene.call(sport=i, dport=port) for i, port in enumerate((7999, 8000, 8099, 8100), start=1)]
    assert got == [None, 0, 1, None]


@BOTH
def test_any_port_keeps_the_port_when_the_server_has_none(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=0)
    for i, port in enumerate((1, 80, 65535)):
        assert scene.call(sport=100 + i, dport=port) == i
        scene.answer(i, dport=100 + i, sport=port)


@BOTH
def test_any_port_is_changed_to_the_servers_and_back(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=8080)
    for i, port in enumerate((1, 80, 65535)):
        assert scene.call(sport=100 + i, dport=port) == i
        scene.answer(i, dport=100 + i, sport=port)


@BOTH
def test_one_client_port_has_a_session_for_each_port_it_calls(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=0)
    assert [scene.call(dport=port) for port in (10, 20, 30, 10, 20)] == [0, 1, 2, 0, 1]
    scene.answer(1, sport=20)


@BOTH
def test_one_client_port_is_told_apart_on_one_server_by_the_port_called(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=0, n_servers=1)
    for port in (10, 20):
        scene.call(dport=port)
    for port in (10, 20):
        scene.answer(0, sport=port)


@BOTH
def test_one_client_port_calling_two_ports_that_end_at_one_is_never_mixed_up_at_a_server(family: int) -> None:
    """At the server both would be one connection; so the second goes to a server where it is the only one."""
    scene = routed(family, port=(1, 65535), server_port=8080, n_servers=2)
    assert scene.call(dport=10) == 0
    assert scene.call(dport=20, sport=1) == 1
    assert scene.call(dport=30) == 1
    scene.answer(0, sport=10)
    scene.answer(1, sport=30)


@BOTH
def test_when_every_server_has_the_client_port_already_the_second_call_is_refused(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=8080, n_servers=1)
    assert scene.call(dport=10) == 0
    assert scene.call(dport=20) is None
    assert scene.net.drops() == {"session_crowded": 1}
    scene.answer(0, sport=10)


@BOTH
def test_closing_session_gives_way_to_another_that_would_be_the_same_at_its_server(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=8080, n_servers=1)
    assert scene.call("S", dport=10) == 0
    assert scene.call("R", dport=10) == 0
    assert scene.call("FA", dport=10) == 0
    assert scene.state() == "TIME_WAIT"
    assert scene.call("S", dport=20) == 0
    scene.answer(0, sport=20)
    assert scene.counters()["sessions_inactive"] == 1


@BOTH
def test_expired_session_gives_way_before_it_is_swept(family: int) -> None:
    scene = routed(family, port=(1, 65535), server_port=8080, n_servers=1, timeouts={"tcp_syn": 2.0})
    assert scene.call("S", dport=10) == 0
    scene.net.now_ns += 2 * 10**9
    assert scene.call("S", dport=20) == 0
    scene.answer(0, sport=20)


def test_one_client_port_at_two_vips_is_never_mixed_up_at_a_server_of_both() -> None:
    both = (Server("10.0.2.11", 8080), Server("10.0.2.12", 8080))
    shared = Shared(Service(("10.0.1.100",), both), Service(("10.0.1.101",), both))
    assert shared.call("10.0.1.100", TCP(sport=5, dport=80)) == ("10.0.2.11", 8080)
    assert shared.call("10.0.1.101", TCP(sport=5, dport=80)) == ("10.0.2.12", 8080)
    assert shared.answer("10.0.2.11", TCP(sport=8080, dport=5, flags="SA")) == ("10.0.1.100", 80)
    assert shared.answer("10.0.2.12", TCP(sport=8080, dport=5, flags="SA")) == ("10.0.1.101", 80)


def test_two_services_share_a_vip_by_ranges_of_ports() -> None:
    shared = Shared(Service(("10.0.1.100",), (Server("10.0.2.11", 1111),), port=(1, 999), refuse="drop"),
                    Service(("10.0.1.100",), (Server("10.0.2.12", 2222),), port=(1000, 65535), refuse="drop"))
    assert shared.call("10.0.1.100", TCP(sport=1, dport=999)) == ("10.0.2.11", 1111)
    assert shared.call("10.0.1.100", TCP(sport=1, dport=1000)) == ("10.0.2.12", 2222)
    assert shared.answer("10.0.2.11", TCP(sport=1111, dport=1, flags="SA")) == ("10.0.1.100", 999)
    assert shared.answer("10.0.2.12", TCP(sport=2222, dport=1, flags="SA")) == ("10.0.1.100", 1000)


def test_tcp_and_udp_services_share_one_port_of_a_vip() -> None:
    shared = Shared(Service(("10.0.1.100",), (Server("10.0.2.11", 53),), port=53),
                    Service(("10.0.1.100",), (Server("10.0.2.12", 53),), port=53, protocol="udp"))
    assert shared.call("10.0.1.100", TCP(sport=7, dport=53)) == ("10.0.2.11", 53)
    assert shared.call("10.0.1.100", UDP(sport=7, dport=53)) == ("10.0.2.12", 53)
    assert shared.answer("10.0.2.12", UDP(sport=53, dport=7)) == ("10.0.1.100", 53)


def test_service_with_a_vip_of_each_family_uses_servers_of_the_same_family() -> None:
    shared = Shared(Service(("10.0.1.100", "fd00:1::100"),
                            (Server("10.0.2.11", 80), Server("10.0.2.12", 80), Server("fd00:2::11", 80),
                             Server("fd00:2::12", 80))))
    v4 = [shared.call("10.0.1.100", TCP(sport=i, dport=80)) for i in (1, 2, 3)]
    v6 = [shared.call("fd00:1::100", TCP(sport=i, dport=80)) for i in (1, 2, 3)]
    assert v4 == [("10.0.2.11", 80), ("10.0.2.12", 80), ("10.0.2.11", 80)]
    assert v6 == [("fd00:2::11", 80), ("fd00:2::12", 80), ("fd00:2::11", 80)]
    assert shared.answer("fd00:2::11", TCP(sport=80, dport=1, flags="SA")) == ("fd00:1::100", 80)


def test_one_family_without_servers_does_not_take_the_other_down() -> None:
    shared = Shared(Service(("10.0.1.100", "fd00:1::100"), (Server("fd00:2::11", 80),)))
    assert shared.call("10.0.1.100", TCP(sport=1, dport=80)) is None
    assert shared.call("fd00:1::100", TCP(sport=1, dport=80)) == ("fd00:2::11", 80)


def test_one_server_behind_two_vips_answers_each_client_from_the_vip_it_called() -> None:
    shared = Shared(*(Service((vip,), (Server("10.0.2.11", 8080),)) for vip in ("10.0.1.100", "10.0.1.101")))
    assert shared.call("10.0.1.100", TCP(sport=5, dport=80)) == ("10.0.2.11", 8080)
    assert shared.call("10.0.1.101", TCP(sport=6, dport=80)) == ("10.0.2.11", 8080)
    assert shared.answer("10.0.2.11", TCP(sport=8080, dport=6, flags="SA")) == ("10.0.1.101", 80)
    assert shared.answer("10.0.2.11", TCP(sport=8080, dport=5, flags="SA")) == ("10.0.1.100", 80)

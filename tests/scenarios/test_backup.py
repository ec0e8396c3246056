"""Backups get new sessions while no other server of the clients' family takes any, and only then."""

import pytest

from .balanced import Scene, routed
from .frames import TCP, IPv6
from .layout import DRAIN, MAINT, UP, Segment, Server, Service
from .network import IP, Network

BOTH = pytest.mark.parametrize("family", [4, 6])
OUT = pytest.mark.parametrize(("ready", "weight"), [(0, 1), (UP | DRAIN, 1), (UP | MAINT, 1), (UP, 0)],
                              ids=["down", "drain", "maint", "weight-0"])  # fmt: skip


def choices(scene: Scene, n: int, first: int) -> list[int | None]:
    """Which servers n new sessions get, one after the other."""
    return [scene.call(sport=first + i) for i in range(n)]


@BOTH
@OUT
def test_backups_take_turns_while_all_others_are_out_and_rest_again_when_one_is_back(
    family: int, ready: int, weight: int
) -> None:
    scene = routed(family, n_servers=4, backups=(1, 3))
    assert choices(scene, 4, 1000) == [0, 2, 0, 2]
    scene.net.set_server(0, ready=ready, weight=weight)
    assert choices(scene, 3, 2000) == [2, 2, 2]
    scene.net.set_server(2, ready=ready, weight=weight)
    assert choices(scene, 4, 3000) == [3, 1, 3, 1]
    scene.net.set_server(0)
    assert choices(scene, 2, 4000) == [0, 0]


@BOTH
def test_a_backup_s_sessions_stay_with_it_when_others_are_back(family: int) -> None:
    scene = routed(family, n_servers=2, backups=(1,))
    scene.net.set_server(0, ready=0)
    assert scene.open(sport=1024) == 1
    scene.net.set_server(0)
    assert scene.call("PA", sport=1024, payload=b"more") == 1
    assert scene.call(sport=1025) == 0


@BOTH
@OUT
def test_a_backup_that_is_out_itself_takes_nothing(family: int, ready: int, weight: int) -> None:
    scene = routed(family, n_servers=3, backups=(1, 2))
    scene.net.set_server(0, ready=0)
    scene.net.set_server(1, ready=ready, weight=weight)
    assert choices(scene, 3, 1000) == [2, 2, 2]


@BOTH
def test_a_service_of_backups_alone_serves(family: int) -> None:
    assert choices(routed(family, n_servers=2, backups=(0, 1)), 3, 1000) == [0, 1, 0]


def test_a_family_s_backups_are_not_in_use_because_the_other_s_are() -> None:
    addresses = {4: ("10.0.2.11", "10.0.2.12"), 6: ("fd00:2::11", "fd00:2::12")}
    servers = [Server(address, 80, backup=backup) for pair in addresses.values()
               for backup, address in enumerate(pair)]  # fmt: skip
    net = Network({"outside": Segment(("client",), ("10.0.1.1/24", "fd00:1::1/64")),
                   "inside": Segment(("web",), ("10.0.2.1/24", "fd00:2::1/64"))},
                  services=[Service(("10.0.1.100", "fd00:1::100"), tuple(servers))])  # fmt: skip
    client, web = net.station("client", "10.0.1.10", "fd00:1::10"), net.station("web", *addresses[4], *addresses[6])
    client.greet()
    web.greet()
    net.set_server(0, ready=0)
    for src, dst, server in ((IP, "10.0.1.100", addresses[4][1]), (IPv6, "fd00:1::100", addresses[6][0])):
        source = client.addresses[0 if src is IP else 1]
        client.send(src(src=source, dst=dst) / TCP(sport=1024, dport=80, flags="S"))
        assert web.take_one().dst == server

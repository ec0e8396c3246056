"""Which stations the switch knows: ageing, moves, the limit, VLANs."""

import pytest
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet

from .network import Network, Segment
from .shapes import OUTSIDE, switch

A, B = "02:aa:00:00:00:01", "02:aa:00:00:00:02"
EVERYONE = "ff:ff:ff:ff:ff:ff"


def hello(src: str, dst: str = EVERYONE, vlan: int | None = None) -> Packet:
    if vlan is None:
        return Ether(src=src, dst=dst, type=0x88B5) / bytes(46)
    return Ether(src=src, dst=dst) / Dot1Q(vlan=vlan, type=0x88B5) / bytes(46)


def numbered(i: int) -> str:
    return f"02:cc:00:00:{i >> 8:02x}:{i & 255:02x}"


def moves(net: Network) -> list[int]:
    """How many stations came to each port from another."""
    return [net.worker.port(index)["moves"] for index in net.ports.values()]


@pytest.mark.parametrize("ageing", [1.0, 5.0, 300.0])
def test_a_station_is_known_until_its_ageing_is_over_and_gone_within_a_second_of_it(ageing):
    net = switch("p1", "p2", "p3", ageing=ageing)
    net.send("p1", hello(A))
    net.wait(ageing - 0.2)
    net.discard()
    net.send("p2", hello(B, A))
    net.expect("p1", hello(B, A))
    net.expect("p3")
    net.wait(0.4)
    assert (A, 0) not in net.fdb("lan")
    net.send("p2", hello(B, A))
    net.expect("p3", hello(B, A))


def test_a_station_is_gone_even_when_no_frame_asks_for_it():
    net = switch("p1", "p2", ageing=2.0)
    net.send("p1", hello(A))
    net.wait(2.2)
    assert net.fdb("lan") == {}


def test_a_frame_of_the_station_starts_its_age_anew():
    net = switch("p1", "p2", ageing=10.0)
    for _ in range(3):
        net.send("p1", hello(A))
        net.wait(9.0)
    assert net.fdb("lan") == {(A, 0): "p1"}


def test_a_frame_to_the_station_does_not_keep_it():
    net = switch("p1", "p2", ageing=10.0)
    net.send("p1", hello(A))
    for _ in range(3):
        net.wait(4.0)
        net.send("p2", hello(B, A))
    assert net.fdb("lan") == {(B, 0): "p2"}


def test_a_station_that_moved_is_found_at_its_new_port():
    net = switch("p1", "p2", "p3")
    net.send("p1", hello(A))
    net.send("p2", hello(A))
    net.discard()
    net.send("p3", hello(B, A))
    net.expect("p2", hello(B, A))
    net.expect("p1")


def test_a_move_is_counted_and_reported():
    net = switch("p1", "p2")
    net.send("p1", hello(A))
    assert (moves(net), net.events()) == ([0, 0], [])
    net.send("p2", hello(A))
    assert moves(net) == [0, 1]
    [event] = net.events()
    assert (event["kind"], event["segment"], event["port"], event["mac"]) == ("mac_moved", "lan", "p2", A)


def test_a_station_that_moves_all_the_time_is_reported_once_a_second_and_counted_each_time():
    net = switch("p1", "p2")
    for _ in range(30):
        net.send("p1", hello(A))
        net.send("p2", hello(A))
        net.wait(0.1)
    assert moves(net) == [29, 30]
    assert len(net.events()) == 3


def test_a_port_that_goes_down_loses_its_stations_and_no_other_does():
    net = switch("p1", "p2", "p3")
    net.send("p1", hello(A))
    net.send("p2", hello(B))
    net.set_port("p1", up=False)
    assert net.fdb("lan") == {(B, 0): "p2"}


def test_a_change_of_mtu_forgets_no_station():
    net = switch("p1", "p2")
    net.send("p1", hello(A))
    net.set_port("p1", mtu=9000)
    assert net.fdb("lan") == {(A, 0): "p1"}


def test_the_same_mac_on_two_vlans_is_two_stations():
    net = switch("p1", "p2", "p3")
    net.send("p1", hello(A, vlan=7))
    net.send("p2", hello(A, vlan=8))
    net.discard()
    net.send("p3", hello(B, A, vlan=7), hello(B, A, vlan=8))
    net.expect("p1", hello(B, A, vlan=7))
    net.expect("p2", hello(B, A, vlan=8))
    assert moves(net) == [0, 0, 0]


def test_a_station_is_unknown_on_a_vlan_it_was_not_heard_on():
    net = switch("p1", "p2", "p3")
    net.send("p1", hello(A))
    net.discard()
    net.send("p3", hello(B, A, vlan=7))
    net.expect("p1", hello(B, A, vlan=7))
    net.expect("p2", hello(B, A, vlan=7))


def test_a_priority_tag_is_no_vlan():
    net = switch("p1", "p2")
    net.send("p1", hello(A, vlan=0))
    assert net.fdb("lan") == {(A, 0): "p1"}


def test_the_outer_of_two_tags_is_the_vlan():
    net = switch("p1", "p2")
    net.send("p1", Ether(src=A, dst=B) / Dot1AD(vlan=100) / Dot1Q(vlan=7, type=0x88B5) / bytes(46))
    assert net.fdb("lan") == {(A, 100): "p1"}


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_limit_is_exact(limit):
    net = switch("p1", "p2", fdb_limit=limit)
    net.send("p1", *(hello(numbered(i)) for i in range(limit)))
    assert len(net.fdb("lan")) == limit
    net.send("p1", hello(numbered(limit)))
    assert len(net.fdb("lan")) == limit


def test_when_full_the_oldest_of_the_port_that_has_most_is_given_up():
    net = switch("p1", "p2", fdb_limit=10)
    net.send("p2", hello(B))
    net.send("p1", *(hello(numbered(i)) for i in range(9)))
    net.send("p1", hello(numbered(0)))     # heard again: no longer the oldest
    net.send("p2", hello(A))
    assert {mac for mac, _ in net.fdb("lan")} == {A, B, *(numbered(i) for i in (0, *range(2, 9)))}


def test_a_port_that_invents_addresses_loses_only_its_own():
    net = switch("p1", "p2", fdb_limit=50)
    net.send("p2", *(hello(numbered(i)) for i in range(20)))
    net.send("p1", *(hello(numbered(i)) for i in range(1000, 5000)))
    known = net.fdb("lan")
    assert sum(port == "p2" for port in known.values()) == 20
    assert sum(port == "p1" for port in known.values()) == 30


def test_swlbs_own_mac_does_not_count_against_the_limit():
    net = Network({"lan": Segment(("p1", "p2"), OUTSIDE, host=True, fdb_limit=1)})
    net.send("p1", hello(A))
    net.send("lan-host", hello(net.mac("lan")))
    assert net.fdb("lan") == {(A, 0): "p1"}


def test_a_flushed_table_is_empty_and_says_how_many_it_held():
    net = switch("p1", "p2")
    net.send("p1", hello(A))
    net.send("p2", hello(B))
    assert net.worker.flush_fdb(0) == 2
    assert net.fdb("lan") == {}


def test_ageing_survives_the_wrap_of_the_clock_in_milliseconds():
    net = Network({"lan": Segment(("p1", "p2"), ageing=10.0)}, start_s=2**32 / 1000 - 5)
    net.send("p1", hello(A))
    net.wait(9.5)
    assert net.fdb("lan") == {(A, 0): "p1"}
    net.wait(0.7)
    assert net.fdb("lan") == {}

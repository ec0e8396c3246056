"""What the worker reports, and that a control plane that does not listen costs it nothing."""

from scapy.layers.l2 import Ether

from .network import Network
from .shapes import V4, router, switch

A = "02:aa:00:00:00:01"
EVERYONE = "ff:ff:ff:ff:ff:ff"
RING = 1024
GIVEN_UP_AND_PAUSED_S = 7.0    # three requests, one a second, and a pause of 3 s


def move(net: Network, times: int) -> None:
    """The station A changes its port so often, more than a second apart each time."""
    net.send("p1", Ether(src=A, dst=EVERYONE, type=0x88B5))
    for i in range(times):
        net.wait(1.1)
        net.send("p1" if i % 2 else "p2", Ether(src=A, dst=EVERYONE, type=0x88B5))


def test_events_come_in_the_order_in_which_they_happened():
    net = switch("p1", "p2")
    move(net, 5)
    assert [event["port"] for event in net.events()] == ["p2", "p1", "p2", "p1", "p2"]


def test_an_event_is_told_once():
    net = switch("p1", "p2")
    move(net, 1)
    assert len(net.events()) == 1
    assert net.events() == []


def test_an_event_has_the_time_at_which_it_happened():
    net = switch("p1", "p2")
    move(net, 1)
    [event] = net.worker.events()
    assert event["at_ns"] == net.now_ns


def lose_neighbours(net: Network, rounds: int) -> None:
    """So often, 200 neighbours that nobody has heard of are asked for, and given up."""
    client = net.station("client", V4.client)
    client.greet()
    for _ in range(rounds):
        client.send(*(V4.udp(V4.client, f"10.0.2.{i}") for i in range(20, 220)))
        net.wait(GIVEN_UP_AND_PAUSED_S, step=0.5)


def test_events_beyond_the_ring_are_counted_as_lost_and_the_oldest_kept():
    net = router(icmp_errors=0)
    lose_neighbours(net, 6)
    assert net.worker.counters()["events_lost"] == 6 * 200 - RING
    assert len(net.events()) == RING


def test_after_a_loss_new_events_are_told_again():
    net = router(icmp_errors=0)
    lose_neighbours(net, 6)
    net.events()
    net.station("client", V4.client).send(V4.udp(V4.client, "10.0.2.240"))
    net.wait(4.0)
    assert [event["ip"] for event in net.events()] == ["10.0.2.240"]

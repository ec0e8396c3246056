"""What the worker reports, and that a control plane that does not listen costs it nothing."""

from scapy.layers.l2 import Ether

from .network import Network
from .shapes import switch

A = "02:aa:00:00:00:01"
EVERYONE = "ff:ff:ff:ff:ff:ff"
RING = 1024


def move(net: Network, times: int) -> None:
    """The station A changes its port so often, more than a second apart each time."""
    net.send("p1", Ether(src=A, dst=EVERYONE, type=0x88B5))
    for i in range(times):
        net.wait(1.1, step=1.1)
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


def test_events_beyond_the_ring_are_counted_as_lost_and_the_oldest_kept():
    net = switch("p1", "p2")
    move(net, RING + 100)
    assert net.worker.counters()["events_lost"] == 100
    events = net.events()
    assert [event["port"] for event in events] == ["p2", "p1"] * (RING // 2)


def test_after_a_loss_new_events_are_told_again():
    net = switch("p1", "p2")
    move(net, RING + 100)
    net.events()
    net.wait(1.1)
    net.send("p2", Ether(src=A, dst=EVERYONE, type=0x88B5))
    assert [event["port"] for event in net.events()] == ["p2"]

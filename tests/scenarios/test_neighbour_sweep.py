"""A sweep of addresses that nobody has: what swlb asks, tells and remembers of it is bounded."""

from collections import Counter

from scapy.layers.inet import TCP
from scapy.layers.l2 import ARP

from .network import Network, Segment, Server, Service, Station
from .shapes import V4

REQUESTS_A_TICK = 128
LOSSES_A_TICK = 16
ROUND_S = 3.0
SILENT_S = 60.0


def wide(**options) -> tuple[Network, Station]:
    """A router to a network of 65,534 addresses, and a client that swlb knows."""
    net = Network({"outside": Segment(("client",), ("10.0.1.1/24",)), "inside": Segment(("web1",), ("10.2.0.1/16",))},
                  services=[Service((V4.vip,), (Server("10.2.255.1"),))], routes=[("192.0.2.0/24", "10.2.255.254")],
                  icmp_errors=0, **options)
    client = net.station("client", V4.client)
    client.greet()
    return net, client


def unused(n: int) -> list[str]:
    return [f"10.2.{i // 250 + 1}.{i % 250 + 1}" for i in range(n)]


def sweep(client: Station, addresses: list[str]) -> None:
    client.send(*(V4.udp(V4.client, address) for address in addresses))


def asked(net: Network) -> list[str]:
    """Whom swlb has asked for since it was last looked at."""
    return [frame[ARP].pdst for frame in net.take("web1") if ARP in frame]


def know(net: Network, addresses: list[str]) -> None:
    """swlb knows them, and then they have been silent for so long that they are asked again before they are used."""
    for address in addresses:
        net.station("web1", address).greet()
    net.wait(SILENT_S + 0.2, step=0.5)
    net.discard()


def test_requests_are_spread_over_ticks():
    net, client = wide()
    sweep(client, unused(1000))
    assert len(asked(net)) == 1000                       # each in place of the frame that asks for it
    each_tick = []
    for _ in range(30):
        net.wait(0.1)
        each_tick.append(len(asked(net)))
    assert max(each_tick) == REQUESTS_A_TICK


def test_nobody_is_asked_less_often_than_others():
    net, client = wide()
    sweep(client, unused(1000))
    net.wait(10 * ROUND_S)
    assert set(Counter(asked(net)).values()) == {3}
    assert set(net.neighbours()) == {V4.client}


def test_a_sweep_is_no_event():
    net, client = wide()
    sweep(client, unused(300))
    net.wait(5 * ROUND_S)
    assert net.events() == []
    assert net.worker.counters()["events_lost"] == 0


def test_a_server_that_never_answered_is_told_once():
    net, client = wide()
    for sport in range(4):
        client.send(V4.ip(V4.client, V4.vip) / TCP(sport=1024 + sport, dport=80, flags="S"))
        net.wait(3 * ROUND_S)
    assert [(event["kind"], event["ip"]) for event in net.events()] == [("neighbour_lost", "10.2.255.1")]


def test_a_router_that_never_answered_is_told():
    net, client = wide()
    client.send(V4.udp(V4.client, "192.0.2.7"))
    net.wait(2 * ROUND_S)
    assert [(event["kind"], event["ip"]) for event in net.events()] == [("neighbour_lost", "10.2.255.254")]


def test_many_lost_at_once_are_told_over_several_ticks():
    net, client = wide()
    known = unused(100)
    know(net, known)
    client.greet()
    sweep(client, known)
    told, most = [], 0
    for _ in range(100):
        net.wait(0.1)
        events = [event["ip"] for event in net.events()]
        told, most = told + events, max(most, len(events))
    assert (sorted(told), most) == (sorted(known), LOSSES_A_TICK)


def test_one_that_answers_and_is_lost_again_is_told_again():
    net, client = wide()
    for _ in range(2):
        know(net, ["10.2.0.9"])
        client.greet()
        sweep(client, ["10.2.0.9"])
        net.wait(2 * ROUND_S)
        assert [event["ip"] for event in net.events()] == ["10.2.0.9"]

"""How long a neighbour is believed, and what happens when it falls silent. RFC 4861 7.3."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from .network import Network, Station
from .shapes import FAMILIES, Family, router

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)
SILENT = 60.0
DAY = 86400.0


def probe(net: Network, family: Family, web: Station) -> Packet:
    """A request sent to the MAC that the neighbour had."""
    mac = net.mac("inside")
    if family.version == 4:
        return (Ether(src=mac, dst=web.mac)
                / ARP(op=1, hwsrc=mac, psrc=family.inside, hwdst="00:00:00:00:00:00", pdst=family.server))
    return (Ether(src=mac, dst=web.mac) / IPv6(src=family.inside, dst=family.server, hlim=255)
            / ICMPv6ND_NS(tgt=family.server) / ICMPv6NDOptSrcLLAddr(lladdr=mac))


def answer(net: Network, family: Family, web: Station) -> Packet:
    mac = net.mac("inside")
    if family.version == 4:
        return (Ether(src=web.mac, dst=mac)
                / ARP(op=2, hwsrc=web.mac, psrc=family.server, hwdst=mac, pdst=family.inside))
    return (Ether(src=web.mac, dst=mac) / IPv6(src=family.server, dst=family.inside, hlim=255)
            / ICMPv6ND_NA(R=0, S=1, O=1, tgt=family.server) / ICMPv6NDOptDstLLAddr(lladdr=web.mac))


def acquainted(family: Family) -> tuple[Network, Station, Station]:
    """swlb knows both."""
    net = router()
    client, web = net.station("client", family.client), net.station("web1", family.server)
    client.greet()
    web.greet()
    return net, client, web


def state(net: Network, family: Family) -> str:
    return net.neighbours()[family.server][1]


@each_family
def test_a_neighbour_is_reachable_for_60_seconds_and_then_stale(family):
    net, _, _ = acquainted(family)
    net.wait(SILENT - 0.2)
    assert state(net, family) == "REACHABLE"
    net.wait(0.4)
    assert state(net, family) == "STALE"


@each_family
def test_a_sign_of_life_starts_the_60_seconds_anew(family):
    net, _, web = acquainted(family)
    net.wait(50.0)
    net.send("web1", answer(net, family, web))
    net.wait(50.0)
    assert state(net, family) == "REACHABLE"


@each_family
def test_a_stale_neighbour_nobody_sends_to_is_not_asked(family):
    net, _, _ = acquainted(family)
    net.wait(SILENT + 30.0)
    net.expect("web1")
    assert state(net, family) == "STALE"


@each_family
def test_a_stale_neighbour_is_sent_to_and_asked_by_unicast(family):
    net, client, web = acquainted(family)
    net.wait(SILENT + 0.2)
    client.send(family.udp(family.client, family.server))
    web.expect(family.udp(family.client, family.server, 63))
    net.wait(0.1)
    net.expect("web1", probe(net, family, web))
    assert state(net, family) == "PROBE"


@each_family
def test_an_answer_to_the_probe_makes_it_reachable(family):
    net, client, web = acquainted(family)
    net.wait(SILENT + 0.2)
    client.send(family.udp(family.client, family.server))
    net.wait(0.1)
    net.send("web1", answer(net, family, web))
    net.discard()
    assert state(net, family) == "REACHABLE"
    net.wait(10.0)
    net.expect("web1")


@each_family
def test_traffic_goes_on_while_it_is_probed_and_fails_after_three_probes(family):
    net, client, web = acquainted(family)
    net.wait(SILENT + 0.2)
    delivered, probes = 0, 0
    for _ in range(30):
        client.send(family.udp(family.client, family.server))
        for frame in net.take("web1"):
            probes += bytes(frame) == bytes(probe(net, family, web))
            delivered += bytes(frame.payload) == bytes(family.udp(family.client, family.server, 63))
        net.wait(0.1)
    assert (delivered, probes, net.drops()) == (30, 3, {})
    net.wait(0.2)
    assert state(net, family) == "FAILED"
    client.send(family.udp(family.client, family.server))
    net.expect("web1")
    assert net.drops() == {"neighbour_failed": 1}


@each_family
def test_one_that_is_lost_is_reported_with_its_last_mac(family):
    net, client, web = acquainted(family)
    net.wait(SILENT + 0.2)
    client.send(family.udp(family.client, family.server))
    net.wait(5.0)
    assert net.events() == [{"kind": "neighbour_lost", "segment": "inside", "port": None, "mac": web.mac,
                             "ip": family.server}]


@each_family
def test_a_neighbour_that_moves_to_another_mac_is_found_there(family):
    net, client, _web = acquainted(family)
    spare = net.station("web1", family.server)
    net.send("web1", answer(net, family, spare))
    client.send(family.udp(family.client, family.server))
    spare.expect(family.udp(family.client, family.server, 63))


@each_family
def test_a_neighbour_whose_port_is_unknown_is_reached_by_a_flood(family):
    net = router(inside=("web1", "web2"), host=True)
    client, web = net.station("client", family.client), net.station("web1", family.server)
    client.greet()
    web.greet()
    net.worker.flush_fdb(net.segments["inside"])
    client.send(family.udp(family.client, family.server))
    wanted = Ether(src=net.mac("inside"), dst=web.mac) / family.udp(family.client, family.server, 63)
    net.expect("web1", wanted)
    net.expect("web2", wanted)
    net.expect("inside-host")


def test_time_to_live_of_neighbours_survives_the_wrap_of_the_clock_in_milliseconds():
    family = FAMILIES[0]
    net = router(start_s=2**32 / 1000 - 33)
    net.station("web1", family.server).greet()
    net.wait(59.8)
    assert state(net, family) == "REACHABLE"
    net.wait(0.4)
    assert state(net, family) == "STALE"


@each_family
@pytest.mark.parametrize("days", [1, 25, 40, 49.7, 60])
def test_one_that_failed_is_asked_again_after_any_time(family, days):
    net, client, _ = acquainted(family)
    net.wait(SILENT + 0.2)
    client.send(family.udp(family.client, family.server))
    net.wait(5.0)
    net.wait(days * DAY, step=DAY / 10)
    client.greet()
    client.send(family.udp(family.client, family.server))
    assert (state(net, family), net.drops()) == ("INCOMPLETE", {})


@each_family
def test_one_that_never_answered_is_forgotten_after_its_pause(family):
    net = router()
    client = net.station("client", family.client)
    client.greet()
    client.send(family.udp(family.client, family.server))
    net.wait(5.9)
    assert state(net, family) == "FAILED"
    net.wait(0.3)
    assert family.server not in net.neighbours()


@each_family
def test_one_that_was_silent_for_a_day_is_forgotten(family):
    net, _, _ = acquainted(family)
    net.wait(DAY - 1, step=100.0)
    assert state(net, family) == "STALE"
    net.wait(1.1)
    assert net.neighbours() == {}

"""On a segment with `vip_guard` nobody but swlb answers for a VIP: what would take it from the switch ends there."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from .balanced import NEAR, NEAR_CLIENT, NEAR_SERVER, NEAR_VIP
from .frames import IP, TCP
from .layout import Segment, Server, Service
from .network import Network, Station
from .shapes import V4, V6
from .test_announce import announcement

BOTH = pytest.mark.parametrize("family", [4, 6])
STRANGER = "10.0.0.77"


def guarded(*, guard: bool = True, host: bool = False) -> tuple[Network, Station, Station]:
    """A network with a DSR service, its client and its server, which both are known."""
    services = [Service((NEAR_VIP[family],), (Server(NEAR_SERVER[family].format(11)),), forward="dsr")
                for family in (4, 6)]
    net = Network({"near": Segment(("client", "server"), NEAR, vip_guard=guard, host=host)}, services=services)
    client = net.station("client", *NEAR_CLIENT.values())
    server = net.station("server", *(NEAR_SERVER[family].format(11) for family in (4, 6)))
    client.greet()
    server.greet()
    net.discard()
    return net, client, server


def answer(family: int, of: Station, to: Station, address: str) -> Packet:
    """ARP reply or solicited advertisement that the address is at the station."""
    if family == 4:
        return Ether(src=of.mac, dst=to.mac) / ARP(op=2, hwsrc=of.mac, psrc=address, hwdst=to.mac, pdst=NEAR_CLIENT[4])
    return (Ether(src=of.mac, dst=to.mac) / IPv6(src=address, dst=NEAR_CLIENT[6], hlim=255)
            / ICMPv6ND_NA(S=1, O=1, tgt=address) / ICMPv6NDOptDstLLAddr(lladdr=of.mac))


@BOTH
def test_a_servers_answer_for_the_vip_ends_at_the_switch_and_is_reported(family):
    net, client, server = guarded()
    net.send("server", answer(family, server, client, NEAR_VIP[family]))
    net.expect("client")
    assert net.drops() == {"vip_guarded": 1}
    assert net.events() == [{"kind": "vip_conflict", "segment": "near", "port": "server", "mac": server.mac,
                             "ip": NEAR_VIP[family]}]


@BOTH
def test_a_servers_announcement_of_the_vip_ends_at_the_switch(family):
    net, _, server = guarded()
    net.send("server", announcement(V4 if family == 4 else V6, server.mac, NEAR_VIP[family]))
    net.expect("client")
    assert net.drops() == {"vip_guarded": 1}


@BOTH
def test_every_one_of_them_ends_there_though_it_is_reported_once_in_ten_seconds(family):
    net, client, server = guarded()
    for _ in range(5):
        net.send("server", answer(family, server, client, NEAR_VIP[family]))
    assert net.drops() == {"vip_guarded": 5}
    assert len(net.events()) == 1


@BOTH
def test_without_the_guard_it_is_reported_and_passes(family):
    net, client, server = guarded(guard=False)
    frame = answer(family, server, client, NEAR_VIP[family])
    net.send("server", frame)
    net.expect("client", frame)
    assert [event["kind"] for event in net.events()] == ["vip_conflict"]
    assert net.drops() == {}


@BOTH
def test_answers_for_the_servers_own_address_pass(family):
    net, client, server = guarded()
    frame = answer(family, server, client, server.addresses[0 if family == 4 else 1])
    net.send("server", frame)
    net.expect("client", frame)
    assert (net.drops(), net.events()) == ({}, [])


def test_a_server_may_ask_for_its_clients_mac_in_the_vips_name():
    """Otherwise one without arp_announce could not answer at all; it is reported."""
    net, _, server = guarded()
    frame = Ether(src=server.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=server.mac, psrc=NEAR_VIP[4],
                                                                 pdst=STRANGER)
    net.send("server", frame)
    net.expect("client", frame)
    assert [event["kind"] for event in net.events()] == ["vip_conflict"]


@BOTH
def test_swlb_still_answers_for_the_vip(family):
    net, client, _ = guarded()
    net.send("client", client.question(NEAR_CLIENT[family], target=NEAR_VIP[family]))
    reply = net.take_one("client")
    assert reply.src == net.mac("near")
    net.expect("server")


@BOTH
def test_a_reply_from_the_vip_by_the_servers_mac_is_no_claim(family):
    net, client, server = guarded()
    head = IP if family == 4 else IPv6
    client.send(head(src=NEAR_CLIENT[family], dst=NEAR_VIP[family]) / TCP(sport=9, dport=80, flags="S"))
    net.take("server")
    frame = server.frame(head(src=NEAR_VIP[family], dst=NEAR_CLIENT[family]) / TCP(sport=80, dport=9, flags="SA"),
                         to=client.mac)
    net.send("server", frame)
    net.expect("client", frame)
    assert (net.drops(), net.events()) == ({}, [])

"""ARP for what is swlb's, and what swlb learns and does not learn from the ARP of others. RFC 826, RFC 5227."""

import pytest
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from .network import Network
from .shapes import V4, router

EVERYONE = "ff:ff:ff:ff:ff:ff"
NOBODY = "00:00:00:00:00:00"
OTHER = "10.0.1.77"


def ask(src: str, sender: str, target: str, *, dst: str = EVERYONE, hwsrc: str | None = None) -> Packet:
    return Ether(src=src, dst=dst) / ARP(op=1, hwsrc=hwsrc or src, psrc=sender, hwdst=NOBODY, pdst=target)


def answer(src: str, dst: str, sender: str, target: str) -> Packet:
    return Ether(src=src, dst=dst) / ARP(op=2, hwsrc=src, psrc=sender, hwdst=dst, pdst=target)


def lan() -> Network:
    return router(outside=("client", "other"), host=True)


@pytest.mark.parametrize("target", [V4.outside, V4.vip])
def test_a_request_for_an_address_of_swlb_or_a_vip_is_answered_and_not_passed_on(target):
    net = lan()
    client = net.station("client", V4.client)
    net.send("client", ask(client.mac, V4.client, target))
    net.expect("client", answer(net.mac("outside"), client.mac, target, V4.client))
    net.expect_silence()
    assert net.drops() == {}


@pytest.mark.parametrize("target", [V4.outside, V4.vip])
def test_a_unicast_request_is_answered_too(target):
    net = lan()
    client = net.station("client", V4.client)
    net.send("client", ask(client.mac, V4.client, target, dst=net.mac("outside")))
    net.expect("client", answer(net.mac("outside"), client.mac, target, V4.client))


@pytest.mark.parametrize("target", [V4.outside, V4.vip])
def test_a_probe_without_sender_address_is_answered(target):
    net = lan()
    net.send("client", ask("02:aa:00:00:00:01", "0.0.0.0", target))
    net.expect("client", answer(net.mac("outside"), "02:aa:00:00:00:01", target, "0.0.0.0"))
    assert net.neighbours() == {}


@pytest.mark.parametrize("target", [V4.outside, V4.vip])
def test_swlb_does_not_answer_on_another_segment(target):
    net = router(inside=("web1", "web2"))
    frame = ask("02:aa:00:00:00:01", V4.server, target)
    net.send("web1", frame)
    net.expect("web2", frame)
    net.expect_silence()


def test_a_request_for_another_station_is_bridged():
    net = lan()
    frame = ask("02:aa:00:00:00:01", V4.client, OTHER)
    net.send("client", frame)
    net.expect("other", frame)
    net.expect("outside-host", frame)
    net.expect_silence()


def test_an_answer_to_another_station_is_bridged():
    net = lan()
    client, other = net.station("client", V4.client), net.station("other", OTHER)
    other.greet()
    frame = answer(client.mac, other.mac, V4.client, OTHER)
    net.send("client", frame)
    net.expect("other", frame)
    net.expect_silence()


def test_an_answer_to_the_kernel_twin_reaches_it():
    net = lan()
    frame = answer("02:aa:00:00:00:01", net.mac("outside"), V4.client, V4.outside)
    net.send("client", frame)
    net.expect("outside-host", frame)
    net.expect_silence()


def test_a_request_of_the_kernel_twin_reaches_the_stations():
    net = lan()
    frame = ask(net.mac("outside"), V4.outside, V4.client)
    net.send("outside-host", frame)
    net.expect("client", frame)
    net.expect("other", frame)
    net.expect_silence()


def test_the_kernel_twin_may_ask_for_a_vip():
    net = lan()
    mac = net.mac("outside")
    net.send("outside-host", ask(mac, V4.outside, V4.vip))
    net.expect("outside-host", answer(mac, mac, V4.vip, V4.outside))
    net.expect_silence()


def test_a_vip_is_answered_for_even_while_nobody_serves_it():
    net = router(ready=0)
    net.send("client", ask("02:aa:00:00:00:01", V4.client, V4.vip))
    assert net.take_one("client")[ARP].psrc == V4.vip


def test_a_padded_request_gets_an_answer_without_the_padding():
    net = lan()
    net.send("client", bytes(ask("02:aa:00:00:00:01", V4.client, V4.vip)) + b"\xa5" * 18)
    net.expect("client", answer(net.mac("outside"), "02:aa:00:00:00:01", V4.vip, V4.client))


def test_a_priority_tagged_request_is_answered_with_its_tag():
    net = lan()
    frame = ask("02:aa:00:00:00:01", V4.client, V4.vip)
    net.send("client", Ether(src=frame.src, dst=EVERYONE) / Dot1Q(vlan=0, prio=3) / frame[ARP])
    reply = net.take_one("client")
    assert (reply[Dot1Q].vlan, reply[ARP].op, reply[ARP].psrc) == (0, 2, V4.vip)


def test_a_request_on_a_vlan_is_for_somebody_else():
    net = lan()
    frame = ask("02:aa:00:00:00:01", V4.client, V4.vip)
    tagged = Ether(src=frame.src, dst=EVERYONE) / Dot1Q(vlan=7) / frame[ARP]
    net.send("client", tagged)
    net.expect("other", tagged)
    net.expect("client")
    assert net.neighbours() == {}


def test_who_asks_for_swlb_is_known_from_then_on():
    net = lan()
    net.send("client", ask("02:aa:00:00:00:01", V4.client, V4.vip))
    assert net.neighbours() == {V4.client: ("02:aa:00:00:00:01", "REACHABLE")}


UNKNOWN = {
    "a gratuitous request": Ether(src="02:aa:00:00:00:01", dst=EVERYONE)
    / ARP(op=1, hwsrc="02:aa:00:00:00:01", psrc=V4.client, pdst=V4.client),
    "a gratuitous answer": Ether(src="02:aa:00:00:00:01", dst=EVERYONE)
    / ARP(op=2, hwsrc="02:aa:00:00:00:01", psrc=V4.client, pdst=V4.client),
    "an answer nobody asked for": answer("02:aa:00:00:00:01", "02:00:00:00:00:01", V4.client, V4.outside),
    "a question for another station": ask("02:aa:00:00:00:01", V4.client, OTHER),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_sender_is_not_remembered_for(case):
    net = lan()
    net.send("client", UNKNOWN[case])
    assert net.neighbours() == {}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_known_sender_is_updated_by(case):
    net = lan()
    net.station("other", V4.client, mac="02:bb:00:00:00:99").greet()
    net.send("client", UNKNOWN[case])
    assert net.neighbours() == {V4.client: ("02:aa:00:00:00:01", "REACHABLE")}


LIES = {
    "the zero address": ("0.0.0.0", "02:aa:00:00:00:01"),
    "the broadcast address": ("255.255.255.255", "02:aa:00:00:00:01"),
    "a group address": ("224.0.0.5", "02:aa:00:00:00:01"),
    "loopback": ("127.0.0.1", "02:aa:00:00:00:01"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_sender_that_cannot_be_is_not_believed(lie):
    net = lan()
    address, mac = LIES[lie]
    net.send("client", ask("02:aa:00:00:00:01", address, V4.vip, hwsrc=mac))
    assert net.neighbours() == {}


@pytest.mark.parametrize("hwsrc", [EVERYONE, "01:00:5e:00:00:01", NOBODY])
def test_a_group_or_zero_mac_within_is_dropped_and_not_believed(hwsrc):
    net = lan()
    net.station("client", V4.client, mac="02:bb:00:00:00:99").greet()
    net.send("client", ask("02:aa:00:00:00:01", V4.client, V4.vip, hwsrc=hwsrc))
    net.expect_silence()
    assert net.drops() == {"bad_arp": 1}
    assert net.neighbours() == {V4.client: ("02:bb:00:00:00:99", "REACHABLE")}


def test_swlbs_own_mac_claimed_for_another_address_is_not_believed():
    net = lan()
    net.station("client", V4.client).greet()
    net.send("other", ask("02:cc:00:00:00:01", V4.client, V4.vip, hwsrc=net.mac("outside")))
    assert net.neighbours()[V4.client][0] != net.mac("outside")


MALFORMED = {
    "hardware type": {"hwtype": 6}, "protocol type": {"ptype": 0x86DD}, "hardware length": {"hwlen": 8},
    "protocol length": {"plen": 16},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_arp_that_contradicts_itself_is_dropped(case):
    net = lan()
    good = bytearray(bytes(ask("02:aa:00:00:00:01", V4.client, V4.vip)))
    at, value = {"hardware type": (15, 6), "protocol type": (17, 1), "hardware length": (18, 8),
                 "protocol length": (19, 16)}[case]
    good[at] = value
    net.send("client", bytes(good))
    net.expect_silence()
    assert net.drops() == {"bad_arp": 1}


@pytest.mark.parametrize("length", [14, 15, 28, 41])
def test_arp_cut_short_is_dropped(length):
    net = lan()
    net.send("client", bytes(ask("02:aa:00:00:00:01", V4.client, V4.vip))[:length])
    net.expect_silence()
    assert net.drops() == {"bad_arp": 1}


@pytest.mark.parametrize("operation", [3, 4, 8, 9])
def test_reverse_and_inverse_arp_are_bridged(operation):
    net = lan()
    frame = Ether(src="02:aa:00:00:00:01", dst=EVERYONE) / ARP(op=operation, hwsrc="02:aa:00:00:00:01", psrc=V4.client,
                                                              pdst=V4.vip)
    net.send("client", frame)
    net.expect("other", frame)
    net.expect("client")
    assert net.neighbours() == {}

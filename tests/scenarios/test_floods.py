"""Floods of everything but SYNs (test_syn_flood): what is there goes on, what is new is served, and no table breaks."""

import random
from collections import Counter
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IPerror, TCPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr
from scapy.layers.l2 import ARP, Ether

from swlb._testing_sessions import Sessions, audit

from .balanced import Scene, ip, routed, transparent
from .frames import IP, TCP, UDP, IPv6
from .network import address16

BOTH = pytest.mark.parametrize("family", [4, 6])
SMALL = {"neighbours": 16, "fragments": 8, "sessions": 100, "half_open": 10, "icmp_errors": 20}


def scene(family: int = 4, *, near: bool = False, **given: Any) -> Scene:
    return (transparent if near else routed)(family, limits=dict(SMALL), **given)


def forged_mac(dice: random.Random) -> str:
    return "06:" + ":".join(f"{dice.randrange(256):02x}" for _ in range(5))


def is_served(of: Scene, before: dict[int, int]) -> None:
    """Connections that were open go on, and a new one is made. Who is asked where it is says so."""
    of.greet()
    of.net.discard()
    for sport, server in before.items():
        assert of.call("PA", sport=sport, payload=b"more") == server
        of.answer(server, "PA", dport=sport, payload=b"yes")
    of.open(sport=1000 + len(before))
    assert audit(of.net.worker) is None


def opened(of: Scene) -> dict[int, int]:
    return {2000 + n: of.open(sport=2000 + n) for n in range(6)}


def arp(dice: random.Random, oper: int, subnet: int) -> Ether:
    mac = forged_mac(dice)
    sender = f"10.0.{subnet}.{dice.randrange(150, 250)}"
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=oper, hwsrc=mac, psrc=sender, pdst=f"10.0.{subnet}.1")


def nd(dice: random.Random, oper: int, subnet: int) -> Ether:
    mac, net = forged_mac(dice), f"fd00:{subnet}::" if subnet else "fd00::"
    sender = f"{net}{dice.randrange(0x1000, 0xFFFF):x}"
    said = (ICMPv6ND_NS(tgt=f"{net}1") / ICMPv6NDOptSrcLLAddr(lladdr=mac) if oper == 1
            else ICMPv6ND_NA(tgt=sender, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac))
    return Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src=sender, dst="ff02::1", hlim=255) / said


@BOTH
@pytest.mark.parametrize("oper", [1, 2])
@pytest.mark.parametrize("near", [False, True])
def test_forged_arp_and_nd(family: int, oper: int, near: bool) -> None:
    of, dice = scene(family, near=near), random.Random(7)
    before = opened(of)
    for _ in range(150):
        of.net.send("client", (arp if family == 4 else nd)(dice, oper, 0 if near else 1))
    assert of.net.worker.counters()["neighbours"] <= SMALL["neighbours"]
    is_served(of, before)


@BOTH
@pytest.mark.parametrize("near", [False, True])
def test_forged_macs(family: int, near: bool) -> None:
    of, dice = scene(family, near=near), random.Random(8)
    before = opened(of)
    for _ in range(150):
        of.net.send("client", Ether(src=forged_mac(dice), dst=forged_mac(dice), type=0x88B5) / bytes(46))
    of.net.discard()
    # Without a word of anybody's: servers are behind ports of their own, whose stations the flood does not push out.
    for sport, server in before.items():
        assert of.call("PA", sport=sport) == server
    is_served(of, before)


@BOTH
def test_a_scan_of_the_servers_network(family: int) -> None:
    of = scene(family)
    before = opened(of)
    pattern = {4: "10.0.2.{}", 6: "fd00:2::{:x}"}[family]
    for n in range(100, 250):
        of.client.send(ip(of.client.addresses[0], pattern.format(n)) / TCP(dport=22, flags="S"))
    full = [event for event in of.net.events() if event["kind"] == "neighbours_full"]
    assert of.net.drops()["neighbour_full"] > 100
    for sport, server in before.items():
        of.net.discard()
        assert of.call("PA", sport=sport) == server
    assert of.net.worker.counters()["neighbours"] <= SMALL["neighbours"]
    assert len(full) == 1
    is_served(of, before)


@BOTH
def test_echo_to_the_vip(family: int) -> None:
    of = scene(family)
    before = opened(of)
    for n in range(100):
        echo = ICMP(id=n) if family == 4 else ICMPv6EchoRequest(id=n)
        of.client.send(ip(of.client.addresses[0], of.vip) / echo)
    assert len(of.net.take("client")) == 100
    assert len(of.sessions()) == len(before)
    is_served(of, before)


def test_forged_errors_about_sessions_that_never_were() -> None:
    of = scene()
    before = opened(of)
    for n in range(100):
        of.client.send(ip(of.client.addresses[0], of.vip) / ICMP(type=3, code=1)
                       / IPerror(src=of.vip, dst=of.client.addresses[0]) / TCPerror(sport=80, dport=10000 + n))
    assert sum(of.net.drops().values()) == 100
    assert len(of.sessions()) == len(before)
    is_served(of, before)


@BOTH
def test_orphans_are_refused_one_by_one_and_nothing_is_remembered_of_them(family: int) -> None:
    of = scene(family)
    before = opened(of)
    for n in range(150):
        of.client.send(of.request("A", sport=10000 + n, ack=n))
    assert [frame.payload.payload.flags for frame in of.net.take("client")] == ["R"] * 150
    assert of.net.drops() == {"orphan": 150}
    assert len(of.sessions()) == len(before)
    is_served(of, before)


def test_first_fragments_that_nobody_goes_on_with() -> None:
    of = scene()
    before = opened(of)
    for n in range(100):
        of.client.send(IP(src=of.client.addresses[0], dst=of.vip, id=n, flags="MF")
                       / TCP(sport=3000 + n, dport=80, flags="S"))
    of.net.discard()
    assert of.net.worker.counters()["half_open"] <= SMALL["half_open"]
    is_served(of, before)


def test_datagrams_to_ports_without_service_are_answered_at_the_rate_of_icmp_errors() -> None:
    of = scene()
    before = opened(of)
    for n in range(100):
        of.client.send(ip(of.client.addresses[0], of.vip) / UDP(sport=n + 1, dport=9))
    assert len(of.net.take("client")) == 20
    is_served(of, before)


def test_who_lies_together_in_one_worker_s_table_lies_apart_in_another_s() -> None:
    """A key of its own for each: whoever learns which clients collide in one table has learnt nothing of another."""
    tables = [Sessions(routed().net.worker, 4) for _ in range(2)]
    client = address16("10.0.1.10")
    hashes = [[table.session_hash(client, port, 6) for port in range(1, 60000)] for table in tables]
    top, _ = Counter(value >> 20 for value in hashes[0]).most_common(1)[0]
    together = [n for n, value in enumerate(hashes[0]) if value >> 20 == top]
    assert len(together) > 8
    assert len({hashes[1][n] >> 20 for n in together}) > len(together) * 3 // 4

"""What `swlb check` prints about the way of a service's packets."""

import pytest

from swlb.bypass import WHAT_HAPPENS
from swlb.config import parse
from swlb.explain import explain
from tests.config_text import BASE, DIRECT, ONE_ARM, changed


def explained(text: str) -> str:
    """On one line."""
    return " ".join(explain(parse(text, file="lab.yaml")).split())


def service(text: str, name: str = "web") -> str:
    """What is said of the service, on one line."""
    return explained(text).partition(f" service {name}: ")[2].partition(" service ")[0]


GATEWAY = ONE_ARM.replace("source_nat: auto", "source_nat: never").replace("mode: transparent", "mode: routed")
ALWAYS = ONE_ARM.replace("source_nat: auto", "source_nat: always\n    source_pool: [10.0.0.9]\n    source_ports: 20-29")
FAR = "vip: 10.0.0.101"

NAT_SAYS = [
    (BASE, "request: its destination becomes the server's address and port. TTL: one less from segment to segment"),
    (BASE, "reply: through swlb, which puts the VIP in the place of the server's address."),
    (BASE, "servers need: swlb as their gateway, 10.0.2.1."),
    (BASE.replace("10.0.2.11", "10.0.9.11"),
     "servers need: router 10.0.1.254 to send what is for clients to swlb, 10.0.1.1; swlb as their gateway, 10.0.2.1."),
    (ONE_ARM, "source: rewritten to 10.0.0.1, ports 1024-65535 but for the kernel's own, exactly where the reply would "
              "pass swlb by: for hosts of 10.0.0.0/24 (a server that calls the VIP is one) and for clients of other "
              "subnets who come by segment lan. Everywhere else the servers see the client's own address."),
    (ONE_ARM, "servers need: no setting."),
    (ALWAYS, "source: always rewritten: the servers see 10.0.0.9, ports 20-29, and never a client's address."),
    (ALWAYS, "which puts the VIP in the place of the server's address, and the client in its own."),
    (ALWAYS, "servers need: no setting."),
    (ALWAYS.replace("[10.0.0.9]", "[192.0.2.9]"), "servers need: a route to 192.0.2.9 by swlb."),
    (GATEWAY, "source: untouched: the servers see the client's own address."),
    (GATEWAY, "servers need: swlb as their gateway, 10.0.0.1."),
    (GATEWAY, "watch out: replies pass swlb by for hosts of 10.0.0.0/24 (a server that calls the VIP is one) and for "
              f"clients of other subnets who come by segment lan: {WHAT_HAPPENS}. Ways out: source_nat auto; "),
    (BASE.replace("port: 80\n", "port: 80\n    mss: 1400\n"),
     "mss: no segment longer than 1400 bytes in IPv4 is announced in SYN and SYN-ACK (mss 1400)."),
    (BASE.replace("port: 80\n", "port: 80\n    mss: auto\n").replace("tap: sws2", "tap: sws2, mtu: 1300"),
     "no segment longer than 1260 bytes in IPv4 is announced in SYN and SYN-ACK (mss auto)."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), NAT_SAYS)
def test_the_way_of_translated_packets_is_explained(text: str, words: str) -> None:
    assert words in service(text)


IPIP = DIRECT.replace("forward: dsr", "forward: ipip")
GUE = DIRECT.replace("forward: dsr", "forward: gue\n    gue: {port: 7000}")

DIRECT_SAYS = [
    (DIRECT, "request: nothing but the MACs changes: the server sees the client as source and the VIP as destination. "
             "TTL as it was."),
    (DIRECT, "reply: straight from the server to the client, as the VIP's, with the server's own routes. Where"),
    (DIRECT, "servers need: the VIP on their loopback, and silence about it in ARP. `swlb doctor FILE` prints"),
    (DIRECT, "`vip_guard: true` on segment lan silences it."),
    (DIRECT.replace("forward: dsr\n", "forward: dsr\n    check: {via: server}\n"),
     "the check asks the server's own address: what serves must listen there, too, and a server that lacks the VIP "
     "counts as up."),
    (DIRECT.replace("forward: dsr\n", "forward: dsr\n    check: {type: icmp}\n"),
     "the check asks the server's own address, as swlb itself answers an echo to a VIP: what serves must listen there"),
    (DIRECT.replace("forward: dsr\n", "forward: dsr\n    check: {}\n"),
     "check tcp through the VIP, port 80, forced to each server, every 2s, answered within 1s."),
    (DIRECT.replace("forward: dsr\n", "forward: gue\n    check: {}\n"),
     "check tcp through both VIPs, port 80, forced to each server, every 2s"),
    (IPIP, "request: packed unchanged into a packet of swlb's, from 10.0.0.1, fd00::1 to the server, by IPIP; unpacked "
           "there, the server sees the client as source and the VIP as destination. TTL as it was, outside 64."),
    (IPIP, "size: the tunnel takes 40 bytes, so packets of up to 1460 bytes pass; who sends longer ones is told so"),
    (IPIP, "mss: no segment longer than 1420 bytes in IPv4, 1400 bytes in IPv6 is announced in the client's SYN (mss "
           "auto)."),
    (IPIP, "servers need: the VIP on their loopback, and a tunnel device or `swlb decap` to unpack."),
    (GUE, "to the server, by GUE (UDP port 7000); unpacked"),
    (GUE, "size: the tunnel takes 52 bytes, so packets of up to 1448 bytes pass;"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), DIRECT_SAYS)
def test_the_way_of_packets_that_servers_answer_themselves_is_explained(text: str, words: str) -> None:
    assert words in service(text)


UNSAID = [
    (changed("port: 80\n", "port: 80\n    source_nat: auto\n"), "watch out"),
    (BASE, "mss"),
    (ALWAYS, "watch out"),
    (DIRECT, "source:"),
    (DIRECT, "size:"),
    (changed("lan: {", "lan: {vip_guard: true, ", DIRECT), "watch out"),
    (IPIP.replace("forward: ipip\n", "forward: ipip\n    mss: off\n"), "mss:"),
    (changed("web1: {address: 10.0.0.11, port: 8080}", "", ONE_ARM), "source:"),
]


@pytest.mark.parametrize(("text", "word"), UNSAID)
def test_what_does_not_concern_a_service_is_not_said_of_it(text: str, word: str) -> None:
    assert word not in service(text)


def test_one_port_is_one_arm_whether_it_is_stated_or_not() -> None:
    text = changed("mode: transparent\ntopology: one-arm\n", "", ONE_ARM)
    assert explained(text).startswith("one-arm: 1 port, ")


def outside(*keys: str) -> str:
    """What is said of segment outside with these keys, on one line."""
    text = explained(changed("[client],", f"[client], {', '.join(keys)},"))
    return text.partition("segment outside: ")[2].partition(" segment inside")[0]


def test_a_private_segment_is_explained_and_its_vip_stays_open() -> None:
    assert outside("access: private").endswith(
        "access private: nothing from other segments reaches its hosts but a service's requests, and no answer to what "
        "they begin. 10.0.1.100 is reached all the same: a VIP is swlb's and no host's."
    )


def test_a_private_segment_that_nothing_is_routed_to_is_said_to_be_so_anyway() -> None:
    assert "Nothing is routed to it anyway" in explained(changed("[up],", "[up], access: private,", ONE_ARM))


def test_masquerade_is_explained() -> None:
    assert outside("masquerade: on").endswith(
        "masquerade: what its hosts begin with other segments comes from swlb's address there."
    )
    assert outside('masquerade: [10.0.2.7, "fd00:2::7"]').endswith(
        "masquerade: what its hosts begin with other segments comes from 10.0.2.7, fd00:2::7."
    )
    assert "but a service's requests, and answers to what they begin. 10.0.1.100" in outside(
        "masquerade: on", "access: private"
    )


def test_vip_guard_is_explained() -> None:
    assert outside("vip_guard: true").endswith(
        "vip_guard: what its stations say of a VIP in ARP or neighbour discovery is dropped."
    )

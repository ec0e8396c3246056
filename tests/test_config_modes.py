"""Modes, ways of forwarding and addresses that stand for clients: what is read, and what cannot work and why."""

from ipaddress import ip_address

import pytest

from swlb.config import Gue, parse
from swlb.config.source_rules import MAX_POOL
from tests.config_text import BASE, DIRECT, ONE_ARM, SWITCH, Case, changed, problems, problems_of

WEB = "    port: 80\n"  # of service web, in every text
POOL = "    source_nat: auto\n"  # of ONE_ARM


def web(old: str, new: str, text: str = BASE):
    """Service web of the changed text."""
    return parse(changed(old, new, text), file="lab.yaml").services["web"]


def test_what_stands_for_clients_is_read() -> None:
    keys = '    source_nat: always\n    source_pool: [10.0.0.9, "fd00::9"]\n    source_ports: "20-29"\n'
    service = web(POOL, keys, ONE_ARM)
    assert (service.source_nat, service.source_ports) == ("always", (20, 29))
    assert service.source_pool == (ip_address("10.0.0.9"), ip_address("fd00::9"))


def test_a_port_of_gue_is_read() -> None:
    service = web("forward: dsr", "forward: gue\n    gue: {port: 19523}", DIRECT)
    assert (service.forward, service.gue) == ("gue", Gue(port=19523))


@pytest.mark.parametrize(
    ("text", "old", "new", "mss"),
    [
        (BASE, WEB, WEB + "    mss: 1400\n", 1400),
        (BASE, WEB, WEB + "    mss: auto\n", "auto"),
        (DIRECT, "forward: dsr", "forward: dsr", "off"),
        (DIRECT, "forward: dsr", "forward: ipip", "auto"),
        (DIRECT, "forward: dsr", "forward: gue", "auto"),
        (DIRECT, "forward: dsr", "forward: ipip\n    mss: off", "off"),
        (DIRECT, "forward: dsr", "forward: ipip\n    protocol: udp", "off"),
    ],
)
def test_mss_is_auto_in_tunnels_of_tcp_and_off_elsewhere_unless_said_otherwise(text, old, new, mss) -> None:
    assert web(old, new, text).mss == mss


@pytest.mark.parametrize("forward", ["dsr", "ipip", "gue"])
def test_the_source_stays_where_servers_answer_themselves(forward: str) -> None:
    assert web("forward: dsr", f"forward: {forward}", DIRECT).source_nat == "never"


@pytest.mark.parametrize(
    ("written", "read"), [("off", "off"), ("on", "on"), ("[10.0.2.7]", (ip_address("10.0.2.7"),))]
)
def test_masquerade_is_off_on_or_a_list_of_addresses(written: str, read: object) -> None:
    text = changed("web2],", f"web2], masquerade: {written}, access: private, vip_guard: true,")
    inside = parse(text, file="lab.yaml").segments["inside"]
    assert (inside.masquerade, inside.access, inside.vip_guard) == (read, "private", True)


FORMS = [
    Case("an mss that is a word", WEB, WEB + "    mss: small\n",
         '17: services.web.mss: found "small"; expected off, auto or a number of bytes from 88 to 65535'),
    Case("an mss below what TCP takes", WEB, WEB + "    mss: 87\n",
         "17: services.web.mss: found 87; expected off, auto or a number of bytes from 88 to 65535"),
    Case("an mss of true", WEB, WEB + "    mss: true\n",
         "17: services.web.mss: found true; expected off, auto or a number of bytes from 88 to 65535"),
    Case("masquerade of true", "[client],", "[client], masquerade: true,",
         "9: segments.outside.masquerade: found true; expected off, on or a list of addresses"),
    Case("masquerade with no address", "[client],", "[client], masquerade: [],",
         "9: segments.outside.masquerade: found an empty list; expected off, on or a list of addresses"),
    Case("masquerade with a prefix", "[client],", "[client], masquerade: [10.0.1.0/24],",
         "9: segments.outside.masquerade: found a list; expected an address such as 10.0.2.11 or fd00:2::11"),
    Case("vip_guard on", "[client],", "[client], vip_guard: on,",
         '9: segments.outside.vip_guard: found "on"; expected true or false'),
    Case("access that is closed", "[client],", "[client], access: closed,",
         '9: segments.outside.access: found "closed"; expected open or private'),
    Case("a way of forwarding misspelt", WEB, WEB + "    forward: ipipp\n",
         '17: services.web.forward: found "ipipp"; expected nat, dsr, ipip or gue; did you mean ipip?'),
    Case("source_nat on", WEB, WEB + "    source_nat: on\n",
         '17: services.web.source_nat: found "on"; expected auto, always or never'),
    Case("one address where a pool belongs", WEB, WEB + "    source_pool: 10.0.1.9\n",
         '17: services.web.source_pool: found "10.0.1.9"; expected a list of addresses'),
    Case("a key of gue that is none", WEB, WEB + "    gue: {ports: 1}\n",
         "17: services.web.gue.ports: found an unknown key; expected one of port; did you mean port?"),
    Case("a port of gue that is none", WEB, WEB + "    gue: {port: 0}\n",
         "17: services.web.gue.port: found 0; expected a port number from 1 to 65535"),
]  # fmt: skip


@pytest.mark.parametrize("case", FORMS, ids=lambda case: case.name)
def test_a_wrong_form_is_named_once_at_its_place(case: Case) -> None:
    assert problems_of(case) == [case.problem]


STRAIGHT = "ports cannot be translated when the reply goes straight to the client: leave the server's port out"

DIRECT_CASES = [
    Case("nat in mode dsr", "forward: dsr", "forward: nat",
         '9: services.web.forward: found "nat"; expected dsr, ipip or gue, because the mode is dsr'),
    Case("no way of forwarding in mode dsr", "    forward: dsr\n", "",
         '6: services.web.forward: found "nat"; expected dsr, ipip or gue, because the mode is dsr'),
    Case("a dsr server with another port", "10.0.0.11", "10.0.0.11, port: 8080",
         "10: services.web.servers.web1.port: found 8080; "
         f"expected the VIP's port: {STRAIGHT}, or make it 80"),
    Case("a tunnel's server with another port", "10.9.0.11", "10.9.0.11, port: 8080",
         "15: services.far.servers.far1.port: found 8080; "
         f"expected the VIP's port: {STRAIGHT}, or make it 80"),
    Case("a dsr server behind a router", "10.0.0.11", "10.9.0.12",
         "10: services.web.servers.web1.address: found 10.9.0.12, which is behind router 10.0.0.254; "
         "expected a server in a segment's own subnet, because forward dsr changes the MAC only; or forward ipip"),
    Case("a dsr server of another family", '[10.0.0.100, "fd00::100"]', "10.0.0.100",
         "10: services.web.servers.web2.address: found fd00::12, and no VIP of the service is IPv6; "
         "expected an address of the VIP's family, or an IPv6 VIP beside it"),
    Case("a source to rewrite with dsr", "forward: dsr", "forward: dsr\n    source_nat: auto",
         "10: services.web.source_nat: found auto with forward dsr; "
         "expected never, because the server must see whom to answer; or forward nat"),
    Case("a source to rewrite in a tunnel", "forward: ipip", "forward: ipip\n    source_nat: always",
         "15: services.far.source_nat: found always with forward ipip; "
         "expected never, because the server must see whom to answer; or forward nat"),
    Case("a port of gue with ipip", "forward: ipip", "forward: ipip\n    gue: {port: 7000}",
         "15: services.far.gue: found port 7000 with forward ipip; expected the key left out, or forward gue"),
    Case("mss with udp", "forward: ipip", "forward: ipip\n    protocol: udp\n    mss: auto",
         "16: services.far.mss: found auto; expected off, because datagrams have no maximum segment size"),
    Case("a pool with dsr", "forward: dsr", "forward: dsr\n    source_pool: [10.0.0.9]",
         "10: services.web.source_pool: found a list; expected the key left out, "
         "because the source is never rewritten; or source_nat auto or always"),
]  # fmt: skip


@pytest.mark.parametrize("case", DIRECT_CASES, ids=lambda case: case.name)
def test_what_cannot_work_where_servers_answer_themselves_is_refused(case: Case) -> None:
    assert problems_of(case, DIRECT) == [case.problem]


def test_a_server_s_port_for_a_range_is_left_out_even_if_it_is_one_of_them() -> None:
    text = changed("port: 80\n    forward: dsr", "port: 80-81\n    forward: dsr", DIRECT)
    assert problems(changed("0.11}", "0.11, port: 80}", text)) == [
        f"10: services.web.servers.web1.port: found 80; expected the VIP's port: {STRAIGHT}"
    ]


@pytest.mark.parametrize(
    ("forward", "vip", "server", "need"),
    [
        ("ipip", '"fd00::100"', "10.0.0.11", 1300),
        ("ipip", '"fd00::100"', '"fd00::11"', 1320),
        ("gue", '"fd00::100"', "10.0.0.11", 1312),
        ("gue", '["fd00::100", 10.0.0.100]', '"fd00::11"', 1332),
    ],
)
def test_a_tunnel_leaves_ipv6_the_1280_bytes_that_it_needs(forward: str, vip: str, server: str, need: int) -> None:
    text = DIRECT.replace("forward: dsr", f"forward: {forward}").replace('[10.0.0.100, "fd00::100"]', vip)
    text = text.replace('{web1: {address: 10.0.0.11}, web2: {address: "fd00::12"}}', f"{{web1: {{address: {server}}}}}")
    assert problems(text.replace("{tap: sw1}", f"{{tap: sw1, mtu: {need}}}")) == []
    assert problems(text.replace("{tap: sw1}", f"{{tap: sw1, mtu: {need - 1}}}")) == [
        f"2: ports.web1.mtu: found {need - 1}; expected at least {need}, because service web sends IPv6 by "
        f"this port in a tunnel, which takes {need - 1280} bytes"
    ]


def test_a_tunnel_leaves_ipv4_the_68_bytes_that_it_needs() -> None:
    text = DIRECT.replace(', "fd00::1/64"', "").replace(', "fd00::100"', "")
    text = changed(', web2: {address: "fd00::12"}', "", text)
    assert problems(text.replace("{tap: sw1}", "{tap: sw1, mtu: 88}")) == []
    (problem,) = problems(text.replace("{tap: sw1}", "{tap: sw1, mtu: 87}"))
    assert "found 87; expected at least 88, because service far sends IPv4 by this port" in problem


SOURCE_CASES = [
    Case("one-arm without a rewritten source", POOL, "    source_nat: never\n",
         "10: services.web.source_nat: found never, with one port and mode transparent: no reply can pass swlb, so no "
         "client is ever answered; expected source_nat auto or always, forward dsr, or mode routed with swlb as the "
         "servers' gateway"),
    Case("a VIP that stands for clients", POOL, POOL + "    source_pool: [10.0.0.100]\n",
         "11: services.web.source_pool[0]: found 10.0.0.100, which is the VIP of service web; "
         "expected an address that is swlb's alone"),
    Case("a server that stands for clients", POOL, POOL + "    source_pool: [10.0.0.9, 10.0.0.11]\n",
         "11: services.web.source_pool[1]: found 10.0.0.11, which is server web1 of service web; "
         "expected an address that is swlb's alone"),
    Case("a router that stands for clients", POOL, POOL + "    source_pool: [10.0.0.254]\n",
         "11: services.web.source_pool[0]: found 10.0.0.254, which is a router; "
         "expected an address that is swlb's alone"),
    Case("a network address that stands for clients", POOL, POOL + "    source_pool: [10.0.0.0]\n",
         "11: services.web.source_pool[0]: found 10.0.0.0, the network address of 10.0.0.0/24; "
         "expected the address of one station"),
    Case("an address of a pool twice", POOL, POOL + "    source_pool: [10.0.0.9, 10.0.0.9]\n",
         "11: services.web.source_pool[1]: found 10.0.0.9 a second time; expected each address once"),
    Case("a pool without the servers' family", POOL, POOL + '    source_pool: ["fd00::9"]\n',
         "11: services.web.source_pool: found no IPv4 address, and the service has servers of IPv4; "
         "expected an IPv4 address beside the others"),
    Case("masquerade where nothing is routed", "[up],", "[up], masquerade: on,",
         "4: segments.lan.masquerade: found masquerade where no other segment has an address, so that nothing is "
         "routed from this one; expected off, or another segment with an address"),
]  # fmt: skip


@pytest.mark.parametrize("case", SOURCE_CASES, ids=lambda case: case.name)
def test_what_cannot_work_beside_a_switch_is_refused(case: Case) -> None:
    assert problems_of(case, ONE_ARM) == [case.problem]


def test_addresses_and_ports_for_a_source_that_stays_are_not_ignored() -> None:
    pool = WEB + "    source_nat: never\n    source_pool: [10.0.2.9]\n    source_ports: 2000-2999\n"
    expected = "expected the key left out, because the source is never rewritten; or source_nat auto or always"
    assert problems(changed(WEB, pool)) == [
        f"18: services.web.source_pool: found a list; {expected}",
        f"19: services.web.source_ports: found 2000-2999; {expected}",
    ]


def test_a_pool_has_room_for_16_addresses() -> None:
    def pool(n: int) -> str:
        addresses = ", ".join(f"10.0.0.{i}" for i in range(21, 21 + n))
        return changed(POOL, f"{POOL}    source_pool: [{addresses}]\n", ONE_ARM)

    assert problems(pool(MAX_POOL)) == []
    assert problems(pool(MAX_POOL + 1)) == [
        "11: services.web.source_pool: found 17 addresses; expected at most 16 addresses"
    ]


def test_all_pools_and_segments_have_room_for_256_addresses() -> None:
    def pools(n: int) -> str:
        services = [
            f"  s{i}: {{vip: 10.0.1.101, port: {1000 + i}, source_nat: always, source_pool: [192.0.2.{i + 1}]}}\n"
            for i in range(n)
        ]
        return BASE + "".join(services)

    assert problems(pools(253)) == []
    assert problems(pools(254)) == [
        "13: services: found 254 addresses in pools, beside 3 of segments; expected at most 256 in all, "
        "because each may stand for clients; or source_nat never"
    ]


@pytest.mark.parametrize(("source_nat", "count"), [("auto", 1), ("never", 0)])
def test_addresses_of_segments_count_where_they_may_stand_for_clients(source_nat: str, count: int) -> None:
    more = ", ".join(f"10.1.{i // 250}.{i % 250 + 1}/16" for i in range(300))
    text = changed("port: 80\n", f"port: 80\n    source_nat: {source_nat}\n")
    text = text.replace("[10.0.1.1/24", f"[{more}, 10.0.1.1/24")
    found = [problem for problem in problems(text) if "at most 256 in all" in problem]
    assert len(found) == count


def test_masquerade_needs_an_address_of_the_segment() -> None:
    text = changed("web1, web2]", "web1]").replace("routes:", "  third: {ports: [web2], masquerade: on}\nroutes:")
    assert problems(text) == [
        "11: segments.third.masquerade: found masquerade on a segment without an address; "
        "expected an address of the segment, or off"
    ]


def test_a_pool_of_masquerade_is_swlb_s_own() -> None:
    assert problems(changed("[client],", "[client], masquerade: [10.0.1.100],")) == [
        "9: segments.outside.masquerade[0]: found 10.0.1.100, which is the VIP of service dns; "
        "expected an address that is swlb's alone",
        "9: segments.outside.masquerade: found no IPv6 address, and the segment has an address of IPv6; "
        "expected an IPv6 address beside the others",
    ]


GOOD = [
    ("one-arm, transparent, source_nat always", ONE_ARM, POOL, "    source_nat: always\n"),
    ("one-arm as the servers' gateway", ONE_ARM, "mode: transparent\n", "mode: routed\n"),
    ("one-arm with dsr", ONE_ARM.replace("port: 8080", "port: 80"), POOL, "    forward: dsr\n"),
    ("the segment's own address in a pool", ONE_ARM, POOL, POOL + "    source_pool: [10.0.0.1]\n"),
    ("an address of another network in a pool", ONE_ARM, POOL, POOL + "    source_pool: [192.0.2.7]\n"),
    ("both families in a pool", ONE_ARM, POOL, POOL + '    source_pool: [10.0.0.9, "fd00::9"]\n'),
    ("no statement about one port", ONE_ARM, "mode: transparent\ntopology: one-arm\n", ""),
    ("dsr beside nat in another mode", DIRECT, "mode: dsr\n", "mode: transparent\n"),
    ("a dsr server whose port is the VIP's", DIRECT, "10.0.0.11", "10.0.0.11, port: 80"),
    ("a tunnel to a server nearby", DIRECT, "10.9.0.11", "10.0.0.13"),
    ("a tunnel to a server of the other family", DIRECT, "10.9.0.11", '"fd00::13"'),
    ("two VIPs in a tunnel to one server", DIRECT, "vip: 10.0.0.101", 'vip: [10.0.0.101, "fd00::101"]'),
    ("the port of gue as it is anyway", DIRECT, "forward: ipip", "forward: ipip\n    gue: {port: 6080}"),
    ("masquerade between two segments", BASE, "[web1, web2],", "[web1, web2], masquerade: [10.0.1.1, 10.0.1.7],"),
    ("a private segment that holds a VIP", BASE, "[client],", "[client], access: private,"),
    ("a private plain switch", SWITCH, "[a, b]", "[a, b], access: private"),
]


@pytest.mark.parametrize(("text", "old", "new"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_can_work_is_accepted(text: str, old: str, new: str) -> None:
    assert problems(changed(old, new, text)) == []


def test_one_arm_is_one_segment_with_one_port() -> None:
    assert problems(SWITCH + "topology: one-arm\n") == [
        "3: topology: found one-arm with 2 ports in 1 segment; "
        "expected exactly one segment with one port, or topology inline"
    ]


def test_inline_is_two_ports_or_more() -> None:
    text = changed("mode: transparent\n", "", ONE_ARM)
    assert problems(changed("one-arm", "inline", text)) == [
        "1: topology: found inline with one port; expected two or more ports, or topology one-arm"
    ]


def test_one_arm_routed_needs_an_address() -> None:
    assert problems("mode: routed\ntopology: one-arm\nports: {a: {tap: swa}}\nsegments: {lan: {ports: [a]}}\n") == [
        "1: mode: found routed without a segment that has an address; expected a segment with an address"
    ]

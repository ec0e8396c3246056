"""Whose replies would pass swlb by, as the configuration alone tells."""

from ipaddress import ip_address

import pytest

from swlb.bypass import WAYS_OUT, WHAT_HAPPENS, clients_past, notice, warning
from swlb.config import parse
from tests.config_text import BASE, DIRECT, ONE_ARM, changed

SAME_PORT = "hosts behind the same port as the server (a server that calls the VIP and is chosen itself is one)"


def past(text: str, service: str = "web") -> list[str]:
    config = parse(text, file="lab.yaml")
    return clients_past(config, config.services[service])


def test_beside_a_switch_everybody_is_answered_directly() -> None:
    assert past(ONE_ARM) == [
        "hosts of 10.0.0.0/24 (a server that calls the VIP is one)",
        "clients of other subnets who come by segment lan",
    ]


def test_behind_one_port_of_another_segment_than_the_vip_s_only_neighbours_are_answered_directly() -> None:
    text = BASE.replace("  web2: {tap: sws2}\n", "").replace("[web1, web2]", "[web1]")
    assert past(text) == ["hosts of 10.0.2.0/24 (a server that calls the VIP is one)"]


def test_each_network_of_the_servers_is_named() -> None:
    text = BASE.replace("  web2: {tap: sws2}\n", "").replace("[web1, web2]", "[web1]")
    text = text.replace("10.0.2.1/24", "10.0.2.1/24, 10.0.3.1/24").replace("10.0.2.12", "10.0.3.12")
    assert [words.split()[2] for words in past(text)] == ["10.0.2.0/24", "10.0.3.0/24"]


TRANSPARENT = DIRECT.replace("mode: dsr", "mode: transparent").replace("forward: dsr", "source_nat: never")


@pytest.mark.parametrize("text", [BASE, TRANSPARENT])
def test_between_ports_only_hosts_behind_the_server_s_own_are_answered_directly(text: str) -> None:
    assert past(text) == [SAME_PORT]


def test_behind_a_router_other_clients_of_that_router_are_answered_directly() -> None:
    assert past(BASE.replace("10.0.2.11", "10.0.9.11").replace("10.0.2.12", "10.0.9.12")) == [
        "clients behind router 10.0.1.254, as the server is"
    ]


@pytest.mark.parametrize("service", ["web", "far"])
def test_servers_that_answer_themselves_pass_nobody_by(service: str) -> None:
    assert past(DIRECT, service) == []


def test_a_service_without_servers_passes_nobody_by() -> None:
    assert past(BASE, "dns") == []


def test_the_warning_before_and_the_notice_after_have_the_same_words() -> None:
    config = parse(changed("    servers", "    check: {}\n    servers", ONE_ARM), file="lab.yaml")
    web = config.services["web"]
    before = warning(clients_past(config, web))
    after = notice(web, web.servers["web1"], ip_address("10.0.0.10"))
    same = f": {WHAT_HAPPENS}. Ways out: {WAYS_OUT}."
    assert before.endswith(same)
    assert after == f"service web, server web1 (10.0.0.11): replies pass swlb by for 10.0.0.10{same}"

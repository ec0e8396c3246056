"""Whom a check asks: the server, or the VIP and forced to the server."""

import pytest

from swlb.config import parse
from tests.config_text import BASE, DIRECT, Case, changed, problems, problems_of


def via(text: str, service: str = "web") -> str:
    found = parse(text, file="lab.yaml").services[service]
    return found.via(found.checks[0])


def direct(check: str, **replaced: str) -> str:
    """A service of dsr with that check."""
    text = DIRECT.replace("forward: dsr\n", f"forward: dsr\n    check: {check}\n")
    for old, new in replaced.items():
        text = changed(f"{old}: 80", f"{old}: {new}", text)
    return text


@pytest.mark.parametrize("forward", ["dsr", "ipip", "gue"])
def test_servers_that_answer_as_the_vip_are_asked_there(forward):
    assert via(changed("forward: dsr", f"forward: {forward}", direct("{}"))) == "vip"


def test_others_are_asked_themselves():
    assert via(BASE) == "server"


def test_either_may_be_stated():
    assert via(direct("{via: server}")) == "server"
    assert via(changed("type: tcp", "type: tcp, via: vip")) == "vip"


@pytest.mark.parametrize(("check", "port"), [
    ("{type: icmp}", "80"),
    ("{port: 8081}", "80"),
    ("{}", "80\n    protocol: udp"),
])  # fmt: skip
def test_what_the_vip_cannot_be_asked_is_asked_of_the_server(check, port):
    assert via(direct(check, port=port)) == "server"


@pytest.mark.parametrize("check", ["{port: 8010}", "{port: 8010, via: vip}"])
def test_of_many_ports_the_check_says_which(check):
    assert via(direct(check, port='"8000-8099"')) == "vip"


CASES = [
    Case("an echo", "type: tcp", "type: icmp, via: vip",
         '17: services.web.check.via: found vip; expected server, because swlb itself answers an echo to a VIP'),
    Case("another port", "type: tcp", "port: 8080, via: vip",
         "17: services.web.check.via: found vip; expected server, because port 8080 of the VIP is not this service's"),
    Case("many ports", "port: 80\n    check: {type: tcp}", 'port: "80-89"\n    check: {via: vip}',
         "17: services.web.check.via: found vip; expected server, because the VIP has many ports: the check's `port` "
         "says which"),
    Case("another protocol", "port: 80\n    check: {type: tcp}", "port: 80\n    protocol: udp\n    check: {via: vip}",
         "18: services.web.check.via: found vip; expected server, because a check of type tcp speaks tcp, and the "
         "VIP's service is udp"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_check_that_cannot_go_through_the_vip_is_refused(case):
    assert problems_of(case) == [case.problem]


def test_servers_checked_through_the_vip_count_twice(monkeypatch):
    monkeypatch.setattr("swlb.config.service_rules.MAX_SERVERS", 3)
    assert problems(BASE) == []
    assert problems(changed("type: tcp", "via: vip")) == [
        "13: services: found 2 servers, 2 of which count twice as they are checked via vip; "
        "expected at most 3 servers in all services"
    ]


def test_as_many_probes_as_there_are_ports_may_be_under_way():
    """Two servers, each port kept for 2 x 0.5 s of probing and 4 s more: 100 a second in all."""
    text = changed("type: tcp", "via: vip, interval: 20ms, response: 500ms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swlb.config.check_rules.PROBE_PORTS", 500)
        assert problems(text) == []
        patch.setattr("swlb.config.check_rules.PROBE_PORTS", 499)
        assert problems(text) == ["13: services: found checks via vip that may keep 500 source ports at a time; "
                                  "expected at most 499: fewer servers, longer intervals, or via server"]  # fmt: skip

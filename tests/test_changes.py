"""What two configurations differ in, told step by step."""

import pytest

from swlb.changes import Step, changes
from swlb.config import parse
from tests.config_text import BASE

WEB1 = "      web1: {address: 10.0.2.11, port: 8080}\n"
WEB2 = "      web2: {address: 10.0.2.12, port: 8080}\n"
DNS = "  dns: {vip: 10.0.1.100, port: 53, protocol: udp}\n"


def told(old: str, new: str, *, base: str = BASE) -> list[Step]:
    """The steps from the base to the base with `old` replaced by `new`."""
    assert old in base
    return list(changes(parse(base, file="a"), parse(base.replace(old, new), file="b")).steps)


def test_a_file_and_itself_differ_in_nothing() -> None:
    found = changes(parse(BASE, file="a"), parse(BASE, file="b"))
    assert found.steps == ()
    assert found.sentence() == "nothing is different"


CASES = [
    ("a weight", "8080}\n      web2", "8080, weight: 3}\n      web2",
     [Step("change", "server", "web/web1", ("weight 1 -> 3",))]),
    ("a server more", "  dns:", "      web3: {address: 10.0.2.13, port: 8080}\n  dns:",
     [Step("add", "server", "web/web3")]),
    ("a server less", "      web2: {address: 10.0.2.12, port: 8080}\n", "", [Step("remove", "server", "web/web2")]),
    ("another address is another server", "10.0.2.12", "10.0.2.22",
     [Step("replace", "server", "web/web2", ("address 10.0.2.12 -> 10.0.2.22",))]),
    ("a limit", "10.0.2.12, port: 8080", "10.0.2.12, port: 8080, max_connections: {upper: 9, lower: 5}",
     [Step("change", "server", "web/web2", ("max_connections none -> 9 until below 5",))]),
    ("a scheduler and a check", "check: {type: tcp}", "check: {type: http}\n    scheduler: wlc",
     [Step("change", "service", "web", ("scheduler rr -> wlc", "check"))]),
    ("another VIP is another service", "vip: 10.0.1.100\n    port", "vip: 10.0.1.101\n    port",
     [Step("replace", "service", "web", ("vip 10.0.1.100 -> 10.0.1.101",))]),
    ("the port of a service", "port: 80\n", "port: 8000\n", [Step("change", "service", "web", ("port 80 -> 8000",))]),
    ("a service less", "  dns: {vip: 10.0.1.100, port: 53, protocol: udp}\n", "", [Step("remove", "service", "dns")]),
    ("a service more", "  dns:", "  ntp: {vip: 10.0.1.100, port: 123, protocol: udp}\n  dns:",
     [Step("add", "service", "ntp")]),
    ("another route", "to: 10.0.9.0/24", "to: 10.0.8.0/24",
     [Step("remove", "route", "10.0.9.0/24 via 10.0.1.254"), Step("add", "route", "10.0.8.0/24 via 10.0.1.254")]),
    ("a segment's address", "[10.0.2.1/24]", "[10.0.2.2/24]",
     [Step("change", "segment", "inside", ("addresses 10.0.2.1/24 -> 10.0.2.2/24",))]),
    ("a port's size", "{tap: sws1}", "{tap: sws1, mtu: 9000}", [Step("change", "port", "web1", ("mtu 1500 -> 9000",))]),
    ("servers in another order", WEB1 + WEB2, WEB2 + WEB1, [Step("change", "service", "web", ("order of servers",))]),
    ("services in another order", BASE[BASE.index("  web:"):], DNS + BASE[BASE.index("  web:"):BASE.index(DNS)],
     [Step("change", "setting", "services", ("order of services",))]),
    ("a setting of many keys", "workers: 1\n", "workers: 1\ntimeouts: {udp: 9s}\n",
     [Step("change", "service", "web", ("timeouts",)), Step("change", "service", "dns", ("timeouts",)),
      Step("change", "setting", "timeouts")]),
    ("slow start", "port: 80\n", "port: 80\n    slow_start: 1m30s\n",
     [Step("change", "service", "web", ("slow_start 0s -> 1m30s",))]),
    ("persistence", "port: 80\n", "port: 80\n    persistence: {mask: 24, timeout: 90s}\n",
     [Step("change", "service", "web",
           ("persistence none -> {by: source, mask: 24, mask6: 128, timeout: 1m30s}",))]),
    ("fail-open", "port: 80\n", "port: 80\n    fail_open: 30%\n",
     [Step("change", "service", "web", ("fail_open 0% -> 30%",))]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "steps"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_difference_is_a_step(old: str, new: str, steps: list[Step]) -> None:
    assert told(old, new) == steps


def test_servers_of_a_service_that_is_replaced_are_so_with_it() -> None:
    after = BASE.replace("vip: 10.0.1.100\n    port", "vip: 10.0.1.101\n    port").replace("10.0.2.12", "10.0.2.22")
    steps = changes(parse(BASE, file="a"), parse(after, file="b")).steps
    assert [(step.action, step.kind, step.name) for step in steps] == [("replace", "service", "web")]


def test_steps_are_in_the_order_of_the_new_file_and_what_leaves_comes_last() -> None:
    dns = "  dns: {vip: 10.0.1.100, port: 53, protocol: udp}\n"
    new = "services:\n  zeta: {vip: 10.0.1.100, port: 123}\n  alpha: {vip: 10.0.1.100, port: 124}\n"
    after = BASE.replace(dns, "").replace("services:\n", new)
    steps = changes(parse(BASE, file="a"), parse(after, file="b")).steps
    assert [step.name for step in steps] == ["zeta", "alpha", "dns"]


def test_what_is_told_is_counted_by_kind() -> None:
    more = "      web3: {address: 10.0.2.13}\n      web4: {address: 10.0.2.14}\n  dns:"
    before, after = parse(BASE, file="a"), parse(BASE.replace("  dns:", more).replace("80\n", "81\n"), file="b")
    assert changes(before, after).sentence() == "1 service changed, 2 servers added"
    assert changes(after, before).sentence() == "1 service changed, 2 servers removed"

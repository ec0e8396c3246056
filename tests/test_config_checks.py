"""A service's check in all its forms: in place, by name, several under all or any."""

import pytest

from swlb.config import Check, Config, parse
from swlb.config.check_models import keys_of_check
from swlb.config.values import one_of
from swlb.explain import explain
from tests.config_text import BASE, Case, changed, problems, problems_of

KEYS = keys_of_check({})
FORMS = (
    "a mapping of a check such as {type: tcp}, the name of one of `checks`, or {all: [...]} or {any: [...]}"
)
LIST = "a list of checks and names of `checks`, at least one"
SHARED = changed("mode: routed", "mode: routed\nchecks: {web-ok: {type: tcp, port: 81}, ping: {type: icmp}}")
WEB_OK, PING = Check(name="web-ok", type="tcp", port=81), Check(name="ping", type="icmp")


def shared(check: str) -> Config:
    """The configuration whose service web has that check."""
    return parse(changed("{type: tcp}\n    servers", f"{check}\n    servers", SHARED), file="lab.yaml")


@pytest.mark.parametrize(
    ("check", "need", "checks"),
    [
        ("web-ok", "all", (WEB_OK,)),
        ("{type: icmp}", "all", (Check(type="icmp"),)),
        ("{}", "all", (Check(),)),
        ("{all: [web-ok, ping]}", "all", (WEB_OK, PING)),
        ("{any: [ping, {type: tcp, rise: 3}]}", "any", (PING, Check(rise=3))),
        ("{any: [{}]}", "any", (Check(),)),
        ("", "all", ()),
    ],
)
def test_every_form_is_read(check: str, need: str, checks: tuple[Check, ...]) -> None:
    web = shared(check).services["web"]
    assert (web.need, web.checks) == (need, checks)


def test_a_shared_check_is_one_object_wherever_it_is_named() -> None:
    text = changed("protocol: udp}", "protocol: udp, check: web-ok}", SHARED)
    config = parse(changed("{type: tcp}\n    servers", "web-ok\n    servers", text), file="lab.yaml")
    assert config.services["web"].checks[0] is config.services["dns"].checks[0] is config.checks["web-ok"]


def test_a_check_that_nobody_uses_is_no_mistake_and_told() -> None:
    words = " ".join(explain(shared("web-ok")).split())
    assert "checks that no service names: ping" in words
    assert "no service names" not in explain(shared("{any: [web-ok, ping]}"))


def test_several_checks_are_explained_one_by_one() -> None:
    words = " ".join(explain(shared("{any: [web-ok, ping, {type: tcp, interval: 7s}]}")).split())
    for told in ("3 checks: a server is up while any of them says so.", "check web-ok (shared by name): tcp to port 81",
                 "check ping (shared by name): icmp every 2s", "check tcp every 7s"):  # fmt: skip
        assert told in words


CASES = [
    Case("a name that is none", "{type: tcp}", "web-okk",
         f'17: services.web.check: found "web-okk", which is no check\'s name; expected {FORMS}'),
    Case("an empty name", "{type: tcp}", '""',
         f'17: services.web.check: found "", which is no check\'s name; expected {FORMS}'),
    Case("a name that is none in a list", "{type: tcp}", "{all: [{type: icmp}, ping]}",
         f'17: services.web.check.all[1]: found "ping", which is no check\'s name; expected {FORMS}'),
    Case("a list without all or any", "{type: tcp}", "[{type: tcp}]",
         f"17: services.web.check: found a list; expected {FORMS}"),
    Case("no check of all", "{type: tcp}", "{all: []}",
         f"17: services.web.check.all: found an empty list; expected {LIST}"),
    Case("any of what is no list", "{type: tcp}", "{any: ping}",
         f'17: services.web.check.any: found "ping"; expected {LIST}'),
    Case("all and any", "{type: tcp}", "{all: [{}], any: [{}]}",
         "17: services.web.check: found all and any beside each other; expected one of them"),
    Case("a key beside any", "{type: tcp}", "{any: [{}], rise: 3}",
         "17: services.web.check.rise: found an unknown key; expected one of all or any"),
    Case("an unknown key in a list", "{type: tcp}", "{any: [{}, {port: 80, rice: 3}]}",
         "17: services.web.check.any[1].rice: found an unknown key; "
         f"expected one of {one_of(KEYS, instead_of='rice')}"),
    Case("a key of another type in a list", "{type: tcp}", "{any: [{type: icmp, port: 7}]}",
         "17: services.web.check.any[0].port: found a key that a check of type icmp does not have; "
         "expected a type that has it: tcp, http, https, tls, udp, dns, script or agent"),
    Case("a bad value in a list", "{type: tcp}", "{all: [{}, {rise: 0}]}",
         "17: services.web.check.all[1].rise: found 0; expected a whole number from 1 to 1000"),
    Case("a list in a list", "{type: tcp}", "{all: [[]]}",
         f"17: services.web.check.all[0]: found an empty list; expected a mapping with keys of {', '.join(KEYS)}"),
    Case("a tcp check among several that has no port to probe", "port: 53, protocol: udp",
         "port: 5-6, check: {all: [{type: icmp}, {}]}, servers: {a: {address: 10.0.2.9}}",
         "21: services.dns.check.all[1]: found no port to probe on server a, because the service has many; "
         "expected a port of the check, or one of each server"),
    Case("a bad value of a shared check", "mode: routed", "mode: routed\nchecks: {ok: {type: tcp, rise: 0}}",
         "2: checks.ok.rise: found 0; expected a whole number from 1 to 1000"),
    Case("a key of another type in a shared check", "mode: routed", "mode: routed\nchecks: {ok: {type: icmp, port: 1}}",
         "2: checks.ok.port: found a key that a check of type icmp does not have; "
         "expected a type that has it: tcp, http, https, tls, udp, dns, script or agent"),
    Case("a shared check that is a word", "mode: routed", "mode: routed\nchecks: {ok: tcp}",
         f'2: checks.ok: found "tcp"; expected a mapping with keys of {", ".join(KEYS)}'),
    Case("a shared check with a name that is none", "mode: routed", 'mode: routed\nchecks: {"a b": {}}',
         "2: checks.\"a b\": found \"a b\"; expected a name of 1 to 63 letters, digits, '_', '.' and '-'"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exactly_what_is_wrong_is_found(case: Case) -> None:
    assert problems_of(case) == [case.problem]


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    assert problems(changed("{type: tcp}\n    servers", "web-okk\n    servers", SHARED)) == [
        '18: services.web.check: found "web-okk", which is no check\'s name; '
        "expected one of `checks`: web-ok or ping; did you mean web-ok?"
    ]


def test_a_name_of_a_check_that_is_wrong_itself_is_not_found_missing() -> None:
    text = changed("{type: tcp}\n    servers", "web-ok\n    servers", SHARED.replace("port: 81", "port: 0"))
    assert problems(text) == ["2: checks.web-ok.port: found 0; expected a port number from 1 to 65535"]


def test_several_mistakes_of_one_list_are_all_found() -> None:
    found = problems(changed("{type: tcp}", "{all: [nosuch, {rise: 0}, {colour: red}, {type: icmp, port: 1}]}"))
    assert sorted(problem.split(":")[1].strip() for problem in found) == [
        "services.web.check.all[0]", "services.web.check.all[1].rise", "services.web.check.all[2].colour",
        "services.web.check.all[3].port",
    ]  # fmt: skip


def test_base_is_good() -> None:
    assert problems(BASE) == problems(SHARED) == []

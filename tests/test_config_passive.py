"""`passive`: its keys, its defaults, what is refused and how `swlb check` explains it."""

import pytest

from swlb.config import parse
from swlb.config.passive_models import Passive
from swlb.explain import explain
from tests.config_text import BASE, DIRECT, Case, changed, problems, problems_of

CHECK = "    check: {type: tcp}\n"


def with_passive(passive: str, text: str = BASE) -> str:
    """Service web wants passive evidence."""
    return changed("    port: 80\n", f"    port: 80\n    passive: {passive}\n", text)


def passive_of(text: str) -> Passive | None:
    return parse(text, file="lab.yaml").services["web"].passive


def test_it_is_off_unless_asked_for() -> None:
    assert passive_of(BASE) is None


def test_every_key_has_a_default() -> None:
    assert passive_of(with_passive("{}")) == Passive(
        failures=3, within=10, action="probe", back_off=5, back_off_max=3600, one_way=False
    )


def test_every_key_is_read() -> None:
    text = with_passive("{failures: 5, within: 2s, action: down, back_off: 500ms, back_off_max: 1m, one_way: false}")
    assert passive_of(text) == Passive(failures=5, within=2, action="down", back_off=0.5, back_off_max=60)


WEB = "port: 80\n"
CASES = [
    Case("an unknown key", WEB, WEB + "    passive: {failure: 3}\n",
         "17: services.web.passive.failure: found an unknown key; expected one of failures, within, action, back_off, "
         "back_off_max or one_way; did you mean failures?"),
    Case("no failure at all", WEB, WEB + "    passive: {failures: 0}\n",
         "17: services.web.passive.failures: found 0; expected a whole number from 1 to 1000"),
    Case("too long a time", WEB, WEB + "    passive: {within: 1h}\n",
         '17: services.web.passive.within: found "1h"; '
         "expected a duration such as 500ms, 2s, 1m, from 100ms to 10m"),
    Case("an unknown action", WEB, WEB + "    passive: {action: drain}\n",
         '17: services.web.passive.action: found "drain"; expected probe or down'),
    Case("true", WEB, WEB + "    passive: true\n",
         "17: services.web.passive: found true; "
         "expected a mapping with keys of failures, within, action, back_off, back_off_max, one_way"),
    Case("a probe without a check", CHECK, "    passive: {failures: 2}\n",
         "17: services.web.passive: found action probe, and nothing to probe with: the service has no check; "
         "expected a check of the service, or action: down"),
    Case("one_way of tcp", WEB, WEB + "    passive: {one_way: true}\n",
         "17: services.web.passive.one_way: found true, and the service is tcp; "
         "expected false: it is about datagrams only"),
    Case("a back-off that shrinks", WEB, WEB + "    passive: {back_off: 10s, back_off_max: 5s}\n",
         "17: services.web.passive.back_off_max: found 5s, which is less than back_off; expected at least 10s"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_is_named_once_at_its_place(case: Case) -> None:
    assert problems_of(case) == [case.problem]


def test_a_check_that_was_refused_is_not_missed_a_second_time() -> None:
    found = problems(with_passive("{}", changed("{type: tcp}", "{type: tcpp}")))
    assert len(found) == 1
    assert "services.web.check.type" in found[0]


def test_down_without_a_check_is_accepted() -> None:
    assert problems(changed(CHECK, "    passive: {action: down}\n")) == []


DIRECT_CHECK = "forward: dsr\n    check: {}\n"


def test_where_only_the_client_is_heard_it_takes_no_server_out() -> None:
    text = changed("forward: dsr\n", DIRECT_CHECK + "    passive: {action: down}\n", DIRECT)
    assert problems(text) == [
        "11: services.web.passive.action: found down with forward dsr; "
        "expected probe: swlb hears the client only, who may ask again for reasons of its own"
    ]


def test_where_only_the_client_is_heard_it_may_have_a_probe_sent() -> None:
    assert problems(changed("forward: dsr\n", DIRECT_CHECK + "    passive: {}\n", DIRECT)) == []


def test_where_only_the_client_is_heard_datagrams_tell_nothing() -> None:
    text = changed("forward: dsr\n", DIRECT_CHECK + "    protocol: udp\n    passive: {}\n", DIRECT)
    assert problems(text) == [
        "12: services.web.passive: found evidence wanted of udp with forward dsr; "
        "expected the key left out: what servers answer passes swlb by, so it cannot be missed"
    ]


def explained(text: str) -> str:
    return " ".join(explain(parse(text, file="lab.yaml")).split())


def test_a_probe_at_once_is_explained() -> None:
    sentence = (
        "passive: after 3 connections not answered or refused within 10s, and none answered meanwhile, the server is "
        "probed at once."
    )
    assert sentence in explained(with_passive("{}"))


def test_being_taken_out_is_explained() -> None:
    sentence = (
        "passive: after 1 connection not answered or refused within 2s, and none answered meanwhile, the server is "
        "down for 5s; for twice as long each time it then fails again, 1m at most. The last server that is left stays."
    )
    assert sentence in explained(with_passive("{failures: 1, within: 2s, action: down, back_off_max: 1m}"))


@pytest.mark.parametrize(("one_way", "words"), [
    ("false", "3 sessions refused within"), ("true", "3 sessions not answered or refused within"),
])  # fmt: skip
def test_what_counts_of_datagrams_is_explained(one_way: str, words: str) -> None:
    text = changed("protocol: udp", f"protocol: udp, passive: {{action: down, one_way: {one_way}}}")
    assert words in explained(text)

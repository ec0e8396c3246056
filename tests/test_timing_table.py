"""What `swlb check --timing` prints, for people and for programs."""

import json

import pytest

from swlb.config import Check
from swlb.timing_table import sentence
from tests.config_text import BASE
from tests.test_cli import run

FAST = BASE.replace("type: tcp", "type: icmp, fast_interval: 500ms, hold_down: 30s")


@pytest.fixture
def printed(monkeypatch, capsys, tmp_path):
    """What `swlb check WORDS FILE` prints of a configuration."""

    def check(text: str, *words: str) -> str:
        file = tmp_path / "lab.yaml"
        file.write_text(text.replace(", netns: client", ""))
        assert run(monkeypatch, "check", str(file), *words) in (0, None)
        streams = capsys.readouterr()
        assert streams.err == ""
        return streams.out

    return check


def test_every_service_has_a_line_for_each_way_to_fail(printed):
    table, *_ = printed(BASE, "--timing").split("\n\n")
    heading, *lines = table.splitlines()
    assert heading.split("  ")[0] == "service"
    assert [line.split() for line in lines] == [
        ["web", "tcp", "refuses", "4s", "6s", "10s", "20s", "retries"],
        ["is", "silent", "5s", "7s", "10s", "21s", "timeout"],
        ["is", "too", "slow", "5s", "7s", "10s", "21s", "timeout"],
        ["dns", "-", "-", "-", "-", "-", "-", "-"],
    ]


def test_every_service_has_a_sentence_that_says_which_rule_strikes(printed):
    _, *said = printed(BASE, "--timing").split("\n\n")
    web, dns = (" ".join(text.split()) for text in said)
    assert web.startswith(
        "web: a server that refuses is out after 3 failures in a row (retries); a server that is silent or is too slow "
        "is out 5s after its first failed probe began (timeout); in again after 2 successes in a row (rise); "
    )
    assert dns == "dns: no check: servers always count as up."


def test_services_of_the_same_check_share_a_sentence(printed):
    more = "  mail: {vip: 10.0.1.100, port: 25, check: {type: tcp}, servers: {web1: {address: 10.0.2.11}}}\n"
    assert "\n\nweb, mail: a server" in printed(BASE + more, "--timing")


def test_of_several_checks_each_is_named(printed):
    several = "check: {all: [{type: tcp}, {type: tcp, port: 81, retries: 1}, {type: http}]}"
    table, *said = printed(BASE.replace("check: {type: tcp}", several), "--timing").split("\n\n")
    assert [line.split("  ")[3].strip() for line in table.splitlines() if line.startswith("web")] == [
        "0 (tcp)", "1 (tcp)", "2 (http)", "all",
    ]  # fmt: skip
    assert [text.split(":")[0] for text in said] == ["web 0 (tcp)", "web 1 (tcp)", "web 2 (http)", "web", "dns"]


def test_no_sentence_is_longer_than_100_columns(printed):
    _, *said = printed(FAST, "--timing").split("\n\n")
    assert max(len(line) for text in said for line in text.splitlines()) <= 100


def test_programs_get_one_list_of_objects_in_seconds(printed):
    rows = json.loads(printed(FAST, "--timing", "--json"))
    assert [(row["service"], row["check"], row["failure"], row["rule"]) for row in rows] == [
        ("web", "icmp", "refused", "retries"),
        ("web", "icmp", "silent", "retries"),
        ("web", "icmp", "slow", "retries"),
        ("dns", None, None, None),
    ]
    seconds = ("detect_best_s", "detect_worst_s", "recover_best_s", "recover_worst_s")
    assert [rows[1][name] for name in seconds] == [3.0, 30.0, 0.5, 30.0]
    assert [rows[3][name] for name in seconds] == [None] * 4
    assert rows[0]["text"].startswith("a server that refuses, is silent or is too slow is out after 3 failures")


def test_a_configuration_without_services_is_said_to_have_none(printed):
    assert printed("ports: {a: {tap: swa}, b: {tap: swb}}\nsegments: {lan: {ports: [a, b]}}\n", "--timing") == (
        "no service is configured\n"
    )


def test_json_goes_with_timing(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "check", str(tmp_path / "lab.yaml"), "--json") == 2
    assert "--json goes with --timing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check(retries=1), "is out after 1 failure (retries)"),
        (Check(interval=1, timeout=0), "is silent or is too slow is out when its first failed probe ends (timeout)"),
        (Check(timeout=4, jitter=0.1), "after 3 failures in a row or 4s after its first failed probe began, whichever "
                                       "jitter lets come first"),
        (Check(hold_down=30), "hold_down keeps changes of its state at least 30s apart"),
        (Check(type="tcp"), "does not see a slow application behind it"),
        (Check(type="icmp"), "an icmp check asks for an echo only"),
        (Check(type="udp"), "a udp check without `expect` takes silence for consent"),
        (Check(type="agent"), "the agent itself says up or down, asked every 2s"),
    ],
)  # fmt: skip
def test_a_sentence_tells_what_is_special(check, words):
    assert words in sentence(check)


def test_what_a_check_notices_it_has_no_note_about():
    assert sentence(Check(type="http")) == (
        "a server that refuses is out after 3 failures in a row (retries); a server that is silent or is too slow is "
        "out 5s after its first failed probe began (timeout); in again after 2 successes in a row (rise)"
    )

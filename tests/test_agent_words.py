"""What the line of an agent means (swlb/probes/agent_words.py), by the grammar of HAProxy's management guide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb.probes.agent_words import read_line
from swlb.probes.outcome import Report

CASES = {
    "": Report(),
    "up": Report(health="up"),
    "UP": Report(health="up"),
    "Stopped": Report(health="stopped"),
    "ready,up": Report(health="up", admin="ready"),
    "up\tready, 75%": Report(health="up", admin="ready", weight=75, weight_is_percent=True),
    " ,\t,up,, ": Report(health="up"),
    "0%": Report(weight=0, weight_is_percent=True),
    "weight:20": Report(weight=20),
    "weight:20%": Report(weight=20, weight_is_percent=True),
    "WEIGHT:20": Report(weight=20),
    "weight:5 50%": Report(weight=50, weight_is_percent=True),
    "50% weight:5": Report(weight=5),
    "007%": Report(weight=7, weight_is_percent=True),
    "weight:65535": Report(weight=65535),
    "maxconn:30": Report(max_connections=30),
    "up down": Report(health="down"),
    "down up": Report(health="up"),
    "maint ready drain": Report(admin="drain"),
    "drain#up": Report(admin="drain", description="up"),
    "fail # no database # since noon ": Report(health="fail", description="no database # since noon"),
    "#": Report(),
    "up # \x1b[31mred\x07 \0 alert": Report(health="up", description="[31mred alert"),
    f"up # {'x' * 300}": Report(health="up", description="x" * 200),
}


@pytest.mark.parametrize(("line", "report"), CASES.items(), ids=map(repr, CASES))
def test_a_line_is_read(line, report):
    assert read_line(line.encode())[::2] == (report, None)


NONSENSE = [
    "uptime", "u p", "up;", "weight", "weight:", "weight:x", "weight: 5", "20", "%", "-5%", "+5%", "5%%", "1e2%",
    "65536%", "weight:65536", "weight:999999999999999999999", "maxconn:", "maxconn:65536", "maxconn:5%", "down!",
    "²%", "nolb",
]  # fmt: skip


@pytest.mark.parametrize("words", NONSENSE)
def test_what_is_no_word_changes_nothing_and_is_kept_as_it_was_written(words):
    heard = read_line(words.encode("latin-1"))
    assert (heard.report, heard.understood if " " not in words else 0) == (Report(), 0)
    assert heard.unknown is not None


def test_the_first_unknown_word_is_the_one_that_is_told():
    assert read_line(b"NoLB up later").unknown == "NoLB"


WORDS = {
    "health": ["up", "down", "fail", "stopped"],
    "admin": ["ready", "drain", "maint"],
    "weight": ["0%", "100%", "weight:3", "weight:50%"],
    "maxconn": ["maxconn:0", "maxconn:30"],
}
GROUP = {word: group for group, words in WORDS.items() for word in words}
any_case = st.sampled_from([str.upper, str.lower, str.title, str.swapcase])
separators = st.text(" \t,", min_size=1, max_size=3)
words = st.lists(st.tuples(st.sampled_from(sorted(GROUP)), any_case, separators), max_size=12)


@given(words, st.text("# \tabc", max_size=9))
def test_the_last_word_of_each_group_counts_whatever_surrounds_it(said, description):
    line = "".join(write(word) + separator for word, write, separator in said) + f"#{description}"
    last = {GROUP[word]: word for word, _, _ in said}
    alone = [read_line(word.encode()).report for word in last.values()]
    meant = {field: value for report in alone for field, value in vars_of(report).items() if value}
    heard = read_line(line.encode())
    assert {field: value for field, value in vars_of(heard.report).items() if value} == meant | described(description)
    assert (heard.understood, heard.unknown) == (len(said), None)


@given(st.binary(max_size=200))
def test_no_line_is_an_accident(line):
    heard = read_line(line)
    assert heard.report.health in {None, *WORDS["health"]}
    assert heard.report.admin in {None, *WORDS["admin"]}
    assert heard.report.weight is None or 0 <= heard.report.weight <= 65535


def vars_of(report: Report) -> dict[str, object]:
    return {field: getattr(report, field) for field in Report.__slots__}


def described(description: str) -> dict[str, str]:
    shown = " ".join(description.split())
    return {"description": shown} if shown else {}

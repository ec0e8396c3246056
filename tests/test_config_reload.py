"""What a running swlb cannot change is found in the file it is to read again, with its line."""

import pytest
from config_text import BASE, changed, problems

from swlb.config import parse

RUNNING = parse(BASE, file="lab.yaml")
ALL_LIMITS = "limits: {sessions: 5, half_open: 2, sessions_per_source: 4, fragments: 6, neighbours: 7}\n"
LIMITS = BASE.replace("workers: 1\n", f"workers: 1\n{ALL_LIMITS}")
FIXED = "as at the start of swlb: another one takes a new start"
HAS = "which the port has: give a port of another device another name"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("workers: 1", "workers: 2", f"3: workers: found 2; expected 1, {FIXED}"),
        ("{tap: sws1}", "{tap: sws9}", f"6: ports.web1.tap: found tap sws9; expected tap sws1, {HAS}"),
        ("{tap: sws1}", "{tun: sws1}", f"6: ports.web1.tun: found tun sws1; expected tap sws1, {HAS}"),
        ("{tap: sws1}", "{packet: sws1}", f"6: ports.web1.packet: found packet sws1; expected tap sws1, {HAS}"),
        ("{tap: sws1}", "{tap: sws1, netns: x}", f"6: ports.web1.netns: found netns x; expected no netns, {HAS}"),
        (", netns: client", "", f"5: ports.client.netns: found no netns; expected netns client, {HAS}"),
    ],
)  # fmt: skip
def test_what_is_fixed_is_named_with_what_it_is_now(old: str, new: str, problem: str) -> None:
    assert problem in problems(changed(old, new), running=RUNNING)
    assert problem not in problems(changed(old, new))


@pytest.mark.parametrize(
    ("key", "value"),
    [("sessions", 5), ("half_open", 2), ("sessions_per_source", 4), ("fragments", 6), ("neighbours", 7)],
)
def test_the_sizes_of_tables_are_fixed(key: str, value: int) -> None:
    running = parse(LIMITS, file="lab.yaml")
    text = LIMITS.replace(f"{key}: {value}", f"{key}: 9")
    assert problems(text, running=running) == [f"4: limits.{key}: found 9; expected {value}, {FIXED}"]


def test_a_limit_there_was_not_is_fixed_as_well() -> None:
    text = BASE.replace("workers: 1\n", "workers: 1\nlimits: {sessions_per_source: 9}\n")
    assert problems(text, running=parse(BASE, file="lab.yaml")) == [
        f"4: limits.sessions_per_source: found 9; expected none, {FIXED}"
    ]


def test_a_key_that_is_left_out_is_as_another_value() -> None:
    running = parse(BASE.replace("workers: 1", "workers: 2"), file="lab.yaml")
    assert problems(BASE.replace("workers: 1\n", ""), running=running) == [
        f"1: workers: found 1; expected 2, {FIXED}"
    ]


def renamed(kind: str) -> str:
    """Port web1 is called other, and its device is of that kind."""
    return BASE.replace("web1: {tap: sws1}", f"other: {{{kind}: sws1}}").replace("[web1, web2]", "[other, web2]")


def test_a_new_port_waits_for_a_device_that_another_has_as_something_else() -> None:
    assert problems(renamed("packet"), running=RUNNING) == [
        "6: ports.other.packet: found packet sws1; expected a device that port web1 has not got now, or one of its "
        "kind, tap"
    ]


def test_a_port_may_be_called_something_else() -> None:
    assert problems(renamed("tap"), running=RUNNING) == []


def test_what_was_refused_already_is_not_told_twice() -> None:
    (problem,) = problems(changed("workers: 1", "workers: many"), running=RUNNING)
    assert "whole number" in problem


def test_all_problems_of_a_file_are_told_together() -> None:
    text = changed("workers: 1", "workers: 2").replace("port: 80\n", "port: 80000\n")
    assert [problem.partition(":")[0] for problem in problems(text, running=RUNNING)] == ["3", "16"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("workers: 1", "limits: {icmp_errors: 5/s}"), ("{tap: sws1}", "{tap: sws1, mtu: 1400}"),
     ("web2: {tap: sws2}", "web3: {tap: sws3}"), ("vip: 10.0.1.100", "vip: 10.0.1.101"),
     ("10.0.2.1/24", "10.0.2.2/24"), ("mode: routed\n", "")],
)  # fmt: skip
def test_everything_else_may_change(old: str, new: str) -> None:
    text = changed(old, new).replace("[web1, web2]", "[web1, web3]" if "web3" in new else "[web1, web2]")
    assert problems(text, running=RUNNING) == []

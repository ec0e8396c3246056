"""How many sessions a server may have open: configured, said by its agent, told to workers, shown and explained."""

import json

import pytest
from control import CONFIG, Control, control

from swlb.figures import servers
from swlb.probes.outcome import Outcome, Report
from swlb.tables import print_table

LIMITED = CONFIG.replace("weight: 4", "weight: 4, max_connections: {upper: 100, lower: 60}")
WITH_AGENT = LIMITED.replace("{type: tcp, initial: up}", "{all: [{type: tcp, initial: up}, {type: agent, port: 5}]}")


def speak(balanced: Control, **words: object) -> None:
    """The agent of web1 has answered."""
    outcome = Outcome(True, "L7OK", "", 1.0, report=Report(health="up", **words))  # type: ignore[arg-type]
    balanced.balancer._on_probe(("web", "web1", 1), outcome)


def limit_of(balanced: Control) -> tuple[int, int]:
    told = balanced.server("web1").for_workers
    return told["limit"], told["lower"]


def row(balanced: Control, name: str = "web1") -> dict:
    return next(row for row in servers(balanced) if row["server"] == name)


@pytest.mark.parametrize(
    ("words", "limit"),
    [("{upper: 100, lower: 60}", (100, 60)), ("100", (100, 100)), ("{upper: 1, lower: 1}", (1, 1))],
)
def test_workers_are_told_the_limit_from_the_start_and_with_every_change(words: str, limit: tuple[int, int]) -> None:
    balanced = control(LIMITED.replace("{upper: 100, lower: 60}", words))
    assert limit_of(balanced) == limit
    said: list[dict[str, int]] = []
    balanced.built.workers.set_server = lambda index, **told: said.append(told)  # type: ignore[method-assign]
    balanced.balancer.order("web/web1", "weight=2")
    assert [(told["limit"], told["lower"]) for told in said] == [limit]


def test_without_a_limit_workers_are_told_none() -> None:
    assert limit_of(control()) == (0, 0)


@pytest.mark.parametrize(("number", "limit"), [(80, (80, 60)), (50, (50, 50)), (200, (200, 60)), (0, (0, 0))])
def test_an_agent_s_number_replaces_the_configured_one_and_0_is_any_number(
    number: int, limit: tuple[int, int]
) -> None:
    balanced = control(WITH_AGENT)
    speak(balanced, max_connections=number)
    assert limit_of(balanced) == limit
    speak(balanced)
    assert limit_of(balanced) == limit


def test_an_agent_s_number_is_an_event_that_says_who() -> None:
    balanced = control(WITH_AGENT)
    for number in (1, 1, 0):
        speak(balanced, max_connections=number)
    events = [event for event in balanced.events.rows() if event["kind"] == "limit"]
    assert [(event["text"], event["old"], event["new"], event["by"]) for event in events] == [
        ("server web/web1 may have at most 1 session (was at most 100 sessions), says its agent", 100, 1, "agent"),
        ("server web/web1 may have any number of sessions (was at most 1 session), says its agent", 1, None, "agent"),
    ]


def test_the_limit_is_shown_with_what_is_open(capsys) -> None:
    balanced = control(LIMITED)
    assert (row(balanced)["max_connections"], row(balanced)["sessions_open"], row(balanced)["full"]) == (100, 0, False)
    assert row(balanced, "web2")["max_connections"] is None
    print_table("servers", servers(balanced))
    assert {"sessions_open", "max_connections"} <= set(capsys.readouterr().out.splitlines()[0].split())


def test_where_nobody_has_a_limit_people_see_no_column_of_it(capsys) -> None:
    print_table("servers", servers(control()))
    assert not {"sessions_open", "max_connections"} & set(capsys.readouterr().out.splitlines()[0].split())


def test_why_says_how_many_it_has_of_how_many() -> None:
    told = control(LIMITED).balancer.why("web/web1")
    assert "its weight is 4; it has 0 sessions of 100 it may have" in told["sentence"]
    assert (told["max_connections"], told["sessions_open"], told["backup"]) == (100, 0, False)
    json.dumps(told)


def full(balanced: Control, *names: str) -> None:
    """The workers have counted so many sessions of these as they may have."""
    figures_of = balanced.built.workers.server
    full = {balanced.server(name).index for name in names}

    def figures(index: int) -> dict[str, int]:
        return figures_of(index) | ({"full": True, "sessions_open": 100} if index in full else {})

    balanced.built.workers.server = figures  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("lower", "again"), [("60", "; it takes more when it has fewer than 60"), ("100", "")]
)  # fmt: skip
def test_why_says_that_a_server_is_full_and_until_when(lower: str, again: str) -> None:
    balanced = control(LIMITED.replace("lower: 60", f"lower: {lower}"))
    full(balanced, "web1")
    said = balanced.balancer.why("web/web1")
    why = f"it has 100 sessions of 100 it may have (max_connections){again}"
    assert said["sentence"].startswith(f"web/web1 takes no new sessions: {why}.")
    assert not said["takes_new_sessions"]


def test_why_says_whose_number_it_is() -> None:
    balanced = control(WITH_AGENT)
    speak(balanced, max_connections=100)
    full(balanced, "web1")
    assert "of 100 it may have (says its agent)" in balanced.balancer.why("web/web1")["sentence"]


def test_a_full_server_is_in_no_backup_s_way() -> None:
    text = LIMITED.replace("web2: {address: 10.0.2.12, port: 8080}", "web2: {address: 10.0.2.12, backup: true}")
    balanced = control(text)
    assert not balanced.balancer.why("web/web2")["takes_new_sessions"]
    full(balanced, "web1")
    assert balanced.balancer.why("web/web2")["takes_new_sessions"]

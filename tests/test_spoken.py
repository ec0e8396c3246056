"""What an agent says: the documented table row by row on a balancer, and how its words add up."""

from dataclasses import replace

import pytest
from control import Control, control

from swlb import spoken
from swlb.config import Check, Config
from swlb.health import Transition
from swlb.probes.outcome import Outcome, Report
from swlb.spoken import Words, weight_said
from tests.doc_tables import rows_of

TCP, AGENT = Check(type="tcp"), Check(type="agent", port=5555)
HEALTH, ADMIN = ("up", "down", "fail", "stopped"), ("ready", "drain", "maint")
WEB1 = ("web", "web1")


def with_checks(*checks: Check):
    """A change of a configuration: the service web has these checks."""

    def change(config: Config) -> Config:
        return replace(config, services=config.services | {"web": replace(config.services["web"], checks=checks)})

    return change


def read(words: str) -> Report:
    """The words of the table as the probe hands them over."""
    said = words.split()
    weight = next((int(word[:-1]) for word in said if word.endswith("%")), None)
    return Report(
        health=next((word for word in said if word in HEALTH), None),
        admin=next((word for word in said if word in ADMIN), None),
        weight=weight, weight_is_percent=weight is not None,
    )  # fmt: skip


def speak(balanced: Control, number: int, report: Report | None) -> None:
    """The agent's probe of web1 has ended: with that report, or without any when the agent is not there."""
    ok = None if report is None or report.health is None else report.health == "up"
    key, before = (*WEB1, number), balanced.server("web1").standings[number].state
    status = "L7OK" if ok is not False else "L7STS"
    balanced.balancer._on_probe(key, Outcome(ok, status, "", 1.0, report=report))
    now = {None: before, True: "up", False: "down"}[ok]
    if now != before:
        balanced.balancer._on_transition(key, Transition(before, now, status, "rise" if ok else "retries"))


def stand(balanced: Control, state: str) -> None:
    """The other check of web1 says so."""
    if state != "checking":
        transition = Transition("checking", state, "L4OK" if state == "up" else "L4CON", "first probe")
        balanced.balancer._on_transition((*WEB1, 0), transition)


@pytest.mark.parametrize("row", rows_of(spoken, "check"), ids=" | ".join)
def test_a_row_of_the_truth_table_holds(row: tuple[str, ...]) -> None:
    check, says, operator, operational, takes, is_sent = row
    checks = (AGENT,) if check == "none" else (TCP, AGENT)
    balanced = control(change=with_checks(*checks))
    if check != "none":
        stand(balanced, check)
    speak(balanced, len(checks) - 1, None if says == "(silent)" else read(says))
    balanced.balancer.order("web/web1", operator)
    if operator == "maint":
        # Probes end then; what they said before stays what it was.
        assert balanced.balancer.status(WEB1) is None
    server = balanced.server("web1")
    assert (server.operational, server.effective_weight > 0, server.serves) == (
        operational, takes == "yes", is_sent == "yes")  # fmt: skip


def agent_of_web1(*reports: Report | None) -> Control:
    """A balancer whose server web1 is up and has an agent that said these one after the other."""
    balanced = control(change=with_checks(TCP, AGENT))
    stand(balanced, "up")
    for report in reports:
        speak(balanced, 1, report)
    return balanced


def test_what_an_agent_does_not_mention_stays() -> None:
    balanced = agent_of_web1(Report(health="up", admin="drain", weight=50, weight_is_percent=True), Report(health="up"))
    server = balanced.server("web1")
    assert (server.effective_admin, server.wanted_weight) == ("drain", 2)


def test_an_agent_that_goes_away_changes_nothing() -> None:
    for report in (Report(admin="drain", health="up"), Report(health="down"), Report(admin="maint"), Report(weight=3)):
        balanced = agent_of_web1(report)
        before = balanced.server("web1").operational, balanced.server("web1").ready_bits, len(balanced.kinds())
        speak(balanced, 1, None)
        speak(balanced, 1, None)
        server = balanced.server("web1")
        assert (server.operational, server.ready_bits, len(balanced.kinds())) == before


@pytest.mark.parametrize("order", ["drain", "maint"])
def test_an_agent_does_not_undo_an_order(order: str) -> None:
    balanced = agent_of_web1(Report(admin="ready", health="up"))
    balanced.balancer.order("web/web1", order)
    speak(balanced, 1, Report(admin="ready"))
    assert balanced.server("web1").effective_admin == order


@pytest.mark.parametrize("said", ["drain", "maint"])
def test_an_operator_does_not_undo_what_an_agent_says(said: str) -> None:
    balanced = agent_of_web1(Report(admin=said))
    balanced.balancer.order("web/web1", "drain")
    balanced.balancer.order("web/web1", "ready")
    assert balanced.server("web1").effective_admin == said
    assert balanced.events.rows()[-1]["text"].endswith(f"is ready (was drain); its agent's {said} holds")
    speak(balanced, 1, Report(admin="ready"))
    assert balanced.server("web1").effective_admin == "ready"


@pytest.mark.parametrize(
    ("words", "ordered", "holds"),
    [
        (Words(0.0), 3, 3), (Words(0.0, weight=7), 3, 7), (Words(0.0, weight=7), 0, 0),
        (Words(0.0, weight=50, weight_is_percent=True), 3, 2), (Words(0.0, weight=1, weight_is_percent=True), 3, 1),
        (Words(0.0, weight=0, weight_is_percent=True), 3, 0), (Words(0.0, weight=200, weight_is_percent=True), 3, 8),
    ],
)  # fmt: skip
def test_an_agent_s_weight_is_absolute_or_of_the_configured_one(words: Words, ordered: int, holds: int) -> None:
    assert weight_said(words, configured=4, ordered=ordered) == holds


def test_what_an_agent_changes_is_an_event_that_says_who() -> None:
    balanced = agent_of_web1(Report(health="up", admin="drain", weight=50, weight_is_percent=True, description="busy"))
    told = [(event["kind"], event["by"], event["old"], event["new"]) for event in balanced.events.rows()
            if event["kind"] in ("admin", "weight")]  # fmt: skip
    assert told == [("admin", "agent", "ready", "drain"), ("weight", "agent", 4, 2)]
    assert "server web/web1: its agent says drain (busy) (was ready)" in [row["text"] for row in balanced.events.rows()]


def test_an_order_of_weight_beside_the_agent_s_says_which_holds() -> None:
    balanced = agent_of_web1(Report(health="up", weight=50, weight_is_percent=True))
    balanced.balancer.order("web/web1", "weight=3")
    assert balanced.events.rows()[-1]["text"] == "server web/web1 weighs 3 (was 4); its agent's 2 holds"
    balanced.balancer.order("web/web1", "weight=0")
    assert balanced.server("web1").effective_weight == 0
    assert balanced.events.rows()[-1]["text"].startswith("server web/web1 weighs 0 (was 3); service web takes no")


def test_a_first_ready_changes_nothing_and_is_no_event() -> None:
    assert "admin" not in agent_of_web1(Report(health="up", admin="ready")).kinds()


def test_the_same_words_again_are_no_event() -> None:
    report = Report(health="up", admin="drain", weight=50, weight_is_percent=True)
    assert agent_of_web1(report).kinds() == agent_of_web1(report, report, report).kinds()


def test_a_limit_of_connections_is_kept_and_shown() -> None:
    balanced = agent_of_web1(Report(health="up", max_connections=30), Report(health="up", description="fine"))
    assert str(balanced.server("web1").agent) == "up maxconn:30 #fine"


def test_a_check_that_another_agent_s_words_cannot_raise() -> None:
    """HAProxy's issue 1176: `ready,up` of an agent hid that the check had failed."""
    balanced = agent_of_web1(Report(admin="ready", health="up"))
    balanced.balancer._on_transition((*WEB1, 0), Transition("up", "down", "L4TOUT", "timeout"))
    for _ in range(3):
        speak(balanced, 1, Report(admin="ready", health="up"))
    server = balanced.server("web1")
    assert (server.operational, server.reason, server.decider) == ("down", "L4TOUT", 0)

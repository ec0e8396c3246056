"""`swlb why`: one sentence for each thing that keeps a server from new sessions."""

from dataclasses import replace

import pytest
from control import CONFIG, Control
from told import DOWN, Told, on_clock

from swlb.config import Check, Config
from swlb.probes.outcome import Outcome, Report

TIMERS = "interval: 2s, retries: 3, timeout: 60s, dead_interval: 2s, rise: 2"
ONE = CONFIG.replace("{type: tcp, initial: up}", f"{{type: tcp, {TIMERS}}}")
SILENT = Outcome(None, "L4CON", "connection refused", 1.0)


def why(balanced: Control, name: str = "web/web1") -> str:
    return balanced.balancer.why(name)["sentence"]


def says(*expected: str, text: str = ONE, orders: tuple[str, ...] = (), outcome: Outcome | None = None,
         until: float = 107, of: str = "web/web1", change=lambda config: config) -> dict:  # fmt: skip
    """What why tells of the server, which must have those words in this order, once the orders are carried out."""
    told_of_it: list[dict] = []

    async def scenario(balanced: Control, told: Told) -> None:
        await balanced.clock.advance_to(101)
        if outcome is not None:
            told.outcomes["tcp", "10.0.2.11"] = outcome
        for order in orders:
            balanced.balancer.order(of, order)
        await balanced.clock.advance_to(until)
        told_of_it.append(balanced.balancer.why(of))

    on_clock(scenario, text, change=change)
    rest = told_of_it[0]["sentence"]
    for words in expected:
        assert words in rest, (words, told_of_it[0]["sentence"])
        rest = rest.partition(words)[2]
    return told_of_it[0]


def with_agent(need: str, *reports: Report | None):
    """Options of `says`: web has a tcp check and an agent, or the agent alone; the agent says this."""
    agent = Check(type="agent", port=5555, interval=2, dead_interval=2)
    tcp = Check(type="tcp", interval=2, dead_interval=2)

    def change(config: Config) -> Config:
        web = replace(config.services["web"], checks=(agent,) if need == "alone" else (tcp, agent))
        return replace(config, services=config.services | {"web": web})

    return change


def test_a_server_that_takes_new_sessions() -> None:
    told = says("web/web1 takes new sessions: its check is up (L4OK, connected) for 7.0 s; its weight is 4.",
                "Next: probe in 1.0 s.")  # fmt: skip
    assert (told["takes_new_sessions"], told["operational"], told["effective_weight"]) == (True, "up", 4)


def test_a_server_that_a_class_of_one_s_own_may_leave_out() -> None:
    def change(config: Config) -> Config:
        web = replace(config.services["web"], scheduler="python:mine.Own")
        return replace(config, services=config.services | {"web": web})

    says("web/web1 takes new sessions: ", "its weight is 4; whether it is given any, python:mine.Own says.",
         change=change)  # fmt: skip


def test_a_server_without_a_check() -> None:
    says("dns/ns1 takes new sessions: it has no check and always counts as up; its weight is 1.", of="dns/ns1")


def test_a_server_whose_check_fails() -> None:
    told = says("web/web1 takes no new sessions: its check fails (L4CON, connection refused, 3 in a row) for 0.5 s.",
                "Next: probe in 1.5 s; up after 2 successes in a row.", outcome=DOWN, until=106.5)  # fmt: skip
    assert (told["takes_new_sessions"], told["operational"]) == (False, "down")


def test_a_server_whose_check_is_about_to_fail() -> None:
    says("web/web1 takes new sessions: its check is up (L4OK, connected) for 4.5 s, but fails now (L4CON, connection"
         " refused, 2 in a row);", "down after 1 more failure, or in 57.5 s (timeout).", outcome=DOWN,
         until=104.5)  # fmt: skip


def test_a_server_that_is_not_decided_yet() -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        assert why(balanced) == (
            "web/web1 takes no new sessions: its check is not decided yet. Next: probe in 0.0 s; its result decides."
        )

    on_clock(scenario, ONE)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("drain", "an operator's order, drain: those it has go on; `swlb set server web/web1 ready` undoes it."),
        ("maint", "an operator's order, maint: nothing is sent to it and it is not checked; "
                  "`swlb set server web/web1 ready` undoes it."),
        ("weight=0", "its weight is 0 by order: those it has go on; `swlb set server web/web1 weight=N` undoes it."),
    ],
)  # fmt: skip
def test_an_order_is_told_with_its_way_back(order: str, words: str) -> None:
    assert says(f"web/web1 takes no new sessions: {words}", orders=(order,))["takes_new_sessions"] is False


def test_a_weight_of_0_in_the_configuration() -> None:
    says("its weight is 0 in the configuration", text=ONE.replace("weight: 4", "weight: 0"))


def test_everything_that_is_in_the_way_is_told() -> None:
    told = says("an operator's order, drain", "; and its weight is 0 by order", "; and its check fails",
                orders=("weight=0", "drain"), outcome=DOWN)  # fmt: skip
    assert len(told["reasons"]) == 3


def test_the_check_that_decides_is_named_where_there_are_several() -> None:
    text = CONFIG.replace("mode: routed\n", f"mode: routed\nchecks: {{web-ok: {{{TIMERS}}}}}\n").replace(
        "{type: tcp, initial: up}", "{all: [{type: icmp}, web-ok]}")  # fmt: skip
    says("its check web-ok, one of 2 (all must be up), fails (L4CON, connection refused, 3 in a row)", text=text,
         outcome=DOWN)  # fmt: skip


def agent_says(report: Report | None, *expected: str, alone: bool = False, tcp: Outcome | None = None) -> None:
    """The same with an agent, which answers so."""
    ok = None if report is None or report.health is None else report.health == "up"
    detail = report.health if report and report.health else "connection refused"
    outcome = SILENT if report is None else Outcome(ok, "L7OK" if ok else "L7STS", detail, 1.0, report=report)

    async def scenario(balanced: Control, told: Told) -> None:
        told.outcomes["agent", "10.0.2.11"] = outcome
        told.outcomes["tcp", "10.0.2.11"] = tcp or told.outcomes["tcp", "10.0.2.11"]
        await balanced.clock.advance_to(107)
        for words in expected:
            assert words in why(balanced)

    on_clock(scenario, CONFIG, change=with_agent("alone" if alone else "beside"))


def test_a_server_that_counts_as_up_because_health_is_ignored() -> None:
    text = ONE.replace("port: 80\n", "port: 80\n    fail_open: 90%\n")
    told = says("web/web1 takes new sessions: it counts as up though its check fails (L4CON, connection refused, 3",
                "as too few servers of its service are up (fail_open); its weight is 4.", text=text,
                outcome=DOWN)  # fmt: skip
    assert (told["takes_new_sessions"], told["operational"], told["effective_weight"]) == (True, "down", 4)


def test_an_agent_that_says_down() -> None:
    agent_says(Report(health="stopped"), "takes no new sessions: its agent says stopped (L7STS, stopped) for",
               "only it can undo that")  # fmt: skip


def test_an_agent_that_says_up_where_the_check_fails() -> None:
    agent_says(Report(health="up"), "fails (L4CON, connection refused", "; its agent says up, and the check wins.",
               tcp=DOWN)  # fmt: skip


@pytest.mark.parametrize(("admin", "what"), [("drain", "those it has go on"), ("maint", "nothing is sent to it")])
def test_an_agent_that_wants_no_sessions(admin: str, what: str) -> None:
    agent_says(Report(admin=admin, health="up", description="deploy"),
               f"takes no new sessions: its agent says {admin} (deploy): {what}; only the agent can undo it, by ready."
               )  # fmt: skip


def test_an_agent_that_says_weight_0() -> None:
    agent_says(Report(weight=0, weight_is_percent=True), "its agent says weight 0: those it has go on; only the agent")


def test_an_agent_that_has_never_answered() -> None:
    agent_says(None, "takes no new sessions: its agent has never answered. Next: probe in", alone=True)
    agent_says(None, "takes new sessions: its check 0 (tcp), one of 2 (all must be up), is up")

"""Servers with several checks, and checks that several services share, from configuration to events."""

import asyncio
import json

import pytest
from control import CONFIG, Control, control
from told import DOWN, UP, Told, on_clock

from swlb.config import parse
from swlb.figures import health, servers
from swlb.health import Transition
from swlb.succession import up_at_start

TIMERS = "interval: 2s, retries: 2, dead_interval: 2s, rise: 2"
PLACE = "check: {type: tcp, initial: up}"
SERVERS = "    servers: {ns1: {address: 10.0.2.11}}\n"
SHARED = f"""mode: routed
checks:
  web-ok: {{type: tcp, port: 8080, {TIMERS}}}
  ping: {{type: icmp, {TIMERS}}}
"""


def several(check: str) -> str:
    """The configuration with that check of the service web."""
    return CONFIG.replace("mode: routed\n", SHARED).replace(PLACE, f"check: {check}")


def both(check: str) -> str:
    """The same, and the service dns, whose server is web1's host, has the check web-ok."""
    return several(check).replace(SERVERS, "    check: web-ok\n" + SERVERS)


def states(balanced: Control) -> dict[str, str]:
    """The operational state of each server."""
    return {"/".join(key): state.operational for key, state in balanced.balancer.servers.items()}


@pytest.mark.parametrize(
    ("check", "up"),
    [
        ("{all: [{initial: up}, {type: icmp, initial: up}]}", True), ("{all: [{initial: up}, ping]}", False),
        ("{any: [{initial: up}, ping]}", True), ("{any: [{initial: down}, ping]}", False),
    ],
)  # fmt: skip
def test_what_a_server_counts_as_at_the_start_is_what_its_checks_do_together(check: str, up: bool) -> None:
    assert up_at_start(parse(several(check), file="test.yaml"))["web", "web1"] is up
    assert (control(several(check)).server("web1").operational == "up") is up


@pytest.mark.parametrize(
    ("need", "failing", "state"),
    [("all", [], "up"), ("all", ["icmp"], "down"), ("all", ["tcp", "icmp"], "down"), ("any", [], "up"),
     ("any", ["icmp"], "up"), ("any", ["tcp"], "up"), ("any", ["tcp", "icmp"], "down")],
)  # fmt: skip
def test_a_server_is_what_its_checks_say_together(need: str, failing: list[str], state: str) -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        await balanced.clock.advance_to(101)
        assert set(states(balanced).values()) == {"up"}
        for kind in failing:
            told.outcomes[kind, "10.0.2.11"] = DOWN
        await balanced.clock.advance_to(110)
        assert states(balanced) == {"web/web1": state, "web/web2": "up", "web/web1v6": "up", "dns/ns1": "up"}

    on_clock(scenario, several(f"{{{need}: [web-ok, ping]}}"))


def test_the_first_that_fails_is_the_reason_as_long_as_it_does() -> None:
    balanced = control(several("{all: [web-ok, ping]}"))

    def change(number: int, new: str, reason: str) -> tuple[str, str, str | None]:
        old = balanced.server("web1").standings[number].state
        balanced.balancer._on_transition(("web", "web1", number), Transition(old, new, reason, "retries"))
        server = balanced.server("web1")
        return server.operational, server.reason, server.check_name

    change(0, "up", "L4OK")
    assert change(1, "up", "L3OK") == ("up", "L3OK", "ping")
    assert change(1, "down", "L3TOUT") == ("down", "L3TOUT", "ping")
    assert change(0, "down", "L4CON") == ("down", "L3TOUT", "ping")
    assert change(1, "up", "L3OK") == ("down", "L4CON", "web-ok")
    assert change(0, "up", "L4OK") == ("up", "L4OK", "web-ok")
    assert balanced.kinds().count("server_down") == 1


def test_a_server_of_two_services_is_probed_once_by_a_shared_check_and_both_follow() -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        told.outcomes["tcp", "10.0.2.11"] = DOWN
        await balanced.clock.advance_to(105)
        assert told.asked["tcp", "10.0.2.11:8080"] == [100, 102, 104]
        assert states(balanced) == {"web/web1": "down", "web/web2": "up", "web/web1v6": "up", "dns/ns1": "down"}
        told.outcomes["tcp", "10.0.2.11"] = UP
        await balanced.clock.advance_to(109)
        assert set(states(balanced).values()) == {"up"}

    on_clock(scenario, both("web-ok"))


def test_maintenance_in_one_service_leaves_the_shared_check_to_the_other() -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        await balanced.clock.advance_to(101)
        balanced.balancer.order("web/web1", "maint")
        await balanced.clock.advance_to(105)
        assert told.asked["tcp", "10.0.2.11:8080"] == [100, 102, 104]
        assert balanced.balancer.statuses(("web", "web1")) == {}
        balanced.balancer.order("web/web1", "ready")
        assert balanced.server("web1").operational == "up"
        assert balanced.events.rows()[-1]["cause"] == "a check that others share"

    on_clock(scenario, both("web-ok"))


def test_maintenance_ends_all_checks_of_a_server_and_ready_begins_them_anew() -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        await balanced.clock.advance_to(101)
        balanced.balancer.order("web/web2", "maint")
        asked = {kind: list(told.asked[kind]) for kind in told.asked}
        await balanced.clock.advance_to(110)
        of_web2 = [kind for kind in told.asked if "10.0.2.12" in kind[1]]
        assert len(of_web2) == 2
        assert all(told.asked[kind] == asked[kind] for kind in of_web2)
        balanced.balancer.order("web/web2", "ready")
        assert balanced.server("web2").operational == "checking"
        await balanced.clock.advance_to(111)
        assert balanced.server("web2").operational == "up"

    on_clock(scenario, several("{all: [web-ok, ping]}"))


def test_health_has_a_row_for_each_check_and_servers_tell_the_one_that_decides() -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        told.outcomes["icmp", "10.0.2.11"] = DOWN
        await balanced.clock.advance_to(105)
        rows = [row for row in health(balanced) if row["server"] == "web1"]
        assert [(row["check"], row["type"], row["operational"], row["last"]) for row in rows] == [
            ("web-ok", "tcp", "up", "✓✓✓"), ("1", "icmp", "down", "✗✗✗"),
        ]  # fmt: skip
        assert rows[0]["history"] == [[5.0, "L4OK", 1.0], [3.0, "L4OK", 1.0], [1.0, "L4OK", 1.0]]
        assert (rows[0]["phases"], rows[0]["via"], rows[0]["warning"]) == ({"connect": 1.0}, "server", "")
        assert rows[1]["next"].endswith("; up after 2 successes in a row")
        (web1,) = [row for row in servers(balanced) if row["server"] == "web1"]
        assert (web1["operational"], web1["reason"], web1["check_status"]) == ("down", "L4CON", "L4CON")
        json.dumps(rows)

    text = several(f"{{all: [web-ok, {{type: icmp, {TIMERS}}}]}}")
    on_clock(scenario, text)


def test_an_event_has_the_transcript_of_the_probe_that_decided() -> None:
    async def scenario(balanced: Control, told: Told) -> None:
        await balanced.clock.advance_to(101)
        told.outcomes["icmp", "10.0.2.11"] = DOWN
        await balanced.clock.advance_to(105)
        event = balanced.events.rows()[-1]
        assert event["text"] == (
            "server web/web1 is down (was up): check ping: L4CON, connection refused; retries; it has no sessions"
        )
        told = {key: event[key] for key in ("old", "new", "reason", "cause", "check", "detail", "phases", "effect")}
        assert told == {
            "old": "up", "new": "down", "reason": "L4CON", "cause": "retries", "check": "ping",
            "detail": "connection refused", "phases": {"connect": 1.0}, "effect": {},
        }  # fmt: skip
        assert 103 < event["monotonic_s"] < 105

    on_clock(scenario, several("{all: [web-ok, ping]}"))


def test_an_event_of_a_server_whose_health_is_ignored_says_that_its_sessions_go_on() -> None:
    balanced = control(CONFIG.replace("port: 80\n", "port: 80\n    fail_open: 100%\n"))
    balanced.balancer._on_transition(("web", "web1", 0), Transition("up", "down", "L4CON", "retries"))
    event = next(event for event in balanced.events.rows() if event["kind"] == "server_down")
    assert "; its sessions go on, as health is ignored (fail_open)" in event["text"]
    assert event["effect"] == {}


def test_how_long_hold_down_kept_a_change_is_told() -> None:
    balanced = control()
    balanced.balancer._on_transition(("web", "web1", 0), Transition("up", "down", "L4CON", "retries", held_s=2.5))
    assert "; retries; it has no sessions; hold_down has held it for 2.5 s" in balanced.events.rows()[0]["text"]


def test_stopping_leaves_no_task_behind() -> None:
    async def run() -> int:
        told = Told()
        balanced = control(both("{all: [web-ok, ping, {}]}"), probe_of=told.probe_of)
        told.clock = balanced.clock
        balanced.balancer.start()
        await balanced.clock.advance_to(103)
        await balanced.balancer.stop()
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
